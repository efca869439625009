//! What a TUN port promises beyond the conformance suite.
#![forbid(unsafe_code)]

mod common;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use common::{frames, namespace, receive, receive_waiting, send_all, wait};
use packet::{Frame, ipv4};
use port::{Error, PortIo, TunConfig, TunPort};

fn open(queues: usize) -> Vec<TunPort> {
    TunPort::open(&TunConfig {
        name: "tunl0",
        mtu: 1480,
        queues,
    })
    .expect("a TUN port")
}

#[test]
fn every_queue_writes_and_some_queue_reads() {
    namespace::alone("every_queue_writes_and_some_queue_reads", || {
        let mut queues = open(3);
        namespace::run("ip addr add 10.244.205.192/32 dev tunl0");
        namespace::run("ip link set tunl0 up");
        namespace::run("ip route add 10.244.0.0/16 dev tunl0");
        let before = namespace::snmp("Ip", "InReceives");
        for queue in &mut queues {
            send_all(queue, &[frames::udp(1, 10)]);
        }
        assert_eq!(namespace::snmp("Ip", "InReceives"), before + 3);
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for n in 1..=20 {
            socket
                .send_to(b"probe", SocketAddr::from(([10, 244, 151, n], 53)))
                .expect("send");
        }
        let received: Vec<Frame> = queues
            .iter_mut()
            .flat_map(|queue| receive_waiting(queue))
            .collect();
        assert_eq!(received.len(), 20);
        for frame in &received {
            let header = ipv4::Header::parse(frame.packet()).expect("a packet");
            assert_eq!(
                header.src,
                Ipv4Addr::new(10, 244, 205, 192),
                "the device's address is the source"
            );
        }
    });
}

/// A switch of one port: turns every packet around, addresses swapped, so the host talks to itself by way of us.
fn reflect(queue: &mut TunPort, seen: &mut Vec<usize>) {
    let mut frames: Vec<Frame> = (0..16).map(|_| Frame::new()).collect();
    let count = queue.rx_batch(&mut frames).expect("receive");
    for frame in &mut frames[..count] {
        seen.push(frame.packet_len());
        let packet = frame.packet_mut();
        let (src, dst) = packet[12..20].split_at_mut(4);
        src.swap_with_slice(dst);
        // 10.9.0.1 talks to 10.9.0.2, which is 10.9.0.1 again: sums stay right when both are swapped.
    }
    send_all(queue, &frames[..count]);
}

#[test]
fn the_hosts_own_tcp_stack_talks_through_it_in_super_segments() {
    namespace::alone(
        "the_hosts_own_tcp_stack_talks_through_it_in_super_segments",
        || {
            let mut queue = open(1).remove(0);
            namespace::run("ip addr add 10.9.0.1/32 dev tunl0");
            namespace::run("ip link set tunl0 up");
            namespace::run("ip link set lo up");
            namespace::run("ip route add 10.9.0.2/32 dev tunl0 src 10.9.0.1");
            const LEN: usize = 2_000_000;
            let listener = TcpListener::bind("10.9.0.1:7777").expect("listen");
            let server = thread::spawn(move || {
                let (mut stream, peer) = listener.accept().expect("accept");
                assert_eq!(peer.ip(), Ipv4Addr::new(10, 9, 0, 2));
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).expect("read");
                bytes
            });
            let sent: Vec<u8> = (0..LEN).map(|at| (at ^ (at >> 9)) as u8).collect();
            let copy = sent.clone();
            let client = thread::spawn(move || {
                let mut stream = TcpStream::connect("10.9.0.2:7777").expect("connect");
                stream.write_all(&copy).expect("write");
            });
            let mut seen = Vec::new();
            while !server.is_finished() {
                if wait(&queue, std::time::Duration::from_millis(100)) {
                    reflect(&mut queue, &mut seen);
                }
            }
            client.join().expect("the client");
            assert!(
                server.join().expect("the server") == sent,
                "the stream is whole"
            );
            let longest = seen.iter().max().expect("packets");
            assert!(
                *longest > 20_000,
                "super-segments pass whole, the longest had {longest} bytes"
            );
        },
    );
}

#[test]
fn the_device_is_gone_with_its_last_queue() {
    namespace::alone("the_device_is_gone_with_its_last_queue", || {
        let mut queues = open(2);
        queues.pop();
        namespace::run("ip link show tunl0");
        queues.pop();
        let links = namespace::run("ip -o link show");
        assert!(!links.contains("tunl0"), "{links}");
    });
}

#[test]
fn a_device_that_is_down_refuses_frames_and_goes_on_when_up() {
    namespace::alone(
        "a_device_that_is_down_refuses_frames_and_goes_on_when_up",
        || {
            let mut queue = open(1).remove(0);
            let error = queue.tx_batch(&[frames::udp(1, 10)]).expect_err("down");
            assert_eq!(error.raw_os_error(), Some(libc::ENETDOWN), "{error}");
            namespace::run("ip link set tunl0 up");
            assert_eq!(queue.tx_batch(&[frames::udp(1, 10)]).expect("up"), 1);
        },
    );
}

#[test]
fn a_name_taken_by_another_kind_of_device_is_explained() {
    namespace::alone(
        "a_name_taken_by_another_kind_of_device_is_explained",
        || {
            namespace::run("ip link add tunl0 type veth peer name other");
            let config = TunConfig {
                name: "tunl0",
                mtu: 1480,
                queues: 1,
            };
            let error = TunPort::open(&config).err().expect("an error");
            assert!(matches!(error, Error::Tun { .. }));
            let text = error.to_string();
            assert!(
                text.starts_with("tun device tunl0: cannot attach a queue:")
                    && text.contains("rmmod ipip"),
                "{text}"
            );
        },
    );
}

#[test]
fn a_device_already_held_is_shared_queue_by_queue_only_within_its_flags() {
    namespace::alone(
        "a_device_already_held_is_shared_queue_by_queue_only_within_its_flags",
        || {
            namespace::run("ip tuntap add dev tunl0 mode tun");
            let config = TunConfig {
                name: "tunl0",
                mtu: 1480,
                queues: 1,
            };
            let error = TunPort::open(&config)
                .err()
                .expect("single-queue devices have no second kind of queue");
            assert!(error.to_string().contains("another kind"), "{error}");
        },
    );
}

#[test]
fn frames_read_in_the_order_the_host_sent_them() {
    namespace::alone("frames_read_in_the_order_the_host_sent_them", || {
        let mut queue = open(1).remove(0);
        namespace::run("ip addr add 10.244.205.192/32 dev tunl0");
        namespace::run("ip link set tunl0 up");
        namespace::run("ip route add 10.244.0.0/16 dev tunl0");
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
        for n in 0..100u8 {
            socket.send_to(&[n], "10.244.151.1:53").expect("send");
        }
        let last: Vec<u8> = receive(&mut queue, 100)
            .iter()
            .map(|frame| *frame.packet().last().expect("a byte"))
            .collect();
        assert_eq!(last, (0..100).collect::<Vec<u8>>());
    });
}
