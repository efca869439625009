//! What `forward` costs a frame, without devices: 64-byte UDP on one flow or
//! on many, encapsulated and not, dropped, and ARP. Copying the frame into the
//! buffer is part of each figure; `copy` says how much that is.

use std::hint::black_box;
use std::net::Ipv4Addr;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use dataplane::{GATEWAY_MAC, PortId, Time, forward};
use packet::{Frame, build};
use vswitch_bench::{
    NGINX, NGINX_IP, NGINX_MAC, NODE_IP, OTHER_IP, PEER_IP, PEER_MAC, REMOTE_IP, UPLINK,
    UPLINK_MAC, local, world,
};

const PAYLOAD: [u8; 18] = [0; 18];
const NOW: Time = Time::from_secs(10);

fn from_nginx(dst: Ipv4Addr, src_port: u16) -> Frame {
    let packet = build::udp(NGINX_IP, dst, src_port, 53, &PAYLOAD);
    Frame::from_ethernet(&build::ethernet(NGINX_MAC, GATEWAY_MAC, &packet))
}

fn from_remote() -> Frame {
    let inner = build::udp(REMOTE_IP, NGINX_IP, 4000, 53, &PAYLOAD);
    let outer = build::ipip(PEER_IP, NODE_IP, &inner);
    Frame::from_ethernet(&build::ethernet(PEER_MAC, UPLINK_MAC, &outer))
}

fn spoofed() -> Frame {
    let packet = build::udp(REMOTE_IP, OTHER_IP, 4000, 53, &PAYLOAD);
    Frame::from_ethernet(&build::ethernet(NGINX_MAC, GATEWAY_MAC, &packet))
}

fn arp() -> Frame {
    let gateway = Ipv4Addr::new(169, 254, 1, 1);
    Frame::from_ethernet(&build::arp_request(NGINX_MAC, NGINX_IP, gateway))
}

fn one_flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("forward");
    let cases: [(&str, PortId, Frame); 5] = [
        ("established", NGINX, from_nginx(OTHER_IP, 4000)),
        ("established_encap", NGINX, from_nginx(REMOTE_IP, 4000)),
        ("established_decap", UPLINK, from_remote()),
        ("dropped_spoofed", NGINX, spoofed()),
        ("arp", NGINX, arp()),
    ];
    let mut frame = Frame::new();
    group.bench_function("copy", |bencher| {
        bencher.iter(|| frame.copy_from(black_box(&cases[0].2)));
    });
    for (name, port, template) in &cases {
        let (world, mut local) = (world(1), local(1024));
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                frame.copy_from(black_box(template));
                forward(&world, &mut local, NOW, *port, &mut frame)
            });
        });
    }
    group.finish();
}

fn many_flows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flows");
    for flows in [1_u32, 10_000, 100_000, 1_000_000] {
        let (world, mut local) = (world(1), local(flows as usize));
        let mut frame = Frame::new();
        let template = from_nginx(REMOTE_IP, 1);
        let mut walk = |at: u32| {
            frame.copy_from(&template);
            let ports = [(at >> 16) as u16 + 1, at as u16].map(u16::to_be_bytes);
            frame.packet_mut()[20..24].copy_from_slice(ports.as_flattened());
            forward(&world, &mut local, NOW, NGINX, &mut frame)
        };
        (0..flows).for_each(|at| {
            walk(at);
        });
        let mut at = 0_u32;
        group.bench_function(BenchmarkId::from_parameter(flows), |bencher| {
            bencher.iter(|| {
                // A stride coprime to the count: no two neighbours in a row.
                at = (at + 514_229) % flows.max(2);
                walk(black_box(at % flows))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, one_flow, many_flows);
criterion_main!(benches);
