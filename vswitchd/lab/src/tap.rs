//! Frames of an interface inside a lab, as a pcap stream for any reader outside: `vswitchctl lab tap NODE | tcpdump -r -`.
//!
//! tcpdump itself does not run inside the lab of an ordinary user: as root it insists on giving up its groups, which
//! the kernel forbids in a user namespace of one user (user_namespaces(7), "setgroups"). Outside it is not root.

use std::{
    fs,
    io::{self, Write},
    os::fd::AsRawFd,
    time::{SystemTime, UNIX_EPOCH},
};

use nix::{
    net::if_::if_nametoindex,
    sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket},
};

/// Largest frame that is written whole, in bytes: a super-segment and its link header.
const SNAP_LEN: u32 = 0x0004_0000;
/// `LINKTYPE_ETHERNET` and `LINKTYPE_RAW` of the pcap format.
const LINK_ETHERNET: u32 = 1;
const LINK_RAW: u32 = 101;

/// Writes every frame of an interface of this network namespace to `out`, both directions, until writing fails.
///
/// # Errors
/// No such interface, no right to open a packet socket, or `out` is closed.
pub fn pour(interface: &str, out: &mut impl Write) -> io::Result<()> {
    let index = if_nametoindex(interface)?;
    let socket = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::EthAll,
    )?;
    out.write_all(&file_header(link_type(interface)?))?;
    out.flush()?;
    let mut buffer = vec![0; SNAP_LEN as usize];
    loop {
        // The socket hears every interface of the namespace: binding it needs an address nix cannot make safely.
        let (len, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut buffer)?;
        if from.is_some_and(|from| u32::try_from(from.ifindex()) == Ok(index)) {
            out.write_all(&record_header(len, SystemTime::now()))?;
            out.write_all(&buffer[..len])?;
            out.flush()?;
        }
    }
}

/// Devices other than Ethernet (`ARPHRD_ETHER`, 1) are tunnels here, whose frames begin with the IP header.
fn link_type(interface: &str) -> io::Result<u32> {
    let kind = fs::read_to_string(format!("/sys/class/net/{interface}/type"))?;
    Ok(if kind.trim() == "1" {
        LINK_ETHERNET
    } else {
        LINK_RAW
    })
}

/// The pcap file header, little endian, microseconds (draft-ietf-opsawg-pcap, section 4).
fn file_header(link_type: u32) -> Vec<u8> {
    let mut header = 0xa1b2_c3d4_u32.to_le_bytes().to_vec();
    header.extend(2u16.to_le_bytes());
    header.extend(4u16.to_le_bytes());
    header.extend(
        [0, 0, SNAP_LEN, link_type]
            .iter()
            .flat_map(|word: &u32| word.to_le_bytes()),
    );
    header
}

/// The header of one frame: seconds, microseconds, length here, length on the wire (section 5).
fn record_header(len: usize, now: SystemTime) -> Vec<u8> {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The format's seconds are 32 bits and end in 2106.
    let seconds = u32::try_from(since.as_secs()).unwrap_or(u32::MAX);
    let len = u32::try_from(len).unwrap_or(SNAP_LEN);
    [seconds, since.subsec_micros(), len, len]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_headers_are_those_of_the_pcap_format() {
        let file = file_header(LINK_RAW);
        assert_eq!(file[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
        assert_eq!((file.len(), file[20]), (24, 101));
        let record = record_header(60, UNIX_EPOCH + Duration::from_micros(1_000_002));
        assert_eq!(record, [1, 0, 0, 0, 2, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0]);
    }
}
