//! A trace and the real walk agree, whatever comes; and the trace leaves no trace.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::Duration;

use dataplane::conntrack::Timeouts;
use dataplane::{
    Action, Counters, DropReason, Excerpt, Local, LocalConfig, PortId, Punt, Snapshot, Time,
    WorkerId, cut_and_dress, forward, resume,
};
use packet::transport::TcpFlags;
use packet::{FlowKey, Frame, build};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 194);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 8);
const NOBODY: Ipv4Addr = Ipv4Addr::new(10, 244, 7, 7);
const HOST: PortId = PortId(0);
const UPLINK: PortId = PortId(1);
const WEB_PORT: PortId = PortId(2);
const CLIENT_PORT: PortId = PortId(3);

/// Two workers, as the threads hold them, and the snapshot in force.
struct Node {
    world: Arc<Snapshot>,
    workers: RefCell<Vec<Local>>,
    now: Time,
}

impl Node {
    fn new(max_flows: usize) -> Self {
        let local = |worker| {
            let config = LocalConfig {
                worker: WorkerId(worker),
                workers: 2,
                max_flows,
                timeouts: Timeouts::default(),
                seed: [u64::from(worker) + 5, 7],
                pick_up_until: Time::from_secs(130),
            };
            Local::new(config, Arc::new(Counters::default()))
        };
        Self {
            world: world(&desired()),
            workers: RefCell::new(vec![local(0), local(1)]),
            now: Time::from_secs(100),
        }
    }

    /// The real thing: taken in by one worker, handed to the flow's if that is another one. Says
    /// what came of it and which drop was counted.
    fn forward(&self, port: PortId, frame: &mut Frame) -> (Action, Option<DropReason>) {
        let before = self.drops();
        let mut workers = self.workers.borrow_mut();
        let mut owner = 0;
        let mut action = forward(&self.world, &mut workers[owner], self.now, port, frame);
        if let Action::Punt(Punt::Worker(other, arrived)) = action {
            owner = other.index();
            action = resume(&self.world, &mut workers[owner], self.now, arrived, frame);
        }
        if let Action::Punt(Punt::Cut(adjacency)) = action {
            let (mut pieces, mut whole) = (Vec::new(), frame.clone());
            let out = |piece, action| pieces.push((piece, action));
            let spare = || Some(Frame::new());
            let cut = cut_and_dress(
                &self.world,
                &mut workers[owner],
                adjacency,
                &mut whole,
                spare,
                out,
            );
            match cut {
                Ok(()) => (*frame, action) = pieces.swap_remove(0),
                Err(reason) => action = Action::Drop(reason),
            }
        }
        drop(workers);
        let after = self.drops();
        let rows = DropReason::TABLE.iter().zip(before.iter().zip(&after));
        let counted = rows.filter(|(_, (before, after))| before != after);
        (action, counted.map(|(row, _)| row.reason).next())
    }

    fn drops(&self) -> Vec<u64> {
        let workers = self.workers.borrow();
        let count = |reason| workers.iter().map(|w| w.counters().dropped(reason)).sum();
        DropReason::TABLE
            .iter()
            .map(|row| count(row.reason))
            .collect()
    }

    /// Everything that lives: flows and counters.
    fn remembered(&self) -> String {
        let workers = self.workers.borrow();
        let of =
            |local: &Local| format!("{:?} {:?}", local.flows(self.now, 9999), local.counters());
        workers.iter().map(of).collect()
    }
}

impl Ground for Node {
    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        Some(Arc::clone(&self.world))
    }

    fn excerpt(&self, worker: WorkerId, flow: Option<FlowKey>) -> Option<Excerpt> {
        let workers = self.workers.borrow();
        Some(workers[worker.index()].excerpt(self.now, flow.as_ref()))
    }
}

prop_compose! {
    /// Packets of a few flows, some of which nobody may send.
    fn packet()(
        ends in select(vec![
            (WEB_PORT, WEB, CLIENT), (CLIENT_PORT, CLIENT, WEB), (CLIENT_PORT, CLIENT, WEB),
            (WEB_PORT, WEB, FAR), (UPLINK, FAR, WEB), (UPLINK, FAR, CLIENT), (CLIENT_PORT, CLIENT, FAR),
            (WEB_PORT, WEB, OUTSIDE), (HOST, OUTSIDE, WEB), (HOST, NODE, CLIENT), (WEB_PORT, WEB, NODE),
            (WEB_PORT, WEB, NOBODY), (WEB_PORT, CLIENT, FAR), (UPLINK, WEB, CLIENT), (HOST, FAR, WEB),
        ]),
        kind in 0u8..10,
        flags in select(vec![0x02u8, 0x12, 0x10, 0x10, 0x18, 0x11, 0x04, 0x00, 0x03]),
        ports in select(vec![(40_000u16, 80u16), (80, 40_000), (40_001, 443), (40_001, 4789)]),
        ttl in select(vec![64u8, 64, 64, 2, 1]),
        len in select(vec![0usize, 18, 1440, 1452, 1453, 3000]),
        dont_fragment in any::<bool>(),
    ) -> (PortId, Vec<u8>) {
        let (port, src, dst) = ends;
        let payload = vec![7; len];
        let packet = match kind {
            0..4 => build::tcp(src, dst, ports.0, ports.1, TcpFlags(flags), 1, &payload),
            4..7 => build::udp(src, dst, ports.0, ports.1, &payload),
            7 => build::icmp_echo(src, dst, ports.0, 1, &payload),
            8 => build::icmp_echo_reply(src, dst, ports.1, 1, &payload),
            _ => build::icmp_error(src, packet::icmpv4::Message::PortUnreachable,
                &build::udp(dst, src, ports.1, ports.0, &payload)),
        };
        let packet = build::with_header(&packet, |ip| (ip.ttl, ip.dont_fragment) = (ttl, dont_fragment));
        (port, packet)
    }
}

