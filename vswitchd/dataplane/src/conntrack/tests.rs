//! The table against a plain map, and the life of a TCP connection.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use packet::flow::FlowKey;
use packet::protocol::Protocol;
use packet::transport::TcpFlags;
use proptest::prelude::*;

use super::*;
use crate::ids::PortId;
use crate::time::Time;

const SYN: Transport = Transport::Tcp(TcpFlags(0x02));
const SYN_ACK: Transport = Transport::Tcp(TcpFlags(0x12));
const ACK: Transport = Transport::Tcp(TcpFlags(0x10));
const FIN_ACK: Transport = Transport::Tcp(TcpFlags(0x11));
const RST: Transport = Transport::Tcp(TcpFlags(0x04));

fn table(capacity: usize) -> Conntrack {
    Conntrack::new(
        capacity,
        Timeouts::default(),
        [0x1234_5678_9abc_def0, 0x0fed_cba9_8765_4321],
    )
}

fn key(client: u16) -> FlowKey {
    FlowKey {
        src: Ipv4Addr::new(10, 244, 151, 1),
        dst: Ipv4Addr::new(10, 244, 205, 193),
        src_port: client,
        dst_port: 80,
        protocol: Protocol::TCP,
    }
}

/// An open connection, as after its handshake.
fn open(table: &mut Conntrack, key: &FlowKey, now: Time) -> FlowId {
    let id = insert(table, key, SYN, now);
    for (direction, transport) in [(Direction::Reply, SYN_ACK), (Direction::Original, ACK)] {
        table.track(id, direction, transport, now).unwrap();
    }
    id
}

fn insert(table: &mut Conntrack, key: &FlowKey, transport: Transport, now: Time) -> FlowId {
    table
        .insert(key, transport, PortId(1), now)
        .unwrap()
        .unwrap()
        .0
}

#[test]
fn sixty_four_mebibytes_hold_458_752_flows_and_none_of_them_is_asked_for_later() {
    let mut table = table(458_752);
    let before = table.state_bytes();
    assert!(before <= 64 << 20, "{before} bytes");
    for client in 0..1000 {
        insert(&mut table, &key(client), SYN, Time::from_secs(1));
    }
    assert_eq!(table.state_bytes(), before);
}

#[test]
fn both_directions_find_the_one_flow() {
    let mut table = table(16);
    let id = insert(&mut table, &key(4000), SYN, Time::from_secs(1));
    assert_eq!(table.find(&key(4000)), Some((id, Direction::Original)));
    assert_eq!(
        table.find(&key(4000).reversed()),
        Some((id, Direction::Reply))
    );
    assert_eq!(table.find(&key(4001)), None);
    assert_eq!(table.flow(id).original(), key(4000));
}

#[test]
fn a_tcp_connection_lives_and_dies() {
    let mut table = table(16);
    let now = Time::from_secs(1);
    let id = insert(&mut table, &key(1), SYN, now);
    let mut step = |direction, transport| {
        table.track(id, direction, transport, now).unwrap();
        table.flow(id).state
    };
    assert_eq!(step(Direction::Reply, SYN_ACK), State::SynReceived);
    assert_eq!(step(Direction::Original, ACK), State::Established);
    assert_eq!(step(Direction::Reply, ACK), State::Established);
    assert_eq!(step(Direction::Original, FIN_ACK), State::FinWait);
    assert_eq!(step(Direction::Reply, ACK), State::FinWait);
    assert_eq!(step(Direction::Reply, FIN_ACK), State::LastAck);
    assert_eq!(step(Direction::Original, ACK), State::TimeWait);
    assert_eq!(step(Direction::Original, RST), State::Closed);
}

#[test]
fn impossible_flags_are_refused_and_change_nothing() {
    let mut table = table(16);
    let now = Time::from_secs(1);
    for flags in [0x00, 0x03, 0x06, 0x01, 0x05, 0x17] {
        let transport = Transport::Tcp(TcpFlags(flags));
        assert_eq!(
            table.insert(&key(1), transport, PortId(1), now),
            Err(Refused),
            "{flags:#x}"
        );
    }
    assert!(table.is_empty());
    let id = open(&mut table, &key(1), now);
    assert_eq!(
        table
            .track(id, Direction::Original, Transport::Tcp(TcpFlags(0)), now)
            .err(),
        Some(Refused)
    );
    assert_eq!(table.flow(id).state, State::Established);
}

