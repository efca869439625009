//! The tables of a snapshot: looking up routes, building a snapshot and putting it in force.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use vswitch_bench::micro::{fib, large_node, mixed, no_policies, snapshot_of};

/// Peers of the node that is published.
const PEERS: u32 = 1_000;

fn lookup(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fib");
    for routes in [10_u32, 5_000, 100_000] {
        let fib = fib(routes);
        let mut at = 0_u32;
        group.bench_function(BenchmarkId::new("random", routes), |bencher| {
            bencher.iter(|| {
                at = at.wrapping_add(1);
                let inside = mixed(at) % (routes << 6);
                fib.lookup(Ipv4Addr::from_bits(0x0a00_0100 + black_box(inside)))
            });
        });
        group.bench_function(BenchmarkId::new("hot", routes), |bencher| {
            bencher.iter(|| fib.lookup(black_box(Ipv4Addr::new(10, 0, 1, 9))));
        });
    }
    group.finish();
}

fn publish(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    let (node, policy) = (large_node(PEERS), Arc::new(no_policies().table()));
    group.bench_function("build", |bencher| {
        bencher.iter(|| snapshot_of(black_box(&node), &policy, 2));
    });
    let one = snapshot_of(&node, &policy, 2);
    let in_force = ArcSwap::from_pointee(one.clone());
    let next = Arc::new(one);
    group.bench_function("swap", |bencher| {
        bencher.iter(|| in_force.swap(Arc::clone(black_box(&next))));
    });
    group.bench_function("load by a worker", |bencher| {
        bencher.iter(|| in_force.load().generation);
    });
    group.finish();
}

criterion_group!(benches, lookup, publish);
criterion_main!(benches);
