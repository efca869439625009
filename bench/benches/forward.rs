//! What `forward` costs a frame of 64 bytes, without devices: by kind of frame, number of flows in
//! the table and number of policies. Writing the frame into its buffer is part of each figure;
//! `write` says how much that is. Before anything is timed, the allocations of each kind are counted.
#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::hint::black_box;

use allocation_counter::measure;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dataplane::{Local, Snapshot, forward};
use packet::Frame;
use vswitch_bench::micro::{Case, MANY_POLICIES, NOW, cases, mixed, no_policies};
use vswitch_bench::{local, world_in};

const FLOWS: [u32; 4] = [1, 10_000, 100_000, 1_000_000];

fn worlds() -> [(&'static str, Snapshot); 2] {
    let (mut none, mut many) = (no_policies(), MANY_POLICIES.compiler());
    [
        ("0 policies", world_in(&mut none, 1)),
        ("10000 policies", world_in(&mut many, 1)),
    ]
}

/// Frames of one kind, of the flows that are in the table and in no order.
struct Stream<'a> {
    case: &'a Case,
    world: &'a Snapshot,
    local: Local,
    /// One flow of so many.
    of: u32,
    at: u32,
    frame: Frame,
}

impl<'a> Stream<'a> {
    fn new(case: &'a Case, world: &'a Snapshot, flows: u32) -> Self {
        let mut local = local(flows as usize);
        case.fill(world, &mut local, flows);
        let created = local.counters().flows_created.get();
        let expected = case.ports_at.map_or(0, |_| u64::from(flows));
        assert_eq!(created, expected, "{}: as many flows as wanted", case.name);
        Self {
            case,
            world,
            local,
            of: flows,
            at: 0,
            frame: Frame::new(),
        }
    }

    fn next(&mut self) {
        self.at = self.at.wrapping_add(1);
        self.walk(mixed(self.at) % self.of);
    }

    /// The first frame of a flow, for which the oldest makes room.
    fn next_new(&mut self) {
        self.at = self.at.wrapping_add(1);
        self.walk(self.of.wrapping_add(self.at));
    }

    #[inline]
    fn walk(&mut self, flow: u32) {
        self.case.write(black_box(flow), &mut self.frame);
        let port = self.case.port;
        black_box(&forward(
            self.world,
            &mut self.local,
            NOW,
            port,
            &mut self.frame,
        ));
    }
}

fn allocations(_: &mut Criterion) {
    println!("| frame | allocations in 10,000 |\n|---|--:|");
    let [_, (_, world)] = &worlds();
    let counted = |name: &str, mut walk: Box<dyn FnMut() + '_>| {
        walk(); // a port's rate limiter is made once
        let info = measure(|| (0..10_000).for_each(|_| walk()));
        println!("| {name} | {} |", info.count_total);
        assert_eq!(info.count_total, 0, "{name}: {info:?}");
    };
    let cases = cases();
    for case in &cases {
        let mut stream = Stream::new(case, world, 1000);
        counted(case.name, Box::new(move || stream.next()));
    }
    let mut stream = Stream::new(&cases[0], world, 1000);
    counted("new_flow", Box::new(|| stream.next_new()));
}

fn kinds(criterion: &mut Criterion) {
    let cases = cases();
    let mut frame = Frame::new();
    criterion.bench_function("forward/write", |bencher| {
        bencher.iter(|| cases[0].write(black_box(7), &mut frame));
    });
    for (policies, world) in &worlds() {
        for flows in FLOWS {
            let mut group = criterion.benchmark_group(format!("forward/{policies}"));
            for case in &cases {
                let mut stream = Stream::new(case, world, flows);
                let id = BenchmarkId::new(case.name, flows);
                group.bench_function(id, |bencher| bencher.iter(|| stream.next()));
            }
            let mut stream = Stream::new(&cases[0], world, flows);
            let id = BenchmarkId::new("new_flow", flows);
            group.bench_function(id, |bencher| bencher.iter(|| stream.next_new()));
            group.finish();
        }
    }
}

criterion_group!(benches, allocations, kinds);
criterion_main!(benches);
