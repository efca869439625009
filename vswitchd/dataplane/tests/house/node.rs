//! One node: its tables and its workers, driven as the worker threads would.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dataplane::conntrack::Timeouts;
use dataplane::{
    Action, Counter, Counters, Description, DropReason, Generation, Local, LocalConfig, PortId,
    PortKind, Punt, Snapshot, Time, WorkerId, compile, forward, resume,
};
use packet::flow::symmetric_hash;
use packet::{EtherType, Frame, Protocol, ethernet, ipv4, transport};
use policy::Table;

/// How long after a start a connection may be picked up from either end.
pub const PICK_UP: Duration = Duration::from_secs(60);

pub struct Node {
    pub description: Description,
    pub world: Snapshot,
    pub workers: Vec<Local>,
}

impl Node {
    pub fn new(description: Description, workers: u16) -> Self {
        let policy = Arc::new(policy::compile(&policy::Cluster::new()));
        let world = compile(&description, policy, Generation(1));
        let mut node = Self {
            description,
            world,
            workers: Vec::new(),
        };
        node.start(workers, 4096, Time::default());
        node
    }

    /// Starts the workers afresh; whatever they knew is forgotten.
    pub fn start(&mut self, workers: u16, max_flows: usize, pick_up_until: Time) {
        let local = |worker| {
            let config = LocalConfig {
                worker: WorkerId(worker),
                workers,
                max_flows,
                timeouts: Timeouts::default(),
                seed: [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210],
                pick_up_until,
            };
            Local::new(config, Arc::new(Counters::default()))
        };
        self.workers = (0..workers).map(local).collect();
    }

    /// Compiles the description again, as the next generation.
    pub fn publish(&mut self, policy: Arc<Table>) {
        let generation = Generation(self.world.generation.0 + 1);
        self.world = compile(&self.description, policy, generation);
    }

    /// The pod's port.
    pub fn port_of(&self, pod: Ipv4Addr) -> PortId {
        let mut workloads = self.description.workloads.iter();
        let workload = workloads.find(|workload| workload.address == pod);
        workload.expect("a pod of this node").port
    }

    /// Walks a frame to its way out: the worker it falls to takes it in, the
    /// worker that owns its flow goes on with it. Says which one ended it.
    pub fn walk(&mut self, now: Time, port: PortId, frame: &mut Frame) -> (usize, Action) {
        let taker = self.fan_out(port, frame);
        let action = forward(&self.world, &mut self.workers[taker], now, port, frame);
        let Action::Punt(Punt::Worker(owner, arrived)) = action else {
            return (taker, action);
        };
        let owner = owner.index();
        assert_ne!(owner, taker, "handed to itself");
        let action = resume(&self.world, &mut self.workers[owner], now, arrived, frame);
        (owner, action)
    }

    /// The worker that the kernel gives a frame to. On packet sockets the
    /// fan-out program decides; on the TUN device the kernel's own hash, which
    /// is another one but also keeps fragments together.
    pub fn fan_out(&self, port: PortId, frame: &Frame) -> usize {
        let is_host = self
            .world
            .port(port)
            .is_some_and(|port| matches!(port.kind, PortKind::Host));
        let hash = match is_host {
            true => addresses_hash(frame.packet()),
            false => fan_out_hash(frame).unwrap_or(0),
        };
        hash as usize % self.workers.len()
    }

    /// How many frames died of `reason` here.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.workers
            .iter()
            .map(|local| local.counters().dropped(reason))
            .sum()
    }

    /// A counter, summed over the workers.
    pub fn count(&self, counter: fn(&Counters) -> &Counter) -> u64 {
        self.workers
            .iter()
            .map(|local| counter(local.counters()).get())
            .sum()
    }
}

fn addresses_hash(packet: &[u8]) -> u32 {
    let header = ipv4::Header::parse_quoted(packet);
    header.map_or(0, |header| {
        (u32::from(header.src) ^ u32::from(header.dst)) >> 3
    })
}

/// What `port::fanout_program` computes, in Rust.
fn fan_out_hash(frame: &Frame) -> Option<u32> {
    let link = ethernet::Header::parse(frame.link()).ok()?;
    if link.ethertype != EtherType::IPV4 {
        return None;
    }
    let mut packet = frame.packet();
    let mut header = ipv4::Header::parse_quoted(packet).ok()?;
    if header.protocol == Protocol::IPIP && !header.is_fragment() {
        packet = header.payload(packet);
        header = ipv4::Header::parse_quoted(packet).ok()?;
    }
    let ports = match header.protocol {
        Protocol::TCP | Protocol::UDP | Protocol::SCTP if !header.is_fragment() => {
            let ports = transport::ports(header.protocol, header.payload(packet))?;
            ports.src ^ ports.dst
        }
        _ => 0,
    };
    Some(symmetric_hash(
        header.src.into(),
        header.dst.into(),
        ports.into(),
    ))
}
