//! What a relay promises of bare packets: pod to pod.
//!
//! Loading its programs needs the machine's own root. Elsewhere these tests check what holds there: it says so.
#![forbid(unsafe_code)]

mod common;

use std::io;

use common::relay::{GENERATION, after, housed, marked, on_wire, tcp};
use common::{frames, namespace, receive, send_all};
use packet::{Frame, MacAddr, Protocol, build, ethernet, ipv4};
use port::{Error, Link, Relay, RelayCounts, Side};

#[test]
fn frames_without_a_lane_go_on_untouched() {
    housed("frames_without_a_lane_go_on_untouched", |mut house| {
        let sent = [tcp(1), tcp(2)];
        assert_eq!(house.left(&sent), sent);
    });
}

#[test]
fn frames_of_a_prepared_lane_are_counted_and_marked() {
    let name = "frames_of_a_prepared_lane_are_counted_and_marked";
    housed(name, |mut house| {
        house.relay.prepare(3, &house.lane(Protocol::TCP)).unwrap();
        for number in 0..3 {
            let left = house.left(&[tcp(number)]);
            assert_eq!(left, [marked(tcp(number), number)]);
        }
        let expected = RelayCounts {
            seen: 3,
            ..RelayCounts::default()
        };
        assert_eq!(house.counts(3), expected);
    });
}

#[test]
fn a_lane_opens_only_when_every_frame_seen_is_done() {
    let name = "a_lane_opens_only_when_every_frame_seen_is_done";
    housed(name, |mut house| {
        house.relay.prepare(3, &house.lane(Protocol::TCP)).unwrap();
        house.left(&[tcp(1), tcp(2)]);
        assert!(!house.relay.open(3, 1, GENERATION));
        assert!(!house.relay.open(3, 3, GENERATION));
        assert_eq!(house.left(&[tcp(3)]), [marked(tcp(3), 2)]);
        assert!(house.relay.open(3, 3, GENERATION));
        assert!(!house.relay.open(3, 3, GENERATION), "it is open");
        assert_eq!(house.relayed(&[tcp(4)]), [after(tcp(4))]);
        let relayed = RelayCounts {
            seen: 4,
            packets: 1,
            bytes: tcp(4).bytes().len() as u64,
            lost: 0,
        };
        assert_eq!(house.counts(3), relayed);
    });
}

/// Every one of the checksums at which the next hop's overflows, or nearly does.
#[test]
fn a_relayed_frame_has_the_right_checksum_whatever_it_was() {
    let name = "a_relayed_frame_has_the_right_checksum_whatever_it_was";
    housed(name, |mut house| {
        house.open(0, &house.lane(Protocol::TCP));
        let sent: Vec<Frame> = (0..=u16::MAX)
            .map(tcp)
            .filter(|frame| frame.packet()[10] >= 0xfe)
            .collect();
        assert_eq!(sent.len(), 511, "0xffff is written 0");
        for sent in sent.chunks(32) {
            for (received, sent) in house.relayed(sent).iter().zip(sent) {
                let header = ipv4::Header::parse(received.packet()).expect("a right checksum");
                assert_eq!(header.ttl, 63);
                assert_eq!(received, &after(sent.clone()));
            }
        }
    });
}

#[test]
fn super_segments_stay_whole() {
    housed("super_segments_stay_whole", |mut house| {
        house.open(0, &house.lane(Protocol::TCP));
        house.open(1, &house.lane(Protocol::UDP));
        let tcp = build::super_segment(&frames::tcp_packet(60_000), 1440);
        let udp = build::super_segment(frames::udp(5000, 10_000).packet(), 1200);
        for frame in [tcp, udp] {
            let sent = frames::on(Link::Ethernet, frame);
            let received = house.relayed(std::slice::from_ref(&sent));
            assert_eq!(received[0].offload, sent.offload);
            assert_eq!(received, [after(sent)]);
        }
    });
}

#[test]
fn the_interface_they_leave_by_queues_them() {
    housed("the_interface_they_leave_by_queues_them", |mut house| {
        namespace::run("tc qdisc add dev tofar root pfifo");
        house.open(0, &house.lane(Protocol::TCP));
        house.relayed(&[tcp(1), tcp(2), tcp(3)]);
        let statistics = namespace::run("tc -s qdisc show dev tofar");
        assert!(statistics.contains(" 3 pkt "), "{statistics}");
    });
}

#[test]
fn a_frame_of_another_generation_is_marked() {
    housed("a_frame_of_another_generation_is_marked", |mut house| {
        house.open(0, &house.lane(Protocol::TCP));
        house.relayed(&[tcp(0)]);
        house.relay.allow(Some(GENERATION + 1));
        assert_eq!(house.left(&[tcp(1)]), [marked(tcp(1), 1)]);
        house.relay.allow(Some(GENERATION));
        assert_eq!(house.relayed(&[tcp(2)]), [after(tcp(2))]);
        house.relay.allow(None);
        assert_eq!(house.left(&[tcp(3)]), [marked(tcp(3), 3)]);
    });
}

/// Closed cannot be mistaken for a generation, nor may nothing be for any.
#[test]
fn every_generation_opens_a_lane_and_none_opens_a_closed_one() {
    let name = "every_generation_opens_a_lane_and_none_opens_a_closed_one";
    housed(name, |mut house| {
        let lane = house.lane(Protocol::TCP);
        let generations = [0, 0xff_fffd, 0xff_fffe, 0xff_ffff, u32::MAX];
        for (index, generation) in (0..).zip(generations) {
            house.relay.prepare(index, &lane).unwrap();
            for allowed in [None, Some(generation)] {
                house.relay.allow(allowed);
                house.left(&[tcp(1)]);
            }
            assert!(house.relay.open(index, 2, generation), "{generation}");
            house.relayed(&[tcp(2)]);
            house.relay.close(index);
            assert_eq!(house.left(&[tcp(3)]), [marked(tcp(3), 3)]);
            house.relay.remove(&lane).unwrap();
        }
    });
}

