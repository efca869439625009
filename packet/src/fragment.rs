//! Cuts a packet into fragments (RFC 791 section 3.2, "An Example Fragmentation Procedure").
//!
//! Fragments of fragments work, too. Every fragment repeats the header; the options go along as their "copied" flag says.
//! A partial L4 checksum must be completed first ([`crate::Frame::finish_checksum`]): no device can do it on a piece.

use crate::ipv4::{self, HEADER_LEN, Header, MAX_HEADER_LEN};

/// Flag of an option kind: it goes into every fragment.
const COPIED: u8 = 0x80;

/// Why a packet is not fragmented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The packet does not parse.
    #[error("the packet to fragment: {0}")]
    Ipv4(#[from] ipv4::Error),
    /// It is too big and says do not fragment.
    #[error("the packet has DF set and {total_len} bytes, more than an MTU of {mtu}")]
    DontFragment {
        /// Bytes of the packet.
        total_len: usize,
        /// Bytes that would pass.
        mtu: usize,
    },
    /// Not even 8 bytes of payload fit beside the header.
    #[error("an MTU of {mtu} leaves no room for payload after a header of {header_len} bytes")]
    Mtu {
        /// Bytes of the header.
        header_len: usize,
        /// Bytes that would pass.
        mtu: usize,
    },
}

/// A piece of a packet: a header of its own and a slice of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment<'a> {
    /// The header; only the first `header_len` bytes count.
    pub header: [u8; MAX_HEADER_LEN],
    /// Bytes of the header.
    pub header_len: usize,
    /// The payload, which follows it.
    pub payload: &'a [u8],
}

impl Fragment<'_> {
    /// The bytes of the header.
    #[inline]
    pub fn header(&self) -> &[u8] {
        &self.header[..self.header_len]
    }

    /// Bytes of the fragment.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.header_len + self.payload.len()
    }
}

/// The fragments of a packet still to come.
#[derive(Debug, Clone)]
pub struct Fragments<'a> {
    header: [u8; MAX_HEADER_LEN],
    header_len: usize,
    payload: &'a [u8],
    /// Where the rest of the payload stands in the datagram, in bytes.
    offset: usize,
    more_after: bool,
    mtu: usize,
    done: bool,
}

/// Prepares to cut a packet into fragments of at most `mtu` bytes. A packet that fits comes back whole, DF or not.
///
/// # Errors
/// [`Error`].
pub fn fragments(packet: &[u8], mtu: usize) -> Result<Fragments<'_>, Error> {
    let parsed = Header::parse(packet)?;
    let Header {
        header_len,
        total_len,
        ..
    } = parsed;
    if total_len > mtu && parsed.dont_fragment {
        return Err(Error::DontFragment { total_len, mtu });
    }
    if total_len > mtu && mtu < header_len + 8 {
        return Err(Error::Mtu { header_len, mtu });
    }
    let mut header = [0; MAX_HEADER_LEN];
    header[..header_len].copy_from_slice(&packet[..header_len]);
    Ok(Fragments {
        header,
        header_len,
        payload: &packet[header_len..total_len],
        offset: parsed.fragment_offset_bytes.into(),
        more_after: parsed.more_fragments,
        mtu,
        done: false,
    })
}

impl<'a> Iterator for Fragments<'a> {
    type Item = Fragment<'a>;

    fn next(&mut self) -> Option<Fragment<'a>> {
        if self.done {
            return None;
        }
        let room = self.mtu.saturating_sub(self.header_len);
        let cut = if self.payload.len() <= room {
            self.payload.len()
        } else {
            room & !7
        };
        let (payload, rest) = self.payload.split_at(cut);
        self.done = rest.is_empty();
        let mut header = self.header;
        let total_len = (self.header_len + payload.len()) as u16;
        header[2..4].copy_from_slice(&total_len.to_be_bytes());
        let more = u16::from(!self.done || self.more_after) << 13;
        let reserved_and_df = u16::from(header[6] & 0xc0) << 8;
        let word = reserved_and_df | more | (self.offset >> 3) as u16 & 0x1fff;
        header[6..8].copy_from_slice(&word.to_be_bytes());
        ipv4::fill_checksum(&mut header);
        let fragment = Fragment {
            header,
            header_len: self.header_len,
            payload,
        };
        if self.offset == 0 && !self.done {
            self.drop_uncopied_options();
        }
        self.payload = rest;
        self.offset += cut;
        Some(fragment)
    }
}

impl Fragments<'_> {
    /// Leaves in the header only the options that go into every fragment, padded with end-of-options.
    fn drop_uncopied_options(&mut self) {
        let mut kept = [0; MAX_HEADER_LEN - HEADER_LEN];
        let mut len = 0;
        for (kind, option) in ipv4::options_of(&self.header[HEADER_LEN..self.header_len]) {
            if kind & COPIED != 0 {
                kept[len..len + option.len()].copy_from_slice(option);
                len += option.len();
            }
        }
        self.header_len = HEADER_LEN + len.next_multiple_of(4);
        self.header[0] = 0x40 | (self.header_len / 4) as u8;
        self.header[HEADER_LEN..].copy_from_slice(&kept);
    }
}

#[cfg(test)]
mod tests;
