//! Every drop is one row of one table.
//!
//! The row holds the metric label, the stage, the operator's sentence and what
//! the sender is told, if anything. Counters, metrics, the CLI and the
//! docs derive from it. A test of the in-memory house fails until each row has
//! a frame that dies of it.

use std::fmt;

/// Where on its walk a frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Reading the frame.
    Parse,
    /// ARP from a workload.
    Arp,
    /// Taking the outer header off on the uplink.
    Decap,
    /// Is the source who it says it is?
    Source,
    /// Fragments and connection tracking.
    Conntrack,
    /// NetworkPolicy.
    Policy,
    /// Longest-prefix match.
    Route,
    /// TTL and MTU.
    Forward,
    /// Handing the frame to a device.
    Transmit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Parse => "parse",
            Self::Arp => "arp",
            Self::Decap => "decap",
            Self::Source => "source",
            Self::Conntrack => "conntrack",
            Self::Policy => "policy",
            Self::Route => "route",
            Self::Forward => "forward",
            Self::Transmit => "transmit",
        };
        f.pad(name)
    }
}

/// What a drop is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing is sent.
    Silence,
    /// Time exceeded in transit (RFC 792, type 11 code 0).
    TimeExceeded,
    /// Fragmentation needed and DF set (RFC 1191, type 3 code 4).
    FragmentationNeeded,
    /// Net unreachable (RFC 792, type 3 code 0).
    NetUnreachable,
    /// Host unreachable (RFC 792, type 3 code 1).
    HostUnreachable,
    /// As the policy says: silence, or a TCP reset (RFC 9293 section 3.10.7.1),
    /// or, to all but TCP, communication administratively prohibited (RFC 1812
    /// section 5.2.7.1, type 3 code 13).
    AsPolicySays,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The reason itself.
    pub reason: DropReason,
    /// Label of metrics and of `--reason` on the command line: `snake_case`.
    pub label: &'static str,
    /// Where it happens.
    pub stage: Stage,
    /// What the sender is told.
    pub answer: Answer,
    /// What an operator reads: what was found and what to do about it.
    pub sentence: &'static str,
}

macro_rules! drop_reasons {
    ($($stage:ident { $($variant:ident $label:literal $answer:ident $sentence:literal)* })*) => {
        /// Why a frame was dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason {
            $($(#[doc = $sentence] $variant,)*)*
        }

        impl DropReason {
            /// Every reason, in the order of the walk.
            pub const TABLE: &'static [Row] = &[
                $($(Row {
                    reason: DropReason::$variant,
                    label: $label,
                    stage: Stage::$stage,
                    answer: Answer::$answer,
                    sentence: $sentence,
                },)*)*
            ];
        }
    };
}

