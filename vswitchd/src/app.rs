//! The daemon from start to end: configuration, host, workers, state, socket, signals.

use std::{
    fs::{self, File},
    panic,
    path::Path,
    process,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use crossbeam_channel::{Receiver, Sender, unbounded};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::Notify;
use tracing::info;

use crate::{
    admin::{Desk, health, server, socket},
    config::{Config, IPIP_OVERHEAD},
    control::{
        DesiredState, Engine, Live, Message, Newcomers, Parts, PodSource, Seed, Update,
        block_owners, path_mtu, watch,
    },
    flow_log::{self, Flows},
    host::{
        links::KernelLinks,
        nat::{Nat, Rules},
        tunnel, uplink,
        watch::Watch,
    },
    ipam::AddressBook,
    log,
    metrics::{Exporter, Meters},
    show,
    state::Attachments,
    tap::{Flight, Hub},
    web::{self, Prober, Site},
    worker::{Switch, SwitchConfig},
};

/// As many descriptors as the system lets us have: a port takes one for each worker and two more, and the usual 1024 would
/// end at 250 pods.
fn allow_descriptors() {
    let allowed = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = allowed {
        tracing::warn!(%error, "no more descriptors than we were started with");
    }
}

/// Runs the daemon until it is told to end. Pods keep their state: the next start takes them over.
///
/// # Errors
/// Whatever prevents a start, in one chain of sentences.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let log = log::start(&config.log).context("log.level")?;
    end_with_any_panic();
    let _lock = lock(&config.state_dir)?;
    allow_descriptors();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = {
        let _inside = runtime.enter();
        socket::open(&config.socket)?
    };
    let daemon = Daemon::start(config)?;
    let shutdown = Arc::new(Notify::new());
    let desk = daemon.desk(shutdown.clone(), log.clone());
    let site = daemon.site(config);
    info!(node = %config.node, socket = %config.socket.display(), "ready");
    let reason = runtime.block_on(async {
        tokio::spawn(server::serve(listener, desk));
        if let Some(address) = config.metrics_listen {
            tokio::spawn(web::serve(address, site));
        }
        until_told(&shutdown).await
    })?;
    info!(reason, "ending; pods keep their state");
    runtime.shutdown_timeout(Duration::from_secs(1));
    // Nobody answers on it any more; a leftover would only be replaced by the next start.
    let _ = fs::remove_file(&config.socket);
    daemon.end();
    log.sum_up();
    Ok(())
}

/// Everything that runs besides the socket.
struct Daemon {
    engine: Sender<Message>,
    thread: thread::JoinHandle<()>,
    view: Arc<arc_swap::ArcSwap<crate::control::View>>,
    live: Arc<dyn Live>,
    taps: Arc<Hub>,
    flows: Arc<Flows>,
    nat: Nat,
    meters: Arc<Meters>,
}

