//! The vectors of a batched receive: allocated once, aimed anew before each `recvmmsg`.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use libc::{iovec, mmsghdr};

/// Bytes of the virtio-net header before each frame.
pub(crate) const VIRTIO_LEN: usize = 10;
/// Room for one control message: `cmsghdr` and `struct tpacket_auxdata`, padded to a word.
const CONTROL_LEN: usize = 40;
/// `TP_STATUS_VLAN_VALID` and `TP_STATUS_VLAN_TPID_VALID`, include/uapi/linux/if_packet.h.
const VLAN_VALID: u32 = 1 << 4;
const VLAN_TPID_VALID: u32 = 1 << 6;

/// The 802.1Q tag that the kernel took out of a received frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct VlanTag {
    /// Tag protocol identifier: 0x8100 or 0x88a8.
    pub(crate) tpid: u16,
    /// Priority, DEI and VLAN id.
    pub(crate) tci: u16,
}

/// What one received message says about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'a> {
    /// Bytes of the frame on the device, which is more than the buffer holds when it was truncated.
    pub(crate) len: usize,
    pub(crate) virtio: &'a [u8; VIRTIO_LEN],
    pub(crate) vlan: Option<VlanTag>,
}

/// Message headers, virtio-net headers and control buffers of one batch.
pub(crate) struct RxVectors {
    virtio: Box<[[u8; VIRTIO_LEN]]>,
    control: Box<[[u8; CONTROL_LEN]]>,
    parts: Box<[[iovec; 2]]>,
    messages: Box<[mmsghdr]>,
}

// SAFETY: the raw pointers inside are dereferenced only by the kernel within `receive`, which first overwrites every
// one it passes with a pointer to live memory of its own or of its caller; between calls they are dead numbers.
unsafe impl Send for RxVectors {}

impl RxVectors {
    pub(crate) fn new(batch: usize) -> Self {
        let nowhere = iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        };
        Self {
            virtio: vec![[0; VIRTIO_LEN]; batch].into(),
            control: vec![[0; CONTROL_LEN]; batch].into(),
            parts: vec![[nowhere; 2]; batch].into(),
            messages: (0..batch)
                .map(|_| super::tx_vectors::empty_message())
                .collect(),
        }
    }

    /// The batch size.
    pub(crate) fn capacity(&self) -> usize {
        self.messages.len()
    }

    /// Receives without waiting into as many of `buffers` as there are frames, at most the batch size; returns how
    /// many. `EAGAIN` when there is none.
    pub(crate) fn receive<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        buffers: impl Iterator<Item = &'a mut [u8]>,
    ) -> io::Result<usize> {
        let mut aimed = 0;
        for (slot, buffer) in (0..self.messages.len()).zip(buffers) {
            self.aim(slot, buffer);
            aimed += 1;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: the first `aimed` messages (`aimed` is at most their number) point at vectors and control buffers
        // owned by `self`, borrowed mutably here, and at caller buffers that are disjoint and exclusively borrowed
        // for 'a, which outlives this call. The kernel writes within the lengths given and keeps no pointer.
        let received = unsafe {
            let messages = self.messages.as_mut_ptr();
            libc::recvmmsg(
                fd.as_raw_fd(),
                messages,
                aimed as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        Ok(super::check(received)? as usize)
    }

    fn aim(&mut self, slot: usize, buffer: &mut [u8]) {
        let virtio = &mut self.virtio[slot];
        self.parts[slot] = [
            iovec {
                iov_base: virtio.as_mut_ptr().cast(),
                iov_len: virtio.len(),
            },
            iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            },
        ];
        let header = &mut self.messages[slot].msg_hdr;
        header.msg_iov = self.parts[slot].as_mut_ptr();
        header.msg_iovlen = 2;
        header.msg_control = self.control[slot].as_mut_ptr().cast();
        header.msg_controllen = CONTROL_LEN as _;
    }

    /// What the last [`receive`](Self::receive) put into `slot`.
    pub(crate) fn received(&self, slot: usize) -> Received<'_> {
        let message = &self.messages[slot];
        #[cfg_attr(
            target_env = "gnu",
            expect(
                clippy::unnecessary_cast,
                reason = "musl's field is narrower than glibc's"
            )
        )]
        let control_len = message.msg_hdr.msg_controllen as usize;
        Received {
            len: (message.msg_len as usize).saturating_sub(VIRTIO_LEN),
            virtio: &self.virtio[slot],
            vlan: vlan_tag(&self.control[slot], control_len),
        }
    }
}

/// Reads the tag out of a `PACKET_AUXDATA` control message: `cmsghdr`, then `struct tpacket_auxdata` {status, len,
/// snaplen: u32; mac, net, vlan_tci, vlan_tpid: u16}, host byte order.
fn vlan_tag(control: &[u8; CONTROL_LEN], len: usize) -> Option<VlanTag> {
    const DATA: usize = size_of::<libc::cmsghdr>();
    if len < DATA + 20 {
        return None;
    }
    let status = u32::from_ne_bytes(*control[DATA..].first_chunk()?);
    if status & VLAN_VALID == 0 {
        return None;
    }
    let tci = u16::from_ne_bytes(*control[DATA + 16..].first_chunk()?);
    let tpid = u16::from_ne_bytes(*control[DATA + 18..].first_chunk()?);
    Some(VlanTag {
        tpid: if status & VLAN_TPID_VALID == 0 {
            0x8100
        } else {
            tpid
        },
        tci,
    })
}
