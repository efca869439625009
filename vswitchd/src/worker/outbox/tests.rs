//! What becomes of frames at a device that takes all, some or none of them.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::sync::Mutex;

use packet::build;
use packet::transport::TcpFlags;
use port::{Link, Losses};

use super::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const PSH: TcpFlags = TcpFlags(0x18);

/// What the device says to each call; after the last one it takes everything.
type Answers = VecDeque<io::Result<usize>>;

/// What went out, by the device.
#[derive(Default)]
struct Wire {
    answers: Answers,
    sent: Vec<Frame>,
    calls: usize,
}

struct Device(Arc<Mutex<Wire>>);

impl PortIo for Device {
    fn name(&self) -> &str {
        "device"
    }

    fn link(&self) -> Link {
        Link::Ethernet
    }

    fn mtu_bytes(&self) -> usize {
        1500
    }

    fn poll_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn rx_batch(&mut self, _: &mut [Frame]) -> io::Result<usize> {
        Ok(0)
    }

    fn tx_batch(&mut self, frames: &[Frame]) -> io::Result<usize> {
        let mut wire = self.0.lock().unwrap();
        wire.calls += 1;
        let taken = wire.answers.pop_front().unwrap_or(Ok(frames.len()))?;
        wire.sent.extend(frames[..taken].iter().cloned());
        Ok(taken)
    }

    fn losses(&self) -> Losses {
        Losses {
            segments: 2,
            ..Losses::default()
        }
    }
}

/// An outbox, its device, and a worker's buffers and counters.
struct Bench {
    outbox: Outbox,
    wire: Arc<Mutex<Wire>>,
    counters: Counters,
    pool: Vec<Frame>,
    clock: Clock,
}

impl Bench {
    fn new(answers: impl IntoIterator<Item = io::Result<usize>>) -> Self {
        let wire = Arc::new(Mutex::new(Wire {
            answers: answers.into_iter().collect(),
            ..Wire::default()
        }));
        Self {
            outbox: Outbox::new(
                End::plain(Box::new(Device(Arc::clone(&wire)))),
                Arc::default(),
            ),
            wire,
            counters: Counters::default(),
            pool: (0..RESERVE).map(|_| Frame::new()).collect(),
            clock: Clock::start(),
        }
    }

    /// How many of these find no room.
    fn push(&mut self, frames: impl IntoIterator<Item = Frame>) -> usize {
        let queued = frames.into_iter().map(|frame| self.outbox.push(frame));
        queued
            .filter(|queued| matches!(queued, Queued::Full(_)))
            .count()
    }

    fn flush(&mut self) -> bool {
        self.outbox.flush(
            PortId(0),
            self.clock,
            &self.counters,
            &mut self.pool,
            &mut Taps::default(),
        )
    }

    /// What leaves when these are sent in one turn.
    fn send(frames: impl IntoIterator<Item = Frame>) -> (Vec<Frame>, u64) {
        let mut bench = Self::new([]);
        assert_eq!(bench.push(frames), 0);
        assert!(!bench.flush());
        let sent = std::mem::take(&mut bench.wire.lock().unwrap().sent);
        assert_eq!(bench.outbox.counters.tx_frames.get(), sent.len() as u64);
        (sent, bench.outbox.counters.tx_coalesced.get())
    }

    fn sent(&self) -> usize {
        self.wire.lock().unwrap().sent.len()
    }

    fn calls(&mut self) -> usize {
        std::mem::take(&mut self.wire.lock().unwrap().calls)
    }
}

fn no_buffers() -> io::Result<usize> {
    Err(nix::Error::ENOBUFS.into())
}

/// Segment `number` of 1000 bytes of the connection from this port.
fn segment(port: u16, number: u16) -> Frame {
    flagged(port, number, TcpFlags::ACK, &[number as u8; 1000])
}

fn flagged(port: u16, number: u16, flags: TcpFlags, payload: &[u8]) -> Frame {
    let seq = u32::from(number) * 1000;
    let packet = build::tcp(A, B, port, 80, flags, seq, payload);
    let packet = build::with_header(&packet, |ip| ip.identification = number);
    Frame::from_packet(&packet)
}