impl Daemon {
    fn start(config: &Config) -> anyhow::Result<Self> {
        let (mut desired, book) = first_state(config)?;
        let policies = first_policies(config, &mut desired)?;
        let attachments = Attachments::open(&config.state_dir.join("attachments.json"))?;
        let host_mtu = desired.uplink.mtu_bytes.saturating_sub(IPIP_OVERHEAD);
        let meters = Arc::new(Meters::new()?);
        let recorder = flow_log::recorder(config.flow_log.as_ref(), config.workers);
        let switch = SwitchConfig {
            workers: config.workers,
            max_flows: config.max_flows,
            timeouts: config.timeouts,
            policy: config.policy,
            spin: config.spin,
            host_mtu_bytes: u16::try_from(host_mtu).unwrap_or(u16::MAX),
            kernel_encapsulation: config.kernel_encapsulation,
            kernel_relay: config.kernel_relay,
            meters: meters.clone(),
            flow_recorder: recorder.clone(),
        };
        let (switch, live, noticed) = Switch::start(&switch, &desired)?;
        prepare_host(&desired, host_mtu)?;
        let nat = Nat::start(Rules::of(&desired)).context("starting the thread that keeps NAT")?;
        let (engine, inbox) = unbounded();
        Watch::new(&desired, engine.clone(), Some(nat.clone())).start()?;
        let decider = Engine::start(Parts {
            pod_mtu_bytes: config.pod_mtu_bytes(desired.uplink.mtu_bytes),
            desired,
            book,
            attachments,
            publisher: switch,
            links: Box::new(KernelLinks),
            pods: pod_source(config, policies.as_ref()),
        })?;
        let view = decider.view();
        path_mtu::forward(noticed, view.clone(), engine.clone())?;
        if let (Some(directory), Some(seen)) = (&config.policy_dir, policies) {
            watch::watch(directory.clone(), policy_copy(config), seen, engine.clone())?;
        }
        let taps = live.taps();
        start_recorder(config, &taps, &view)?;
        let live: Arc<dyn Live> = Arc::new(live);
        let (log, known) = (config.flow_log.as_ref(), view.clone());
        let flows = Flows::start(log, recorder, known, live.clone())?;
        let thread = spawn_engine(decider, inbox)?;
        Ok(Self {
            engine,
            thread,
            view,
            taps,
            live,
            flows,
            nat,
            meters,
        })
    }

    fn desk(&self, shutdown: Arc<Notify>, log: log::Control) -> Desk {
        let (nat, live) = (self.nat.clone(), self.live.clone());
        let started = health::Started::now();
        Desk {
            engine: self.engine.clone(),
            view: self.view.clone(),
            live: self.live.clone(),
            taps: self.taps.clone(),
            tables: Arc::new(show::table),
            doctor: Arc::new(move |view| {
                health::rows(
                    view,
                    nat.trouble(),
                    &live.segmentation(),
                    &live.relaying(),
                    &started,
                )
            }),
            shutdown,
            meters: self.meters.clone(),
            log,
            flows: self.flows.clone(),
        }
    }

    /// What is served over HTTP, where the file asks for it.
    fn site(&self, config: &Config) -> Site {
        let flows = self.flows.clone();
        let exporter = Exporter {
            view: self.view.clone(),
            live: self.live.clone(),
            meters: self.meters.clone(),
            max_flows: config.max_flows,
            flow_log_lost: Arc::new(move || flows.lost()),
        };
        let prober = Prober {
            engine: self.engine.clone(),
            view: self.view.clone(),
            live: self.live.clone(),
            socket: config.socket.clone(),
        };
        Site::new(exporter, prober)
    }

    /// Ends the engine, and with it the workers and `tunl0`; removes the NAT table.
    fn end(self) {
        let _ = self.engine.send(Message::Stop);
        let _ = self.thread.join(); // it ends well or, by a panic, everything with it
        self.nat.remove();
    }
}

/// Records from the start, where the file asks for it.
fn start_recorder(
    config: &Config,
    taps: &Arc<Hub>,
    view: &Arc<arc_swap::ArcSwap<crate::control::View>>,
) -> anyhow::Result<()> {
    if let Some(recorder) = &config.recorder {
        let usual = config.state_dir.join("recorder");
        let directory = recorder.directory.clone().unwrap_or(usual);
        let flight = Flight::start(taps, view, recorder, directory)?;
        let _ = taps.flight.set(flight); // nobody else sets it
    }
    Ok(())
}

fn spawn_engine(
    engine: Engine<Switch>,
    inbox: Receiver<Message>,
) -> anyhow::Result<thread::JoinHandle<()>> {
    let builder = thread::Builder::new().name("engine".into());
    Ok(builder.spawn(move || engine.run(&inbox))?)
}

