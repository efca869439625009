//! What a network device does for the kernel (include/uapi/linux/ethtool.h), in the namespace of the calling thread.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{check, interface};

const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GSTRINGS: u32 = 0x1b;
const GSSET_INFO: u32 = 0x37;
const GFEATURES: u32 = 0x3a;
/// `ETH_SS_FEATURES`: the set of the features' names.
const FEATURES: u32 = 4;
/// Words of a name, and of a block of 32 features: available, requested, active, never changed.
const NAME_WORDS: usize = 8;
const BLOCK_WORDS: usize = 4;
const ACTIVE: usize = 2;

/// Whether a feature of an interface is on, by the name that `ethtool -k` shows; no feature of that name is off.
pub(crate) fn is_on(name: &str, feature: &str) -> io::Result<bool> {
    let mask = (1_u64 << FEATURES).to_ne_bytes();
    let [a, b, c, d, e, f, g, h] = mask;
    let half = |bytes| u32::from_ne_bytes(bytes);
    let mut info = [GSSET_INFO, 0, half([a, b, c, d]), half([e, f, g, h]), 0];
    // SAFETY: a `struct ethtool_sset_info` that asks for one set has room for one number.
    unsafe { ask(name, &mut info) }?;
    let count = info[4] as usize;

    let mut names = vec![0; 3 + count * NAME_WORDS];
    names[..3].copy_from_slice(&[GSTRINGS, FEATURES, info[4]]);
    // SAFETY: a `struct ethtool_gstrings` with room for `count` names of 32 bytes. How many features there are is the same as
    // long as the kernel runs.
    unsafe { ask(name, &mut names) }?;
    let (names, _) = names[3..].as_chunks::<NAME_WORDS>();
    let Some(bit) = names.iter().position(|words| is(words, feature)) else {
        return Ok(false);
    };

    let blocks = count.div_ceil(32);
    let mut features = vec![0; 2 + blocks * BLOCK_WORDS];
    features[..2].copy_from_slice(&[GFEATURES, blocks as u32]);
    // SAFETY: a `struct ethtool_gfeatures` with room for as many blocks as it says.
    unsafe { ask(name, &mut features) }?;
    let (blocks, _) = features[2..].as_chunks::<BLOCK_WORDS>();
    Ok(blocks[bit / 32][ACTIVE] >> (bit % 32) & 1 == 1)
}

/// Whether the words are this name and NULs.
fn is(words: &[u32; NAME_WORDS], name: &str) -> bool {
    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
    bytes.take_while(|byte| *byte != 0).eq(name.bytes())
}

/// `SIOCETHTOOL`.
///
/// # Safety
/// `words` begin with a command, and are what it reads, with room for all that it writes.
unsafe fn ask(name: &str, words: &mut [u32]) -> io::Result<()> {
    let mut request = interface::request(name)?;
    request.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: `request` is a live `ifreq` with a NUL-ended name and a pointer to `words`, which are borrowed mutably; the rest
    // is the caller's promise.
    check(unsafe { libc::ioctl(descriptor, SIOCETHTOOL, &raw mut request) })?;
    Ok(())
}
