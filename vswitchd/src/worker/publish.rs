//! From the desired state to a snapshot in force at every worker.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use dataplane::conntrack::{State, Timeouts};
use dataplane::{Event, Generation, Local, LocalConfig, WorkerId};
use port::{RawIp, TunConfig, TunPort, Waker};

use super::clock::Clock;
use super::closer::Closer;
use super::command::{Command, End};
use super::crew::Crew;
use super::describe::{HOST_INTERFACE, closed, describe};
use super::encapsulation::SegmentationHelp;
use super::flow_recorder::FlowRecorder;
use super::inbox::Inbox;
use super::limits::Limits;
use super::live::LiveWorkers;
use super::policy::PolicyInForce;
use super::ports::{self, HOST, Ports};
use super::relaying::{Attachments, RelayHelp};
use super::shared::{Retired, Shared};
use super::thread::{Parts, Worker};
use crate::config;
use crate::control::{DesiredState, PublishError, Publisher};
use crate::metrics::Meters;
use crate::tap::Hub;

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
    /// Whether the kernel may relay settled flows.
    pub kernel_relay: config::KernelRelay,
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
    relaying: RelayHelp,
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
        let wakers = (0..count)
            .map(|_| Waker::new())
            .collect::<Result<Vec<_>, _>>();
        let wakers = wakers.map_err(|source| SwitchError::Thread { worker: 0, source })?;
        let policy = PolicyInForce::new(config.policy);
        let first = closed(state, config.host_mtu_bytes);
        let first = dataplane::compile(&first, policy.table(), Generation(1));
        let shared = Arc::new(Shared::new(first, wakers.clone()));
        let clock = Clock::start();
        if let Some(recorder) = &config.flow_recorder {
            recorder.begin();
            recorder.keep(Generation(1), &policy.table());
        }
        let (events, noticed) = crossbeam_channel::bounded(256);
        let relaying = RelayHelp::new(config.kernel_relay);
        let no_thread = |source| SwitchError::Thread { worker: 0, source };
        let closer = Closer::start().map_err(no_thread)?;
        let attachments = Attachments::start(relaying.clone()).map_err(no_thread)?;
        let crew = start_workers(config, &shared, &raw, clock, &events, &relaying, &closer)?;
        let (commands, threads): (Vec<_>, Vec<_>) = crew.into_iter().unzip();
        let registry = Arc::default();
        let segmentation = SegmentationHelp::new(config.kernel_encapsulation);
        let ports = Ports::new(
            commands.clone(),
            wakers,
            Arc::clone(&registry),
            segmentation.clone(),
            attachments,
        );
        ports.adopt(
            HOST,
            tun.into_iter()
                .map(|end| End::plain(Box::new(end)))
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
            (segmentation, relaying.clone()),
            clock,
            Arc::new(Hub::new(Box::new(crew))),
        );
        let switch = Self {
            shared,
            commands,
            threads,
            ports,
            relaying,
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
        self.relaying.allow(generation);
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

/// Where a worker takes its orders, and its thread.
type Started = (Sender<Command>, JoinHandle<()>);

/// Starts a worker for each waker of `shared`.
fn start_workers(
    config: &SwitchConfig,
    shared: &Arc<Shared>,
    raw: &Arc<RawIp>,
    clock: Clock,
    events: &Sender<Event>,
    relaying: &RelayHelp,
    closer: &Closer,
) -> Result<Vec<Started>, SwitchError> {
    let inboxes: Arc<[Inbox]> = shared.wakers.iter().cloned().map(Inbox::new).collect();
    let start = |index| -> std::io::Result<_> {
        let (sender, commands) = crossbeam_channel::unbounded();
        let worker = Worker::new(Parts {
            index,
            local: local(config, index, inboxes.len(), clock, shared)?,
            shared: Arc::clone(shared),
            inboxes: Arc::clone(&inboxes),
            commands,
            closer: closer.clone(),
            events: events.clone(),
            raw: Arc::clone(raw),
            clock,
            spin: config.spin,
            lanes: relaying.lanes(index, inboxes.len()),
        })?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        Ok((sender, thread.spawn(|| worker.run())?))
    };
    (0..inboxes.len())
        .map(|worker| start(worker).map_err(|source| SwitchError::Thread { worker, source }))
        .collect()
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
