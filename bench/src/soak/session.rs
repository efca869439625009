//! One soak from the first packet to the last count.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use lab::binaries::Binaries;

use super::{
    agent::{bulk, churn::Churned, paced, serve::Served, sink},
    changes::{Changes, Turnstile},
    guests::{self, Guests},
    summary::{Balance, Datagrams, Node, Stream, Summary},
    vitals::{self, Counted, Held},
    world::{DOOR, EMPTY_WITHIN_SECONDS, NODES, VERIFIED, World},
};
use crate::run::{
    error::{Error, Result},
    interrupt,
    job::Job,
};

/// Who sends to whom, streams and datagrams: on one node and across, both directions.
const WAYS: [(&str, &str); 4] = [
    ("left", "near"),
    ("near", "left"),
    ("left", "far"),
    ("far", "left"),
];
/// Who opens short connections to whom.
const CHURN: [(&str, &str); 3] = [("left", "near"), ("near", "far"), ("far", "near")];
/// Where verified traffic ends.
const SERVERS: [&str; 3] = ["left", "near", "far"];
/// Frames that are on their way have arrived, and a worker has counted what its kernel queue lost (once a second), after this.
const SETTLED: Duration = Duration::from_millis(2500);
/// A client has written its result this long after its time.
const LATE: Duration = Duration::from_secs(40);
/// Of the run, before which memory is not compared.
const WARM_UP: f64 = 0.2;
/// How long datagrams alone are sent for the balance of frames.
const BALANCE_SECONDS: f64 = 3.0;
/// The first flow of the overload, and of the balance.
const OVERLOAD: u64 = 10_000;
const BALANCE: u64 = 20_000;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How long.
    pub seconds: u64,
    /// Worker threads of each daemon; none: as many as it chooses.
    pub workers: Option<usize>,
    /// Paced datagrams a second on each way.
    pub datagram_rate: u64,
    /// Short connections a second on each way.
    pub connection_rate: u64,
    /// Datagrams that the overload sends at once, every second.
    pub burst: u64,
}

/// Runs it; `tell` is told how far it is.
///
/// # Errors
/// The lab does not come up, an agent fails, or the run was interrupted. What traffic suffers is no error but in the summary.
pub fn run(plan: &Plan, programs: &Binaries, tell: impl Fn(&str) + Sync) -> Result<Summary> {
    tell("two nodes, seven pods");
    let world = World::up(programs, plan.workers)?;
    let mut ends = Ends::start(&world)?;
    let _answer = world.server("asked", &format!("answer --listen 0.0.0.0:{DOOR}"))?;
    let asker = world.server("asker", &format!("ask --to {}", world.at("asked", DOOR)?))?;
    let turnstile = Turnstile::new(&world, asker)?;
    let before = Census::take(&world)?;

    let clients = Clients::start(&world, plan)?;
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    let (guests, changes, memory) = thread::scope(|scope| {
        let guests = scope.spawn(|| guests::receive(&world, end));
        let changes = scope.spawn(|| turnstile.turn(end));
        let memory = watch(&world, plan, end, &tell);
        let join = |error: &str| Error::Absent(error.into());
        Ok::<_, Error>((
            guests.join().map_err(|_| join("the guests panicked"))?,
            changes.join().map_err(|_| join("the changes panicked"))?,
            memory?,
        ))
    })?;
    let (guests, changes): (Guests, Changes) = (guests?, changes?);
    let mut summary = clients.finish()?;
    tell("counting");
    thread::sleep(SETTLED);
    let after = Census::take(&world)?;
    ends.count(&mut summary)?;
    (summary.guests, summary.changes) = (guests, changes);
    after.compare(&before, &mut summary);
    let balances = balance(&world, plan.datagram_rate)?;
    tell("waiting for the flow tables to empty");
    for (at, node) in NODES.into_iter().enumerate() {
        let (flows_of_silent, flows_left) = emptied(&world, node, &summary.guests)?;
        // The thread that answered has ended.
        thread::sleep(Duration::from_millis(500));
        summary.nodes.push(Node {
            name: node.into(),
            before: before.held[at],
            warm: memory[at].0,
            loaded: memory[at].1,
            after: world.held(node)?,
            flows_of_silent,
            flows_left,
            counted: after.counted[at].since(&before.counted[at]),
            balance: balances[at].clone(),
        });
    }
    summary.flood_interface = world.host_interface("flood");
    Ok(summary.judged(plan))
}

