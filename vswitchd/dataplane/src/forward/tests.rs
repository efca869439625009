//! The short way is only shorter: whatever comes, it ends as the long way ends.

mod observed;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use packet::offload::{Checksum, Gso, GsoKind, Offload};
use packet::transport::TcpFlags;
use packet::{MacAddr, build};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::{
    Counters, Description, Generation, LocalConfig, PeerDescription, UplinkDescription, WorkerId,
    WorkloadDescription, compile,
};

const HOST: PortId = PortId(0);
const UPLINK: PortId = PortId(1);
const A: PortId = PortId(2);
const B: PortId = PortId(3);
const A_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const B_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 194);
const REMOTE_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
const OTHER_IP: Ipv4Addr = Ipv4Addr::new(10, 244, 120, 67);
const NODE_IP: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
const REMOTE_NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 8);
const OTHER_NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);

fn mac(address: Ipv4Addr) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, address.octets()[3]])
}

fn description() -> Description {
    let net = |text: &str| text.parse().unwrap();
    let peer = |address: Ipv4Addr, block: &str| PeerDescription {
        name: address.to_string(),
        address,
        tunneled_blocks: vec![net(block)],
        plain_blocks: vec![],
        next_hop_mac: (address == REMOTE_NODE).then(|| mac(address)),
        path_mtu_bytes: None,
    };
    let workload = |port, address| WorkloadDescription {
        port,
        name: format!("cali{port}"),
        address,
        mac: mac(address),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit: None,
        ingress_limit: None,
    };
    Description {
        address: NODE_IP,
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        local_addresses: [NODE_IP].into(),
        host_port: HOST,
        host_name: "tunl0".to_owned(),
        host_mtu_bytes: 1480,
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: "eth0".to_owned(),
            mac: mac(NODE_IP),
            mtu_bytes: 1500,
        }),
        pools: vec![net("10.244.0.0/16")],
        routable_pools: vec![net("10.244.151.0/26")],
        own_blocks: vec![net("10.244.205.192/26")],
        peers: vec![
            peer(REMOTE_NODE, "10.244.151.0/26"),
            peer(OTHER_NODE, "10.244.120.64/26"),
        ],
        workloads: vec![workload(A, A_IP), workload(B, B_IP)],
    }
}

/// The tables of one generation: every other one isolates pod `b`.
fn world(generation: u32) -> Snapshot {
    let pod = |name: &str, address: Ipv4Addr| {
        format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: default, \
             labels: {{app: {name}}}}}, spec: {{containers: []}}, \
             status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}}}\n---\n"
        )
    };
    let mut yaml = pod("a", A_IP) + &pod("b", B_IP);
    if generation.is_multiple_of(2) {
        yaml += "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
                 metadata: {name: shut, namespace: default}, \
                 spec: {podSelector: {matchLabels: {app: b}}, policyTypes: [Ingress]}}";
    }
    let mut cluster = policy::Cluster::new();
    let objects = policy::parse("test.yaml", &yaml).unwrap();
    objects.into_iter().for_each(|object| cluster.apply(object));
    let table = Arc::new(policy::compile(&cluster));
    compile(&description(), table, Generation(generation))
}

fn local(workers: u16) -> Local {
    let config = LocalConfig {
        worker: WorkerId(0),
        workers,
        max_flows: 16,
        timeouts: crate::conntrack::Timeouts::default(),
        seed: [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210],
        pick_up_until: Time::default(),
    };
    Local::new(config, Arc::new(Counters::default()))
}

/// One frame of a stream, and how long after the one before it comes.
#[derive(Clone, Debug)]
struct Step {
    port: PortId,
    frame: Frame,
    pause: Duration,
    next_generation: bool,
}

