//! What policy costs a node's control plane: a table of compile time, memory, events and
//! verdicts at each size, as Markdown.
//!
//! `policy-cost` prints every size, each in a process of its own so that memory is its own;
//! `policy-cost PODS POLICIES` prints one row. Times are medians; every event is followed by a
//! table, while the table before is still held, as a worker holds it.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table goes to stdout, what went wrong to stderr"
)]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::time::Instant;

use policy::model::{Peers, Pod, Policy, Selector};
use policy::{Compiler, Object, Table};
use vswitch_bench::cluster::{LOCAL_PODS, NODES, Size, address};

const SIZES: [Size; 5] = [
    size(100, 10),
    size(10_000, 10),
    size(10_000, 1_000),
    size(100_000, 10),
    size(100_000, 10_000),
];

const fn size(pods: u32, policies: u32) -> Size {
    Size { pods, policies }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u32> = arguments
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    match (arguments.len(), numbers.as_slice()) {
        (0, _) => every_size(),
        (2, &[pods, policies]) if pods >= 100 && policies >= 10 => {
            println!("{}", row(size(pods, policies)));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: policy-cost [PODS POLICIES], at least 100 pods and 10 policies");
            ExitCode::from(2)
        }
    }
}

fn every_size() -> ExitCode {
    println!(
        "| pods | policies | full compile ms | memory MiB | pod event µs | new identity µs | \
         label change µs | policy change ms | global policy ms | new scope ms | verdict ns |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    let Ok(program) = std::env::current_exe() else {
        eprintln!("policy-cost: cannot find its own program");
        return ExitCode::FAILURE;
    };
    for Size { pods, policies } in SIZES {
        let numbers = [pods.to_string(), policies.to_string()];
        if !Command::new(&program)
            .args(numbers)
            .status()
            .is_ok_and(|status| status.success())
        {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn row(size: Size) -> String {
    let mut compiler = size.compiler();
    let start = Instant::now();
    let table = compiler.table();
    let full = start.elapsed().as_secs_f64() * 1e3;
    let mut node = NodeUnderTest { compiler, table };
    let pod_event = node.pod_events(size);
    let new_identity = node.new_identities(size);
    let label_change = node.label_changes(size);
    let policy_change = node.policy_changes(|turn| changed(size.policy(size.namespaces()), turn));
    let global_change = node.policy_changes(|turn| changed(size.global_policy(99), turn));
    let new_scope = node.policy_changes(|turn| about_others(size.global_policy(99), turn));
    let verdict = node.verdict(size);
    let memory = resident_mib();
    format!(
        "| {} | {} | {full:.0} | {memory:.0} | {:.1} | {:.1} | {:.1} | {:.2} | {:.2} | {:.2} | {verdict:.0} |",
        size.pods,
        size.policies,
        pod_event * 1e6,
        new_identity * 1e6,
        label_change * 1e6,
        policy_change * 1e3,
        global_change * 1e3,
        new_scope * 1e3,
    )
}

/// A compiler and the table it gave out last.
struct NodeUnderTest {
    compiler: Compiler,
    table: Table,
}

impl NodeUnderTest {
    /// Seconds an event and its publication take.
    fn event(&mut self, event: impl FnOnce(&mut Compiler)) -> f64 {
        let start = Instant::now();
        event(&mut self.compiler);
        let table = self.compiler.table();
        let took = start.elapsed().as_secs_f64();
        self.table = table;
        took
    }

    /// A pod of another node comes, goes.
    fn pod_events(&mut self, size: Size) -> f64 {
        let mut times = Vec::new();
        for turn in 0..200 {
            let object = Object::Pod(newcomer(size, turn));
            let key = object.key();
            times.push(self.event(|compiler| compiler.apply(object)));
            times.push(self.event(|compiler| _ = compiler.remove(&key)));
        }
        median(times)
    }

    /// A pod with labels nobody had comes.
    fn new_identities(&mut self, size: Size) -> f64 {
        let pod = |turn| {
            let mut pod = newcomer(size, turn);
            pod.labels.insert("serial".to_owned(), turn.to_string());
            Object::Pod(pod)
        };
        median(
            (0..200)
                .map(|turn| self.event(|compiler| compiler.apply(pod(turn))))
                .collect(),
        )
    }

    /// A pod of this node changes a label.
    fn label_changes(&mut self, size: Size) -> f64 {
        let pod = |turn: u32| {
            let mut pod = size.pod(turn / 2 % LOCAL_PODS.min(size.pods));
            if turn.is_multiple_of(2) {
                pod.labels.insert("version".to_owned(), "v9".to_owned());
            }
            Object::Pod(pod)
        };
        median(
            (0..200)
                .map(|turn| self.event(|compiler| compiler.apply(pod(turn))))
                .collect(),
        )
    }

    fn policy_changes(&mut self, policy: impl Fn(u32) -> Policy) -> f64 {
        let change = |turn| self.event(|compiler| compiler.apply(Object::Policy(policy(turn))));
        median((0..40).map(change).collect())
    }

    /// Nanoseconds of a verdict, over flows that rules of every kind decide.
    fn verdict(&self, size: Size) -> f64 {
        let flows = size.flows();
        let mut rounds = Vec::new();
        for _ in 0..50 {
            let start = Instant::now();
            for _ in 0..1_000 {
                for (direction, flow) in &flows {
                    black_box(self.table.verdict(*direction, black_box(flow)));
                }
            }
            rounds.push(start.elapsed().as_secs_f64() * 1e9 / 1e3 / flows.len() as f64);
        }
        median(rounds)
    }
}

/// A pod that was not there, alike to one that is.
fn newcomer(size: Size, turn: u32) -> Pod {
    let model = size.pod(turn % 50);
    Pod {
        name: format!("newcomer-{turn}"),
        addresses: vec![address(NODES * 60 + turn)],
        ..model
    }
}

/// The same policy with another rule.
fn changed(mut policy: Policy, turn: u32) -> Policy {
    let rules = policy.ingress.get_or_insert_default();
    if turn.is_multiple_of(2) {
        rules.extend(rules.last().cloned());
    }
    policy
}

/// The same policy about peers nobody has named before: half the pods of every other namespace.
fn about_others(mut policy: Policy, turn: u32) -> Policy {
    let values = ["v1".to_owned(), format!("turn-{turn}")];
    let labels = Selector::In("version".to_owned(), values.into());
    for rule in policy.ingress.iter_mut().flatten() {
        let Peers::OneOf(ends) = &mut rule.peers else {
            continue;
        };
        for scope in ends.iter_mut().filter_map(|end| end.scope.as_mut()) {
            scope.labels = labels.clone();
        }
    }
    policy
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What the process holds in memory (`VmRSS`, proc_pid_status(5)).
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(f64::NAN) / 1024.0
}
