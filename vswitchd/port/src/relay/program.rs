//! The programs: what becomes of a frame that arrives at a port with lanes.
//!
//! [`read`] finds the frame's lane, [`judge`] asks whether it is one of those that are relayed; here it is counted, and
//! relayed or marked.

mod judge;
mod read;

use std::os::fd::BorrowedFd;

use super::{Side, entry, state};
use crate::ebpf::classifier::{
    DECAP_L3_IPV4, FIXED_GSO, LEN, NO_CSUM_RESET, REDIRECT, ROOM_MAC, SKB_ADJUST_ROOM,
    SKB_STORE_BYTES, TCX_DROP, TCX_NEXT,
};
use crate::ebpf::{
    Assembler, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, Register, STACK, Width, add, add_atomically,
    and_atomically, call, copy, exit, fetch_and_add, load, map_value, set, shift_right, store,
    to_big_endian_16,
};
use crate::sys::bpf::Instruction;

/// Bytes of a header on the way to the ports.
const ETHERNET_LEN: i16 = 14;
const IPV4_LEN: i16 = 20;
/// The ports and what follows them: all of a UDP header.
const L4_LEN: i16 = 8;

/// Where the frame's headers lie on the stack, one after the other, so that the packet is aligned. Before a bare packet
/// there is its link header; before one in IPIP the outer header, and then the link header.
const ETHERNET: i16 = PACKET - ETHERNET_LEN;
const PACKET: i16 = -48;
const L4: i16 = PACKET + IPV4_LEN;
const OUTER: i16 = PACKET - IPV4_LEN;
/// The lane's key, or later the six bytes of a mark.
const KEY: i16 = -112;

const _: () = assert!(
    KEY + entry::KEY_LEN as i16 <= OUTER - ETHERNET_LEN && L4 + 14 <= 0,
    "nothing overlaps, with twelve bytes of TCP and its flags"
);

/// Ethertype of IPv4 as a number of this machine.
const IPV4: u16 = 0x0800_u16.to_be();

/// What the frame is, for as long as the program runs.
const FRAME: Register = R6;
/// Its lane's entry, once it is found.
const ENTRY: Register = R7;
/// The packet's length, and later the lane's first word as it was before this frame.
const LENGTH: Register = R8;
const STATE: Register = R8;
/// Whether it is relayable, and later the frame's length.
const RELAYABLE: Register = R9;
const FRAME_LEN: Register = R9;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Label {
    /// None of ours.
    Next,
    /// To nobody.
    Drop,
    /// Begins with an IPv4 packet; only then its port side's tags matter.
    Untagged,
    /// A datagram, not a TCP segment.
    Udp,
    /// Its header's length is known.
    Size,
    /// No super-segment.
    Single,
    /// The longest packet on the wire is known.
    Fits,
    /// Neither field of its headers says that the tunnel has changed something.
    Inherits,
    /// Whether it is relayable is known.
    Count,
    /// The checksum did not overflow.
    Summed,
    /// Not to be relayed: the lane is closed, the frame marked.
    Close,
    /// The frame is marked.
    Mark,
    /// The frame is lost and counted.
    Lost,
}

type Code = Assembler<Label>;

/// The maps a program works on.
pub(super) struct Maps<'a> {
    pub(super) entries: BorrowedFd<'a>,
    pub(super) generation: BorrowedFd<'a>,
    pub(super) keys: BorrowedFd<'a>,
}

/// The program for a side.
pub(super) fn program(side: Side, maps: &Maps<'_>) -> Vec<Instruction> {
    let mut code = Code::new();
    code.then([copy(FRAME, R1)]);
    read::lane(&mut code, side, maps);
    judge::frame(&mut code, side);
    count(&mut code, maps);
    if side == Side::Uplink {
        // Nothing is changed when it fails.
        strip(&mut code);
        code.unless(R0, 0, Label::Close);
    }
    rewrite(&mut code);
    let failed = match side {
        Side::Workload => Label::Close,
        Side::Uplink => Label::Lost,
    };
    code.unless(R0, 0, failed);
    relay(&mut code);
    if side == Side::Uplink {
        code.label(Label::Lost);
        code.then([set(R2, 1)]);
        code.then([add_atomically(Width::Double, ENTRY, entry::LOST, R2)]);
    }
    code.label(Label::Drop);
    code.then([set(R0, TCX_DROP), exit()]);
    code.label(Label::Close);
    close(&mut code);
    code.label(Label::Mark);
    mark(&mut code);
    code.label(Label::Next);
    code.then([set(R0, TCX_NEXT), exit()]);
    code.finish()
}

