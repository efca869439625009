//! Frames that pass, one of each sort, to be mutated.

use dataplane::PortId;
use packet::transport::TcpFlags;
use packet::{build, icmpv4};

use super::plan::*;

/// Frames that would all pass: the port where, whether the bytes begin with an
/// Ethernet header, and the bytes.
pub fn valid_frames() -> Vec<(PortId, bool, Vec<u8>)> {
    let m02 = walk_through()[M02].address;
    let m03 = walk_through()[M03].address;
    let pod = |packet: &[u8]| build::ethernet(pod_mac(NGINX), dataplane::GATEWAY_MAC, packet);
    let wire = |packet: &[u8]| {
        build::ethernet(node_mac(m03), node_mac(m02), &build::ipip(m03, m02, packet))
    };
    let udp = build::udp(NGINX, NGINX_MANUAL, 4000, 53, &[7; 100]);
    let back = build::udp(NGINX_MANUAL, NGINX, 53, 4000, &[7; 100]);
    let tcp = build::tcp(NGINX, CLIENT, 4000, 80, TcpFlags::SYN, 0, &[1; 64]);
    let fragment = build::with_header(&udp, |ip| {
        ip.more_fragments = true;
        ip.dont_fragment = false;
    });
    let outer_fragment = build::with_header(&build::ipip(m03, m02, &back), |ip| {
        ip.more_fragments = true;
        ip.dont_fragment = false;
    });
    let options = build::with_options(&udp, &[148, 4, 0, 0, 7, 7, 4, 0, 0, 0, 0]);
    let message = icmpv4::Message::FragmentationNeeded { next_hop_mtu: 1400 };
    let error = build::icmp_error(NGINX, icmpv4::Message::PortUnreachable, &back);
    let report = build::icmp_error(ROUTER, message, &build::ipip(m02, m03, &udp));
    let workload = PortId(2);
    vec![
        (workload, true, pod(&udp)),
        (workload, true, pod(&tcp)),
        (workload, true, pod(&fragment)),
        (workload, true, pod(&options)),
        (workload, true, pod(&error)),
        (
            workload,
            true,
            pod(&build::icmp_echo(NGINX, CLIENT, 1, 1, b"ping")),
        ),
        (
            workload,
            true,
            build::arp_request(pod_mac(NGINX), NGINX, CLIENT),
        ),
        (UPLINK_PORT, true, wire(&back)),
        (
            UPLINK_PORT,
            true,
            wire(&build::icmp_echo(NGINX_MANUAL, NGINX, 1, 1, b"ping")),
        ),
        (
            UPLINK_PORT,
            true,
            build::ethernet(node_mac(m03), node_mac(m02), &outer_fragment),
        ),
        (
            UPLINK_PORT,
            true,
            build::ethernet(node_mac(ROUTER), node_mac(m02), &report),
        ),
        (HOST_PORT, false, build::udp(m02, NGINX, 1, 2, b"probe")),
    ]
}
