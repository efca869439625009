//! What a relay promises of bare packets: pod to pod.
//!
//! Loading its programs needs the machine's own root. Elsewhere these tests check what holds there: it says so.
#![forbid(unsafe_code)]

mod common;

use common::relay::{GENERATION, House, after, marked};
use common::{frames, namespace};
use packet::{Frame, Protocol, build};
use port::{Link, RelayCounts};

/// Runs a test with a house, where one can be built.
fn housed(name: &str, test: impl FnOnce(House)) {
    namespace::alone(name, || {
        if let Some(house) = House::build() {
            test(house);
        }
    });
}

/// A segment of the lane's connection.
fn tcp(number: u16) -> Frame {
    let packet = build::with_header(&frames::tcp_packet(100), |header| {
        header.identification = number;
    });
    frames::on(Link::Ethernet, Frame::from_packet(&packet))
}

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
            drained: 0,
        };
        assert_eq!(house.counts(3), relayed);
    });
}
