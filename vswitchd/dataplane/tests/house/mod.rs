//! A house in memory: nodes, pods, hosts and the underlay between them.
//!
//! A test puts a frame in at a port ([`House::pod_sends`], [`House::host_sends`],
//! [`House::on_uplink`]) and looks at the [`Outcome`]: what left, where, what
//! died of which reason. In between the frame walks exactly as a worker drives
//! it: fan-out, `forward`, hand-off and `resume`, `cut_and_dress`, the underlay,
//! the next node. Time is virtual; there are no sockets and no threads.
//!
//! Every frame that leaves a switch is checked on its way ([`inspect`]):
//! well-formed, dressed for its port, no larger than the port's MTU.

mod frames;
mod inspect;
mod manifests;
mod node;
mod outcome;
mod plan;
mod stack;
mod underlay;

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use dataplane::{Action, Description, DropReason, GATEWAY_MAC, PortId, PortKind, Punt, Time};
use packet::{EtherType, Frame, MacAddr, build, ethernet, ipv4};
use policy::Cluster;

pub use frames::valid_frames;
pub use manifests::*;
pub use node::{Node, PICK_UP};
pub use outcome::{Delivery, Outcome, Place, header, payload};
pub use plan::*;
pub use stack::{Stack, every};
pub use underlay::{Loss, Underlay, cut, on_the_wire, reassemble};

use underlay::Carried;

/// More walks than this for one frame put in: it goes round and round.
const MAX_WALKS: usize = 2_000;

pub struct House {
    pub now: Time,
    pub nodes: Vec<Node>,
    pub underlay: Underlay,
    /// What a denial means where no policy says otherwise.
    pub settings: policy::Settings,
    /// How many empty frames a worker's pool has for the pieces of a packet.
    pub spare_frames: usize,
    base: Cluster,
    in_flight: VecDeque<(usize, PortId, Frame)>,
    outcome: Outcome,
}

impl House {
    /// Cluster 1 of the walk-through, three workers a node, no policies.
    pub fn walk_through() -> Self {
        Self::build(&walk_through(), 3)
    }

    /// Cluster 2 of the walk-through.
    pub fn cluster_2() -> Self {
        Self::build(&cluster_2(), 3)
    }

    /// These nodes with so many workers each.
    pub fn build(plans: &[NodePlan], workers: u16) -> Self {
        let nodes = (0..plans.len()).map(|index| Node::new(describe(plans, index), workers));
        let mut house = Self {
            now: Time::from_secs(1_000),
            nodes: nodes.collect(),
            underlay: Underlay::default(),
            settings: policy::Settings::default(),
            spare_frames: usize::MAX,
            base: cluster(plans),
            in_flight: VecDeque::new(),
            outcome: Outcome::default(),
        };
        house.policy("");
        house
    }

    /// Lets these NetworkPolicies (YAML, any number of documents) replace the
    /// ones before, on every node, in a new generation.
    pub fn policy(&mut self, yaml: &str) {
        let mut cluster = self.base.clone();
        let objects = policy::parse("policy.yaml", yaml).expect("valid policies");
        objects.into_iter().for_each(|object| cluster.apply(object));
        let mut compiler = policy::Compiler::new(policy::Subjects::All, self.settings);
        compiler.replace(&cluster);
        let table = Arc::new(compiler.table());
        for node in &mut self.nodes {
            node.publish(Arc::clone(&table));
        }
    }

    /// Changes what a node knows and publishes it.
    pub fn edit(&mut self, node: usize, edit: impl FnOnce(&mut Description)) {
        let node = &mut self.nodes[node];
        edit(&mut node.description);
        node.publish(Arc::clone(&node.world.policy));
    }

    /// Starts a node's workers afresh, as after a crash of the daemon.
    pub fn restart(&mut self, node: usize) {
        let workers = self.nodes[node].workers.len() as u16;
        self.nodes[node].start(workers, 4096, self.now + PICK_UP);
    }

    /// Lets time pass; the workers expire what is due and sweep.
    pub fn sleep(&mut self, duration: Duration) {
        self.now = self.now + duration;
        for node in &mut self.nodes {
            for local in &mut node.workers {
                local.expire(self.now);
                local.sweep(&node.world, self.now);
            }
        }
    }