prop_compose! {
    fn offload()(
        checksum in 0u8..5, start in 0u16..60, offset in 0u16..20, is_gso in 0u8..6, size in 1u16..1500,
    ) -> Offload {
        let checksum = match checksum {
            0 => Checksum::None,
            1 => Checksum::Valid,
            2 => Checksum::Partial { start: 20, offset: 16 },
            3 => Checksum::Partial { start: 20, offset: 6 },
            _ => Checksum::Partial { start, offset },
        };
        let kind = match is_gso {
            0 => Some(GsoKind::Tcp4),
            1 => Some(GsoKind::UdpL4),
            _ => None,
        };
        Offload { checksum, gso: kind.map(|kind| Gso { kind, size, ecn: false }) }
    }
}

prop_compose! {
    /// Packets of a few flows, so that most belong to one that is known.
    fn packet()(
        ends in select(vec![
            (A, A_IP, B_IP), (B, B_IP, A_IP), (A, A_IP, REMOTE_IP), (UPLINK, REMOTE_IP, A_IP),
            (A, A_IP, OTHER_IP), (UPLINK, OTHER_IP, A_IP), (HOST, NODE_IP, A_IP), (A, A_IP, NODE_IP),
            (A, A_IP, A_IP), (HOST, REMOTE_IP, A_IP),
        ]),
        kind in 0u8..12,
        flags in select(vec![0x10u8, 0x10, 0x10, 0x18, 0x02, 0x12, 0x11, 0x14, 0x04, 0x00, 0x03]),
        ports in select(vec![(40_000u16, 80u16), (80, 40_000), (40_001, 4789), (4789, 40_001)]),
        ttl in select(vec![64u8, 64, 64, 2, 1]),
        tos in select(vec![0u8, 0, 1, 2, 3, 0xb8]),
        len in select(vec![0usize, 18, 100, 1440, 1452, 1453, 1470]),
        cut in select(vec![(false, 0u16); 8].into_iter().chain([(true, 0), (true, 8), (false, 1400)]).collect::<Vec<_>>()),
        dont_fragment in any::<bool>(),
    ) -> (PortId, Vec<u8>) {
        let (port, src, dst) = ends;
        let payload = vec![7; len];
        let packet = match kind {
            0..5 => build::tcp(src, dst, ports.0, ports.1, TcpFlags(flags), 1, &payload),
            5..10 => build::udp(src, dst, ports.0, ports.1, &payload),
            10 => build::icmp_echo(src, dst, ports.0, 1, &payload),
            _ => build::icmp_error(src, packet::icmpv4::Message::PortUnreachable,
                &build::udp(dst, src, ports.1, ports.0, &payload)),
        };
        let packet = build::with_header(&packet, |ip| {
            (ip.ttl, ip.tos, ip.identification) = (ttl, tos, 9);
            (ip.dont_fragment, ip.more_fragments, ip.fragment_offset_bytes) =
                (dont_fragment && cut == (false, 0), cut.0, cut.1);
        });
        (port, packet)
    }
}

prop_compose! {
    fn step()(
        (port, packet) in packet(),
        outer in select(vec![
            REMOTE_NODE, REMOTE_NODE, REMOTE_NODE, OTHER_NODE, OTHER_NODE, Ipv4Addr::new(172, 16, 30, 99),
        ]),
        outer_tos in select(vec![0u8, 0, 0, 1, 3]),
        edit in proptest::option::weighted(0.15, (0usize..80, any::<u8>(), any::<bool>())),
        padding in select(vec![0usize, 0, 0, 4, 20]),
        shorter in proptest::option::weighted(0.05, 0usize..80),
        offload in proptest::option::weighted(0.3, offload()),
        pause in select(vec![0u64, 0, 0, 1_000_000, 400_000_000, 1_000_000_000, 31_000_000_000]),
        next_generation in proptest::bool::weighted(0.03),
    ) -> Step {
        let mut bytes = match port {
            HOST => packet,
            UPLINK => {
                let packet = build::with_header(&build::ipip(outer, NODE_IP, &packet), |ip| ip.tos = outer_tos);
                build::ethernet(mac(outer), mac(NODE_IP), &packet)
            }
            A => build::ethernet(mac(A_IP), crate::GATEWAY_MAC, &packet),
            _ => build::ethernet(mac(B_IP), crate::GATEWAY_MAC, &packet),
        };
        let network = if port == HOST { 0 } else { packet::ethernet::HEADER_LEN };
        bytes.resize(bytes.len() + padding, 0xa5);
        if let Some((at, value, mend)) = edit {
            let at = at % bytes.len();
            bytes[at] = value;
            if mend {
                ipv4::fill_checksum(&mut bytes[network..]);
            }
        }
        bytes.truncate(shorter.unwrap_or(bytes.len()));
        let mut frame = match port {
            HOST => Frame::from_packet(&bytes),
            _ => Frame::from_ethernet(&bytes),
        };
        frame.offload = offload.unwrap_or_default();
        Step { port, frame, pause: Duration::from_nanos(pause), next_generation }
    }
}

