//! What is written, and that every beginning has one end.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use packet::Protocol;
use policy::RuleRef;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::conntrack::{Conntrack, Direction as Way, State, Timeouts, Transport};
use packet::transport::TcpFlags;

/// A log with room for so many events.
#[derive(Clone, Debug)]
struct Paper {
    events: Arc<Mutex<Vec<FlowEvent>>>,
    room: usize,
}

impl Paper {
    fn new(room: usize) -> Self {
        let events = Arc::default();
        Self { events, room }
    }

    fn take(&self) -> Vec<FlowEvent> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

impl FlowLog for Paper {
    fn has_room(&self) -> bool {
        self.events.lock().unwrap().len() < self.room
    }

    fn record(&mut self, event: FlowEvent) -> bool {
        self.events.lock().unwrap().push(event);
        true
    }
}

fn journal(paper: &Paper, sample: u32) -> Journal {
    let config = JournalConfig {
        sample,
        aggregate_nanos: 10_000_000_000,
    };
    Journal::to(Box::new(paper.clone()), config)
}

fn key(client: u16) -> FlowKey {
    FlowKey {
        src: Ipv4Addr::new(10, 0, 0, 1),
        dst: Ipv4Addr::new(10, 0, 0, 2),
        src_port: client,
        dst_port: 80,
        protocol: Protocol::TCP,
    }
}

fn denied(client: u16) -> DeniedPacket {
    DeniedPacket {
        key: key(client),
        hash: u32::from(client).wrapping_mul(2_654_435_761),
        direction: Direction::Ingress,
        from: PortId(2),
        bytes: 60,
    }
}

/// Packets that these events tell of.
fn packets(events: &[FlowEvent]) -> u64 {
    let count = |event: &FlowEvent| match event.news {
        FlowNews::Denied { packets, .. } | FlowNews::DeniedOthers { packets, .. } => packets,
        _ => 0,
    };
    events.iter().map(count).sum()
}

const GENERATION: Generation = Generation(1);

#[test]
fn the_first_denied_packet_of_a_flow_is_written_at_once_and_the_others_are_counted() {
    let paper = Paper::new(100);
    let mut journal = journal(&paper, 1);
    let at = Time::from_secs;
    let rule = || Some(RuleRef::NO_DECISION);
    journal.tick(at(1), GENERATION);
    for second in [1, 2, 3] {
        journal.denied(at(second), GENERATION, &denied(4000), rule);
    }
    journal.denied(at(3), GENERATION, &denied(4001), rule);
    assert_eq!(paper.take().len(), 2, "one a flow");
    journal.tick(at(10), GENERATION);
    assert_eq!(paper.take(), [], "the interval is not over");
    journal.tick(at(11), GENERATION);
    let events = paper.take();
    assert_eq!(events.len(), 1, "nothing new of the other flow");
    let FlowNews::Denied {
        packets,
        bytes,
        since,
        ..
    } = events[0].news
    else {
        panic!("{events:?}");
    };
    assert_eq!((packets, bytes, since), (2, 120, at(2)));
    // A flow that is still denied has a line an interval; one that is not is forgotten.
    journal.denied(at(12), GENERATION, &denied(4000), rule);
    assert_eq!(paper.take(), []);
    journal.denied(at(12), GENERATION, &denied(4001), rule);
    assert_eq!(paper.take().len(), 1, "forgotten, so it is the first again");
}

#[test]
fn what_was_denied_under_a_generation_is_written_before_the_next_one_is_used() {
    let paper = Paper::new(100);
    let mut journal = journal(&paper, 1);
    let at = Time::from_secs;
    for _ in 0..5 {
        journal.denied(at(1), GENERATION, &denied(4000), || None);
    }
    paper.take();
    journal.denied(at(2), Generation(2), &denied(4000), || None);
    let events = paper.take();
    let told: Vec<(u32, u64)> = events
        .iter()
        .map(|event| (event.generation.0, packets(std::slice::from_ref(event))))
        .collect();
    assert_eq!(told, [(1, 4), (2, 1)]);
}

#[test]
fn one_flow_of_a_sample_is_logged_and_one_without_room_is_not() {
    let paper = Paper::new(2);
    let mut journal = journal(&paper, 10);
    let mut table = Conntrack::new(64, Timeouts::default(), [1, 2]);
    let now = Time::from_secs(1);
    let mut begin = |journal: &mut Journal, client| {
        let (id, _) = table
            .insert(&key(client), Transport::Udp, PortId(2), now)
            .unwrap()
            .unwrap();
        journal.begun(now, id, table.flow(id), [None; 2]);
        table.flow(id).logged
    };
    let logged: Vec<u16> = (1..=40)
        .filter(|client| begin(&mut journal, *client))
        .collect();
    assert_eq!(logged, [10, 20], "then the paper is full");
}

proptest! {
    /// Whatever is denied, in whatever order, every packet is in one event.
    #[test]
    fn every_denied_packet_is_told_of_once(clients in vec((0_u16..2_000, 0_u64..3), 1..3_000)) {
        let paper = Paper::new(usize::MAX);
        let mut journal = journal(&paper, 1);
        let mut now = 0;
        for (client, seconds) in &clients {
            now += seconds;
            let generation = Generation(1 + u32::try_from(now / 100).unwrap());
            journal.denied(Time::from_secs(now), generation, &denied(*client), || None);
        }
        journal.tick(Time::from_secs(now + 100), Generation(u32::MAX));
        prop_assert_eq!(packets(&paper.take()), clients.len() as u64);
    }

    /// Whatever happens to flows, each that was begun is ended once, with the
    /// counts that the table had, or is still there.
    #[test]
    fn every_flow_begun_is_ended_once(
        steps in vec((0_u16..12, 0_u8..7, 0_u64..40), 1..400),
        sample in 1_u32..3,
    ) {
        let paper = Paper::new(usize::MAX);
        let mut journal = journal(&paper, sample);
        let mut table = Conntrack::new(8, Timeouts::default(), [1, 2]);
        let mut counted: HashMap<FlowKey, [u64; 2]> = HashMap::new();
        let mut now = Time::from_secs(1);
        for (client, step, seconds) in steps {
            now = now + std::time::Duration::from_secs(seconds);
            take_step(&mut journal, &mut table, &mut counted, now, key(client), step);
        }
        let mut open: HashMap<u32, FlowKey> = HashMap::new();
        for event in paper.take() {
            match event.news {
                FlowNews::Begun { slot, .. } => {
                    prop_assert!(open.insert(slot, event.key).is_none(), "begun twice");
                }
                FlowNews::Ended { slot, packets, .. } => {
                    prop_assert_eq!(open.remove(&slot), Some(event.key), "ended twice");
                    prop_assert!(packets[0] > 0);
                }
                _ => {}
            }
        }
        let left = table.iter().filter(|flow| flow.logged).map(Flow::original);
        let mut left: Vec<FlowKey> = left.collect();
        let mut open: Vec<FlowKey> = open.into_values().collect();
        left.sort();
        open.sort();
        prop_assert_eq!(left, open);
        for flow in table.iter() {
            prop_assert_eq!(flow.packets, counted[&flow.original()]);
        }
    }
}

const RST: TcpFlags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);
const FIN: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);

