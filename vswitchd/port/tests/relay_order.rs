//! What a relay promises of order: no frame overtakes another, whoever forwards it.
//!
//! Loading its programs needs the machine's own root, see `relay.rs`.
#![forbid(unsafe_code)]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::relay::{self, GENERATION, House, MARK, after, housed, tcp};
use common::{PATIENCE, receive_waiting, send_all, wait};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;
use packet::{Frame, Protocol};
use port::PacketPort;

/// Frames of the flow, and how many of them are sent without a pause.
const FRAMES: u16 = 20_000;
const BURST: u16 = 50;

/// The daemon's part: frames that were not relayed leave by the same interface, and when all that were seen have left, the
/// lane is opened.
struct Worker {
    leaves: PacketPort,
    opened: u64,
}

impl Worker {
    fn turn(&mut self, house: &mut House) {
        let marked = receive_waiting(&mut house.host);
        let Some(last) = marked.last() else { return };
        let low = u16::from_be_bytes([last.bytes()[4], last.bytes()[5]]);
        assert_eq!(last.bytes()[..4], MARK);
        // Fewer than 2¹⁶ frames are sent, so the mark says it all.
        let through = u64::from(low) + 1;
        let frames: Vec<Frame> = marked.into_iter().map(relay::unmarked).map(after).collect();
        send_all(&mut self.leaves, &frames);
        self.opened += u64::from(house.relay.open(0, through, GENERATION));
    }
}

#[test]
fn no_frame_overtakes_another_when_a_lane_opens_and_closes() {
    let name = "no_frame_overtakes_another_when_a_lane_opens_and_closes";
    housed(name, |mut house| {
        house.relay.prepare(0, &house.lane(Protocol::TCP)).unwrap();
        let leaves = relay::open("tofar", true, None);
        let mut worker = Worker { leaves, opened: 0 };
        let mut pod = relay::open("pod", false, None);
        let sender = thread::spawn(move || {
            stay_on_this_processor();
            for from in (0..FRAMES).step_by(BURST.into()) {
                let burst: Vec<Frame> = (from..from + BURST).map(tcp).collect();
                send_all(&mut pod, &burst);
                thread::sleep(Duration::from_micros(300));
            }
        });
        let (mut arrived, mut relayed) = (Vec::new(), 0);
        let deadline = Instant::now() + 3 * PATIENCE;
        while arrived.len() < FRAMES.into() && Instant::now() < deadline {
            worker.turn(&mut house);
            arrived.extend(receive_waiting(&mut house.far).iter().map(identification));
            // Some are relayed, then it is the daemon's turn again.
            if house.counts(0).packets > relayed + 70 {
                relayed = house.counts(0).packets;
                house.relay.close(0);
            }
            wait(&house.far, Duration::from_millis(1));
        }
        sender.join().unwrap();
        assert_eq!(arrived, (0..FRAMES).collect::<Vec<u16>>());
        assert!(worker.opened > 1, "opened {} times", worker.opened);
    });
}

/// The kernel has a queue for each processor: who changes over may overtake itself.
fn stay_on_this_processor() {
    let mut this = CpuSet::new();
    let number = sched_getcpu().expect("a processor");
    this.set(number).expect("a number of a processor");
    sched_setaffinity(Pid::from_raw(0), &this).expect("stay");
}

fn identification(frame: &Frame) -> u16 {
    u16::from_be_bytes([frame.packet()[4], frame.packet()[5]])
}
