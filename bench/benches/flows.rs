//! Many flows: what looking ahead over a batch saves, and the longest a packet waits for the flow
//! table while it fills up to 64 MiB.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dataplane::conntrack::{Conntrack, Timeouts, Transport};
use dataplane::{PortId, forward};
use nix::time::{ClockId, clock_gettime};
use packet::{FlowKey, Frame, Protocol};
use vswitch_bench::micro::{NOW, cases, mixed, no_policies};
use vswitch_bench::{NGINX_IP, REMOTE_IP, local, world_in};

/// Flows whose state and index take 64 MiB.
const FLOWS_IN_64_MIB: u32 = 458_752;

fn batches(criterion: &mut Criterion) {
    let world = world_in(&mut no_policies(), 1);
    let [.., encapsulated, decapsulated, _, _] = cases();
    for case in [encapsulated, decapsulated] {
        for flows in [1_u32, 10_000, 100_000, 1_000_000] {
            let mut local = local(flows as usize);
            case.fill(&world, &mut local, flows);
            for size in [8_u32, 64] {
                let mut group = criterion.benchmark_group(format!("{}/batch of {size}", case.name));
                group.throughput(Throughput::Elements(size.into()));
                let mut batch = vec![Frame::new(); size as usize];
                let mut at = 0_u32;
                for ahead in [false, true] {
                    let name = if ahead { "looking ahead" } else { "one by one" };
                    group.bench_function(BenchmarkId::new(name, flows), |bencher| {
                        bencher.iter(|| {
                            for frame in &mut batch {
                                at = at.wrapping_add(1);
                                case.write(mixed(at) % flows, frame);
                            }
                            if ahead {
                                local.look_ahead(&batch);
                            }
                            for frame in &mut batch {
                                black_box(&forward(&world, &mut local, NOW, case.port, frame));
                            }
                        });
                    });
                }
                group.finish();
            }
        }
    }
}

/// This thread's own time: what others do in between is not counted.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID);
    now.map(Duration::from).unwrap_or_default()
}

fn longest_insert(_: &mut Criterion) {
    let mut table = Conntrack::new(
        FLOWS_IN_64_MIB as usize,
        Timeouts::default(),
        [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03],
    );
    let mib = table.state_bytes() >> 20;
    report(
        "The clock around nothing, the machine's own noise",
        (0..FLOWS_IN_64_MIB).map(|_| timed(|| ())).collect(),
    );
    for (turn, first) in [("that fills", 0), ("that is full", FLOWS_IN_64_MIB)] {
        let took = (first..first + FLOWS_IN_64_MIB).map(|number| {
            let key = FlowKey {
                src: NGINX_IP,
                dst: REMOTE_IP,
                src_port: number as u16,
                dst_port: (number >> 16) as u16,
                protocol: Protocol::UDP,
            };
            timed(|| table.insert(&key, Transport::Udp, PortId(2), NOW))
        });
        let took = took.collect();
        let flows = table.len();
        report(
            &format!("An insert into a table of {mib} MiB {turn}, {flows} flows by now"),
            took,
        );
    }
}

fn timed<T>(what: impl FnOnce() -> T) -> Duration {
    let start = cpu_time();
    black_box(what());
    cpu_time().saturating_sub(start)
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let of_a_thousand = |n: usize| took[(took.len() - 1) * n / 1000];
    let [half, most, all] = [500, 999, 1000].map(of_a_thousand);
    let long = took.iter().filter(|took| took.as_micros() >= 50).count();
    println!(
        "{what}: {half:?} (median), {most:?} (99.9 %), {all:?} (longest); {long} of 50 µs or more"
    );
}

criterion_group!(benches, longest_insert, batches);
criterion_main!(benches);