/// One packet, or time passing, as the walk would handle it.
fn take_step(
    journal: &mut Journal,
    table: &mut Conntrack,
    counted: &mut HashMap<FlowKey, [u64; 2]>,
    now: Time,
    key: FlowKey,
    step: u8,
) {
    let (flags, reversed) = match step {
        0 => (TcpFlags::SYN, false),
        1 => (TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0), true),
        2 => (TcpFlags::ACK, false),
        3 => (FIN, false),
        4 => (FIN, true),
        5 => (RST, true),
        _ => {
            table.expire_telling(now, 64, |id, flow| {
                journal.removed(now, id, flow, EndReason::Timeout);
            });
            return;
        }
    };
    let transport = Transport::Tcp(flags);
    if let Some((id, _)) = table.find(&key)
        && transport.opens()
        && table.flow(id).state.is_over()
    {
        journal.ended(now, id, table.flow(id), EndReason::Replaced);
        table.remove(id);
    }
    let wire = if reversed { key.reversed() } else { key };
    match table.find(&wire) {
        Some((id, direction)) => {
            let flow = table.track(id, direction, transport, now).unwrap();
            flow.count(direction, 40);
            counted.get_mut(&key).unwrap()[direction as usize] += 1;
            match flow.state {
                State::TimeWait => journal.ended(now, id, flow, EndReason::Fin),
                State::Closed => journal.ended(now, id, flow, EndReason::Reset),
                _ => {}
            }
        }
        None if reversed => {}
        None => {
            let inserted = table.insert_telling(&key, transport, PortId(2), now, |id, flow| {
                journal.removed(now, id, flow, EndReason::Evicted);
            });
            let Ok(Ok((id, _))) = inserted else { return };
            let flow = table.flow(id);
            flow.count(Way::Original, 40);
            counted.insert(key, [1, 0]);
            journal.begun(now, id, flow, [None; 2]);
        }
    }
}
