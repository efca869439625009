//! A datagram that says which flow it belongs to and which it is, and whose every byte can be verified.

use crate::soak::stream::{Stream, mix};

/// Flow and number, eight bytes each, big endian.
pub const HEADER_LEN: usize = 16;
/// The largest payload that an IPIP tunnel over 1500 bytes carries in one piece.
pub const LARGEST: usize = 1452;

/// Writes a datagram that fills `bytes`.
///
/// # Panics
/// `bytes` is shorter than [`HEADER_LEN`].
pub fn write(bytes: &mut [u8], flow: u64, number: u64) {
    bytes[..8].copy_from_slice(&flow.to_be_bytes());
    bytes[8..HEADER_LEN].copy_from_slice(&number.to_be_bytes());
    payload(flow, number, bytes.len()).fill(&mut bytes[HEADER_LEN..]);
}

/// The flow and number of a datagram all of whose bytes are as they were sent.
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(u64, u64)> {
    let (header, rest) = bytes.split_at_checked(HEADER_LEN)?;
    let word = |at: usize| Some(u64::from_be_bytes(header[at..at + 8].try_into().ok()?));
    let (flow, number) = (word(0)?, word(8)?);
    let intact = payload(flow, number, bytes.len()).check(rest).is_ok();
    intact.then_some((flow, number))
}

/// The length is in the seed: a datagram cut short is not intact.
fn payload(flow: u64, number: u64, length: usize) -> Stream {
    Stream::new(mix(mix(flow).wrapping_add(number)).wrapping_add(length as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed_or_cut_is_not_read() {
        let mut bytes = [0; 100];
        write(&mut bytes, 3, 9);
        assert_eq!(read(&bytes), Some((3, 9)));
        assert_eq!(read(&bytes[..99]), None);
        assert_eq!(read(&bytes[..10]), None);
        for at in 0..100 {
            let mut changed = bytes;
            changed[at] ^= 0x10;
            assert_eq!(read(&changed), None, "byte {at}");
        }
    }
}
