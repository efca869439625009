//! Which lane a frame belongs to. What is no IPv4 packet with a lane, or does not come as the lane's frames do, goes on
//! untouched: the daemon judges it.

use super::{
    Code, ENTRY, ETHERNET, ETHERNET_LEN, FRAME, IPV4, IPV4_LEN, KEY, L4, L4_LEN, Label, Maps,
    OUTER, PACKET, Side, before,
};
use crate::ebpf::classifier::{
    INTERFACE, LEN, MAP_LOOKUP_ELEM, PACKET_TYPE, PROTOCOL, SKB_LOAD_BYTES, VLAN_PRESENT,
};
use crate::ebpf::{
    R0, R1, R2, R3, R4, STACK, Width, add, add_register, and, call, copy, load, map, set,
    shift_right, store, to_big_endian_16,
};
use crate::relay::entry;

/// Of an IPv4 header's seventh and eighth byte: where a fragment's data belong, and whether more follow.
const OFFSET: u16 = 0x1fff;
const FRAGMENT: u16 = 0x3fff;

/// The program up to here: an entry whose lane this frame belongs to, and its headers on the stack.
pub(super) fn lane(code: &mut Code, side: Side, maps: &Maps<'_>) {
    tags(code, side);
    headers(code, side);
    if side == Side::Uplink {
        outer(code);
    }
    packet(code);
    find(code, maps);
    arrival(code, side);
}

/// Only untagged IPv4. A workload's frame with a tag that a socket bound to IPv4 would hear without it is dropped; behind a
/// tag of priority there may be another one.
fn tags(code: &mut Code, side: Side) {
    code.then([load(Width::Word, R2, FRAME, PROTOCOL)]);
    code.then([load(Width::Word, R3, FRAME, VLAN_PRESENT)]);
    match side {
        Side::Workload => {
            code.when(R3, 0, Label::Untagged);
            for ethertype in [0x0800_u16, 0x8100, 0x88a8] {
                code.when(R2, ethertype.to_be().into(), Label::Drop);
            }
        }
        Side::Uplink => {
            code.unless(R3, 0, Label::Next);
            code.then([load(Width::Word, R3, FRAME, PACKET_TYPE)]);
            code.unless(R3, libc::PACKET_HOST.into(), Label::Next);
        }
    }
    code.label(Label::Untagged);
    code.unless(R2, IPV4.into(), Label::Next);
}

/// Copies the headers up to the first eight bytes of L4.
fn headers(code: &mut Code, side: Side) {
    let before = before(side);
    code.then([copy(R1, FRAME), set(R2, 0)]);
    code.then([copy(R3, STACK), add(R3, i32::from(PACKET - before))]);
    code.then([set(R4, i32::from(before + IPV4_LEN + L4_LEN))]);
    code.then([call(SKB_LOAD_BYTES)]);
    code.unless(R0, 0, Label::Next);
}

/// The outer header: IPIP, whole, and as long as the frame.
fn outer(code: &mut Code) {
    plain(code, OUTER);
    not_set(code, OUTER + 6, FRAGMENT);
    code.then([load(Width::Byte, R2, STACK, OUTER + 9)]);
    code.unless(R2, 4, Label::Next);
    code.then([
        load(Width::Half, R2, STACK, OUTER + 2),
        to_big_endian_16(R2),
    ]);
    code.then([add(R2, ETHERNET_LEN.into())]);
    code.then([load(Width::Word, R3, FRAME, LEN)]);
    code.unless_equal(R2, R3, Label::Next);
}

/// The packet: with ports, so TCP or UDP and no later fragment.
fn packet(code: &mut Code) {
    plain(code, PACKET);
    not_set(code, PACKET + 6, OFFSET);
}

/// A header without options and with a right checksum: the sum of its halves is 0xffff, with carries (RFC 1071).
fn plain(code: &mut Code, at: i16) {
    code.then([load(Width::Byte, R2, STACK, at)]);
    code.unless(R2, 0x45, Label::Next);
    code.then([set(R2, 0)]);
    for place in (0..IPV4_LEN).step_by(4) {
        code.then([
            load(Width::Word, R3, STACK, at + place),
            add_register(R2, R3),
        ]);
    }
    // After two foldings there is at most one carry left, which a multiple of 0xffff does not have.
    for _ in 0..2 {
        code.then([copy(R3, R2), shift_right(R3, 16), and(R2, 0xffff)]);
        code.then([add_register(R2, R3)]);
    }
    code.unless(R2, 0xffff, Label::Next);
}

fn not_set(code: &mut Code, at: i16, mask: u16) {
    code.then([load(Width::Half, R2, STACK, at)]);
    code.when_any(R2, mask.to_be().into(), Label::Next);
}

/// The entry that the key leads to, if it still is the key's.
fn find(code: &mut Code, maps: &Maps<'_>) {
    code.then([load(Width::Word, R2, FRAME, INTERFACE)]);
    code.then([store(Width::Word, STACK, KEY, R2)]);
    for (to, from) in [(4, PACKET + 12), (8, PACKET + 16), (12, L4)] {
        code.then([load(Width::Word, R2, STACK, from)]);
        code.then([store(Width::Word, STACK, KEY + to, R2)]);
    }
    code.then([load(Width::Byte, R2, STACK, PACKET + 9)]);
    code.then([store(Width::Word, STACK, KEY + 16, R2)]);
    code.then(map(R1, maps.keys));
    code.then([copy(R2, STACK), add(R2, KEY.into())]);
    code.then([call(MAP_LOOKUP_ELEM)]);
    code.when_null(R0, Label::Next);
    code.then([load(Width::Word, R2, R0, 0)]);
    code.then([store(Width::Word, STACK, KEY - 4, R2)]);
    code.then(map(R1, maps.entries));
    code.then([copy(R2, STACK), add(R2, i32::from(KEY - 4))]);
    code.then([call(MAP_LOOKUP_ELEM)]);
    code.when_null(R0, Label::Next);
    code.then([copy(ENTRY, R0)]);
    same(code, Width::Double, KEY, entry::KEY, 16);
    same(code, Width::Word, KEY + 16, entry::KEY + 16, 4);
}

/// Whether the frame comes as the lane's frames do.
fn arrival(code: &mut Code, side: Side) {
    match side {
        Side::Workload => same(code, Width::Half, ETHERNET, entry::ARRIVES, 12),
        Side::Uplink => same(code, Width::Word, OUTER + 12, entry::ARRIVES, 8),
    }
}

/// Goes on if `len` bytes of the stack and of the entry are equal, compared by pieces of a width.
fn same(code: &mut Code, width: Width, stack: i16, entry: i16, len: i16) {
    let step = match width {
        Width::Byte => 1,
        Width::Half => 2,
        Width::Word => 4,
        Width::Double => 8,
    };
    for at in (0..len).step_by(step) {
        code.then([load(width, R2, STACK, stack + at)]);
        code.then([load(width, R3, ENTRY, entry + at)]);
        code.unless_equal(R2, R3, Label::Next);
    }
}