/// Looks at the memory of both daemons until the end: after the warm-up, and last.
fn watch(
    world: &World,
    plan: &Plan,
    end: Instant,
    tell: &impl Fn(&str),
) -> Result<Vec<(Held, Held)>> {
    let length = Duration::from_secs(plan.seconds);
    let warm = end - length.mul_f64(1.0 - WARM_UP);
    let held = || {
        NODES
            .into_iter()
            .map(|node| world.held(node))
            .collect::<Result<Vec<Held>>>()
    };
    let mut first = None;
    let mut told = Instant::now();
    while Instant::now() < end {
        interrupt::check()?;
        thread::sleep(Duration::from_millis(200));
        if first.is_none() && Instant::now() >= warm {
            first = Some(held()?);
        }
        if told.elapsed() >= Duration::from_secs(10) {
            told = Instant::now();
            let left = end.saturating_duration_since(told).as_secs();
            let memory: Vec<u64> = held()?.iter().map(|held| held.rss_kib).collect();
            tell(&format!("{left} s to go, daemons at {memory:?} KiB"));
        }
    }
    let last = held()?;
    Ok(first
        .unwrap_or_else(|| last.clone())
        .into_iter()
        .zip(last)
        .collect())
}

/// Datagrams alone, and nobody comes or goes: then every frame that came in went out or was counted.
fn balance(world: &World, rate: u64) -> Result<Vec<Balance>> {
    let before = NODES.into_iter().map(|node| world.counted(node));
    let before: Vec<Counted> = before.collect::<Result<_>>()?;
    let jobs = WAYS.into_iter().zip(0..).map(|((from, to), number)| {
        datagrams(
            world,
            from,
            to,
            BALANCE + 100 * number,
            rate,
            BALANCE_SECONDS,
        )
    });
    for job in jobs.collect::<Result<Vec<Job>>>()? {
        job.output(LATE)?;
    }
    thread::sleep(SETTLED);
    NODES
        .into_iter()
        .zip(&before)
        .map(|(node, before)| {
            let rose = world.counted(node)?.since(before);
            Ok(Balance {
                received: rose.all(|port| port.rx_frames),
                sent: rose.all(|port| port.tx_frames),
                missed: rose.all(|port| port.missed),
                dropped: rose.drops,
            })
        })
        .collect()
}

/// The flows a node still tracks when none should be left: nothing has come or gone since the load but the datagrams of the
/// balance. First those with guests of the other node.
fn emptied(world: &World, node: &str, guests: &Guests) -> Result<(Vec<String>, Vec<String>)> {
    let came = guests.came.iter().filter(|(home, _)| home != node);
    let elsewhere: Vec<String> = came.map(|(_, address)| address.to_string()).collect();
    let end = Instant::now() + Duration::from_secs(EMPTY_WITHIN_SECONDS);
    loop {
        let (silent, left) = world.flows(node, &elsewhere)?;
        if left.is_empty() || Instant::now() > end {
            return Ok((silent, left));
        }
        interrupt::check()?;
        thread::sleep(Duration::from_millis(200));
    }
}

fn datagrams(
    world: &World,
    from: &str,
    to: &str,
    flow: u64,
    rate: u64,
    seconds: f64,
) -> Result<Job> {
    let to = world.at(to, VERIFIED)?;
    world.client(
        from,
        &format!("paced --to {to} --seconds {seconds} --rate {rate} --first-flow {flow}"),
    )
}

/// Everything counted at a moment.
struct Census {
    held: Vec<Held>,
    counted: Vec<Counted>,
    devices: BTreeMap<String, u64>,
    segments: (u64, u64),
    flood_sent: u64,
}

impl Census {
    fn take(world: &World) -> Result<Self> {
        let mut devices = BTreeMap::new();
        let mut segments = (0, 0);
        for (name, place) in world.namespaces() {
            let drops = vitals::device_drops(&place)?.into_iter();
            devices.extend(drops.map(|(device, count)| (format!("{name}/{device}"), count)));
            let (sent, again) = vitals::tcp_segments(&place)?;
            segments = (segments.0 + sent, segments.1 + again);
        }
        let of_both = || NODES.into_iter();
        Ok(Self {
            held: of_both()
                .map(|node| world.held(node))
                .collect::<Result<_>>()?,
            counted: of_both()
                .map(|node| world.counted(node))
                .collect::<Result<_>>()?,
            devices,
            segments,
            flood_sent: vitals::device_sent(&world.pod("flood"))?,
        })
    }

