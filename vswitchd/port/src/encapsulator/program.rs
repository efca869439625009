//! The program: what the kernel is told about a super-segment in IPIP that a packet socket has handed to it.

use std::os::fd::BorrowedFd;

use crate::ebpf::classifier::{
    ENCAP_L3_IPV4, FIXED_GSO, GSO_SIZE, PRIORITY, ROOM_MAC, SKB_ADJUST_ROOM, SKB_LOAD_BYTES,
    SKB_STORE_BYTES, TCX_DROP, TCX_NEXT,
};
use crate::ebpf::{
    Assembler, R0, R1, R2, R3, R4, R5, R6, STACK, Width, add, add_atomically, call, copy, exit,
    load, map_value, set, store,
};
use crate::sys::bpf::Instruction;

/// Bytes of the outer header, which has no options.
const OUTER_LEN: i32 = 20;
/// Where its copy lies on the stack.
const OUTER: i16 = -24;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Label {
    Next,
    Drop,
}

/// The program for an interface whose link header has `link_len` bytes. It touches frames of this `priority` only, and
/// counts those it has encapsulated in the value of `counter`.
///
/// It changes no byte of any frame. A packet socket cannot say "this TCP super-segment is inside an IPIP packet", so the
/// kernel's segmentation refuses what it is given. Taking the outer header out and putting it back as an encapsulation says
/// so.
pub(super) fn program(link_len: usize, priority: u32, counter: BorrowedFd<'_>) -> Vec<Instruction> {
    let network = link_len as i32;
    let mut to_do = Assembler::new();
    // Is it ours? Whatever happens, what comes after us sees an ordinary priority.
    to_do.then([copy(R6, R1), load(Width::Word, R2, R6, PRIORITY)]);
    to_do.unless(R2, priority, Label::Next);
    to_do.then([set(R2, 0), store(Width::Word, R6, PRIORITY, R2)]);
    // A super-segment ...
    to_do.then([load(Width::Word, R2, R6, GSO_SIZE)]);
    to_do.when(R2, 0, Label::Next);
    // ... behind a header of IPv4 without options that says IPIP. R0 = 0 when the bytes are there.
    to_do.then([copy(R1, R6), set(R2, network)]);
    to_do.then([copy(R3, STACK), add(R3, OUTER.into()), set(R4, OUTER_LEN)]);
    to_do.then([call(SKB_LOAD_BYTES)]);
    to_do.unless(R0, 0, Label::Next);
    to_do.then([load(Width::Byte, R2, STACK, OUTER)]);
    to_do.unless(R2, 0x45, Label::Next);
    to_do.then([load(Width::Byte, R2, STACK, OUTER + 9)]);
    to_do.unless(R2, 4, Label::Next);
    // Out with the outer header; if that fails, the frame is as it was.
    adjust_room(&mut to_do, -OUTER_LEN, FIXED_GSO);
    to_do.unless(R0, 0, Label::Next);
    // Room for it again, this time as an encapsulation. From here on a failure would leave a wrong frame.
    adjust_room(&mut to_do, OUTER_LEN, FIXED_GSO | ENCAP_L3_IPV4);
    to_do.unless(R0, 0, Label::Drop);
    // The header itself, byte for byte; no checksum to be mended (flags 0).
    to_do.then([copy(R1, R6), set(R2, network)]);
    to_do.then([copy(R3, STACK), add(R3, OUTER.into()), set(R4, OUTER_LEN)]);
    to_do.then([set(R5, 0), call(SKB_STORE_BYTES)]);
    to_do.unless(R0, 0, Label::Drop);
    // Proof for the sender that we are here.
    to_do.then(map_value(R1, counter));
    to_do.then([set(R2, 1), add_atomically(Width::Double, R1, 0, R2)]);
    to_do.label(Label::Next);
    to_do.then([set(R0, TCX_NEXT), exit()]);
    to_do.label(Label::Drop);
    to_do.then([set(R0, TCX_DROP), exit()]);
    to_do.finish()
}

/// `bpf_skb_adjust_room(frame, bytes, ROOM_MAC, flags)`: R0 = 0 when it was done.
fn adjust_room(to_do: &mut Assembler<Label>, bytes: i32, flags: i32) {
    to_do.then([copy(R1, R6), set(R2, bytes)]);
    to_do.then([set(R3, ROOM_MAC), set(R4, flags), call(SKB_ADJUST_ROOM)]);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn every_way_ends_in_an_answer() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let program = program(14, 0x7673_0000, file.as_fd());
        assert_eq!(program.len(), 46, "as the README says");
        let [.., next, exit_next, drop, exit_drop] = program[..] else {
            panic!("{program:?}");
        };
        assert_eq!([exit_next, exit_drop], [exit(); 2]);
        assert_eq!([next, drop], [set(R0, TCX_NEXT), set(R0, TCX_DROP)]);
        let (next_at, drop_at) = (program.len() - 4, program.len() - 2);
        let jumps: Vec<(u8, usize)> = program
            .iter()
            .enumerate()
            .filter(|(_, word)| matches!(word.code, 0x16 | 0x56))
            .map(|(at, word)| (word.code, at + 1 + word.offset as usize))
            .collect();
        let expected = [
            (0x56, next_at), // another's priority
            (0x16, next_at), // no super-segment
            (0x56, next_at), // too short
            (0x56, next_at), // not IPv4 without options
            (0x56, next_at), // not IPIP
            (0x56, next_at), // the header stays where it is
            (0x56, drop_at),
            (0x56, drop_at),
        ];
        assert_eq!(jumps, expected);
    }

    #[test]
    fn the_header_is_read_and_written_behind_the_link_header() {
        let file = std::fs::File::open("/dev/null").unwrap();
        for link_len in [0, 14] {
            let program = program(link_len, 1, file.as_fd());
            let at = program
                .iter()
                .filter(|word| **word == set(R2, link_len as i32));
            let least = if link_len == 0 { 3 } else { 2 };
            assert_eq!(at.count(), least, "link header of {link_len} bytes");
        }
    }
}
