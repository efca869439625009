//! Words of classic BPF (Linux Documentation/networking/filter.rst): one function for each instruction we use.
//!
//! Offsets named `net` count from the IPv4 header (`SKF_NET_OFF`), which holds on devices with and without a link
//! header. A load beyond the packet ends the program with 0.

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_IMM, BPF_IND, BPF_JA, BPF_JEQ, BPF_JMP, BPF_K,
    BPF_LD, BPF_LDX, BPF_LSH, BPF_MEM, BPF_MISC, BPF_MSH, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST,
    BPF_STX, BPF_TAX, BPF_W, BPF_X, BPF_XOR, sock_filter,
};

/// `BPF_A` of include/uapi/linux/filter.h: return the accumulator.
const BPF_A: u32 = 0x10;
const BPF_ADD: u32 = 0x00;

const fn op(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}
const fn net(offset: u32) -> u32 {
    (libc::SKF_NET_OFF as u32).wrapping_add(offset)
}
const fn ancillary(what: i32) -> u32 {
    (libc::SKF_AD_OFF + what) as u32
}

/// A = the frame's ethertype, host byte order.
pub(crate) const fn load_ethertype() -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, ancillary(libc::SKF_AD_PROTOCOL))
}
/// A = `PACKET_HOST`, `PACKET_OTHERHOST`, `PACKET_OUTGOING`...
pub(crate) const fn load_packet_type() -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, ancillary(libc::SKF_AD_PKTTYPE))
}
/// A = 1 when the frame carries an 802.1Q tag, else 0.
pub(crate) const fn load_vlan_present() -> sock_filter {
    op(
        BPF_LD | BPF_W | BPF_ABS,
        ancillary(libc::SKF_AD_VLAN_TAG_PRESENT),
    )
}
/// A = the byte at `offset` of the IP header.
pub(crate) const fn load_u8(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_B | BPF_ABS, net(offset))
}
/// A = the big-endian u16 at `offset` of the IP header.
pub(crate) const fn load_u16(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_H | BPF_ABS, net(offset))
}
/// A = the big-endian u32 at `offset` of the IP header.
pub(crate) const fn load_u32(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_ABS, net(offset))
}
/// A = the byte at X + `offset`.
pub(crate) const fn load_u8_at_x(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_B | BPF_IND, net(offset))
}
/// A = the big-endian u16 at X + `offset`.
pub(crate) const fn load_u16_at_x(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_H | BPF_IND, net(offset))
}
/// A = the big-endian u32 at X + `offset`.
pub(crate) const fn load_u32_at_x(offset: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_IND, net(offset))
}
/// X = four times the low nibble of the byte at `offset`: the length of the IP header when `offset` is 0.
pub(crate) const fn load_x_header_len(offset: u32) -> sock_filter {
    op(BPF_LDX | BPF_B | BPF_MSH, net(offset))
}
/// X = `k`.
pub(crate) const fn load_x(k: u32) -> sock_filter {
    op(BPF_LDX | BPF_W | BPF_IMM, k)
}
/// X = scratch word `slot`.
pub(crate) const fn recall_x(slot: u32) -> sock_filter {
    op(BPF_LDX | BPF_W | BPF_MEM, slot)
}
/// A = scratch word `slot`.
pub(crate) const fn recall(slot: u32) -> sock_filter {
    op(BPF_LD | BPF_W | BPF_MEM, slot)
}
/// Scratch word `slot` = A.
pub(crate) const fn store(slot: u32) -> sock_filter {
    op(BPF_ST, slot)
}
/// Scratch word `slot` = X.
pub(crate) const fn store_x(slot: u32) -> sock_filter {
    op(BPF_STX, slot)
}
/// X = A.
pub(crate) const fn copy_to_x() -> sock_filter {
    op(BPF_MISC | BPF_TAX, 0)
}
/// A &= `k`.
pub(crate) const fn and(k: u32) -> sock_filter {
    op(BPF_ALU | BPF_AND | BPF_K, k)
}
/// A *= `k`, modulo 2^32.
pub(crate) const fn mul(k: u32) -> sock_filter {
    op(BPF_ALU | BPF_MUL | BPF_K, k)
}
/// A <<= `bits`.
pub(crate) const fn shift_left(bits: u32) -> sock_filter {
    op(BPF_ALU | BPF_LSH | BPF_K, bits)
}
/// A >>= `bits`.
pub(crate) const fn shift_right(bits: u32) -> sock_filter {
    op(BPF_ALU | BPF_RSH | BPF_K, bits)
}
/// A += X.
pub(crate) const fn add_x() -> sock_filter {
    op(BPF_ALU | BPF_ADD | BPF_X, 0)
}
/// A ^= X.
pub(crate) const fn xor_x() -> sock_filter {
    op(BPF_ALU | BPF_XOR | BPF_X, 0)
}
/// Skips `yes` instructions when A == `k`, else `no`.
pub(crate) const fn if_equal(k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter {
        code: (BPF_JMP | BPF_JEQ | BPF_K) as u16,
        jt: yes,
        jf: no,
        k,
    }
}
/// Skips `count` instructions.
pub(crate) const fn skip(count: u32) -> sock_filter {
    op(BPF_JMP | BPF_JA, count)
}
/// Ends with `k`: for a filter the bytes to keep (0 drops the frame), for a fan-out program the member.
pub(crate) const fn answer(k: u32) -> sock_filter {
    op(BPF_RET | BPF_K, k)
}
/// Ends with A.
pub(crate) const fn answer_a() -> sock_filter {
    op(BPF_RET | BPF_A, 0)
}