fn udp() -> Frame {
    Frame::from_packet(&build::udp(A, B, 1, 2, &[0; 1000]))
}

/// Bytes of each packet.
fn lens(frames: &[Frame]) -> Vec<usize> {
    frames.iter().map(Frame::packet_len).collect()
}

#[test]
fn segments_of_one_connection_leave_as_one_frame() {
    let (sent, coalesced) = Bench::send((0..20).map(|n| segment(1, n)));
    assert_eq!((lens(&sent), coalesced), (vec![20_040], 19));
}

#[test]
fn connections_that_take_turns_are_joined_each_by_itself_in_its_order() {
    let both = (0..10).flat_map(|n| [segment(1, n), udp(), segment(2, n)]);
    let (sent, coalesced) = Bench::send(both);
    let tcp: Vec<_> = sent
        .iter()
        .map(Frame::packet_len)
        .filter(|len| *len != 1028)
        .collect();
    assert_eq!((tcp, coalesced), (vec![10_040; 2], 18));
    assert_eq!(sent.len(), 12, "datagrams are left alone");
}

#[test]
fn more_connections_than_are_remembered_leave_in_order() {
    let many = 3 * 8;
    let frames = (0..4).flat_map(|n| (0..many).map(move |port| segment(port, n)));
    let (sent, coalesced) = Bench::send(frames);
    assert_eq!(sent.len() as u64 + coalesced, u64::from(4 * many));
    for port in 0..many {
        let of_port = sent
            .iter()
            .filter(|frame| frame.packet()[20..22] == port.to_be_bytes());
        let seq = |frame: &Frame| frame.packet()[24..28].to_vec();
        assert!(of_port.map(seq).is_sorted(), "of port {port}");
    }
}

#[test]
fn nothing_overtakes_a_frame_of_its_connection_that_was_not_joined() {
    // Each of these is queued between segments 0 and 1.
    let ack = flagged(1, 1, TcpFlags::ACK, b"");
    let again = segment(1, 0);
    let urgent = flagged(1, 1, TcpFlags(0x30), b"x");
    let options = Frame::from_packet(&build::with_options(segment(1, 9).packet(), &[1; 4]));
    for between in [ack, again, urgent, options] {
        let (sent, _) = Bench::send([segment(1, 0), between.clone(), segment(1, 1)]);
        let at = sent.iter().position(|frame| *frame == between);
        let tail = sent
            .iter()
            .position(|frame| frame.packet().ends_with(&[1; 1000]));
        assert!(at.unwrap() < tail.unwrap(), "{between:?}");
    }
}

#[test]
fn push_ends_a_frame_and_the_next_segment_begins_another() {
    let pushed = flagged(1, 1, PSH, &[1; 1000]);
    let (sent, _) = Bench::send([segment(1, 0), pushed, segment(1, 2), segment(1, 3)]);
    assert_eq!(lens(&sent), [2040, 2040]);
}

#[test]
fn nothing_is_held_over_a_flush() {
    let mut bench = Bench::new([]);
    bench.push([segment(1, 0)]);
    assert!(!bench.flush());
    bench.push([segment(1, 1)]);
    assert!(!bench.flush());
    assert_eq!(lens(&bench.wire.lock().unwrap().sent), [1040, 1040]);
}

#[test]
fn a_full_device_is_asked_twice_and_then_left_alone() {
    let mut bench = Bench::new([Ok(0), Ok(0), Ok(0), Ok(3), Ok(0), Ok(0)]);
    assert_eq!(bench.push(std::iter::repeat_with(udp).take(10)), 0);
    assert!(bench.flush());
    assert_eq!((bench.calls(), bench.sent()), (2, 0));
    assert!(bench.flush(), "at the next turn it takes three of them");
    assert_eq!((bench.calls(), bench.sent()), (3, 3));
    assert_eq!(
        bench.push(std::iter::repeat_with(udp).take(40)),
        15,
        "room for 32"
    );
    assert!(!bench.flush());
    assert_eq!(bench.sent(), 35);
    assert_eq!(
        bench.counters.dropped(DropReason::DeviceFull),
        0,
        "the worker counts them"
    );
    assert_eq!(
        bench.push(std::iter::repeat_with(udp).take(300)),
        300 - BACKLOG
    );
}