fn first_state(config: &Config) -> anyhow::Result<(DesiredState, AddressBook)> {
    let (uplink, address) = uplink::find(config)?;
    info!(uplink = %uplink.name, %address, mtu = uplink.mtu_bytes, "uplink");
    let owners = block_owners(config)?;
    let blocks = owners.get(&config.node).map_or(&[][..], Vec::as_slice);
    let path = config.state_dir.join("ipam.json");
    let book = AddressBook::open(&path, &config.node, blocks)?;
    let seed = Seed {
        address,
        tunnel_address: book.tunnel_address(),
        uplink,
    };
    let mut desired = DesiredState::new(config, seed)?;
    let addresses = uplink::local_addresses(&netlink::Handle::open()?)?;
    desired.apply(Update::LocalAddresses(addresses));
    Ok((desired, book))
}

fn first_policies(
    config: &Config,
    desired: &mut DesiredState,
) -> anyhow::Result<Option<watch::Seen>> {
    let Some(directory) = &config.policy_dir else {
        return Ok(None);
    };
    let initial = watch::initial(directory, &policy_copy(config))?;
    desired.apply(Update::Policies(initial.cluster));
    if !initial.errors.is_empty() {
        for line in &initial.errors {
            tracing::error!("policy not loaded, the last good state is in force: {line}");
        }
        desired.apply(Update::PoliciesRejected(initial.errors));
    }
    Ok(Some(initial.seen))
}

fn pod_source(config: &Config, seen: Option<&watch::Seen>) -> Option<Box<dyn PodSource>> {
    let newcomers = Newcomers::of(config.policy_dir.clone()?, seen?.clone());
    Some(Box::new(newcomers))
}

/// Where the last good policies are kept.
fn policy_copy(config: &Config) -> std::path::PathBuf {
    config.state_dir.join("policy")
}

fn prepare_host(desired: &DesiredState, host_mtu: u32) -> anyhow::Result<()> {
    let plan = tunnel::Plan {
        address: desired.node.tunnel_address,
        mtu_bytes: host_mtu,
        pools: desired.pools.iter().map(|pool| pool.cidr).collect(),
    };
    plan.apply()?;
    tunnel::set_parameters();
    Ok(())
}

/// One daemon per state directory.
fn lock(state_dir: &Path) -> anyhow::Result<Flock<File>> {
    let path = state_dir.join("lock");
    fs::create_dir_all(state_dir)
        .with_context(|| format!("making the state directory {}", state_dir.display()))?;
    let file = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, nix::errno::Errno::EAGAIN)) => bail!(
            "another vswitchd uses the state directory {}; stop it first",
            state_dir.display()
        ),
        Err((_, error)) => Err(error).with_context(|| format!("locking {}", path.display())),
    }
}

async fn until_told(shutdown: &Notify) -> anyhow::Result<&'static str> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = interrupt.recv() => Ok("SIGINT"),
        () = shutdown.notified() => Ok("a client asked for it"),
    }
}

/// From now on a panic in any thread ends the process. A half-dead daemon is worse than a restart:
/// without the engine every ADD and DEL hangs while the socket still accepts, without a worker its
/// share of the flows is black-holed, without a watcher stale policies stay in force, and nobody is
/// told. A restart takes over every pod within a second. The hook, rather than a `catch_unwind` in
/// each thread, covers all of them, also those that are added later.
fn end_with_any_panic() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        report(info); // where, and with RUST_BACKTRACE the way there
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        tracing::error!(thread, %info, "a thread panicked: the daemon ends, to be started again");
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, process::Command};

    use super::*;

    const MARK: &str = "VSWITCHD_TEST_PANIC";

    #[test]
    fn a_panic_in_any_thread_ends_the_process() {
        if std::env::var_os(MARK).is_some() {
            end_with_any_panic();
            let engine = thread::Builder::new().name("engine".into());
            let thread = engine.spawn(|| panic!("on purpose")).unwrap();
            let _ = thread.join();
            return;
        }
        let child = Command::new("sh")
            .args(["-c", "ulimit -c 0; exec \"$0\" \"$@\""])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("app::tests::a_panic_in_any_thread_ends_the_process")
            .env(MARK, "1")
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(nix::libc::SIGABRT));
        assert!(String::from_utf8_lossy(&child.stderr).contains("on purpose"));
    }
}