#[test]
fn a_removed_lane_leaves_its_frames_alone() {
    housed("a_removed_lane_leaves_its_frames_alone", |mut house| {
        let lane = house.lane(Protocol::TCP);
        house.open(0, &lane);
        let again = house.relay.prepare(1, &lane).expect_err("it is there");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        house.relay.remove(&lane).unwrap();
        let gone = house.relay.remove(&lane).expect_err("it is gone");
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert_eq!(house.left(&[tcp(1)]), [tcp(1)]);
    });
}

/// As when the kernel hands out a key's element that it has just given to another.
#[test]
fn a_key_that_leads_to_another_lanes_entry_leads_nowhere() {
    let name = "a_key_that_leads_to_another_lanes_entry_leads_nowhere";
    housed(name, |mut house| {
        let lane = house.lane(Protocol::TCP);
        let mut other_port = lane;
        other_port.flow.dst_port = 81;
        let mut other_protocol = lane;
        other_protocol.flow.protocol = Protocol::UDP;
        for other in [other_port, other_protocol] {
            house.open(0, &lane);
            house.open(0, &other);
            assert_eq!(house.left(&[tcp(1)]), [tcp(1)]);
            assert_eq!(house.counts(0).seen, 0);
            house.relay.remove(&lane).unwrap();
        }
    });
}

#[test]
fn what_is_no_lane_is_refused() {
    housed("what_is_no_lane_is_refused", |house| {
        let mut icmp = house.lane(Protocol::TCP);
        icmp.flow.protocol = Protocol::ICMP;
        let mut not_ipv4 = house.lane(Protocol::TCP);
        not_ipv4.link[13] = 6;
        let refused = [(0, icmp), (0, not_ipv4), (64, house.lane(Protocol::TCP))];
        for (index, lane) in refused {
            let error = house.relay.prepare(index, &lane).expect_err("no lane");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
        assert!(!house.relay.open(64, 0, GENERATION));
        assert_eq!(house.counts(64), RelayCounts::default());
    });
}

/// A socket bound to IPv4 would hear it without its tag.
#[test]
fn a_workloads_frame_with_a_tag_is_dropped() {
    housed("a_workloads_frame_with_a_tag_is_dropped", |mut house| {
        let header = ethernet::Header {
            dst: MacAddr([2, 0, 0, 0, 0, 2]),
            src: MacAddr([2, 0, 0, 0, 0, 1]),
            ethertype: packet::EtherType(0x8100),
        };
        let (plain, tag) = (tcp(1), [0, 5, 8, 0]);
        let tags: [&[u8]; 3] = [&tag, &[0, 0, 8, 0], &[0, 0, 0x81, 0, 0, 5, 8, 0]];
        let sent =
            tags.map(|tags| Frame::from_ethernet(&[&header.emit(), tags, plain.packet()].concat()));
        send_all(&mut house.pod, &sent);
        assert_eq!(house.left(&[tcp(2)]), [tcp(2)]);
        // Without the program all of them arrive there.
        house.attached.clear();
        send_all(&mut house.pod, &sent);
        assert_eq!(receive(&mut house.host, 3).len(), 3);
    });
}

#[test]
fn with_its_attachment_the_program_is_gone() {
    housed("with_its_attachment_the_program_is_gone", |mut house| {
        house.open(0, &house.lane(Protocol::TCP));
        house.open(1, &house.tunnel_lane(Protocol::TCP));
        house.relayed(&[tcp(1)]);
        house.relayed_from_wire(&[on_wire(&tcp(1))]);
        house.attached.clear();
        assert_eq!(house.left(&[tcp(2)]), [tcp(2)]);
        let sent = [on_wire(&tcp(2))];
        assert_eq!(house.left_from_wire(&sent), sent);
    });
}

#[test]
fn an_interface_that_cannot_have_lanes_is_named() {
    housed("an_interface_that_cannot_have_lanes_is_named", |house| {
        let error = house.relay.attach("nowhere", Side::Uplink).unwrap_err();
        assert!(matches!(error, Error::Interface { .. }), "{error}");
        namespace::run("ip tuntap add bare mode tun");
        let error = house.relay.attach("bare", Side::Workload).unwrap_err();
        assert!(matches!(error, Error::RelayAttach { .. }), "{error}");
        assert!(error.to_string().contains("on bare: cannot"), "{error}");
        // Where the kernel fills in checksums, a pod could choose what it overwrites.
        namespace::run("ethtool -K tofar tx-checksum-ip-generic off");
        let error = house.relay.attach("tofar", Side::Workload).unwrap_err();
        assert!(error.to_string().contains("checksum"), "{error}");
        house.relay.attach("tofar", Side::Uplink).unwrap();
        namespace::run("ethtool -K tofar tx-checksum-ip-generic on");
        house.relay.attach("tofar", Side::Workload).unwrap();
    });
}

#[test]
fn without_the_right_to_load_programs_it_says_so() {
    let name = "without_the_right_to_load_programs_it_says_so";
    namespace::alone_without_bpf(name, || {
        let error = Relay::new(16).expect_err("no BPF in a user namespace");
        let Error::Relay { source, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(source.kind(), io::ErrorKind::PermissionDenied);
        assert!(error.to_string().contains("CAP_BPF"), "{error}");
    });
}
