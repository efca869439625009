//! One suite for every type of port: what one end sends the other receives, whole and in order.
#![forbid(unsafe_code)]

mod common;

use std::io;
use std::slice;
use std::time::Duration;

use common::{frames, namespace, receive, receive_waiting, send_all, wait};
use packet::offload::{Checksum, Gso, GsoKind};
use packet::{Frame, build};
use port::{
    Filter, MemoryConfig, MemoryPort, PacketConfig, PacketPort, Poller, PortIo, TunConfig, TunPort,
};

/// Two ports joined by whatever is being tested, and what is peculiar to it.
struct Pair {
    left: Box<dyn PortIo>,
    right: Box<dyn PortIo>,
    /// The left end refuses packets longer than its MTU.
    enforces_mtu: bool,
}

/// Every claim, both ways.
fn suite(mut pair: Pair) {
    for _ in 0..2 {
        let (left, right) = (&mut *pair.left, &mut *pair.right);
        nothing_waits_at_first(left, right);
        frames_cross_whole_and_in_order(left, right);
        poll_fd_is_readable_while_frames_wait(left, right);
        a_packet_of_the_mtu_crosses(left, right);
        if pair.enforces_mtu {
            a_longer_packet_fails_alone(left, right);
        }
        a_partial_checksum_stays_partial(left, right);
        a_tcp_super_segment_crosses_as_one_frame(left, right);
        an_sctp_checksum_is_finished_on_arrival(left, right);
        nothing_waits_at_first(left, right);
        assert_eq!(right.kernel_drops(), 0);
        assert_eq!(right.losses(), port::Losses::default());
        (pair.left, pair.right) = (pair.right, pair.left);
    }
}

fn nothing_waits_at_first<'a>(left: &'a mut dyn PortIo, right: &'a mut dyn PortIo) {
    for port in [left, right] {
        assert_eq!(port.rx_batch(&mut [Frame::new()]).expect("receive"), 0);
        assert!(!wait(port, Duration::ZERO));
        assert_eq!(port.tx_batch(&[]).expect("send nothing"), 0);
        assert_eq!(port.rx_batch(&mut []).expect("receive nothing"), 0);
    }
}

fn frames_cross_whole_and_in_order(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let sent: Vec<Frame> = (0..200)
        .map(|n| frames::on(left.link(), frames::udp(n, usize::from(n) * 7 + 20)))
        .collect();
    // More than a batch at once, then ones and twos.
    let (many, few) = sent.split_at(150);
    send_all(left, many);
    few.chunks(2).for_each(|two| send_all(left, two));
    let received = receive(right, sent.len());
    assert_eq!(received.len(), sent.len());
    for (received, sent) in received.iter().zip(&sent) {
        assert_eq!(received.bytes(), sent.bytes());
        assert_eq!(received.link().len(), right.link().header_len());
        assert_eq!(received.offload.gso, None);
    }
}

fn poll_fd_is_readable_while_frames_wait(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let mut poller = Poller::new().unwrap();
    let mut tokens = Vec::new();
    poller
        .add(right.poll_fd().expect("a descriptor"), 77)
        .unwrap();
    let two = [1, 2].map(|n| frames::on(left.link(), frames::udp(n, 10)));
    send_all(left, &two);
    poller.wait(&mut tokens, Some(common::PATIENCE)).unwrap();
    assert_eq!(tokens, [77]);
    let mut one = [Frame::new()];
    assert_eq!(right.rx_batch(&mut one).unwrap(), 1);
    poller.wait(&mut tokens, Some(common::PATIENCE)).unwrap();
    assert_eq!(tokens, [77], "one frame still waits");
    assert_eq!(right.rx_batch(&mut one).unwrap(), 1);
    poller.wait(&mut tokens, Some(Duration::ZERO)).unwrap();
    assert_eq!(tokens, []);
}

fn a_packet_of_the_mtu_crosses(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    assert_eq!(left.mtu_bytes(), 1480);
    let frame = frames::on(left.link(), frames::udp(1, 1480 - 28));
    assert_eq!(frame.packet_len(), 1480);
    send_all(left, &[frame]);
    assert_eq!(receive(right, 1)[0].packet_len(), 1480);
}

fn a_longer_packet_fails_alone(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let frame = |payload_len| frames::on(left.link(), frames::udp(9, payload_len));
    let batch = [frame(10), frame(2000), frame(30)];
    assert_eq!(
        left.tx_batch(&batch).unwrap(),
        1,
        "up to the one that fails"
    );
    let error = left.tx_batch(&batch[1..]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{error}");
    assert_eq!(left.tx_batch(&batch[2..]).unwrap(), 1);
    let lengths: Vec<usize> = receive(right, 2).iter().map(Frame::packet_len).collect();
    assert_eq!(lengths, [38, 58]);
}

fn a_partial_checksum_stays_partial(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let frame = frames::on(
        left.link(),
        build::with_partial_checksum(&frames::tcp_packet(333)),
    );
    assert_eq!(
        frame.offload.checksum,
        Checksum::Partial {
            start: 20,
            offset: 16
        }
    );
    send_all(left, slice::from_ref(&frame));
    assert_eq!(receive(right, 1), [frame]);
}

fn a_tcp_super_segment_crosses_as_one_frame(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let frame = frames::on(
        left.link(),
        build::super_segment(&frames::tcp_packet(60 * 1024), 1440),
    );
    send_all(left, slice::from_ref(&frame));
    let received = receive(right, 1);
    assert_eq!(
        received[0].offload.gso,
        Some(Gso {
            kind: GsoKind::Tcp4,
            size: 1440,
            ecn: false
        })
    );
    assert_eq!(received, [frame]);
}

fn an_sctp_checksum_is_finished_on_arrival(left: &mut dyn PortIo, right: &mut dyn PortIo) {
    let packet = build::sctp(frames::POD, frames::OTHER_POD, 5000, 5001, 7, (0, b"chunk"));
    let frame = frames::on(left.link(), build::with_partial_checksum(&packet));
    send_all(left, &[frame]);
    let received = receive(right, 1);
    if matches!(received[0].offload.checksum, Checksum::Partial { .. }) {
        assert_eq!(
            right.name(),
            "memory",
            "a device's frames are finished; memory hands on what it was given"
        );
        return;
    }
    assert_eq!(received[0].packet(), packet, "with the full CRC32c");
}

fn packet_port(interface: &str) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter: Filter::Everything,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 32,
    };
    PacketPort::open(&config).expect("a packet port")
}

