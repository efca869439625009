//! What an encapsulator promises: the wire sees what it would have seen without it, and nothing depends on it.
//!
//! Attaching needs the machine's own root. Elsewhere these tests check what holds there: it says so, and super-segments
//! arrive cut.
#![forbid(unsafe_code)]

mod common;

use std::io;
use std::sync::{Arc, Mutex};

use common::{frames, namespace, receive, send_all};
use packet::ipip::{self, Outer};
use packet::offload::GsoKind;
use packet::segment::{MAX_HEADERS, Segments};
use packet::{Frame, build};
use port::{
    Encapsulator, EncapsulatorFailure, Error, Filter, Link, PacketConfig, PacketPort, PortIo,
};

/// Where the kernel would cut a frame for a device without segmentation offload.
const NO_TSO: &str = "tx-tcp-segmentation off tx-udp-segmentation off tx-ipxip4-segmentation off";

/// The failures an encapsulator has reported.
type Failures = Arc<Mutex<Vec<String>>>;

fn attach(interface: &str) -> (Result<Arc<Encapsulator>, Error>, Failures) {
    let failures = Failures::default();
    let heard = Arc::clone(&failures);
    let note = move |failure: &EncapsulatorFailure| heard.lock().unwrap().push(failure.to_string());
    (
        Encapsulator::attach(interface, note).map(Arc::new),
        failures,
    )
}

/// The program and what it reports, or nothing where it is not allowed.
fn attach_if_allowed(interface: &str) -> Option<(Arc<Encapsulator>, Failures)> {
    match attach(interface) {
        (Ok(encapsulator), failures) => Some((encapsulator, failures)),
        (Err(error), _) => {
            assert!(!namespace::may_attach_bpf(), "{error}");
            assert!(error.to_string().contains(": it needs "), "{error}");
            None
        }
    }
}

/// The program, or nothing where it is not allowed.
fn program(interface: &str) -> Option<Arc<Encapsulator>> {
    attach_if_allowed(interface).map(|(encapsulator, _)| encapsulator)
}

fn open(interface: &str, encapsulator: Option<Arc<Encapsulator>>) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter: Filter::Everything,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator,
        batch: 64,
    };
    PacketPort::open(&config).expect("a packet port")
}

fn tunnelled(mut frame: Frame, identification: u16) -> Frame {
    let outer = Outer {
        src: frames::NODE,
        dst: frames::OTHER_NODE,
        identification,
    };
    ipip::encapsulate(&mut frame, outer);
    frames::on(Link::Ethernet, frame)
}

/// A TCP super-segment of 42 segments whose outer identifications wrap around, with DSCP and ECN.
fn tcp() -> Frame {
    let mut frame = build::super_segment(&frames::tcp_packet(60_000), 1440);
    packet::ipv4::set_tos(frame.packet_mut(), 0xba);
    tunnelled(frame, 0xfff0)
}

/// A UDP super-segment of 9 datagrams.
fn udp() -> Frame {
    tunnelled(
        build::super_segment(frames::udp(5, 10_000).packet(), 1200),
        7,
    )
}

fn small(number: u16) -> Frame {
    frames::on(Link::Ethernet, frames::udp(number, 40))
}

/// The frames that user space makes of one, checksums finished.
fn cut(frame: &Frame) -> Vec<Vec<u8>> {
    let mut segments = Segments::of(frame).expect("a super-segment");
    let mut headers = [0; MAX_HEADERS];
    let mut pieces = Vec::new();
    while let Some(segment) = segments.next(&mut headers) {
        let mut piece =
            Frame::from_ethernet(&[&headers[..segment.headers_len], segment.payload].concat());
        piece.offload = segment.offload;
        pieces.push(finished(piece));
    }
    pieces
}

fn finished(mut frame: Frame) -> Vec<u8> {
    frame.finish_checksum();
    frame.bytes().to_vec()
}

/// Sends the frames and compares what arrives with what user space would have sent.
fn arrive_cut(sent: &[Frame], left: &mut PacketPort, right: &mut PacketPort) {
    let expected: Vec<Vec<u8>> = sent
        .iter()
        .flat_map(|frame| match frame.offload.gso {
            Some(_) => cut(frame),
            None => vec![finished(frame.clone())],
        })
        .collect();
    send_all(left, sent);
    let received = receive(right, expected.len());
    assert!(received.iter().all(|frame| frame.offload.gso.is_none()));
    let received: Vec<Vec<u8>> = received.into_iter().map(finished).collect();
    assert_eq!(received.len(), expected.len());
    for (at, (received, expected)) in received.iter().zip(&expected).enumerate() {
        assert_eq!(received, expected, "frame {at}");
    }
}

