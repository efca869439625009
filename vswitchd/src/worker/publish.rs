//! From the desired state to a snapshot in force at every worker.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use dataplane::conntrack::{State, Timeouts};
use dataplane::{
    Description, Event, Generation, Local, LocalConfig, PeerDescription, UplinkDescription,
    WorkerId, WorkloadDescription,
};
use ipnet::Ipv4Net;
use port::{PortIo, RawIp, TunConfig, TunPort, Waker};

use super::clock::Clock;
use super::command::Command;
use super::crew::Crew;
use super::encapsulation::Help;
use super::flow_recorder::FlowRecorder;
use super::inbox::Inbox;
use super::limits::Limits;
use super::live::LiveWorkers;
use super::policy::PolicyInForce;
use super::ports::{self, HOST, Ports, UPLINK};
use super::shared::{Retired, Shared};
use super::thread::{Parts, Worker};
use crate::config;
use crate::control::{DesiredState, Encapsulation, Peer, PublishError, Publisher};
use crate::metrics::Meters;
use crate::tap::Hub;

/// The host port's device, by Calico's name.
const HOST_INTERFACE: &str = "tunl0";
/// After a start, connections are picked up from the middle by either end.
const PICK_UP: Duration = Duration::from_secs(120);
/// A worker that has not taken a snapshot over by then hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the workers are to be.
#[derive(Clone, Debug)]
pub struct SwitchConfig {
    /// How many, at least 1.
    pub workers: usize,
    /// Tracked flows at most, all workers together.
    pub max_flows: usize,
    /// How long silent flows are remembered.
    pub timeouts: config::Timeouts,
    /// What a denial means where no policy says otherwise.
    pub policy: policy::Settings,
    /// How long an idle worker looks for frames before it sleeps.
    pub spin: Duration,
    /// MTU of the host port in bytes.
    pub host_mtu_bytes: u16,
    /// Whether the kernel may help to encapsulate.
    pub kernel_encapsulation: config::KernelEncapsulation,
    /// Who hears of flows, if anyone.
    pub flow_recorder: Option<Arc<FlowRecorder>>,
    /// Where it is noted how long policies take to compile.
    pub meters: Arc<Meters>,
}

