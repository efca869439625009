//! The packet that [`Request::Trace`](crate::Request::Trace) asks about.

use serde::{Deserialize, Serialize};

/// The packet that would be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Probe {
    /// One that is made for its ends.
    Made(Made),
    /// One that is given, byte by byte.
    Given(Given),
}

/// A packet from somebody to somebody.
///
/// An end is a pod (`NAMESPACE/POD`, or `POD` of namespace `default`), an address, `host`, or the
/// name of a node, which stands for that node's host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Who would send it.
    pub from: String,
    /// To whom.
    pub to: String,
    /// IP protocol number. ICMP is an echo request. TCP is a SYN, or, where the ports are those of a
    /// connection that is known, one more segment of it.
    pub protocol: u8,
    /// Source port, or ICMP identifier; `None`: one that no known flow has.
    #[serde(default)]
    pub src_port: Option<u16>,
    /// Destination port; 0 for protocols without.
    #[serde(default)]
    pub dst_port: u16,
    /// Bytes behind the transport header.
    #[serde(default)]
    pub payload_bytes: u16,
}

/// A frame as a port takes it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// `uplink`, `host`, a pod, or the interface behind a port.
    pub port: String,
    /// Its bytes in hexadecimal.
    pub bytes: String,
    /// The bytes begin with the IP header; the link header is to be the one that the port expects.
    #[serde(default)]
    pub is_packet: bool,
    /// The ten bytes of its virtio-net header in hexadecimal, if it came with one. Offsets count from
    /// the first of `bytes`.
    #[serde(default)]
    pub offload: Option<String>,
}