    /// Applies what the data planes reported, as the control plane does.
    pub fn hear(&mut self, events: &[(usize, dataplane::Event)]) {
        for (node, event) in events.iter().copied() {
            let dataplane::Event::PathMtu {
                address, mtu_bytes, ..
            } = event;
            self.edit(node, |description| {
                let mut peers = description.peers.iter_mut();
                let peer = peers
                    .find(|peer| peer.address == address)
                    .expect("a known peer");
                peer.path_mtu_bytes = Some(mtu_bytes);
            });
        }
    }

    /// The node of a pod.
    pub fn node_of(&self, pod: Ipv4Addr) -> usize {
        let has = |node: &Node| node.description.workloads.iter().any(|w| w.address == pod);
        self.nodes
            .iter()
            .position(has)
            .expect("a node with this pod")
    }

    /// The pod sends a packet by its gateway.
    pub fn pod_sends(&mut self, pod: Ipv4Addr, packet: &[u8]) -> Outcome {
        self.pod_sends_ethernet(pod, &build::ethernet(pod_mac(pod), GATEWAY_MAC, packet))
    }

    /// The pod sends these Ethernet bytes.
    pub fn pod_sends_ethernet(&mut self, pod: Ipv4Addr, bytes: &[u8]) -> Outcome {
        self.pod_sends_frame(pod, Frame::from_ethernet(bytes))
    }

    /// The pod sends a packet with an offload: a super-segment, say.
    pub fn pod_sends_offloaded(&mut self, pod: Ipv4Addr, mut frame: Frame) -> Outcome {
        frame.set_link(&link(pod_mac(pod), GATEWAY_MAC));
        self.pod_sends_frame(pod, frame)
    }

    fn pod_sends_frame(&mut self, pod: Ipv4Addr, frame: Frame) -> Outcome {
        let node = self.node_of(pod);
        let port = self.nodes[node].port_of(pod);
        self.put(node, port, frame)
    }

    /// The host kernel of a node routes a packet into `tunl0`.
    pub fn host_sends(&mut self, node: usize, packet: &[u8]) -> Outcome {
        self.put(node, HOST_PORT, Frame::from_packet(packet))
    }

    /// A packet reaches a node's eth0.
    pub fn on_uplink(&mut self, node: usize, packet: &[u8]) -> Outcome {
        let mac = node_mac(self.nodes[node].description.address);
        let bytes = build::ethernet(node_mac(ROUTER), mac, packet);
        self.put(node, UPLINK_PORT, Frame::from_ethernet(&bytes))
    }

    /// The packet reaches a node's eth0 within an outer header from a peer.
    pub fn tunneled(&mut self, from: usize, to: usize, packet: &[u8]) -> Outcome {
        let [src, dst] = [from, to].map(|node| self.nodes[node].description.address);
        self.on_uplink(to, &build::ipip(src, dst, packet))
    }

    /// Puts any frame in at any port and runs until the house is quiet.
    pub fn put(&mut self, node: usize, port: PortId, frame: Frame) -> Outcome {
        self.in_flight.push_back((node, port, frame));
        while let Some((node, port, frame)) = self.in_flight.pop_front() {
            self.walk(node, port, frame);
            assert!(
                self.outcome.walks < MAX_WALKS,
                "it loops: {:?}",
                self.outcome
            );
        }
        std::mem::take(&mut self.outcome)
    }

    fn walk(&mut self, index: usize, port: PortId, mut frame: Frame) {
        let node = &mut self.nodes[index];
        let before = drops(node);
        let (worker, action) = node.walk(self.now, port, &mut frame);
        self.outcome.walks += 1;
        self.outcome.ended_at.push((index, worker));
        self.act(index, worker, action, frame);
        let node = &mut self.nodes[index];
        for (row, (before, after)) in DropReason::TABLE.iter().zip(before.iter().zip(drops(node))) {
            let times = (after - before) as usize;
            self.outcome
                .dropped
                .extend(std::iter::repeat_n((index, row.reason), times));
        }
        if let Action::Drop(reason) = action {
            assert!(
                self.outcome.dropped.contains(&(index, reason)),
                "{reason} was not counted"
            );
        }
        let events = node
            .workers
            .iter_mut()
            .flat_map(|local| local.take_events());
        self.outcome
            .events
            .extend(events.map(|event| (index, event)));
    }