/// Why the workers did not start.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// The TUN device or the raw socket could not be opened.
    #[error(transparent)]
    Port(#[from] port::Error),
    /// A thread, poller or random seed was refused.
    #[error("worker {worker}: {source}")]
    Thread {
        /// Which one.
        worker: usize,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The workers, as the control plane holds them.
pub struct Switch {
    shared: Arc<Shared>,
    commands: Vec<Sender<Command>>,
    threads: Vec<JoinHandle<()>>,
    ports: Ports,
    limits: Limits,
    policy: PolicyInForce,
    generation: Generation,
    host_mtu_bytes: u16,
    retired: Retired,
    flow_recorder: Option<Arc<FlowRecorder>>,
    meters: Arc<Meters>,
}

impl Switch {
    /// Opens `tunl0` and the raw IPIP socket and starts the workers, which
    /// drop everything until the first publication. `state` is the one to be
    /// published; the receiver gives what workers noticed.
    ///
    /// # Errors
    /// [`SwitchError`]: what could not be opened, and what to do about it.
    pub fn start(
        config: &SwitchConfig,
        state: &DesiredState,
    ) -> Result<(Self, LiveWorkers, Receiver<Event>), SwitchError> {
        let count = config.workers.max(1);
        let raw = Arc::new(RawIp::open()?);
        let tun = TunPort::open(&TunConfig {
            name: HOST_INTERFACE,
            mtu: config.host_mtu_bytes.into(),
            queues: count,
        })?;
        let failed = |worker, source| SwitchError::Thread { worker, source };
        let wakers = (0..count)
            .map(|_| Waker::new())
            .collect::<Result<Vec<_>, _>>();
        let wakers = wakers.map_err(|source| failed(0, source))?;
        let policy = PolicyInForce::new(config.policy);
        let first = dataplane::compile(
            &closed(state, config.host_mtu_bytes),
            policy.table(),
            Generation(1),
        );
        let shared = Arc::new(Shared::new(first, wakers.clone()));
        let inboxes: Arc<[Inbox]> = wakers.iter().cloned().map(Inbox::new).collect();
        let (events, noticed) = crossbeam_channel::bounded(256);
        let clock = Clock::start();
        if let Some(recorder) = &config.flow_recorder {
            recorder.begin();
            recorder.keep(Generation(1), &policy.table());
        }
        let (mut commands, mut threads) = (Vec::new(), Vec::new());
        for index in 0..count {
            let (sender, receiver) = crossbeam_channel::unbounded();
            let local = local(config, index, count, clock, &shared);
            let parts = Parts {
                index,
                local: local.map_err(|source| failed(index, source))?,
                shared: Arc::clone(&shared),
                inboxes: Arc::clone(&inboxes),
                commands: receiver,
                events: events.clone(),
                raw: Arc::clone(&raw),
                clock,
                spin: config.spin,
            };
            let worker = Worker::new(parts).map_err(|source| failed(index, source))?;
            let thread = std::thread::Builder::new().name(format!("worker-{index}"));
            let thread = thread.spawn(|| worker.run());
            threads.push(thread.map_err(|source| failed(index, source))?);
            commands.push(sender);
        }
        let registry = Arc::default();
        let help = Help::new(config.kernel_encapsulation);
        let ports = Ports::new(
            commands.clone(),
            wakers,
            Arc::clone(&registry),
            help.clone(),
        );
        ports.adopt(
            HOST,
            tun.into_iter()
                .map(|end| Box::new(end) as Box<dyn PortIo>)
                .collect(),
        );
        let crew = Crew {
            shared: Arc::clone(&shared),
            commands: commands.clone(),
            clock,
        };
        let live = LiveWorkers::new(
            Arc::clone(&shared),
            commands.clone(),
            registry,
            help,
            clock,
            Arc::new(Hub::new(Box::new(crew))),
        );
        let switch = Self {
            shared,
            commands,
            threads,
            ports,
            limits: Limits::default(),
            policy,
            generation: Generation(1),
            host_mtu_bytes: config.host_mtu_bytes,
            retired: Retired::default(),
            flow_recorder: config.flow_recorder.clone(),
            meters: Arc::clone(&config.meters),
        };
        Ok((switch, live, noticed))
    }

    /// Frees snapshots that every worker has moved past.
    fn reclaim(&mut self) {
        self.retired.reclaim(&self.shared);
    }

    /// The table of this state, and how long it took if it is a new one.
    fn compile_policy(&mut self, state: &DesiredState) -> Arc<policy::Table> {
        let (before, start) = (self.policy.epoch(), Instant::now());
        let table = self.policy.of(state);
        if self.policy.epoch() != before {
            self.meters.compiled(self.policy.epoch(), start.elapsed());
        }
        table
    }
}

impl Publisher for Switch {
    fn publish(&mut self, state: &DesiredState) -> Result<u64, PublishError> {
        let wanted = ports::wanted(state);
        self.ports.open_wanted(&wanted)?;
        let generation = Generation(self.generation.0 + 1);
        self.limits.update(state, generation);
        let description = describe(state, &self.limits, self.host_mtu_bytes);
        let table = self.compile_policy(state);
        if let Some(recorder) = &self.flow_recorder {
            recorder.keep(generation, &table);
        }
        let snapshot = dataplane::compile(&description, table, generation);
        self.retired.keep(self.shared.publish(snapshot));
        self.generation = generation;
        self.ports.close_unwanted(&wanted);
        self.reclaim();
        Ok(generation.0.into())
    }

    fn wait(&mut self, generation: u64) -> Result<(), PublishError> {
        let start = Instant::now();
        while u64::from(self.shared.oldest_used().0) < generation {
            let waited = start.elapsed();
            if waited > PATIENCE {
                let waited_ms = waited.as_millis() as u64;
                return Err(PublishError::Late {
                    generation,
                    waited_ms,
                });
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        self.reclaim();
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for commands in &self.commands {
            // A worker that is gone needs no order to stop.
            let _ = commands.send(Command::Stop);
        }
        self.shared.wakers.iter().for_each(Waker::wake);
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

fn local(
    config: &SwitchConfig,
    index: usize,
    count: usize,
    clock: Clock,
    shared: &Shared,
) -> std::io::Result<Local> {
    let mut seed = [[0; 8]; 2];
    for half in &mut seed {
        std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, half)?;
    }
    let recorder = config.flow_recorder.as_ref();
    let config = LocalConfig {
        worker: WorkerId(index as u16),
        workers: count as u16,
        max_flows: config.max_flows / count,
        timeouts: timeouts(&config.timeouts),
        seed: seed.map(u64::from_ne_bytes),
        pick_up_until: clock.now() + PICK_UP,
    };
    let mut local = Local::new(config, Arc::clone(&shared.counters[index]));
    if let Some((log, journal)) = recorder.map(|recorder| recorder.pen(index)) {
        local.log_flows(log, journal);
    }
    Ok(local)
}

/// How long flows may stay, as the file has it.
pub(crate) fn timeouts(wanted: &config::Timeouts) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for (state, timeout) in [
        (State::SynSent, wanted.tcp_handshake),
        (State::SynReceived, wanted.tcp_handshake),
        (State::Established, wanted.tcp_established),
        (State::FinWait, wanted.tcp_closing),
        (State::TimeWait, wanted.tcp_closing),
        (State::UdpUnreplied, wanted.udp_unreplied),
        (State::UdpReplied, wanted.udp_replied),
        (State::IcmpUnreplied, wanted.icmp),
        (State::IcmpReplied, wanted.icmp),
        (State::OtherUnreplied, wanted.other),
        (State::OtherReplied, wanted.other),
    ] {
        timeouts.set(state, timeout);
    }
    timeouts
}

/// A node without uplink, peers or pods: what workers have until the first
/// publication.
fn closed(state: &DesiredState, host_mtu_bytes: u16) -> Description {
    Description {
        address: state.node.address.addr(),
        tunnel_address: state.node.tunnel_address,
        local_addresses: state.node.local_addresses.clone(),
        host_port: HOST,
        host_name: HOST_INTERFACE.to_owned(),
        host_mtu_bytes,
        uplink: None,
        pools: state.pools.iter().map(|pool| pool.cidr).collect(),
        routable_pools: state
            .pools
            .iter()
            .filter(|pool| !pool.nat_outgoing)
            .map(|pool| pool.cidr)
            .collect(),
        own_blocks: state.blocks.clone(),
        peers: Vec::new(),
        workloads: Vec::new(),
    }
}

pub(super) fn describe(state: &DesiredState, limits: &Limits, host_mtu_bytes: u16) -> Description {
    Description {
        uplink: Some(UplinkDescription {
            port: UPLINK,
            name: state.uplink.name.clone(),
            mac: state.uplink.mac,
            mtu_bytes: to_u16(state.uplink.mtu_bytes),
        }),
        peers: state.peers.values().map(describe_peer).collect(),
        workloads: state
            .workloads
            .values()
            .map(|workload| {
                let kept = limits.of(workload);
                WorkloadDescription {
                    port: ports::workload_port(workload.slot),
                    name: workload.host_interface.clone(),
                    address: workload.address,
                    mac: workload.mac,
                    mtu_bytes: to_u16(workload.mtu_bytes),
                    since: kept.since,
                    egress_limit: kept.egress,
                    ingress_limit: kept.ingress,
                }
            })
            .collect(),
        ..closed(state, host_mtu_bytes)
    }
}

fn describe_peer(peer: &Peer) -> PeerDescription {
    let blocks = |wanted: Encapsulation| -> Vec<Ipv4Net> {
        let routes = peer.routes.iter();
        routes
            .filter(|route| route.encapsulation == wanted)
            .map(|route| route.block)
            .collect()
    };
    PeerDescription {
        name: peer.name.clone(),
        address: peer.address.addr(),
        tunneled_blocks: blocks(Encapsulation::Ipip),
        plain_blocks: blocks(Encapsulation::Plain),
        next_hop_mac: peer.next_hop.mac,
        path_mtu_bytes: Some(to_u16(peer.path_mtu_bytes)),
    }
}

/// Sizes beyond IPv4's largest packet do not exist for us.
fn to_u16(bytes: u32) -> u16 {
    u16::try_from(bytes).unwrap_or(u16::MAX)
}
