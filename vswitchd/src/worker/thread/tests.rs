//! One worker between two pods in memory: what becomes of frames it cannot send.

mod allocations;
#[cfg(not(debug_assertions))]
mod instructions;
mod relayed;
mod taps;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dataplane::conntrack::Timeouts;
use dataplane::{
    Bandwidth, Description, GATEWAY_MAC, Generation, LocalConfig, WorkerId, WorkloadDescription,
    compile,
};
use packet::{MacAddr, build};
use port::{Link, MemoryConfig, MemoryPort, PortIo, Waker};

use super::*;
use crate::worker::command::End;

const A: (PortId, Ipv4Addr) = (PortId(2), Ipv4Addr::new(10, 244, 0, 1));
const B: (PortId, Ipv4Addr) = (PortId(3), Ipv4Addr::new(10, 244, 0, 2));

fn mac(address: Ipv4Addr) -> MacAddr {
    let [a, b, c, d] = address.octets();
    MacAddr([2, 0, a, b, c, d])
}

fn world(egress_limit: Option<Arc<Bandwidth>>) -> Snapshot {
    let workload = |(port, address): (PortId, Ipv4Addr), egress_limit| WorkloadDescription {
        port,
        name: format!("cali{port}"),
        address,
        mac: mac(address),
        mtu_bytes: 1480,
        since: Generation(1),
        egress_limit,
        ingress_limit: None,
    };
    let description = Description {
        address: Ipv4Addr::new(172, 16, 30, 7),
        tunnel_address: Ipv4Addr::new(10, 244, 0, 0),
        local_addresses: [].into(),
        host_port: PortId(0),
        host_name: "tunl0".into(),
        host_mtu_bytes: 1480,
        uplink: None,
        pools: vec![],
        routable_pools: vec![],
        own_blocks: vec![],
        peers: vec![],
        workloads: vec![workload(A, egress_limit), workload(B, None)],
    };
    let mut cluster = policy::Cluster::new();
    cluster.set_workload("default", "a", A.1.into());
    cluster.set_workload("default", "b", B.1.into());
    compile(
        &description,
        Arc::new(policy::compile(&cluster)),
        Generation(1),
    )
}

/// A worker, the first of `workers`, and the pods' ends of its two ports.
struct Desk {
    worker: Worker,
    a: MemoryPort,
    b: MemoryPort,
}

impl Desk {
    fn new(world: Snapshot, workers: u16, b: MemoryConfig) -> Self {
        Self::with_lanes(world, workers, b, None)
    }

    fn with_lanes(world: Snapshot, workers: u16, b: MemoryConfig, lanes: Option<Lanes>) -> Self {
        let is_relayed = lanes.is_some();
        let wakers: Vec<Waker> = (0..workers).map(|_| Waker::new().unwrap()).collect();
        let shared = Arc::new(Shared::new(world, wakers.clone()));
        let local = LocalConfig {
            worker: WorkerId(0),
            workers,
            max_flows: 1024,
            timeouts: Timeouts::default(),
            seed: [1, 2],
            pick_up_until: Time::default(),
        };
        let (orders, commands) = crossbeam_channel::unbounded();
        let mut worker = Worker::new(Parts {
            index: 0,
            local: Local::new(local, Arc::clone(&shared.counters[0])),
            shared,
            inboxes: wakers.into_iter().map(Inbox::new).collect(),
            commands,
            closer: Closer::start().unwrap(),
            events: crossbeam_channel::bounded(1).0,
            raw: Arc::new(RawIp::open().unwrap()),
            clock: Clock::start(),
            spin: Duration::ZERO,
            lanes,
        })
        .unwrap();
        let pod = |id: PortId, config| {
            let [switch, pod] = MemoryPort::pair(["switch", "pod"], config).unwrap();
            let mut end = End::plain(Box::new(switch));
            end.relayed = is_relayed.then_some(id.0.into());
            let counters = Arc::default();
            orders.send(Command::Open { id, end, counters }).unwrap();
            pod
        };
        let (a, b) = (pod(A.0, WIDE), pod(B.0, b));
        worker.obey();
        Self { worker, a, b }
    }

