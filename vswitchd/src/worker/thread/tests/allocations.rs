//! Whole turns of a worker allocate nothing: from the device, through the walk, to the device.

use allocation_counter::measure;
use dataplane::{PeerDescription, UplinkDescription};
use packet::transport::TcpFlags;

use super::*;

const UPLINK: PortId = PortId(1);
const NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 8);
const UPLINK_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 7]);
const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 8]);
/// A pod of the peer.
const REMOTE: Ipv4Addr = Ipv4Addr::new(10, 244, 64, 1);
/// Turns that are measured, each of a full batch.
const TURNS: usize = 40;
/// Turns before: the flow is made, and vectors have grown to what they need.
const WARM_UP: usize = 4;

/// The two pods, and an uplink with a peer behind it.
fn world_with_uplink() -> Snapshot {
    let workload = |(port, address): (PortId, Ipv4Addr)| WorkloadDescription {
        port,
        name: format!("cali{port}"),
        address,
        mac: mac(address),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit: None,
        ingress_limit: None,
    };
    let description = Description {
        address: NODE,
        tunnel_address: Ipv4Addr::new(10, 244, 0, 0),
        local_addresses: [NODE].into(),
        host_port: PortId(0),
        host_name: "tunl0".into(),
        host_mtu_bytes: 1480,
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: "eth0".into(),
            mac: UPLINK_MAC,
            mtu_bytes: 1500,
        }),
        pools: vec!["10.244.0.0/16".parse().unwrap()],
        routable_pools: vec![],
        own_blocks: vec!["10.244.0.0/26".parse().unwrap()],
        peers: vec![PeerDescription {
            name: "peer".into(),
            address: PEER,
            tunneled_blocks: vec!["10.244.64.0/26".parse().unwrap()],
            plain_blocks: vec![],
            next_hop_mac: Some(PEER_MAC),
            path_mtu_bytes: Some(1400),
        }],
        workloads: vec![workload(A), workload(B)],
    };
    let mut cluster = policy::Cluster::new();
    cluster.set_workload("default", "a", A.1.into());
    cluster.set_workload("default", "b", B.1.into());
    let table = Arc::new(policy::compile(&cluster));
    compile(&description, table, Generation(1))
}

/// The far end of a port, which takes everything into buffers that are there already.
struct Far {
    port: MemoryPort,
    buffers: Vec<Frame>,
}

impl Far {
    fn new(port: MemoryPort) -> Self {
        let buffers = vec![Frame::new(); 64];
        Self { port, buffers }
    }

    fn received(&mut self) -> usize {
        let mut received = 0;
        loop {
            match self.port.rx_batch(&mut self.buffers).unwrap() {
                0 => return received,
                taken => received += taken,
            }
        }
    }
}

/// A desk with an uplink, and the far ends of it and of pod B.
fn desk(workers: u16) -> (Desk, Far, Far) {
    let mut desk = Desk::new(world_with_uplink(), workers, WIDE);
    let [near, far] =
        MemoryPort::pair(["uplink", "wire"], MemoryConfig { mtu: 1500, ..WIDE }).unwrap();
    desk.worker
        .open(UPLINK, End::plain(Box::new(near)), Arc::default());
    let spare = MemoryPort::pair(["none", "none"], WIDE).unwrap();
    let b = std::mem::replace(&mut desk.b, spare.into_iter().next().unwrap());
    (desk, Far::new(b), Far::new(far))
}

/// Runs `round` until nothing grows any more, then counts what further rounds allocate: nothing.
#[track_caller]
fn allocates_nothing(mut round: impl FnMut()) {
    (0..WARM_UP).for_each(|_| round());
    let info = measure(|| (0..TURNS).for_each(|_| round()));
    assert_eq!(info.count_total, 0, "{info:?}");
}

fn batch(frame: &Frame) -> Vec<Frame> {
    vec![frame.clone(); BATCH]
}

fn from_a(packet: &[u8]) -> Frame {
    Frame::from_ethernet(&build::ethernet(mac(A.1), GATEWAY_MAC, packet))
}

#[test]
fn an_established_flow_on_one_node_allocates_nothing() {
    netlink::testing::isolated(|| {
        let (mut desk, mut b, _wire) = desk(1);
        for packet in [
            build::udp(A.1, B.1, 1, 53, &[0; 1000]),
            build::tcp(A.1, B.1, 1, 80, TcpFlags::ACK, 0, &[0; 1000]),
        ] {
            let frames = batch(&from_a(&packet));
            allocates_nothing(|| {
                desk.send(&frames);
                assert_eq!(b.received(), BATCH);
            });
        }
    });
}