#[test]
fn a_super_segment_in_ipip_crosses_whole_and_unchanged_in_its_place() {
    let name = "a_super_segment_in_ipip_crosses_whole_and_unchanged_in_its_place";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        let Some(encapsulator) = program("left") else {
            return;
        };
        let mut left = open("left", Some(Arc::clone(&encapsulator)));
        let mut right = open("right", None);
        let sent = [small(1), tcp(), small(2), udp(), tcp(), small(3)];
        send_all(&mut left, &sent);
        let received = receive(&mut right, sent.len());
        for (at, (received, sent)) in received.iter().zip(&sent).enumerate() {
            assert_eq!(received.bytes(), sent.bytes(), "frame {at}");
            assert_eq!(received.offload, sent.offload, "frame {at}");
        }
        let kinds = received
            .iter()
            .map(|frame| frame.offload.gso.map(|gso| gso.kind));
        let (tcp, udp) = (Some(GsoKind::Tcp4), Some(GsoKind::UdpL4));
        assert_eq!(kinds.collect::<Vec<_>>(), [None, tcp, None, udp, tcp, None]);
        assert!(encapsulator.failure().is_none());
        assert_eq!(left.losses().segments, 0);
    });
}

#[test]
fn the_kernel_cuts_as_user_space_does() {
    namespace::alone("the_kernel_cuts_as_user_space_does", || {
        namespace::veth("left", "right");
        namespace::run(&format!("ethtool -K left {NO_TSO}"));
        namespace::run("ethtool -K right gro off");
        let encapsulator = program("left");
        let mut left = open("left", encapsulator.clone());
        let mut right = open("right", None);
        arrive_cut(
            &[small(1), tcp(), small(2), udp(), small(3)],
            &mut left,
            &mut right,
        );
        assert!(encapsulator.is_none_or(|encapsulator| encapsulator.failure().is_none()));
    });
}

#[test]
fn behind_a_queueing_discipline_it_is_the_same() {
    namespace::alone("behind_a_queueing_discipline_it_is_the_same", || {
        namespace::veth("left", "right");
        namespace::run(&format!("ethtool -K left {NO_TSO}"));
        namespace::run("ethtool -K right gro off");
        namespace::run("tc qdisc add dev left root pfifo");
        let mut left = open("left", program("left"));
        let mut right = open("right", None);
        arrive_cut(&[tcp(), small(2), udp()], &mut left, &mut right);
    });
}

#[test]
fn without_the_right_to_attach_it_says_so_and_super_segments_are_cut() {
    let name = "without_the_right_to_attach_it_says_so_and_super_segments_are_cut";
    namespace::alone_without_bpf(name, || {
        namespace::veth("left", "right");
        let (attached, failures) = attach("left");
        let error = attached.expect_err("no BPF in a user namespace");
        let Error::Encapsulator { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("left: cannot"), "{error}");
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
        assert_eq!(*failures.lock().unwrap(), [""; 0]);
        let (mut left, mut right) = (open("left", None), open("right", None));
        arrive_cut(&[small(1), tcp(), udp(), small(2)], &mut left, &mut right);
    });
}

/// The program sits where no frame of the port passes.
#[test]
fn frames_that_are_refused_are_cut_and_after_many_it_is_given_up_once() {
    let name = "frames_that_are_refused_are_cut_and_after_many_it_is_given_up_once";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        let Some((elsewhere, failures)) = attach_if_allowed("right") else {
            return;
        };
        let mut left = open("left", Some(Arc::clone(&elsewhere)));
        let mut right = open("right", None);
        for round in 0..70 {
            arrive_cut(&[small(1), tcp(), small(2)], &mut left, &mut right);
            assert_eq!(elsewhere.failure().is_some(), round >= 63, "round {round}");
        }
        let failures = failures.lock().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].contains("refused 64"), "{failures:?}");
        assert_eq!(left.losses().segments, 0);
    });
}

