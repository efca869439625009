//! What a tap is shown of frames that a worker takes, drops and cannot send, and what that costs in memory.

use allocation_counter::measure;
use cni_shim::capture::Stage;

use crate::tap::Reader;

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