drop_reasons! {
    Parse {
        Truncated "truncated" Silence
            "The frame ends before its Ethernet, IPv4 or transport header does: a broken or hostile sender."
        Vlan "vlan" Silence
            "The frame carries an 802.1Q or 802.1ad tag; pods and the uplink must send untagged frames."
        Ipv6 "ipv6" Silence
            "IPv6 is not configured on this switch; the packet is ignored. Harmless noise unless the pod needs IPv6."
        EtherType "ethertype" Silence
            "Neither IPv4 nor ARP: pods may send nothing else."
        Ipv4Malformed "ipv4_malformed" Silence
            "The IPv4 header is not valid: wrong version, header length or total length."
        Ipv4Checksum "ipv4_checksum" Silence
            "The IPv4 header checksum is wrong: damaged on the way, or hostile."
        SourceRoute "source_route" Silence
            "The packet carries a loose or strict source route option (RFC 7126 says drop)."
        OffloadForged "offload_forged" Silence
            "The frame's offload header (virtio-net) contradicts the packet: hostile, or a broken driver."
        OtherMac "other_mac" Silence
            "The frame is addressed to a MAC address that is not this port's (pods must use ee:ee:ee:ee:ee:ee)."
        Multicast "multicast" Silence
            "The destination is a multicast address; the pod network routes unicast only."
        Broadcast "broadcast" Silence
            "The destination is a broadcast address; the pod network routes unicast only."
        Martian "martian" Silence
            "Source or destination is an address that may not appear on a wire (0/8, 127/8, 240/4, multicast source)."
    }
    Arp {
        ArpMalformed "arp_malformed" Silence
            "The ARP packet is not a valid Ethernet/IPv4 request or reply (RFC 826)."
        ArpSpoofed "arp_spoofed" Silence
            "The ARP sender is neither this pod nor an address probe: the pod claims to be someone else."
        ArpProbe "arp_probe" Silence
            "The pod asks for its own address (duplicate address detection); silence means nobody else has it."
        ArpReply "arp_reply" Silence
            "An ARP reply nobody asked for; the switch learns nothing from pods."
    }
    Decap {
        UplinkNotTunnel "uplink_not_tunnel" Silence
            "A packet on the uplink that is neither IPIP nor for a pod block: the host's business, not the switch's."
        DecapNotForUs "decap_not_for_us" Silence
            "IPIP on the uplink whose outer destination is not this node's address: check the node address in the config."
        DecapUnknownNode "decap_unknown_node" Silence
            "IPIP from an address that is no known node: add the peer, or someone injects packets."
        DecapMalformed "decap_malformed" Silence
            "The packet inside the IPIP header is not valid IPv4."
        DecapNested "decap_nested" Silence
            "An IPIP packet inside an IPIP packet: a second layer is never legitimate here."
        DecapSource "decap_source" Silence
            "The inner source is not in a block of the node that sent it: blocks of the peers disagree, or spoofing."
        DecapEcn "decap_ecn" Silence
            "The outer header reports congestion but the inner packet cannot carry ECN (RFC 6040): dropped as the RFC asks."
        ReassemblyFailed "reassembly_failed" Silence
            "Fragments of an outer packet do not fit together, or are too large."
        PathMtuForged "path_mtu_forged" Silence
            "An ICMP fragmentation-needed on the uplink that quotes no tunnel packet of this node, or has a wrong checksum."
    }
    Source {
        SpoofedMac "spoofed_mac" Silence
            "The source MAC address is not the pod's own."
        SpoofedSource "spoofed_source" Silence
            "The source address is not the pod's own: spoofing, or the pod changed its address."
        WorkloadIpip "workload_ipip" Silence
            "A pod sent IPIP (protocol 4) of its own; only nodes may."
        WorkloadVxlan "workload_vxlan" Silence
            "A pod sent VXLAN (UDP 4789) of its own; only nodes may."
        HostSpoofed "host_spoofed" Silence
            "The host forwarded a packet with the source of another node's pod that came without its tunnel: spoofed on the underlay, or set nat_outgoing = false if such packets are wanted."
        HostEcho "host_echo" Silence
            "The host kernel handed over a second copy of a packet that the uplink port already took (unencapsulated pools)."
    }
    Conntrack {
        FragmentTiny "fragment_tiny" Silence
            "A first fragment without its transport header, or one that overlaps it (RFC 1858): evades filters."
        FragmentWithoutFirst "fragment_without_first" Silence
            "A later fragment whose first fragment was not seen or not allowed."
        TcpFlags "tcp_flags" Silence
            "An impossible combination of TCP flags (none, SYN+FIN, SYN+RST ...): a scan or a broken stack."
        IcmpUnrelated "icmp_unrelated" Silence
            "An ICMP error that quotes no flow this node knows."
        ConntrackFull "conntrack_full" Silence
            "The flow table is full of established flows and none may be evicted: raise conntrack.max_flows."
    }
    Policy {
        PolicyEgress "policy_egress" AsPolicySays
            "NetworkPolicy of the source pod does not allow this egress."
        PolicyIngress "policy_ingress" AsPolicySays
            "NetworkPolicy of the destination pod does not allow this ingress."
    }
    Route {
        NoWorkload "no_workload" Silence
            "The destination lies in this node's own block but no pod has it (blackhole route)."
        NoRoute "no_route" NetUnreachable
            "The destination lies in a pool but in no known block: a peer is missing, or the address is not in use."
        GatewayAddress "gateway_address" Silence
            "Addressed to 169.254.1.1 itself, which exists only to be resolved by ARP."
        NoPort "no_port" HostUnreachable
            "The port toward the destination is gone or has no device."
    }
    Forward {
        TtlExceeded "ttl_exceeded" TimeExceeded
            "The TTL ran out here: a traceroute, or a routing loop."
        FragmentationNeeded "fragmentation_needed" FragmentationNeeded
            "Too big for the way ahead and DF is set; the sender was told the MTU (RFC 1191)."
        FragmentFailed "fragment_failed" Silence
            "The packet would have to be fragmented but cannot be (options or offset out of range)."
    }
    Transmit {
        UnresolvedNextHop "unresolved_next_hop" Silence
            "The next hop's MAC address is not known and the kernel could not be asked to carry the packet."
        BandwidthExceeded "bandwidth_exceeded" Silence
            "The pod's bandwidth limit left no room within its burst and queue."
        NoBuffer "no_buffer" Silence
            "All of a worker's frame buffers were in use: devices are full, or bandwidth limits hold many frames."
        DeviceFull "device_full" Silence
            "The device took nothing, and the switch's own queue toward it was full: the receiver is slower than the sender."
        KernelQueueFull "kernel_queue_full" Silence
            "The kernel's queue behind the device (a qdisc, the pod's backlog) dropped the frame at every try for 2 ms: the receiver is slower than the sender."
        DeviceError "device_error" Silence
            "The device refused the frame (down, gone, or too large)."
        HandOffFull "hand_off_full" Silence
            "The ring toward the worker that owns this flow was full."
    }
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::TABLE.len();

    /// The reason's row.
    #[inline]
    pub fn row(self) -> &'static Row {
        &Self::TABLE[self as usize]
    }

    /// The reason with this label.
    pub fn from_label(label: &str) -> Option<Self> {
        Self::TABLE
            .iter()
            .find(|row| row.label == label)
            .map(|row| row.reason)
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.row().label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_stands_at_its_reason_and_has_a_label_of_its_own() {
        for (index, row) in DropReason::TABLE.iter().enumerate() {
            assert_eq!(row.reason as usize, index);
            assert_eq!(DropReason::from_label(row.label), Some(row.reason));
            assert!(
                row.label
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            );
            assert!(row.sentence.ends_with(['.', ')']), "{}", row.sentence);
        }
    }

    #[test]
    fn reasons_are_listed_in_the_order_of_the_walk() {
        assert!(
            DropReason::TABLE
                .windows(2)
                .all(|pair| pair[0].stage <= pair[1].stage)
        );
    }
}