/// Everything a worker remembers and has counted, for comparison.
fn remembered(local: &Local, now: Time) -> String {
    let Local {
        fragments,
        identification,
        ..
    } = local;
    format!(
        "{:?} {fragments:?} {identification} {:?}",
        local.flows(now, usize::MAX),
        local.counters()
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_short_way_ends_as_the_long_way_ends(
        steps in vec(step(), 1..80), workers in select(vec![1u16, 1, 2]),
    ) {
        let worlds = [world(1), world(2)];
        let (mut world, mut now) = (worlds[0].clone(), Time::from_secs(100));
        let (mut by_both, mut by_long) = (local(workers), local(workers));
        for Step { port, frame, pause, next_generation } in steps {
            now = now + pause;
            if next_generation {
                let generation = Generation(world.generation.0 + 1);
                world = worlds[generation.0 as usize % 2].clone();
                world.generation = generation;
            }
            let (mut short, mut long) = (frame.clone(), frame.clone());
            by_both.bring_near(std::slice::from_ref(&frame));
            let action = forward(&world, &mut by_both, now, port, &mut short);
            let expected = long_way(&world, &mut by_long, now, port, &mut long);
            prop_assert_eq!(action, expected, "{:?}", frame);
            prop_assert_eq!(short, long);
            prop_assert_eq!(remembered(&by_both, now), remembered(&by_long, now));
            by_both.expire(now);
            by_long.expire(now);
        }
    }
}

/// Whether a frame like this would take the short way; if so, it is counted.
fn is_short(world: &Snapshot, local: &mut Local, port: PortId, frame: &Frame) -> bool {
    let now = Time::from_secs(100);
    short_way::take(world, local, now, port, &mut frame.clone()).is_some()
}

#[test]
fn one_more_packet_of_a_settled_flow_takes_the_short_way_until_the_next_generation() {
    let (mut world, mut local, now) = (world(1), local(1), Time::from_secs(100));
    let question = build::udp(A_IP, B_IP, 4000, 53, b"?");
    let question = Frame::from_ethernet(&build::ethernet(mac(A_IP), crate::GATEWAY_MAC, &question));
    assert!(!is_short(&world, &mut local, A, &question), "a new flow");
    let action = forward(&world, &mut local, now, A, &mut question.clone());
    assert_eq!(action, Action::Transmit(B));
    assert!(is_short(&world, &mut local, A, &question));
    let answer = build::udp(B_IP, A_IP, 53, 4000, b"!");
    let answer = Frame::from_ethernet(&build::ethernet(mac(B_IP), crate::GATEWAY_MAC, &answer));
    assert!(!is_short(&world, &mut local, B, &answer), "a first answer");
    forward(&world, &mut local, now, B, &mut answer.clone());
    assert!(is_short(&world, &mut local, B, &answer));
    assert!(!is_short(&world, &mut local, A, &answer), "another port");
    world.generation = Generation(3);
    assert!(!is_short(&world, &mut local, A, &question), "another world");
}