fn memory_pair(link: port::Link, capacity: usize) -> [MemoryPort; 2] {
    MemoryPort::pair(
        ["memory", "memory"],
        MemoryConfig {
            link,
            mtu: 1480,
            capacity,
        },
    )
    .expect("a pair")
}

#[test]
fn memory_ports_conform() {
    for link in [port::Link::Ethernet, port::Link::Ip] {
        let [left, right] = memory_pair(link, 256);
        suite(Pair {
            left: Box::new(left),
            right: Box::new(right),
            enforces_mtu: true,
        });
    }
}

#[test]
fn packet_ports_conform() {
    namespace::alone("packet_ports_conform", || {
        namespace::veth("left", "right");
        namespace::run("ip link set left mtu 1480");
        namespace::run("ip link set right mtu 1480");
        let (left, right) = (packet_port("left"), packet_port("right"));
        suite(Pair {
            left: Box::new(left),
            right: Box::new(right),
            enforces_mtu: true,
        });
    });
}

#[test]
fn packet_ports_past_the_qdisc_conform() {
    namespace::alone("packet_ports_past_the_qdisc_conform", || {
        namespace::veth("left", "right");
        namespace::run("ip link set left mtu 1480");
        namespace::run("ip link set right mtu 1480");
        let open = |interface| {
            let filter = Filter::Everything;
            let config = PacketConfig {
                interface,
                filter,
                behind_tc: false,
                fanout: None,
                qdisc_bypass: true,
                encapsulator: None,
                batch: 32,
            };
            Box::new(PacketPort::open(&config).expect("a packet port"))
        };
        suite(Pair {
            left: open("left"),
            right: open("right"),
            enforces_mtu: true,
        });
    });
}

#[test]
fn tun_ports_conform() {
    namespace::alone("tun_ports_conform", || {
        let config = TunConfig {
            name: "tunl0",
            mtu: 1480,
            queues: 1,
        };
        let tun = TunPort::open(&config).expect("a TUN port").remove(0);
        namespace::run("ip link set tunl0 up");
        // The kernel's side of the device, as a packet socket sees it.
        let kernel = packet_port("tunl0");
        suite(Pair {
            left: Box::new(tun),
            right: Box::new(kernel),
            enforces_mtu: false,
        });
    });
}

/// Sends until the port takes fewer than it is given; returns how many it took.
fn fill(port: &mut dyn PortIo, frame: &Frame) -> io::Result<usize> {
    let batch = vec![frame.clone(); 8];
    let mut taken = 0;
    while taken < 10_000 {
        let more = port.tx_batch(&batch)?;
        taken += more;
        if more < batch.len() {
            return Ok(taken);
        }
    }
    panic!("{} took {taken} frames and is still not full", port.name());
}

#[test]
fn a_full_memory_port_takes_fewer_and_goes_on_when_read() {
    let [mut left, mut right] = memory_pair(port::Link::Ip, 20);
    let frame = frames::udp(1, 100);
    assert_eq!(fill(&mut left, &frame).unwrap(), 20);
    assert_eq!(left.tx_batch(slice::from_ref(&frame)).unwrap(), 0, "full");
    assert_eq!(receive_waiting(&mut right).len(), 20);
    assert_eq!(left.tx_batch(&[frame]).unwrap(), 1);
}

#[test]
fn a_full_packet_port_takes_fewer_and_goes_on_when_there_is_room() {
    namespace::alone(
        "a_full_packet_port_takes_fewer_and_goes_on_when_there_is_room",
        || {
            namespace::veth("left", "right");
            // A queue that holds all the send buffer holds, and lets it out slowly.
            namespace::run(
                "tc qdisc add dev left root tbf rate 80mbit burst 70000 limit 100000000",
            );
            let (mut left, mut right) = (packet_port("left"), packet_port("right"));
            let frame = frames::on(left.link(), frames::udp(1, 1400));
            let taken = fill(&mut left, &frame).unwrap();
            let mut poller = Poller::new().unwrap();
            poller.add(left.poll_fd().unwrap(), 1).unwrap();
            poller.watch_room(left.poll_fd().unwrap(), 1, true).unwrap();
            let mut tokens = Vec::new();
            poller.wait(&mut tokens, Some(common::PATIENCE)).unwrap();
            assert_eq!(tokens, [1], "room again");
            assert_eq!(left.tx_batch(&[frame]).unwrap(), 1);
            assert_eq!(
                receive(&mut right, taken + 1).len(),
                taken + 1,
                "nothing taken is lost"
            );
        },
    );
}