/// The same where the kernel drops what it cannot cut, without a word.
#[test]
fn frames_that_vanish_are_counted_and_it_is_given_up_at_once() {
    let name = "frames_that_vanish_are_counted_and_it_is_given_up_at_once";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        namespace::run("tc qdisc add dev left root pfifo");
        let Some((elsewhere, failures)) = attach_if_allowed("right") else {
            return;
        };
        let mut left = open("left", Some(Arc::clone(&elsewhere)));
        let mut right = open("right", None);
        send_all(&mut left, &[tcp(), udp(), small(1)]);
        assert_eq!(receive(&mut right, 1)[0].bytes(), small(1).bytes());
        assert_eq!(left.losses().segments, 42 + 9);
        let failures = failures.lock().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].contains("past its program"), "{failures:?}");
        arrive_cut(&[tcp(), udp()], &mut left, &mut right);
        assert_eq!(left.losses().segments, 42 + 9);
    });
}

/// What is refused for another reason is refused cut as well, however often it is tried.
#[test]
fn a_firewall_that_drops_everything_does_not_end_the_help() {
    let name = "a_firewall_that_drops_everything_does_not_end_the_help";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        let encapsulator = program("left");
        let mut left = open("left", encapsulator.clone());
        let mut right = open("right", None);
        egress_rule("ip protocol 4 drop");
        for _ in 0..200 {
            let error = left.tx_batch(&[tcp()]).expect_err("dropped");
            assert_eq!(error.raw_os_error(), Some(nix::Error::ENOBUFS as i32));
        }
        namespace::run("nft delete table netdev test");
        let Some(encapsulator) = encapsulator else {
            return arrive_cut(&[tcp()], &mut left, &mut right);
        };
        assert!(encapsulator.failure().is_none());
        send_all(&mut left, &[tcp()]);
        assert_eq!(receive(&mut right, 1)[0].bytes(), tcp().bytes());
        assert_eq!(left.losses().segments, 0);
    });
}

/// Somebody before the program takes one of two frames away.
#[test]
fn what_the_program_did_not_see_is_counted_even_if_it_saw_others() {
    let name = "what_the_program_did_not_see_is_counted_even_if_it_saw_others";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        namespace::veth("aside", "nowhere");
        let Some((encapsulator, failures)) = attach_if_allowed("left") else {
            return;
        };
        let mut left = open("left", Some(Arc::clone(&encapsulator)));
        let mut right = open("right", None);
        egress_rule("ip protocol 4 ip id 7 fwd to aside");
        send_all(&mut left, &[tcp(), udp()]);
        assert_eq!(receive(&mut right, 1)[0].bytes(), tcp().bytes());
        assert_eq!(left.losses().segments, 9);
        let failures = failures.lock().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        assert!(failures[0].contains("past its program"), "{failures:?}");
    });
}

/// A rule of nftables at the egress of `left`, which the kernel asks before any program there.
fn egress_rule(rule: &str) {
    namespace::run("nft add table netdev test");
    let chain = "{ type filter hook egress device left priority 0; }";
    namespace::run(&format!("nft add chain netdev test out {chain}"));
    namespace::run(&format!("nft add rule netdev test out {rule}"));
}

#[test]
fn two_encapsulators_on_one_interface_serve_their_own_ports() {
    let name = "two_encapsulators_on_one_interface_serve_their_own_ports";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        let (Some(one), Some(other)) = (program("left"), program("left")) else {
            return;
        };
        let mut ports = [&one, &other].map(|one| open("left", Some(Arc::clone(one))));
        let mut right = open("right", None);
        for port in &mut ports {
            send_all(port, &[tcp()]);
            assert_eq!(receive(&mut right, 1)[0].bytes(), tcp().bytes());
        }
        assert!(one.failure().or(other.failure()).is_none());
        // One goes, the other stays.
        let [gone, mut stays] = ports;
        drop((gone, one));
        send_all(&mut stays, &[tcp()]);
        assert_eq!(receive(&mut right, 1)[0].bytes(), tcp().bytes());
    });
}

/// Without a checksum left open the kernel would have to guess; longer than IPv4 allows, the outer header would lie.
#[test]
fn what_the_kernel_could_not_do_right_is_cut_in_user_space() {
    let name = "what_the_kernel_could_not_do_right_is_cut_in_user_space";
    namespace::alone(name, || {
        namespace::veth("left", "right");
        let mut left = open("left", program("left"));
        let mut right = open("right", None);
        let mut summed = tcp();
        summed.offload.checksum = packet::offload::Checksum::None;
        let long = tunnelled(build::super_segment(&frames::tcp_packet(65_480), 1440), 1);
        assert!(long.packet_len() > packet::frame::MAX_PACKET);
        let single = tunnelled(build::super_segment(&frames::tcp_packet(1000), 1440), 1);
        arrive_cut(&[summed, long, single], &mut left, &mut right);
    });
}