/// Bytes before the packet.
const fn before(side: Side) -> i16 {
    match side {
        Side::Workload => ETHERNET_LEN,
        Side::Uplink => ETHERNET_LEN + IPV4_LEN,
    }
}

/// Counts the frame and leaves for where it goes, unless it is to be relayed.
fn count(code: &mut Code, maps: &Maps<'_>) {
    code.label(Label::Count);
    code.then([set(STATE, 1), fetch_and_add(ENTRY, entry::STATE, STATE)]);
    code.when(RELAYABLE, 0, Label::Close);
    code.then([copy(R2, STATE), shift_right(R2, state::SEEN_BITS as i32)]);
    code.then(map_value(R1, maps.generation));
    code.then([load(Width::Double, R1, R1, 0)]);
    code.unless_equal(R2, R1, Label::Mark);
    code.then([load(Width::Word, FRAME_LEN, FRAME, LEN)]);
}

/// Takes the outer header off. R0 = 0 when it was done.
fn strip(code: &mut Code) {
    let flags = FIXED_GSO | DECAP_L3_IPV4 | NO_CSUM_RESET;
    code.then([copy(R1, FRAME), set(R2, -i32::from(IPV4_LEN))]);
    code.then([set(R3, ROOM_MAC), set(R4, flags), call(SKB_ADJUST_ROOM)]);
}

/// Takes the hop and puts the new link header on. What was read of addresses and ports is written back, so that what
/// was judged is what leaves: a frame's sender may still have its hands on the frame's memory. (Not so TCP's flags: with
/// them it deceives the connection tracking of its own connection.) R0 = 0 when it was done.
fn rewrite(code: &mut Code) {
    code.then([load(Width::Byte, R2, STACK, PACKET + 8), add(R2, -1)]);
    code.then([store(Width::Byte, STACK, PACKET + 8, R2)]);
    // RFC 1624: what the header has lost, the checksum gains, with its carry.
    let hop = 0x0100_u16.to_be();
    code.then([load(Width::Half, R2, STACK, PACKET + 10)]);
    code.then([add(R2, hop.into())]);
    code.when_below(R2, 0xffff, Label::Summed);
    code.then([add(R2, 1)]);
    code.label(Label::Summed);
    code.then([store(Width::Half, STACK, PACKET + 10, R2)]);
    for at in (0..12).step_by(2) {
        code.then([load(Width::Half, R2, ENTRY, entry::LINK + at)]);
        code.then([store(Width::Half, STACK, ETHERNET + at, R2)]);
    }
    code.then([set(R2, IPV4.into())]);
    code.then([store(Width::Half, STACK, ETHERNET + 12, R2)]);
    store_bytes(code, ETHERNET, ETHERNET_LEN + IPV4_LEN + L4_LEN);
}

/// Counts the frame as relayed and sends it on.
fn relay(code: &mut Code) {
    code.then([set(R2, 1)]);
    code.then([add_atomically(Width::Double, ENTRY, entry::PACKETS, R2)]);
    code.then([add_atomically(
        Width::Double,
        ENTRY,
        entry::BYTES,
        FRAME_LEN,
    )]);
    code.then([load(Width::Word, R1, ENTRY, entry::TO_INTERFACE)]);
    code.then([set(R2, 0), call(REDIRECT), exit()]);
}

/// Clears the lane's generation.
fn close(code: &mut Code) {
    code.then([set(R2, -1), shift_right(R2, 64 - state::SEEN_BITS as i32)]);
    code.then([and_atomically(ENTRY, entry::STATE, R2)]);
}

/// Overwrites the destination MAC. When that fails, the frame goes on as it is: the next one shows that it was missed.
fn mark(code: &mut Code) {
    code.then([load(Width::Word, R2, ENTRY, entry::MARK)]);
    code.then([store(Width::Word, STACK, KEY, R2)]);
    code.then([to_big_endian_16(STATE)]);
    code.then([store(Width::Half, STACK, KEY + 4, STATE)]);
    store_bytes(code, KEY, 6);
}

/// Writes bytes of the stack to the front of the frame; no checksum to be mended (flags 0). R0 = 0 when it was done.
fn store_bytes(code: &mut Code, from: i16, len: i16) {
    code.then([copy(R1, FRAME), set(R2, 0)]);
    code.then([copy(R3, STACK), add(R3, from.into())]);
    code.then([set(R4, len.into()), set(R5, 0), call(SKB_STORE_BYTES)]);
}

#[cfg(test)]
mod tests;