#[test]
fn the_tunnel_allocates_nothing_either_way() {
    netlink::testing::isolated(|| {
        let (mut desk, mut b, mut wire) = desk(1);
        let out = batch(&from_a(&build::udp(A.1, REMOTE, 1, 53, &[0; 1000])));
        allocates_nothing(|| {
            desk.send(&out);
            assert_eq!(wire.received(), BATCH, "encapsulated");
        });
        let inner = build::udp(REMOTE, B.1, 1, 53, &[0; 1000]);
        let tunnelled = build::ethernet(PEER_MAC, UPLINK_MAC, &build::ipip(PEER, NODE, &inner));
        let back = batch(&Frame::from_ethernet(&tunnelled));
        allocates_nothing(|| {
            assert_eq!(wire.port.tx_batch(&back).unwrap(), BATCH);
            desk.turn();
            assert_eq!(b.received(), BATCH, "decapsulated");
        });
    });
}

#[test]
fn a_hand_off_allocates_nothing_on_either_side() {
    netlink::testing::isolated(|| {
        let (mut desk, mut b, _wire) = desk(2);
        let hash =
            |port: u16| packet::flow::symmetric_hash(A.1.into(), B.1.into(), (port ^ 53).into());
        let foreign = (1..).find(|port| hash(*port) % 2 == 1).unwrap();
        let frames = batch(&from_a(&build::udp(A.1, B.1, foreign, 53, &[0; 100])));
        let inboxes = Arc::clone(&desk.worker.parts.inboxes);
        let mut arrived = None;
        allocates_nothing(|| {
            desk.send(&frames);
            assert_eq!(b.received(), 0);
            while let Some(handed) = inboxes[1].pop() {
                arrived = Some(handed.arrived);
                inboxes[0].give_back(handed.frame);
            }
        });
        // The other way round: what that worker would hand to this one.
        let arrived = arrived.unwrap();
        let mut buffers = vec![Frame::new(); BATCH];
        allocates_nothing(|| {
            for (mut frame, original) in buffers.drain(..).zip(&frames) {
                frame.copy_from(original);
                let from = 1;
                let handed = Handed {
                    frame,
                    arrived,
                    from,
                };
                assert!(inboxes[0].push(handed).is_ok());
            }
            inboxes[0].wake();
            desk.turn();
            assert_eq!(b.received(), BATCH, "taken over and sent");
            buffers.extend(std::iter::from_fn(|| inboxes[1].take_back()));
            assert_eq!(buffers.len(), BATCH, "the buffers come back");
        });
    });
}

#[test]
fn new_flows_drops_and_arp_allocate_nothing() {
    netlink::testing::isolated(|| {
        let (mut desk, mut b, _wire) = desk(1);
        let mut port = 1000;
        let mut frames = batch(&from_a(&build::udp(A.1, B.1, 1, 53, &[0; 100])));
        allocates_nothing(|| {
            for frame in &mut frames {
                port += 1;
                let at = frame.bytes().len() - frame.packet_len() + 20;
                frame.bytes_mut()[at..at + 2].copy_from_slice(&u16::to_be_bytes(port));
            }
            desk.send(&frames);
            assert_eq!(b.received(), BATCH);
        });
        let spoofed = batch(&from_a(&build::udp(REMOTE, B.1, 1, 53, &[0; 100])));
        let question = build::arp_request(mac(A.1), A.1, Ipv4Addr::new(169, 254, 1, 1));
        let questions = batch(&Frame::from_ethernet(&question));
        let mut a = vec![Frame::new(); BATCH];
        allocates_nothing(|| {
            desk.send(&spoofed);
            assert_eq!(b.received(), 0);
            desk.send(&questions);
            assert_eq!(desk.a.rx_batch(&mut a).unwrap(), BATCH, "answered");
        });
        assert_eq!(
            desk.dropped(DropReason::SpoofedSource),
            (WARM_UP + TURNS) * BATCH
        );
    });
}

#[test]
fn the_counter_sees_what_a_turn_allocates() {
    netlink::testing::isolated(|| {
        let (mut desk, _b, mut wire) = desk(1);
        // Larger than the path to the peer takes, and may be fragmented: the slow path keeps a list of the pieces.
        let large = build::udp(A.1, REMOTE, 1, 53, &[0; 1452]);
        let large = build::with_header(&large, |ip| ip.dont_fragment = false);
        let frame = [from_a(&large)];
        desk.send(&frame);
        let whole = wire.received();
        let info = measure(|| desk.send(&frame));
        let cut = wire.received();
        assert_eq!((whole, cut), (2, 2), "two fragments");
        assert!(info.count_total > 0, "{info:?}");
    });
}
