//! What programs for traffic control find (include/uapi/linux/bpf.h): places in the frame as they see it, numbers of the
//! kernel's functions, and answers.

/// `struct __sk_buff`: bytes of the frame, link header included.
pub(crate) const LEN: i16 = 0;
pub(crate) const PACKET_TYPE: i16 = 4;
/// The ethertype, in network byte order.
pub(crate) const PROTOCOL: i16 = 16;
/// Whether an 802.1Q tag was taken off it.
pub(crate) const VLAN_PRESENT: i16 = 20;
pub(crate) const PRIORITY: i16 = 32;
pub(crate) const INTERFACE: i16 = 40;
/// L4 payload bytes of each segment of a super-segment; 0 when it is none.
pub(crate) const GSO_SIZE: i16 = 176;

pub(crate) const MAP_LOOKUP_ELEM: i32 = 1;
pub(crate) const SKB_STORE_BYTES: i32 = 9;
pub(crate) const REDIRECT: i32 = 23;
pub(crate) const SKB_LOAD_BYTES: i32 = 26;
pub(crate) const SKB_ADJUST_ROOM: i32 = 50;

/// `bpf_skb_adjust_room`: between the link header and the packet ...
pub(crate) const ROOM_MAC: i32 = 1;
/// ... the segments' size stays ...
pub(crate) const FIXED_GSO: i32 = 1 << 0;
/// ... the new bytes are an outer IPv4 header ...
pub(crate) const ENCAP_L3_IPV4: i32 = 1 << 1;
/// ... what the device knows of the checksum stays ...
pub(crate) const NO_CSUM_RESET: i32 = 1 << 5;
/// ... or what becomes visible is an IPv4 packet.
pub(crate) const DECAP_L3_IPV4: i32 = 1 << 7;

/// Answers: to the next program and whoever comes after, or nowhere.
pub(crate) const TCX_NEXT: i32 = -1;
pub(crate) const TCX_DROP: i32 = 2;