#[test]
fn frames_that_wait_for_a_full_device_are_given_up_when_buffers_run_short() {
    let mut bench = Bench::new([Ok(0), Ok(0)]);
    bench.pool.truncate(RESERVE - 11);
    bench.push(std::iter::repeat_with(udp).take(10));
    assert!(!bench.flush());
    assert_eq!(bench.pool.len(), RESERVE - 1);
    assert_eq!(bench.counters.dropped(DropReason::DeviceFull), 10);
}

#[test]
fn a_frame_the_kernels_queue_drops_once_is_sent_at_the_next_turn() {
    let mut bench = Bench::new([Ok(1), no_buffers()]);
    bench.push([segment(1, 0), udp(), udp()]);
    assert!(bench.flush());
    assert_eq!((bench.calls(), bench.sent()), (2, 1));
    assert!(!bench.flush());
    assert_eq!(bench.sent(), 3);
    assert_eq!(bench.counters.dropped(DropReason::KernelQueueFull), 0);
    assert_eq!(bench.outbox.counters.tx_frames.get(), 3);
    assert_eq!(bench.outbox.refused, None);
}

#[test]
fn a_frame_the_kernels_queue_drops_for_longer_than_its_patience_is_dropped_and_the_next_is_tried() {
    let mut bench = Bench::new([
        no_buffers(),
        no_buffers(),
        no_buffers(),
        Ok(1),
        no_buffers(),
    ]);
    bench.push(std::iter::repeat_with(udp).take(3));
    assert!(bench.flush());
    assert!(bench.flush(), "not yet");
    std::thread::sleep(PATIENCE);
    assert!(!bench.flush());
    assert_eq!(bench.sent(), 1);
    assert_eq!(bench.counters.dropped(DropReason::KernelQueueFull), 2);
}

#[test]
fn a_port_that_has_waited_for_refused_frames_goes_without_for_a_hundred_times_as_long() {
    let mut bench = Bench::new([no_buffers(), no_buffers()]);
    bench.push([udp()]);
    assert!(bench.flush());
    std::thread::sleep(PATIENCE);
    assert!(!bench.flush());
    let refuse = |bench: &mut Bench| {
        bench.wire.lock().unwrap().answers.push_back(no_buffers());
        bench.push([udp(), udp()]);
        bench.flush()
    };
    assert!(!refuse(&mut bench));
    assert_eq!(bench.sent(), 1, "the one behind it is sent at once");
    assert_eq!(bench.counters.dropped(DropReason::KernelQueueFull), 2);
    bench.outbox.patient_from = Time::default();
    assert!(refuse(&mut bench), "then it waits anew");
}

#[test]
fn what_a_device_leaves_over_keeps_few_buffers() {
    let mut bench = Bench::new([Ok(7), Ok(0), Ok(0)]);
    bench.push(std::iter::repeat_with(udp).take(100));
    assert!(bench.flush());
    assert_eq!(bench.outbox.pending.len(), STUCK_BACKLOG);
    let dropped = bench.counters.dropped(DropReason::DeviceFull);
    assert_eq!(dropped, 100 - 7 - STUCK_BACKLOG as u64);
}

#[test]
fn an_error_of_another_kind_costs_its_frame_at_once() {
    let mut bench = Bench::new([Err(nix::Error::EMSGSIZE.into()), Ok(1)]);
    bench.push([udp(), udp()]);
    assert!(!bench.flush());
    assert_eq!(bench.sent(), 1);
    assert_eq!(bench.counters.dropped(DropReason::DeviceError), 1);
    assert_eq!(bench.pool.len(), RESERVE + 2);
}

#[test]
fn segments_lost_of_a_frame_half_sent_are_counted_once() {
    let mut bench = Bench::new([]);
    bench.outbox.count_losses(&bench.counters);
    bench.outbox.count_losses(&bench.counters);
    assert_eq!(bench.counters.dropped(DropReason::DeviceFull), 2);
}
