//! What the flow log says of relayed flows, and flows that lanes are wasted on.

use dataplane::{FlowEvent, FlowLog, FlowNews, JournalConfig};
use packet::transport::TcpFlags;

use super::*;

/// A flow log in memory.
#[derive(Clone, Debug, Default)]
struct Paper(Arc<Mutex<Vec<FlowEvent>>>);

impl FlowLog for Paper {
    fn has_room(&self) -> bool {
        true
    }

    fn record(&mut self, event: FlowEvent) -> bool {
        self.0.lock().unwrap().push(event);
        true
    }
}

impl Paper {
    /// Packets and bytes of the only flow that has ended, its first direction's.
    fn ended(&self) -> (u64, u64) {
        let events = self.0.lock().unwrap();
        let mut ends = events.iter().filter_map(|event| match event.news {
            FlowNews::Ended { packets, bytes, .. } => Some((packets[0], bytes[0])),
            _ => None,
        });
        let end = ends.next().expect("an end");
        assert_eq!(ends.next(), None);
        end
    }
}

/// Bytes of a segment from A, from the IP header on.
const SEGMENT: u64 = 20 + 20 + 4;

impl Stage {
    fn log(&mut self) -> Paper {
        let paper = Paper::default();
        let config = JournalConfig {
            sample: 1,
            aggregate_nanos: 10_000_000_000,
        };
        let lanes = self.desk.worker.lanes.as_ref().unwrap().relayed();
        let local = &mut self.desk.worker.parts.local;
        local.log_flows(Box::new(paper.clone()), config);
        local.log_relayed(lanes);
        paper
    }

    /// A segment of a connection, from A.
    fn says(&mut self, flags: TcpFlags) {
        let packet = build::tcp(A.1, B.1, 4000, 80, flags, 0, b"data");
        self.send_one(&packet);
    }

    /// A packet from A; the worker's turn, if it is not relayed.
    fn send_one(&mut self, packet: &[u8]) -> bool {
        let mut frame = Frame::from_ethernet(&build::ethernet(mac(A.1), GATEWAY_MAC, packet));
        self.sent += 1;
        let is_relayed = self.kernel.meets(&mut frame);
        match is_relayed {
            true => self.relayed += 1,
            false => {
                assert_eq!(self.desk.a.tx_batch(&[frame]).unwrap(), 1);
                self.desk.turn();
                self.desk.received();
            }
        }
        is_relayed
    }

    /// A segment of the connection from B, whose direction has no lane.
    fn answers(&mut self, flags: TcpFlags) {
        let packet = build::tcp(B.1, A.1, 80, 4000, flags, 0, b"");
        let frame = Frame::from_ethernet(&build::ethernet(mac(B.1), GATEWAY_MAC, &packet));
        assert_eq!(self.desk.b.tx_batch(&[frame]).unwrap(), 1);
        self.desk.turn();
        self.desk.a.rx_batch(&mut [Frame::new()]).unwrap();
    }

    /// A connection whose data from A is relayed.
    fn connected(&mut self) {
        self.says(TcpFlags::SYN);
        self.answers(TcpFlags::SYN | TcpFlags::ACK);
        (0..200).for_each(|_| self.says(TcpFlags::ACK));
        assert!(self.relayed > 100, "{} of {}", self.relayed, self.sent);
    }
}

#[test]
fn an_end_counts_what_was_relayed_whoever_brings_it() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        let paper = stage.log();
        stage.connected();
        stage.answers(TcpFlags::RST | TcpFlags::ACK);
        let sent = u64::from(stage.sent);
        assert_eq!(paper.ended(), (sent, sent * SEGMENT));
        // Once in the log, and once in the table.
        assert_eq!(stage.flow_packets(), sent);
    });
}

#[test]
fn the_end_of_a_gone_pods_flow_counts_it_too() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        let paper = stage.log();
        stage.connected();
        let ports = Arc::make_mut(&mut stage.world.ports);
        ports[B.0.index()] = None;
        stage.publish();
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while stage.counters()[3] > 0 {
            assert!(std::time::Instant::now() < deadline, "it is swept");
            std::thread::sleep(Duration::from_millis(50));
            stage.desk.turn();
        }
        let sent = u64::from(stage.sent);
        assert_eq!(paper.ended(), (sent, sent * SEGMENT));
    });
}

#[test]
fn a_flow_whose_lanes_are_wasted_does_not_take_those_of_others() {
    netlink::testing::isolated(|| {
        let mut stage = Stage::new();
        let mut used = std::collections::BTreeSet::new();
        for _ in 0..1000 {
            stage.send_one(&build::udp(A.1, B.1, 1, 53, &[0; 4]));
            let places: Vec<u16> = stage.places();
            used.extend(places.iter().copied());
            // Each frame is one that the program does not relay.
            places
                .into_iter()
                .for_each(|place| stage.kernel.close(place));
        }
        assert!((1..=6).contains(&used.len()), "{used:?} of 8 places");
        let packet = build::udp(A.1, B.1, 2, 53, &[0; 4]);
        let relayed = (0..500).filter(|_| stage.send_one(&packet)).count();
        assert!(relayed > 400, "{relayed}");
    });
}
