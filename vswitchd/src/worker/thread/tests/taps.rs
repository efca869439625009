//! What a tap is shown of frames that a worker takes, drops and cannot send, and what that costs in memory.

use allocation_counter::measure;
use cni_shim::capture::{Direction, Stage};

use crate::tap::{Reader, Watch};

use super::*;

/// A tap on pod B, and a desk of so many workers whose port to B is like this.
fn tapped(workers: u16, b: MemoryConfig, limit: Option<Arc<Bandwidth>>) -> (Desk, Reader) {
    let mut desk = Desk::new(world(limit), workers, b);
    let (order, reader) = Reader::tap(B.0, Some(B.1), 64);
    desk.worker.taps.obey(order);
    (desk, reader)
}

fn count(
    seen: &[(Stage, Option<DropReason>, Vec<u8>)],
    stage: Stage,
    reason: Option<DropReason>,
) -> usize {
    seen.iter()
        .filter(|(at, why, _)| (*at, *why) == (stage, reason))
        .count()
}

#[test]
fn a_frame_is_seen_once_a_stage() {
    netlink::testing::isolated(|| {
        let (mut desk, mut reader) = tapped(1, WIDE, None);
        desk.send(&[udp(1, 100), udp(2, 100)]);
        let seen = reader.read();
        for stage in [Stage::Rx, Stage::PostPolicy, Stage::Tx] {
            assert_eq!(count(&seen, stage, None), 2, "{stage}");
        }
        assert_eq!(seen.len(), 6);
        assert!(seen.iter().all(|(_, _, bytes)| bytes.len() == 64));
        assert_eq!(desk.received(), 2);
    });
}

#[test]
fn what_a_device_cannot_take_is_seen_dropped_and_the_rest_leaving() {
    netlink::testing::isolated(|| {
        let small = MemoryConfig {
            capacity: 8,
            ..WIDE
        };
        let (mut desk, mut reader) = tapped(1, small, None);
        desk.send(&vec![udp(1, 100); 640]);
        let seen = reader.read();
        let dropped = count(&seen, Stage::Drop, Some(DropReason::DeviceFull));
        assert_eq!(dropped, desk.dropped(DropReason::DeviceFull));
        assert!(dropped > 500);
        assert_eq!(count(&seen, Stage::Rx, None), 640);
        assert_eq!(count(&seen, Stage::Tx, None), desk.received());
    });
}

#[test]
fn what_a_device_refuses_is_seen_dropped() {
    netlink::testing::isolated(|| {
        let (mut desk, mut reader) = tapped(1, MemoryConfig { mtu: 500, ..WIDE }, None);
        desk.send(&[udp(1, 1000)]);
        let seen = reader.read();
        assert_eq!(count(&seen, Stage::Drop, Some(DropReason::DeviceError)), 1);
    });
}

#[test]
fn what_a_limit_and_a_full_ring_cost_is_seen() {
    netlink::testing::isolated(|| {
        let limit = Arc::new(Bandwidth::new(8_000_000, 80_000));
        let (mut desk, mut reader) = tapped(1, WIDE, Some(limit));
        desk.send(&vec![udp(1, 958); 200]);
        let reason = DropReason::BandwidthExceeded;
        let dropped = desk.dropped(reason);
        assert_eq!(count(&reader.read(), Stage::Drop, Some(reason)), dropped);
        assert!(dropped >= 100);

        let (mut desk, mut reader) = tapped(2, WIDE, None);
        let hash =
            |port: u16| packet::flow::symmetric_hash(A.1.into(), B.1.into(), (port ^ 53).into());
        let foreign = (1..).find(|port| hash(*port) % 2 == 1).unwrap();
        desk.send(&vec![udp(foreign, 100); 300]);
        let seen = reader.read();
        assert_eq!(
            count(&seen, Stage::Drop, Some(DropReason::HandOffFull)),
            300 - 256
        );
    });
}

#[test]
fn a_tap_that_nobody_reads_loses_copies_allocates_nothing_and_holds_up_nothing() {
    netlink::testing::isolated(|| {
        let (mut desk, reader) = tapped(1, WIDE, None);
        let frames = vec![udp(1, 100); BATCH];
        let mut buffers = vec![Frame::new(); BATCH];
        let mut turns = |turns: usize| {
            for _ in 0..turns {
                desk.send(&frames);
                assert_eq!(desk.b.rx_batch(&mut buffers).unwrap(), BATCH);
            }
        };
        turns(4);
        let info = measure(|| turns(300));
        assert_eq!(info.count_total, 0, "{info:?}");
        let (matched, lost) = reader.counts();
        assert_eq!(matched, 304 * 3 * BATCH as u64);
        assert!(lost > 0 && lost < matched, "{lost} of {matched}");
    });
}

/// Whether the recorder of a test has raised an alarm in these.
fn alarmed_by(desk: &mut Desk, watch: &Watch, frames: &[Frame]) -> bool {
    desk.send(frames);
    watch.is_alarmed()
}

