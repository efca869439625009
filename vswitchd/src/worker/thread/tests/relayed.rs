//! Lanes against a picture of the kernel's program: no frame overtakes another, each is counted once, and what closes a lane
//! does so before the next frame.

mod ends;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Mutex;

use packet::FlowKey;
use packet::ipv4;
use port::{LaneSpec, RelayCounts};
use proptest::prelude::*;

use super::*;
use crate::worker::lanes::Carrier;
use crate::worker::unfit::Unfit;

/// The program, its lanes and the generation in force (`port::Relay`).
#[derive(Default)]
struct Kernel(Mutex<State>);

#[derive(Default)]
struct State {
    keys: BTreeMap<u16, LaneSpec>,
    entries: BTreeMap<u16, Entry>,
    in_force: u32,
}

#[derive(Default)]
struct Entry {
    /// 0 = closed.
    generation: u32,
    counts: RelayCounts,
}

impl Carrier for Kernel {
    fn prepare(&self, place: u16, spec: &LaneSpec) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        assert!(state.keys.values().all(|other| other.flow != spec.flow));
        state.entries.insert(place, Entry::default());
        state.keys.insert(place, *spec);
        Ok(())
    }

    fn remove(&self, spec: &LaneSpec) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let before = state.keys.len();
        state.keys.retain(|_, other| other != spec);
        assert_eq!(state.keys.len() + 1, before);
        Ok(())
    }

    fn open(&self, place: u16, through: u64, generation: u32) -> bool {
        let mut state = self.0.lock().unwrap();
        let entry = state.entries.get_mut(&place).unwrap();
        let opens = entry.generation == 0 && entry.counts.seen == through;
        if opens {
            entry.generation = generation;
        }
        opens
    }

    fn close(&self, place: u16) {
        let mut state = self.0.lock().unwrap();
        state.entries.get_mut(&place).unwrap().generation = 0;
    }

    fn counts(&self, place: u16) -> RelayCounts {
        self.0.lock().unwrap().entries[&place].counts
    }
}

impl Kernel {
    /// What the program does with a frame that comes by port A: true if it is relayed.
    fn meets(&self, frame: &mut Frame) -> bool {
        let state = &mut *self.0.lock().unwrap();
        let key = key(frame);
        let lane = state.keys.iter().find(|(_, spec)| spec.flow == key);
        let Some((place, spec)) = lane else {
            return false;
        };
        let entry = state.entries.get_mut(place).unwrap();
        let seen = entry.counts.seen as u16;
        entry.counts.seen += 1;
        if entry.generation != 0 && entry.generation == state.in_force {
            entry.counts.packets += 1;
            entry.counts.bytes += frame.bytes().len() as u64;
            return true;
        }
        frame.bytes_mut()[..4].copy_from_slice(&spec.mark);
        frame.bytes_mut()[4..6].copy_from_slice(&seen.to_be_bytes());
        false
    }

    fn allow(&self, generation: Generation) {
        self.0.lock().unwrap().in_force = generation.0;
    }
}

fn key(frame: &Frame) -> FlowKey {
    let header = ipv4::Header::parse(frame.packet()).unwrap();
    let l4 = header.payload(frame.packet());
    let port = |at| u16::from_be_bytes([l4[at], l4[at + 1]]);
    FlowKey {
        src: header.src,
        dst: header.dst,
        src_port: port(0),
        dst_port: port(2),
        protocol: header.protocol,
    }
}

/// A worker behind the program: pod A's frames meet it, then wait in the worker's socket.
struct Stage {
    desk: Desk,
    kernel: Arc<Kernel>,
    socket: VecDeque<Frame>,
    world: Snapshot,
    sent: u32,
    /// The numbers in the frames as pod B finds them.
    arrived: Vec<u32>,
    relayed: u32,
}

impl Stage {
    fn new() -> Self {
        let kernel = Arc::new(Kernel::default());
        let world = world(None);
        kernel.allow(world.generation);
        let lanes = Lanes::new(
            Arc::clone(&kernel) as _,
            Unfit::none_of([A.0.0.into(), B.0.0.into()]),
            7,
            8,
        );
        let desk = Desk::with_lanes(world.clone(), 1, WIDE, Some(lanes));
        Self {
            desk,
            kernel,
            socket: VecDeque::new(),
            world,
            sent: 0,
            arrived: Vec::new(),
            relayed: 0,
        }
    }