#[test]
fn a_full_table_evicts_the_oldest_unreplied_first() {
    let mut table = table(3);
    let at = |secs| Time::from_secs(secs);
    let closing = open(&mut table, &key(1), at(1));
    table
        .track(closing, Direction::Original, RST, at(1))
        .unwrap();
    insert(&mut table, &key(3), SYN, at(2));
    insert(&mut table, &key(2), SYN, at(3));
    let evicted = table
        .insert(&key(4), SYN, PortId(1), at(4))
        .unwrap()
        .unwrap()
        .1;
    assert!(evicted);
    assert_eq!(table.find(&key(3)), None, "unreplied since 2 s goes first");
    assert!(table.find(&key(1)).is_some() && table.find(&key(2)).is_some());
}

#[test]
fn established_flows_are_never_evicted() {
    let mut table = table(2);
    let now = Time::from_secs(1);
    open(&mut table, &key(1), now);
    open(&mut table, &key(2), now);
    assert_eq!(table.insert(&key(3), SYN, PortId(1), now), Ok(Err(Full)));
    assert_eq!(table.len(), 2);
}

#[test]
fn strays_from_the_middle_of_connections_cannot_fill_the_table() {
    let mut table = table(4);
    let now = Time::from_secs(1);
    for client in 0..100 {
        insert(
            &mut table,
            &key(client),
            if client % 2 == 0 { ACK } else { SYN_ACK },
            now,
        );
    }
    let id = insert(&mut table, &key(200), ACK, now);
    table.track(id, Direction::Reply, ACK, now).unwrap();
    assert_eq!(
        table.flow(id).state,
        State::Established,
        "the other end spoke"
    );
}

#[test]
fn a_flow_expires_when_its_timeout_has_run_out_and_not_before() {
    let mut table = table(16);
    let id = insert(&mut table, &key(1), SYN, Time::from_secs(100));
    table
        .track(id, Direction::Original, SYN, Time::from_secs(150))
        .unwrap();
    assert_eq!(table.expire(Time::from_secs(269), 10), 0);
    assert_eq!(table.expire(Time::from_secs(270), 10), 1);
    assert_eq!(table.find(&key(1)), None);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u16),
    Packet(u16, bool, u8),
    Remove(u16),
    Sleep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0u16..40;
    prop_oneof![
        3 => client.clone().prop_map(Step::Insert),
        3 => (client.clone(), any::<bool>(), 0u8..0x20).prop_map(|(c, r, f)| Step::Packet(c, r, f)),
        1 => client.prop_map(Step::Remove),
        1 => (0u64..200).prop_map(Step::Sleep),
    ]
}

proptest! {
    /// With room for all, the table holds exactly what a map with timeouts holds.
    #[test]
    fn table_equals_a_map(steps in proptest::collection::vec(step(), 0..200)) {
        let mut table = table(64);
        let mut map: HashMap<FlowKey, (State, Time)> = HashMap::new();
        let timeouts = Timeouts::default();
        let mut now = Time::from_secs(1);
        for step in steps {
            match step {
                Step::Insert(client) if !map.contains_key(&key(client)) => {
                    insert(&mut table, &key(client), SYN, now);
                    map.insert(key(client), (State::SynSent, now));
                }
                Step::Packet(client, reply, flags) => {
                    let packet = if reply { key(client).reversed() } else { key(client) };
                    if let Some((id, direction)) = table.find(&packet) {
                        prop_assert_eq!(direction == Direction::Reply, reply);
                        if table.track(id, direction, Transport::Tcp(TcpFlags(flags)), now).is_ok() {
                            let flow = table.flow(id).clone();
                            map.insert(key(client), (flow.state, flow.touched()));
                        }
                    }
                }
                Step::Remove(client) => {
                    if let Some((id, _)) = table.find(&key(client)) {
                        table.remove(id);
                    }
                    map.remove(&key(client));
                }
                Step::Insert(_) => {}
                Step::Sleep(secs) => now = now + Duration::from_secs(secs),
            }
            table.expire(now, usize::MAX);
            map.retain(|_, (state, touched)| now.since(*touched) < timeouts.of(*state));
            prop_assert_eq!(table.len(), map.len());
            for client in 0..40 {
                prop_assert_eq!(table.find(&key(client)).is_some(), map.contains_key(&key(client)));
            }
            prop_assert_eq!(table.iter().count(), map.len());
        }
    }

    /// However full, the index stays true to the slab.
    #[test]
    fn a_small_table_stays_consistent(clients in proptest::collection::vec(0u16..500, 0..300)) {
        let mut table = table(8);
        for (at, client) in clients.into_iter().enumerate() {
            let now = Time::from_secs(at as u64);
            if table.find(&key(client)).is_none() {
                insert(&mut table, &key(client), SYN, now);
            }
            prop_assert!(table.find(&key(client)).is_some());
            prop_assert!(table.len() <= 8);
            for flow in table.iter() {
                prop_assert!(table.find(&flow.original()).is_some());
            }
        }
    }
}
