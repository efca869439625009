//! No port allocates while it moves frames. (A test binary of its own: the counter replaces the allocator.)
#![forbid(unsafe_code)]

mod common;

use std::sync::Arc;

use allocation_counter::measure;
use common::{frames, namespace};
use packet::ipip::{self, Outer};
use packet::{Frame, build};
use port::{
    Encapsulator, Filter, Link, MemoryConfig, MemoryPort, PacketConfig, PacketPort, Poller, PortIo,
    TunConfig, TunPort, Waker,
};

/// Sends batches of small frames, super-segments and super-segments in IPIP, and receives what comes.
fn shovel(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let segment = build::super_segment(&frames::tcp_packet(30_000), 1400);
    let mut tunnelled = segment.clone();
    let (src, dst) = (frames::NODE, frames::OTHER_NODE);
    ipip::encapsulate(
        &mut tunnelled,
        Outer {
            src,
            dst,
            identification: 7,
        },
    );
    let batch: Vec<Frame> = [frames::udp(1, 64), segment, tunnelled, frames::udp(2, 64)]
        .into_iter()
        .map(|frame| frames::on(left.link(), frame))
        .collect();
    let mut room: Vec<Frame> = (0..16).map(|_| Frame::new()).collect();
    let mut received = 0;
    let counted = measure(|| {
        for _ in 0..20 {
            let mut sent = 0;
            while sent < batch.len() {
                // TUN refuses a super-segment in IPIP: the host is never sent one.
                sent += left.tx_batch(&batch[sent..]).unwrap_or(1);
            }
            loop {
                match right.rx_batch(&mut room).expect("receive") {
                    0 => break,
                    count => received += count,
                }
            }
            right.kernel_drops();
        }
    });
    assert_eq!(counted.count_total, 0, "{} allocated", left.name());
    assert!(
        received >= 60,
        "{} received {received} frames",
        right.name()
    );
}

fn packet_port(interface: &str) -> PacketPort {
    open(interface, None)
}

fn open(interface: &str, encapsulator: Option<Arc<Encapsulator>>) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter: Filter::Everything,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator,
        batch: 16,
    };
    PacketPort::open(&config).expect("a packet port")
}

#[test]
fn memory_ports_do_not_allocate() {
    let config = MemoryConfig {
        link: Link::Ethernet,
        mtu: 1480,
        capacity: 32,
    };
    let [mut left, mut right] = MemoryPort::pair(["left", "right"], config).expect("a pair");
    shovel(&mut left, &mut right);
}

#[test]
fn packet_ports_do_not_allocate() {
    namespace::alone("packet_ports_do_not_allocate", || {
        namespace::veth("left", "right");
        shovel(&mut packet_port("left"), &mut packet_port("right"));
        // Where it is not allowed, the ports have just been as they are without it.
        if let Ok(encapsulator) = Encapsulator::attach("left", |_| ()) {
            let mut left = open("left", Some(Arc::new(encapsulator)));
            shovel(&mut left, &mut packet_port("right"));
        }
    });
}

#[test]
fn tun_ports_do_not_allocate() {
    namespace::alone("tun_ports_do_not_allocate", || {
        let config = TunConfig {
            name: "tunl0",
            mtu: 1480,
            queues: 1,
        };
        let mut tun = TunPort::open(&config).expect("a TUN port").remove(0);
        namespace::run("ip link set tunl0 up");
        let mut kernel = packet_port("tunl0");
        shovel(&mut tun, &mut kernel);
        shovel(&mut kernel, &mut tun);
    });
}

#[test]
fn waiting_and_waking_do_not_allocate() {
    let waker = Waker::new().expect("a waker");
    let mut poller = Poller::new().expect("a poller");
    poller.add(waker.fd(), 1).expect("watch the waker");
    let mut tokens = Vec::with_capacity(64);
    let counted = measure(|| {
        waker.wake();
        poller.wait(&mut tokens, None).expect("wait");
        waker.drain();
    });
    assert_eq!(
        (counted.count_total, tokens.as_slice()),
        (0, [1].as_slice())
    );
}