    fn send(&mut self, count: u32) {
        for _ in 0..count {
            let packet = build::udp(A.1, B.1, 1, 53, &self.sent.to_be_bytes());
            let ethernet = build::ethernet(mac(A.1), GATEWAY_MAC, &packet);
            let mut frame = Frame::from_ethernet(&ethernet);
            match self.kernel.meets(&mut frame) {
                true => {
                    self.arrived.push(self.sent);
                    self.relayed += 1;
                }
                false => self.socket.push_back(frame),
            }
            self.sent += 1;
        }
    }

    /// The worker takes up to `most` frames from its socket, and they arrive.
    fn turn(&mut self, most: usize) {
        let most = most.min(self.socket.len());
        let frames: Vec<Frame> = self.socket.drain(..most).collect();
        assert_eq!(self.desk.a.tx_batch(&frames).unwrap(), frames.len());
        self.desk.turn();
        let mut frames = vec![Frame::new(); 64];
        let taken = self.desk.b.rx_batch(&mut frames).unwrap();
        for frame in &frames[..taken] {
            assert_eq!(frame.link()[..6], mac(B.1).0);
            let number = frame.packet()[28..32].first_chunk().unwrap();
            self.arrived.push(u32::from_be_bytes(*number));
        }
    }

    fn publish(&mut self) {
        self.world.generation = Generation(self.world.generation.0 + 1);
        self.kernel.allow(self.world.generation);
        let shared = &self.desk.worker.parts.shared;
        drop(shared.publish(self.world.clone()));
    }

    fn flow_packets(&mut self) -> u64 {
        self.desk.worker.count_relayed();
        let now = self.desk.worker.parts.clock.now();
        let flows = self.desk.worker.parts.local.flows(now, 2);
        assert_eq!(flows.len(), 1);
        flows[0].0.packets[0]
    }

    /// Places with a lane.
    fn places(&self) -> Vec<u16> {
        self.kernel.0.lock().unwrap().keys.keys().copied().collect()
    }

    /// Frames from A, to B, relayed, and lanes.
    fn counters(&self) -> [u64; 4] {
        let of = |id: PortId| {
            let port = self.desk.worker.ports[id.index()].as_ref().unwrap();
            (port.counters.rx_frames.get(), port.counters.tx_frames.get())
        };
        let all = self.desk.worker.parts.local.counters();
        [of(A.0).0, of(B.0).1, all.relayed.get(), all.lanes.get()]
    }

    /// Until its lane is open.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.send(1);
            self.turn(64);
        }
        let before = self.relayed;
        self.send(1);
        assert_eq!(self.relayed, before + 1, "the lane is open");
    }
}

#[test]
fn a_busy_flow_is_relayed_after_its_64th_packet_and_counted() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        stage.settle();
        assert!(
            (64..=67).contains(&(stage.sent - stage.relayed)),
            "{} of {} were relayed",
            stage.relayed,
            stage.sent
        );
        let (sent, relayed) = (stage.sent.into(), stage.relayed.into());
        assert_eq!(stage.flow_packets(), sent);
        assert_eq!(stage.counters(), [sent, sent, relayed, 1]);
    });
}

#[test]
fn a_new_snapshot_closes_it_before_the_next_frame() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        stage.settle();
        let relayed = stage.relayed;
        stage.publish();
        stage.send(5);
        assert_eq!(stage.relayed, relayed);
        stage.turn(64);
        // It has ended; a busy flow gets another one.
        assert_eq!(stage.counters()[3], 0);
        stage.settle();
        assert_eq!(stage.flow_packets(), u64::from(stage.sent));
        assert!(stage.arrived.is_sorted());
    });
}