prop_compose! {
    fn frame()(
        (port, packet) in packet(),
        outer in select(vec![PEER, PEER, PEER, OUTSIDE]),
        edit in proptest::option::weighted(0.1, (0usize..60, any::<u8>())),
        is_super in proptest::bool::weighted(0.2),
    ) -> (PortId, Frame) {
        let mac = |last| MacAddr([2, 0, 0, 0, last, 0]);
        let is_tcp = packet[9] == 6 && packet.len() > 1500;
        let offload = match is_super && is_tcp {
            true => build::super_segment(&packet, 1440).offload,
            false => packet::Offload::default(),
        };
        let mut bytes = match port {
            HOST => packet,
            UPLINK => build::ethernet(mac(9), MacAddr([2, 0, 0, 0, 0, 7]), &build::ipip(outer, NODE, &packet)),
            WEB_PORT => build::ethernet(MacAddr([2, 0, 0, 0, 1, 193]), dataplane::GATEWAY_MAC, &packet),
            _ => build::ethernet(MacAddr([2, 0, 0, 0, 1, 194]), dataplane::GATEWAY_MAC, &packet),
        };
        if let Some((at, value)) = edit {
            // Not where a fragment would be made: earlier fragments are no part of an excerpt.
            let network = if port == HOST { 0 } else { 14 };
            let at = at % bytes.len();
            let is_fragment = |start: usize| (start + 6..start + 8).contains(&at);
            if !is_fragment(network) && !is_fragment(network + 20) {
                bytes[at] = value;
            }
        }
        let mut frame = match port {
            HOST => Frame::from_packet(&bytes),
            _ => Frame::from_ethernet(&bytes),
        };
        if port != UPLINK {
            frame.offload = offload;
        }
        (port, frame)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn trace_agrees_with_reality(
        frames in vec((frame(), select(vec![0u64, 0, 1, 40_000])), 1..60),
        max_flows in select(vec![4096usize, 4096, 1]),
    ) {
        let mut node = Node::new(max_flows);
        let desired = desired();
        for ((port, frame), pause) in frames {
            node.now = node.now + Duration::from_millis(pause);
            let before = node.remembered();
            let walk = walk(&node, &node.world, port, &frame).unwrap();
            let given = Given {
                port: node.world.port(port).unwrap().name.clone(),
                bytes: hex::to_hex(frame.bytes()),
                is_packet: port == HOST,
                offload: Some(hex::to_hex(&frame.virtio_header())),
            };
            let told = trace(&node, &desired, &Probe::Given(given)).unwrap();
            prop_assert_eq!(node.remembered(), before, "a trace changes nothing");
            let mut real = frame.clone();
            let (action, reason) = node.forward(port, &mut real);
            prop_assert_eq!(walk.action, action, "{:?}", frame);
            prop_assert_eq!(walk.refused, reason, "{:?}", frame);
            if !matches!(action, Action::Drop(_)) {
                prop_assert_eq!(&walk.frame, &real);
            }
            let label = reason.map(|reason| reason.row().label);
            prop_assert_eq!(told.end.reason.as_deref(), label);
        }
    }
}

/// A segment of a connection from `client` to port 80 of `web`, from the one end or the other.
fn segment(by_client: bool, client_port: u16, flags: TcpFlags) -> (PortId, Frame) {
    let (port, last, packet) = match by_client {
        true => {
            let packet = build::tcp(CLIENT, WEB, client_port, 80, flags, 1, &[]);
            (CLIENT_PORT, 194, packet)
        }
        false => {
            let packet = build::tcp(WEB, CLIENT, 80, client_port, flags, 1, &[]);
            (WEB_PORT, 193, packet)
        }
    };
    let mac = MacAddr([2, 0, 0, 0, 1, last]);
    let bytes = build::ethernet(mac, dataplane::GATEWAY_MAC, &packet);
    (port, Frame::from_ethernet(&bytes))
}

#[test]
fn a_trace_sees_that_the_flow_table_is_full_of_open_connections() {
    let node = Node::new(1);
    let agreed = |by_client, client_port, flags| {
        let (port, mut frame) = segment(by_client, client_port, flags);
        let traced = walk(&node, &node.world, port, &frame).unwrap().refused;
        let (_, real) = node.forward(port, &mut frame);
        assert_eq!(traced, real, "{client_port} {flags:?}");
        real
    };
    let answer = TcpFlags::SYN | TcpFlags::ACK;
    for (by_client, flags) in [
        (true, TcpFlags::SYN),
        (false, answer),
        (true, TcpFlags::ACK),
    ] {
        assert_eq!(agreed(by_client, 40_000, flags), None);
    }
    // Some of these fall to the worker whose only place is taken.
    let others = (40_001..40_020).map(|port| agreed(true, port, TcpFlags::SYN));
    let full = others.filter(|reason| *reason == Some(DropReason::ConntrackFull));
    assert!(full.count() > 0);
    // Over, it leaves its place to the next on its ports.
    assert_eq!(agreed(true, 40_000, TcpFlags::RST), None);
    assert_eq!(agreed(true, 40_000, TcpFlags::SYN), None);
}