#[test]
fn the_recorder_notices_a_loss_at_the_device_in_the_same_turn() {
    netlink::testing::isolated(|| {
        let mut desk = Desk::new(world(None), 1, MemoryConfig { mtu: 500, ..WIDE });
        // What was dropped before it began is no news.
        desk.send(&[udp(1, 1000)]);
        let (order, watch) = Watch::begin(DropReason::DeviceError);
        desk.worker.obey_tap(order);
        desk.turn();
        assert!(!watch.is_alarmed());
        assert!(!alarmed_by(&mut desk, &watch, &[udp(1, 100)]));
        assert!(alarmed_by(&mut desk, &watch, &[udp(1, 1000)]));
        desk.turn();
        assert!(!watch.is_alarmed(), "once a drop");
    });
}

#[test]
fn the_first_drop_after_the_recorder_began_is_noticed() {
    netlink::testing::isolated(|| {
        let mut desk = Desk::new(world(None), 1, MemoryConfig { mtu: 500, ..WIDE });
        let (order, watch) = Watch::begin(DropReason::DeviceError);
        desk.worker.obey_tap(order);
        assert!(alarmed_by(&mut desk, &watch, &[udp(1, 1000)]));
    });
}

#[test]
fn a_frame_that_another_worker_took_in_is_recorded_where_it_dies() {
    netlink::testing::isolated(|| {
        let mut desk = Desk::new(world(None), 2, WIDE);
        let (order, watch) = Watch::begin(DropReason::NoPort);
        desk.worker.obey_tap(order);
        let hash =
            |port: u16| packet::flow::symmetric_hash(A.1.into(), B.1.into(), (port ^ 53).into());
        let foreign = (1..).find(|port| hash(*port) % 2 == 1).unwrap();
        assert!(!alarmed_by(&mut desk, &watch, &[udp(foreign, 100)]));
        let inboxes = Arc::clone(&desk.worker.parts.inboxes);
        let mut handed = inboxes[1].pop().unwrap();
        // As if its port had gone meanwhile.
        handed.arrived.port = PortId(9);
        assert!(inboxes[0].push(handed).is_ok());
        desk.turn();
        assert!(watch.is_alarmed());
        let held = Watch::take(|order| desk.worker.taps.obey(order));
        let dropped = (Stage::Drop, Some(DropReason::NoPort));
        assert_eq!(held, [(Stage::Rx, None), dropped]);
    });
}

/// What pod B answers with.
fn answer(src_port: u16) -> Frame {
    let packet = build::udp(B.1, A.1, 53, src_port, b"!");
    Frame::from_ethernet(&build::ethernet(mac(B.1), GATEWAY_MAC, &packet))
}

impl Desk {
    /// A flow that both ends have spoken in, so that its packets take the short way.
    fn settle(&mut self, src_port: u16) {
        for _ in 0..4 {
            self.send(&[udp(src_port, 100)]);
            assert_eq!(self.b.tx_batch(&[answer(src_port)]).unwrap(), 1);
            self.turn();
        }
    }
}

#[test]
fn who_wants_drops_leaves_settled_flows_on_the_short_way() {
    netlink::testing::isolated(|| {
        for stages in [
            &[Stage::Drop][..],
            &[Stage::Rx, Stage::Tx, Stage::Drop],
            &[Stage::PostPolicy],
        ] {
            let mut desk = Desk::new(world(None), 1, WIDE);
            let (order, mut reader) = Reader::tap_at(B.0, Some(B.1), stages, None);
            desk.worker.taps.obey(order);
            desk.send(&[udp(1, 100)]);
            assert!(desk.worker.taps.has_written(), "the first of a flow");
            desk.settle(1);
            let is_long = stages == [Stage::PostPolicy];
            assert_eq!(desk.worker.taps.has_written(), is_long, "{stages:?}");
            let seen = reader.read();
            let shown = |stage| count(&seen, stage, None);
            assert!(seen.iter().all(|(stage, ..)| stages.contains(stage)));
            assert!(stages == [Stage::Drop] || shown(stages[0]) == 9, "{seen:?}");
        }
    });
}

#[test]
fn the_port_it_leaves_by_is_meant_inside_the_walk_too() {
    netlink::testing::isolated(|| {
        for (port, direction, expected) in [
            (B.0, None, 2),
            (B.0, Some(Direction::Out), 2),
            (B.0, Some(Direction::In), 0),
            (A.0, Some(Direction::In), 2),
            (A.0, Some(Direction::Out), 0),
        ] {
            let mut desk = Desk::new(world(None), 1, WIDE);
            let (order, mut reader) = Reader::tap_at(port, None, &[Stage::PostPolicy], direction);
            desk.worker.taps.obey(order);
            desk.send(&[udp(1, 100), udp(2, 100)]);
            let seen = count(&reader.read(), Stage::PostPolicy, None);
            assert_eq!(seen, expected, "{port} {direction:?}");
        }
    });
}

#[test]
fn what_a_device_refuses_is_a_loss_on_the_way_out() {
    netlink::testing::isolated(|| {
        for (direction, expected) in [(Direction::Out, 1), (Direction::In, 0)] {
            let narrow = MemoryConfig { mtu: 500, ..WIDE };
            let mut desk = Desk::new(world(None), 1, narrow);
            let (order, mut reader) = Reader::tap_at(B.0, None, &[Stage::Drop], Some(direction));
            desk.worker.taps.obey(order);
            desk.send(&[udp(1, 1000)]);
            let seen = count(&reader.read(), Stage::Drop, Some(DropReason::DeviceError));
            assert_eq!(seen, expected, "{direction:?}");
        }
    });
}