#[test]
fn what_the_program_closed_ends_with_its_first_frame() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        stage.settle();
        let place = *stage.kernel.0.lock().unwrap().keys.keys().next().unwrap();
        assert!((7..15).contains(&place));
        stage.kernel.close(place);
        stage.send(1);
        stage.turn(64);
        assert_eq!(stage.counters()[3], 0);
        assert!(stage.kernel.0.lock().unwrap().keys.is_empty());
        assert_eq!(stage.flow_packets(), u64::from(stage.sent));
    });
}

/// Those of lanes that had its place before, and of none.
#[test]
fn a_mark_of_another_lane_is_taken_off_and_changes_nothing() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        stage.send(70);
        stage.turn(64);
        let kernel = Arc::clone(&stage.kernel);
        let mark = kernel.0.lock().unwrap().keys.values().next().unwrap().mark;
        // Another place of this worker, another lane at this one, a place of another worker.
        for (at, value) in [(2, mark[2] + 1), (3, mark[3] ^ 1), (1, 1)] {
            let mut frame = udp(1, 10);
            frame.bytes_mut()[..4].copy_from_slice(&mark);
            frame.bytes_mut()[at] = value;
            assert_eq!(stage.desk.a.tx_batch(&[frame]).unwrap(), 1);
            stage.desk.turn();
            assert_eq!(stage.desk.received(), 1, "byte {at}");
        }
        stage.settle();
        assert!(stage.arrived.is_sorted());
        assert_eq!(stage.desk.dropped(DropReason::OtherMac), 0);
    });
}

#[test]
fn what_is_no_mark_is_dropped_for_its_address() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        let mut frame = udp(1, 10);
        frame.bytes_mut()[0] = 0x7a;
        assert_eq!(stage.desk.a.tx_batch(&[frame]).unwrap(), 1);
        stage.desk.turn();
        assert_eq!(stage.desk.dropped(DropReason::OtherMac), 1);
    });
}

/// The lane's mark, sent by a pod that it does not belong to.
#[test]
fn a_pod_cannot_end_anothers_lane() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        stage.settle();
        let mark = stage
            .kernel
            .0
            .lock()
            .unwrap()
            .keys
            .values()
            .next()
            .unwrap()
            .mark;
        let packet = build::udp(B.1, A.1, 9, 9, &[]);
        let mut frame = Frame::from_ethernet(&build::ethernet(mac(B.1), GATEWAY_MAC, &packet));
        frame.bytes_mut()[..4].copy_from_slice(&mark);
        assert_eq!(stage.desk.b.tx_batch(&[frame]).unwrap(), 1);
        stage.turn(0);
        let relayed = stage.relayed;
        stage.send(1);
        assert_eq!(stage.relayed, relayed + 1);
    });
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Send(u32),
    Turn(usize),
    /// Frames the full socket loses, the newest.
    Overflow(usize),
    Publish,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..40_u32).prop_map(Step::Send),
        8 => (0..64_usize).prop_map(Step::Turn),
        1 => (1..20_usize).prop_map(Step::Overflow),
        1 => Just(Step::Publish),
        1 => Just(Step::Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_frame_overtakes_another_whatever_happens_when(steps in prop::collection::vec(step(), 1..120)) {
        netlink::testing::isolated(|| {
            let mut stage = Stage::new();
            let mut lost = 0;
            for step in steps {
                match step {
                    Step::Send(count) => stage.send(count),
                    Step::Turn(most) => stage.turn(most),
                    Step::Publish => stage.publish(),
                    Step::Overflow(count) => {
                        let kept = stage.socket.len().saturating_sub(count);
                        lost += stage.socket.split_off(kept).len() as u64;
                    }
                    Step::Close => {
                        let places: Vec<u16> =
                            stage.kernel.0.lock().unwrap().keys.keys().copied().collect();
                        places.into_iter().for_each(|place| stage.kernel.close(place));
                    }
                }
            }
            while !stage.socket.is_empty() {
                stage.turn(64);
            }
            assert!(stage.arrived.is_sorted_by(|a, b| a < b), "{:?}", stage.arrived);
            assert_eq!(stage.arrived.len() as u64 + lost, u64::from(stage.sent));
            if stage.sent > 0 && !stage.arrived.is_empty() {
                assert_eq!(stage.flow_packets() + lost, u64::from(stage.sent));
            }
        });
    }
}
