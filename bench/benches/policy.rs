//! What policy costs at every size of cluster: full compile, events, a verdict, and what it adds
//! to a frame of an established flow (nothing). `policy-cost` prints the same and memory as one
//! table, `instructions` counts instead of timing.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use dataplane::{GATEWAY_MAC, Time, forward};
use packet::{Frame, build};
use policy::{Compiler, Object, Settings, Subjects};
use vswitch_bench::cluster::Size;
use vswitch_bench::{NGINX, NGINX_IP, NGINX_MAC, OTHER_IP, local, world_in};

const SIZES: [Size; 3] = [
    Size {
        pods: 100,
        policies: 10,
    },
    Size {
        pods: 10_000,
        policies: 1_000,
    },
    Size {
        pods: 100_000,
        policies: 10_000,
    },
];

fn id(size: Size) -> String {
    format!("{} pods {} policies", size.pods, size.policies)
}

fn full_compile(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("full_compile");
    group.sample_size(10);
    for size in SIZES {
        group.bench_function(BenchmarkId::from_parameter(id(size)), |bencher| {
            bencher.iter_batched(
                || size.compiler(),
                |mut compiler| (compiler.table(), compiler),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn verdict(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict_of_12_flows");
    for size in SIZES {
        let (table, flows) = (size.compiler().table(), size.flows());
        group.bench_function(BenchmarkId::from_parameter(id(size)), |bencher| {
            bencher.iter(|| {
                for (direction, flow) in &flows {
                    black_box(table.verdict(*direction, black_box(flow)));
                }
            });
        });
    }
    group.finish();
}

fn pod_event(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pod_comes_and_goes");
    for size in SIZES {
        let mut compiler = size.compiler();
        let mut pod = size.pod(7);
        pod.name = "newcomer".to_owned();
        pod.addresses = vec!["10.255.0.1".parse().expect("an address")];
        let object = Object::Pod(pod);
        let mut held = compiler.table();
        group.bench_function(BenchmarkId::from_parameter(id(size)), |bencher| {
            bencher.iter(|| {
                compiler.apply(object.clone());
                held = compiler.table();
                compiler.remove(&object.key());
                held = compiler.table();
            });
        });
    }
    group.finish();
}

fn established(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("established_flow");
    let packet = build::udp(NGINX_IP, OTHER_IP, 4000, 53, &[0; 18]);
    let template = Frame::from_ethernet(&build::ethernet(NGINX_MAC, GATEWAY_MAC, &packet));
    let none = Compiler::new(Subjects::Attached, Settings::default());
    for (name, mut compiler) in [
        ("0 policies", none),
        ("10000 policies", SIZES[2].compiler()),
    ] {
        let (world, mut local) = (world_in(&mut compiler, 1), local(1024));
        let mut frame = Frame::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                frame.copy_from(black_box(&template));
                forward(&world, &mut local, Time::from_secs(10), NGINX, &mut frame)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, full_compile, verdict, pod_event, established);
criterion_main!(benches);