    /// Pod A sends these, and the worker takes turns until nothing waits.
    fn send(&mut self, frames: &[Frame]) {
        for batch in frames.chunks(64) {
            assert_eq!(self.a.tx_batch(batch).unwrap(), batch.len());
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.worker.lookout.wait(Duration::ZERO);
        self.worker.turn();
    }

    /// How many frames pod B finds.
    fn received(&mut self) -> usize {
        let mut frames = vec![Frame::new(); 64];
        let mut received = 0;
        loop {
            match self.b.rx_batch(&mut frames).unwrap() {
                0 => return received,
                taken => received += taken,
            }
        }
    }

    fn dropped(&self, reason: DropReason) -> usize {
        self.worker.parts.local.counters().dropped(reason) as usize
    }
}

const WIDE: MemoryConfig = MemoryConfig {
    link: Link::Ethernet,
    mtu: 1480,
    capacity: 64,
};

fn udp(src_port: u16, len: usize) -> Frame {
    let packet = build::udp(A.1, B.1, src_port, 53, &vec![0; len]);
    Frame::from_ethernet(&build::ethernet(mac(A.1), GATEWAY_MAC, &packet))
}

#[test]
fn frames_cross_and_every_buffer_comes_back() {
    netlink::testing::isolated(|| {
        let mut desk = Desk::new(world(None), 1, WIDE);
        for _ in 0..20 {
            desk.send(&vec![udp(1, 100); 64]);
            assert_eq!(desk.received(), 64);
        }
        assert_eq!(desk.worker.pool.len(), POOL);
    });
}

#[test]
fn a_device_that_refuses_a_frame_costs_that_frame_only() {
    netlink::testing::isolated(|| {
        let narrow = MemoryConfig { mtu: 500, ..WIDE };
        let mut desk = Desk::new(world(None), 1, narrow);
        desk.send(&[udp(1, 100), udp(1, 1000), udp(1, 100)]);
        assert_eq!(desk.received(), 2);
        assert_eq!(desk.dropped(DropReason::DeviceError), 1);
    });
}

#[test]
fn a_full_device_holds_few_buffers_and_the_rest_is_counted() {
    netlink::testing::isolated(|| {
        let small = MemoryConfig {
            capacity: 8,
            ..WIDE
        };
        let mut desk = Desk::new(world(None), 1, small);
        desk.send(&vec![udp(1, 100); 640]);
        assert!(
            desk.worker.pool.len() >= POOL - BATCH,
            "buffers are left for other ports"
        );
        let mut received = 0;
        for _ in 0..100 {
            received += desk.received();
            desk.turn();
        }
        let dropped = desk.dropped(DropReason::DeviceFull);
        assert!(dropped > 500 && received >= 8 + 32);
        assert_eq!(received + dropped, 640, "every frame is accounted for");
        assert_eq!(desk.worker.pool.len(), POOL);
    });
}

#[test]
fn a_ring_that_nobody_empties_drops_by_name() {
    netlink::testing::isolated(|| {
        let mut desk = Desk::new(world(None), 2, WIDE);
        let hash =
            |port: u16| packet::flow::symmetric_hash(A.1.into(), B.1.into(), (port ^ 53).into());
        let foreign = (1..).find(|port| hash(*port) % 2 == 1).unwrap();
        desk.send(&vec![udp(foreign, 100); 300]);
        assert_eq!(desk.received(), 0);
        assert_eq!(desk.dropped(DropReason::HandOffFull), 300 - 256);
    });
}

#[test]
fn a_limited_pod_is_shaped_within_its_patience_and_then_dropped() {
    netlink::testing::isolated(|| {
        // 1 MB/s with a burst of 10 kB: 10 frames now, about 50 within 50 ms.
        let limit = Arc::new(Bandwidth::new(8_000_000, 80_000));
        let mut desk = Desk::new(world(Some(limit)), 1, WIDE);
        desk.send(&vec![udp(1, 958); 200]);
        let at_once = desk.received();
        let dropped = desk.dropped(DropReason::BandwidthExceeded);
        assert!((10..40).contains(&at_once), "{at_once} left at once");
        assert!(dropped >= 100, "{dropped} dropped");
        std::thread::sleep(Duration::from_millis(60));
        desk.turn();
        assert_eq!(at_once + desk.received() + dropped, 200);
        assert_eq!(desk.worker.pool.len(), POOL);
    });
}