    fn act(&mut self, index: usize, worker: usize, action: Action, mut frame: Frame) {
        match action {
            Action::Transmit(port) => self.leave(index, port, frame),
            Action::Punt(Punt::Kernel) => {
                self.outcome.by_kernel += 1;
                self.carry(&frame);
            }
            Action::Punt(Punt::Cut(adjacency)) => {
                self.outcome.cut += 1;
                let node = &mut self.nodes[index];
                let local = &mut node.workers[worker];
                let mut pieces = Vec::new();
                let mut left = self.spare_frames;
                let spare = || {
                    left = left.checked_sub(1)?;
                    Some(Frame::new())
                };
                let out = |piece, action| pieces.push((piece, action));
                // What failed is in the counters.
                dataplane::cut_and_dress(&node.world, local, adjacency, &mut frame, spare, out)
                    .ok();
                for (piece, action) in pieces {
                    self.act(index, worker, action, piece);
                }
            }
            Action::Punt(Punt::Absorbed) => self.outcome.absorbed += 1,
            Action::Punt(Punt::Worker(..)) => panic!("handed off twice"),
            Action::Drop(_) => {}
        }
    }

    fn leave(&mut self, index: usize, port: PortId, frame: Frame) {
        inspect::leaving(&self.nodes[index].description, port, &frame);
        let place = match &self.nodes[index].world.port(port).expect("a port").kind {
            PortKind::Uplink { .. } => return self.carry(&frame),
            PortKind::Host => Place::Host(index),
            PortKind::Workload(workload) => Place::Pod(workload.address),
        };
        self.outcome.delivered.push(Delivery { place, frame });
    }

    /// The underlay takes a frame from a node's eth0.
    fn carry(&mut self, frame: &Frame) {
        for packet in on_the_wire(frame) {
            match self.underlay.carry(&packet) {
                Carried::Lost => self.outcome.lost += 1,
                Carried::TooBig(error) => self.arrive(&error),
                Carried::Pieces(pieces) => pieces.iter().for_each(|piece| self.arrive(piece)),
            }
        }
    }

    /// A packet comes out of the underlay at the node it is addressed to.
    fn arrive(&mut self, packet: &[u8]) {
        let dst = ipv4::Header::parse(packet).expect("a valid packet").dst;
        let node = self
            .nodes
            .iter()
            .position(|node| is_for(&node.description, dst));
        let Some(node) = node else {
            self.outcome.lost += 1;
            return;
        };
        let mac = node_mac(self.nodes[node].description.address);
        let bytes = build::ethernet(node_mac(ROUTER), mac, packet);
        self.in_flight
            .push_back((node, UPLINK_PORT, Frame::from_ethernet(&bytes)));
    }
}

/// The underlay's routes: node addresses, and blocks for unencapsulated peers.
fn is_for(description: &Description, dst: Ipv4Addr) -> bool {
    description.address == dst
        || description
            .own_blocks
            .iter()
            .any(|block| block.contains(&dst))
}

fn drops(node: &Node) -> Vec<u64> {
    DropReason::TABLE
        .iter()
        .map(|row| node.dropped(row.reason))
        .collect()
}

/// An Ethernet header for IPv4.
pub fn link(src: MacAddr, dst: MacAddr) -> [u8; 14] {
    ethernet::Header {
        dst,
        src,
        ethertype: EtherType::IPV4,
    }
    .emit()
}

/// The pods as policy knows them: namespace `default`, label `app` = name.
fn cluster(plans: &[NodePlan]) -> Cluster {
    let mut cluster = Cluster::new();
    let pods = plans
        .iter()
        .flat_map(|plan| plan.pods.iter().map(move |pod| (plan.name, pod)));
    for (node, (name, address)) in pods {
        let yaml = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: default, labels: {{app: {name}}}}}, \
             spec: {{nodeName: {node}, containers: []}}, \
             status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}]}}}}"
        );
        let objects = policy::parse("pods.yaml", &yaml).expect("a valid pod");
        objects.into_iter().for_each(|object| cluster.apply(object));
    }
    cluster
}
