//! Fan-out: several sockets share one interface, and the kernel gives each frame to the member that the frame's flow
//! belongs to.

use libc::sock_filter;

use crate::bpf::{
    add_x, and, answer, answer_a, copy_to_x, if_equal, load_ethertype, load_u8, load_u8_at_x,
    load_u16, load_u16_at_x, load_u32_at_x, load_x, load_x_header_len, mul, recall, recall_x,
    shift_left, shift_right, skip, store, store_x, xor_x,
};

/// Membership of a fan-out group (packet(7), `PACKET_FANOUT`).
///
/// The kernel gives a frame to member number `hash % members`, where members are numbered in the order in which
/// their sockets were opened and `hash` is [`packet::flow::symmetric_hash`] of the innermost packet. Open the
/// sockets of each interface in worker order, and both directions of a flow meet at one worker. Until the last
/// member has joined, the kernel divides by the number that has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fanout {
    /// The group, unique per interface within a network namespace; two daemons in one namespace need distinct ones.
    pub group: u16,
    /// How many sockets will join: the number of workers.
    pub members: u16,
}

/// Scratch words of the program.
const BASE: u32 = 0;
const HASH: u32 = 1;
const SRC_PORT: u32 = 2;

/// The fan-out program: computes exactly [`packet::flow::symmetric_hash`], and 0 for whatever is not IPv4 or ends
/// too soon. The kernel takes the remainder by the number of members itself.
///
/// An IPIP header is looked through, options and all, unless the packet is a fragment. Ports count for TCP, UDP
/// and SCTP that is not a fragment.
#[must_use]
pub fn fanout_program() -> Vec<sock_filter> {
    [
        innermost_header().as_slice(),
        &addresses(),
        &ports(),
        &finish(),
    ]
    .concat()
}

/// X = where the innermost IP header begins, counted from the outermost.
fn innermost_header() -> [sock_filter; 11] {
    [
        load_ethertype(),
        if_equal(libc::ETH_P_IP as u32, 1, 0),
        answer(0),
        load_u8(9),
        if_equal(4, 0, 5),
        load_u16(6),
        and(0x3fff), // more fragments, fragment offset
        if_equal(0, 0, 2),
        load_x_header_len(0),
        skip(1),
        load_x(0),
    ]
}

/// HASH = source ^ destination.
fn addresses() -> [sock_filter; 7] {
    [
        store_x(BASE),
        load_u32_at_x(12),
        store(HASH),
        load_u32_at_x(16),
        recall_x(HASH),
        xor_x(),
        store(HASH),
    ]
}

/// A = HASH ^ (source port ^ destination port) * golden ratio, and past the first instruction of [`finish`]; where there
/// are no ports, straight to that instruction, which makes A = HASH.
fn ports() -> [sock_filter; 22] {
    [
        recall_x(BASE),
        load_u8_at_x(9),
        if_equal(libc::IPPROTO_TCP as u32, 2, 0),
        if_equal(libc::IPPROTO_UDP as u32, 1, 0),
        if_equal(libc::IPPROTO_SCTP as u32, 0, 17),
        load_u16_at_x(6),
        and(0x3fff),
        if_equal(0, 0, 14),
        load_u8_at_x(0),
        and(0x0f),
        shift_left(2),
        add_x(),
        copy_to_x(),
        load_u16_at_x(0),
        store(SRC_PORT),
        load_u16_at_x(2),
        recall_x(SRC_PORT),
        xor_x(),
        mul(0x9E37_79B1),
        recall_x(HASH),
        xor_x(),
        skip(1),
    ]
}

/// Mixes A (murmur3's finaliser, as [`packet::flow::symmetric_hash`]) and answers it.
fn finish() -> [sock_filter; 10] {
    [
        recall(HASH),
        mul(0x85EB_CA6B),
        copy_to_x(),
        shift_right(15),
        xor_x(),
        mul(0xC2B2_AE35),
        copy_to_x(),
        shift_right(16),
        xor_x(),
        answer_a(),
    ]
}
