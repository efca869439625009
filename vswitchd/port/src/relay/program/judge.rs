//! Whether a lane's frame is one of those that are relayed: whole, TCP or UDP, changing nothing about the flow, and fit to
//! leave. The daemon's short way asks the same.

use packet::transport::TcpFlags;

use super::{
    Code, ENTRY, FRAME, IPV4_LEN, L4, L4_LEN, LENGTH, Label, OUTER, PACKET, RELAYABLE, Side, before,
};
use crate::ebpf::classifier::{GSO_SIZE, LEN, SKB_LOAD_BYTES};
use crate::ebpf::{
    R0, R1, R2, R3, R4, STACK, Width, add, add_register, and, call, copy, load, set, shift_left,
    shift_right, to_big_endian_16, xor_register,
};
use crate::relay::entry;

const MORE_FRAGMENTS: u16 = 0x2000;
const UDP: u32 = 17;
const DSCP: u32 = 0xfc;
/// The lower bit of the ECN field: congestion experienced, or ECT(1).
const ECN_LOW: u32 = 1;
/// Where a TCP header says how long it is, and, in the next byte, its flags.
const TCP_DATA_OFFSET: i16 = 12;

/// [`RELAYABLE`] = 1 if it is, else 0; all ways lead to [`Label::Count`], which follows.
pub(super) fn frame(code: &mut Code, side: Side) {
    code.then([set(RELAYABLE, 0)]);
    length(code, side);
    code.then([load(Width::Byte, R2, STACK, PACKET + 8)]);
    code.when_below(R2, 2, Label::Count);
    code.then([load(Width::Half, R2, STACK, PACKET + 6)]);
    code.when_any(R2, MORE_FRAGMENTS.to_be().into(), Label::Count);
    if side == Side::Uplink {
        inherits_nothing(code);
    }
    code.then([load(Width::Byte, R2, STACK, PACKET + 9)]);
    code.when(R2, UDP, Label::Udp);
    tcp(code, side);
    code.go(Label::Size);
    code.label(Label::Udp);
    udp(code);
    code.label(Label::Size);
    fits(code);
    code.then([set(RELAYABLE, 1)]);
}

/// The packet ends where the frame does.
fn length(code: &mut Code, side: Side) {
    code.then([load(Width::Half, LENGTH, STACK, PACKET + 2)]);
    code.then([to_big_endian_16(LENGTH)]);
    code.then([copy(R2, LENGTH), add(R2, before(side).into())]);
    code.then([load(Width::Word, R3, FRAME, LEN)]);
    code.unless_equal(R2, R3, Label::Count);
}

/// What `packet::ipip::marked` would return is the inner header as it is: both headers say the same of DSCP and ECN, or
/// the outer one says nothing new of ECN (RFC 6040 figure 4: Not-ECT or ECT(0)).
fn inherits_nothing(code: &mut Code) {
    code.then([load(Width::Byte, R2, STACK, OUTER + 1), copy(R3, R2)]);
    code.then([
        load(Width::Byte, R4, STACK, PACKET + 1),
        xor_register(R3, R4),
    ]);
    code.when(R3, 0, Label::Inherits);
    code.when_any(R3, DSCP, Label::Count);
    code.when_any(R2, ECN_LOW, Label::Count);
    code.label(Label::Inherits);
}

/// In the midst of a connection. R2 = bytes of both headers.
fn tcp(code: &mut Code, side: Side) {
    let TcpFlags(ends) = TcpFlags::FIN | TcpFlags::SYN | TcpFlags::RST;
    let TcpFlags(ack) = TcpFlags::ACK;
    let more = L4 + TCP_DATA_OFFSET;
    code.then([
        copy(R1, FRAME),
        set(R2, i32::from(before(side) + more - PACKET)),
    ]);
    code.then([copy(R3, STACK), add(R3, more.into()), set(R4, 2)]);
    code.then([call(SKB_LOAD_BYTES)]);
    code.unless(R0, 0, Label::Count);
    code.then([load(Width::Byte, R2, STACK, more + 1)]);
    code.then([and(R2, (ends | ack).into())]);
    code.unless(R2, ack.into(), Label::Count);
    code.then([load(Width::Byte, R2, STACK, more)]);
    code.then([shift_right(R2, 4), shift_left(R2, 2)]);
    code.when_below(R2, 20, Label::Count);
    code.then([add(R2, IPV4_LEN.into())]);
    code.when_above(R2, LENGTH, Label::Count);
}

/// As long as it says. R2 = bytes of both headers.
fn udp(code: &mut Code) {
    code.then([load(Width::Half, R2, STACK, L4 + 4), to_big_endian_16(R2)]);
    code.then([add(R2, IPV4_LEN.into())]);
    code.unless_equal(R2, LENGTH, Label::Count);
    code.then([set(R2, i32::from(IPV4_LEN + L4_LEN))]);
}

/// What would be on the wire fits the MTU: of a super-segment, a segment. R2 = bytes of both headers.
fn fits(code: &mut Code) {
    code.then([load(Width::Word, R3, FRAME, GSO_SIZE)]);
    code.when(R3, 0, Label::Single);
    // As many segments as `packet::Offload::check` allows: whoever has to cut it is not to be kept busy.
    code.then([copy(R4, R3), shift_left(R4, 11)]);
    code.when_above(LENGTH, R4, Label::Count);
    code.then([add_register(R2, R3)]);
    code.go(Label::Fits);
    code.label(Label::Single);
    code.then([copy(R2, LENGTH)]);
    code.label(Label::Fits);
    code.then([load(Width::Word, R3, ENTRY, entry::MTU)]);
    code.when_above(R2, R3, Label::Count);
}