    fn compare(&self, before: &Self, summary: &mut Summary) {
        summary.flood_on_wire = self.flood_sent - before.flood_sent;
        summary.tcp_segments = self.segments.0 - before.segments.0;
        summary.tcp_retransmits = self.segments.1 - before.segments.1;
        let devices = self.devices.iter().map(|(device, count)| {
            let before = before.devices.get(device).copied().unwrap_or(0);
            (device.clone(), count.saturating_sub(before))
        });
        summary.device_drops = devices.filter(|(_, count)| *count > 0).collect();
    }
}

/// Where traffic ends.
struct Ends {
    servers: Vec<Job>,
    sinks: Vec<Job>,
    drain: Job,
}

impl Ends {
    fn start(world: &World) -> Result<Self> {
        let start = |arguments: &str| {
            SERVERS
                .into_iter()
                .map(|pod| world.server(pod, arguments))
                .collect::<Result<Vec<Job>>>()
        };
        let listen = |port: u16| format!("sink --listen 0.0.0.0:{port}");
        Ok(Self {
            servers: start(&format!(
                "serve --ports {VERIFIED},{}",
                super::world::GUESTS
            ))?,
            sinks: start(&listen(VERIFIED))?,
            drain: world.server("drain", &(listen(DOOR) + " --receive-buffer-bytes 400000"))?,
        })
    }

    /// Completes what the senders said by what has arrived.
    fn count(&mut self, summary: &mut Summary) -> Result<()> {
        for server in &mut self.servers {
            let served: Served = server.ask()?;
            summary.served_connections += served.connections;
            summary.served_corrupted += served.corrupted;
        }
        for sink in self.sinks.iter_mut().chain([&mut self.drain]) {
            let received: sink::Received = sink.ask()?;
            summary.datagrams_corrupted += received.corrupted;
            for way in &mut summary.datagrams {
                way.receive(&received);
            }
        }
        Ok(())
    }
}

/// Where traffic begins.
struct Clients {
    streams: Vec<(String, Job)>,
    datagrams: Vec<(String, bool, Job)>,
    churn: Vec<(String, Job)>,
    longest: Duration,
}

impl Clients {
    fn start(world: &World, plan: &Plan) -> Result<Self> {
        let seconds = plan.seconds as f64;
        let mut clients = Self {
            streams: Vec::new(),
            datagrams: Vec::new(),
            churn: Vec::new(),
            longest: Duration::from_secs(plan.seconds) + LATE,
        };
        for ((from, to), number) in WAYS.into_iter().zip(1..) {
            let (name, at) = (format!("{from} to {to}"), world.at(to, VERIFIED)?);
            let bulk = format!("bulk --to {at} --seconds {seconds} --seed {number}");
            clients
                .streams
                .push((name.clone(), world.client(from, &bulk)?));
            let paced = datagrams(world, from, to, 100 * number, plan.datagram_rate, seconds)?;
            clients.datagrams.push((name, true, paced));
        }
        for ((from, to), number) in CHURN.into_iter().zip(1..) {
            let (at, rate) = (world.at(to, VERIFIED)?, plan.connection_rate);
            let churn =
                format!("churn --to {at} --seconds {seconds} --rate {rate} --seed {number}000000");
            clients
                .churn
                .push((format!("{from} to {to}"), world.client(from, &churn)?));
        }
        let (to, rate) = (world.at("drain", DOOR)?, plan.burst);
        let overload = format!(
            "paced --to {to} --seconds {seconds} --rate {rate} --in-bursts --first-flow {OVERLOAD} --flows 2 --payloads 18"
        );
        let overload = world.client("flood", &overload)?;
        clients
            .datagrams
            .push(("flood to drain".into(), false, overload));
        Ok(clients)
    }

    /// Waits for all of them.
    fn finish(self) -> Result<Summary> {
        let mut summary = Summary::default();
        for (name, job) in self.streams {
            let sent: bulk::Sent = parse(&job.output(self.longest)?)?;
            summary.streams.push(Stream { name, sent });
        }
        for (name, is_paced, job) in self.datagrams {
            let sent: Vec<paced::Sent> = parse(&job.output(self.longest)?)?;
            summary.datagrams.push(Datagrams::new(name, is_paced, sent));
        }
        for (name, job) in self.churn {
            let churned: Churned = parse(&job.output(self.longest)?)?;
            summary.churn.insert(name, churned);
        }
        Ok(summary)
    }
}

fn parse<T: serde::de::DeserializeOwned>(line: &str) -> Result<T> {
    serde_json::from_str(line).map_err(|error| Error::Unexpected {
        place: "an agent of the soak".into(),
        expected: format!("a JSON object ({error})"),
        found: line.into(),
    })
}
