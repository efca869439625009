//! Instructions per operation, counted by valgrind's callgrind: a figure that does not depend on
//! what else the machine does.
//!
//! Each case runs twice, with few and with many repetitions; what the many cost more, divided by
//! how many more they are, is one operation. `instructions [CASE...]` prints a Markdown table.
//! Needs valgrind on the path.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the table goes to stdout, what went wrong to stderr"
)]

use std::hint::black_box;
use std::process::{Command, ExitCode};

use dataplane::{Local, PortId, Snapshot, forward};
use packet::Frame;
use policy::Compiler;
use vswitch_bench::cluster::Size;
use vswitch_bench::micro::{
    MANY_POLICIES, NOW, arp, cases, fib, from_peer, mixed, no_policies, spoofed, to,
};
use vswitch_bench::{NGINX, OTHER_IP, REMOTE_IP, UPLINK, local, world_in};

/// Repetitions of the two runs. The few warm caches and tables up; the many are so many that
/// building a large world, which never takes quite the same, does not show.
const FEW: u32 = 256;
const MANY: u32 = 20_736;

/// A name, and what is repeated so many times.
type Case = (&'static str, fn(u32));

/// What is counted.
const CASES: [Case; 18] = [
    ("verdict, 10 policies", |n| verdicts(10, n)),
    ("verdict, 1000 policies", |n| verdicts(1_000, n)),
    ("verdict, 10000 policies", |n| verdicts(10_000, n)),
    ("copying the frame alone", copies),
    ("established flow, 0 policies", |n| {
        one_flow(&mut no_policies(), n);
    }),
    ("established flow, 10000 policies", |n| {
        one_flow(&mut MANY_POLICIES.compiler(), n);
    }),
    ("established flow, encapsulated", |n| {
        repeat(&mut no_policies(), NGINX, &to(REMOTE_IP), n);
    }),
    ("established flow, encapsulated, 10000 policies", |n| {
        repeat(&mut MANY_POLICIES.compiler(), NGINX, &to(REMOTE_IP), n);
    }),
    ("established flow, decapsulated", |n| {
        repeat(&mut no_policies(), UPLINK, &from_peer(), n);
    }),
    ("established flow, decapsulated, 10000 policies", |n| {
        repeat(&mut MANY_POLICIES.compiler(), UPLINK, &from_peer(), n);
    }),
    ("new flow, 0 policies", |n| new_flows(&mut no_policies(), n)),
    ("new flow, 10000 policies", |n| {
        new_flows(&mut MANY_POLICIES.compiler(), n);
    }),
    ("dropped: spoofed source", |n| {
        repeat(&mut no_policies(), NGINX, &spoofed(), n);
    }),
    ("ARP request answered", |n| {
        repeat(&mut no_policies(), NGINX, &arp(), n);
    }),
    ("looking ahead, a frame of a batch of 64", looks_ahead),
    ("route lookup among 10", |n| lookups(10, n)),
    ("route lookup among 5000", |n| lookups(5_000, n)),
    ("route lookup among 100000", |n| lookups(100_000, n)),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, case, count] = arguments.as_slice()
        && flag == "--run"
        && let Ok(count) = count.parse()
        && let Some((_, run)) = CASES.iter().find(|(name, _)| name == case)
    {
        run(count);
        return ExitCode::SUCCESS;
    }
    let unknown = arguments
        .iter()
        .find(|name| CASES.iter().all(|(case, _)| case != *name));
    if let Some(unknown) = unknown {
        let names: Vec<&str> = CASES.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "instructions: no case {unknown:?}; there are: {}",
            names.join("; ")
        );
        return ExitCode::from(2);
    }
    println!("| operation | instructions |\n|---|--:|");
    let asked = |name: &str| arguments.is_empty() || arguments.iter().any(|own| own == name);
    for (name, _) in CASES.iter().filter(|(name, _)| asked(name)) {
        match count(name) {
            Ok(instructions) => println!("| {name} | {instructions:.0} |"),
            Err(problem) => {
                eprintln!("instructions: {name}: {problem}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// Instructions of one operation.
fn count(case: &str) -> Result<f64, String> {
    let (few, many) = (collected(case, FEW)?, collected(case, MANY)?);
    Ok((many - few) as f64 / f64::from(MANY - FEW))
}

/// Instructions of a whole run.
fn collected(case: &str, repetitions: u32) -> Result<i64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--run", case, &repetitions.to_string()])
        .output()
        .map_err(|error| {
            format!("cannot run valgrind ({error}); it is in Debian's package of that name")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    line.and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("expected a line \"Collected : N\" of callgrind, found {said:?}"))
}

fn verdicts(policies: u32, repetitions: u32) {
    let size = Size {
        pods: 10_000,
        policies,
    };
    let (table, flows) = (size.compiler().table(), size.flows());
    for (direction, flow) in flows.iter().cycle().take(repetitions as usize) {
        black_box(table.verdict(*direction, black_box(flow)));
    }
}

fn copies(repetitions: u32) {
    let (template, mut frame) = (to(OTHER_IP), Frame::new());
    for _ in 0..repetitions {
        black_box(&mut frame).copy_from(black_box(&template));
    }
}

/// The same frame again and again: all but the first belong to an established flow.
fn one_flow(compiler: &mut Compiler, repetitions: u32) {
    repeat(compiler, NGINX, &to(OTHER_IP), repetitions);
}

fn repeat(compiler: &mut Compiler, port: PortId, template: &Frame, repetitions: u32) {
    let (world, mut local) = (world_in(compiler, 1), local(1024));
    let mut frame = Frame::new();
    for _ in 0..repetitions {
        walk(&world, &mut local, port, template, &mut frame);
    }
    assert!(
        local.counters().flows_created.get() <= 1,
        "one flow at most"
    );
}

/// Every frame has a source port of its own.
fn new_flows(compiler: &mut Compiler, repetitions: u32) {
    let (world, mut local) = (world_in(compiler, 1), local(32_768));
    let (mut template, mut frame) = (to(OTHER_IP), Frame::new());
    for port in (1024_u16..).take(repetitions as usize) {
        template.packet_mut()[20..22].copy_from_slice(&port.to_be_bytes());
        walk(&world, &mut local, NGINX, &template, &mut frame);
    }
    let created = local.counters().flows_created.get();
    assert_eq!(created, u64::from(repetitions), "every frame begins a flow");
}

/// Enough flows that it is worth while.
fn looks_ahead(repetitions: u32) {
    let (world, mut local) = (world_in(&mut no_policies(), 1), local(32_768));
    cases()[1].fill(&world, &mut local, 32_768);
    let batch = vec![to(REMOTE_IP); 64];
    for _ in 0..repetitions / 64 {
        local.look_ahead(black_box(&batch));
    }
}

/// Of addresses inside the blocks, in no order.
fn lookups(routes: u32, repetitions: u32) {
    let fib = fib(routes);
    for at in 0..repetitions {
        let inside = mixed(at) % (routes << 6);
        black_box(fib.lookup((0x0a00_0100 + inside).into()));
    }
}

fn walk(world: &Snapshot, local: &mut Local, port: PortId, template: &Frame, frame: &mut Frame) {
    frame.copy_from(black_box(template));
    black_box(&forward(world, local, NOW, port, frame));
}
