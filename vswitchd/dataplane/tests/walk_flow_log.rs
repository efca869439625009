//! What a walk tells the flow log: every flow that begins ends once, and why; who is denied, and by which rule.

use std::sync::{Arc, Mutex};

use allocation_counter::measure;
use dataplane::{EndReason, FlowEvent, FlowLog, FlowNews, GATEWAY_MAC, JournalConfig};
use packet::transport::TcpFlags;
use packet::{Frame, build};
use policy::RuleRef;

use crate::house::*;

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;
const RST: TcpFlags = TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0);

/// Room for so many events, made at the start.
#[derive(Clone, Debug)]
struct Paper(Arc<Mutex<Vec<FlowEvent>>>);

impl FlowLog for Paper {
    fn has_room(&self) -> bool {
        let events = self.0.lock().unwrap();
        events.len() < events.capacity()
    }

    fn record(&mut self, event: FlowEvent) -> bool {
        let mut events = self.0.lock().unwrap();
        let has_room = events.len() < events.capacity();
        if has_room {
            events.push(event);
        }
        has_room
    }
}

impl Paper {
    fn take(&self) -> Vec<FlowEvent> {
        self.0.lock().unwrap().drain(..).collect()
    }

    /// What happened, in a word each.
    fn words(&self) -> Vec<&'static str> {
        let word = |event: FlowEvent| match event.news {
            FlowNews::Begun { .. } => "begun",
            FlowNews::Ended { reason, .. } => reason.label(),
            FlowNews::Denied { .. } => "denied",
            FlowNews::DeniedOthers { .. } => "others",
        };
        self.take().into_iter().map(word).collect()
    }
}

/// One worker a node; that of minikube-m02 writes.
fn house() -> (House, Paper) {
    let mut house = House::build(&walk_through(), 1);
    let paper = Paper(Arc::new(Mutex::new(Vec::with_capacity(50_000))));
    let config = JournalConfig {
        sample: 1,
        aggregate_nanos: 10_000_000_000,
    };
    house.nodes[M02].workers[0].log_flows(Box::new(paper.clone()), config);
    (house, paper)
}

fn tcp(flags: TcpFlags) -> Vec<u8> {
    build::tcp(CLIENT, NGINX, 4000, 80, flags, 0, b"")
}

fn reply(flags: TcpFlags) -> Vec<u8> {
    build::tcp(NGINX, CLIENT, 80, 4000, flags, 0, b"")
}

#[test]
fn a_reset_ends_a_connection_with_the_packets_of_both_ways() {
    let (mut house, paper) = house();
    house.pod_sends(CLIENT, &tcp(SYN));
    house.pod_sends(NGINX, &reply(TcpFlags(SYN.0 | ACK.0)));
    for _ in 0..5 {
        house.pod_sends(CLIENT, &tcp(ACK));
    }
    house.pod_sends(NGINX, &reply(RST));
    house.pod_sends(NGINX, &reply(RST));
    let events = paper.take();
    let FlowNews::Begun { rules, .. } = events[0].news else {
        panic!("{events:?}");
    };
    assert_eq!(rules, [Some(RuleRef::NO_POLICY); 2]);
    let FlowNews::Ended {
        packets,
        bytes,
        reason,
        ..
    } = events[1].news
    else {
        panic!("{events:?}");
    };
    assert_eq!(
        (packets, bytes, reason),
        ([6, 2], [240, 80], EndReason::Reset)
    );
    assert_eq!(events.len(), 2, "once");
    house.pod_sends(CLIENT, &tcp(SYN));
    assert_eq!(paper.words(), ["begun"], "on the same ports");
}

#[test]
fn a_flow_is_cut_by_a_rule_its_packets_are_denied_by_it_and_it_may_go_on() {
    let (mut house, paper) = house();
    house.pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 4000, 53, b"ask"));
    assert_eq!(paper.words(), ["begun"]);
    house.policy(&deny_all("Ingress"));
    for _ in 0..3 {
        house.pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 4000, 53, b"ask"));
    }
    let events = paper.take();
    let FlowNews::Ended {
        reason: EndReason::Cut(_, Some(cut_by)),
        ..
    } = events[0].news
    else {
        panic!("{events:?}");
    };
    let FlowNews::Denied { rule, packets, .. } = events[1].news else {
        panic!("{events:?}");
    };
    assert_eq!((rule, packets), (Some(cut_by), 1));
    assert_eq!(events.len(), 2);
    let named = house.nodes[M02].world.policy.describe(cut_by).to_string();
    assert!(named.contains("default-deny-ingress"), "{named}");
    // The other end speaks first: nobody asked policy about this packet, and the rule is named all the same.
    house.pod_sends(NGINX, &build::udp(NGINX, CLIENT, 53, 4000, b"say"));
    let events = paper.take();
    assert!(
        matches!(events[0].news, FlowNews::Denied { rule: Some(rule), .. } if rule == cut_by),
        "{events:?}"
    );
    house.policy("");
    let (node, now) = (&mut house.nodes[M02], house.now);
    node.workers[0].log_denied(now, node.world.generation);
    house.pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 4000, 53, b"ask"));
    assert_eq!(
        paper.words(),
        ["denied", "begun"],
        "those that were counted, and it again"
    );
}

#[test]
fn silence_ends_a_flow_by_its_timeout() {
    let (mut house, paper) = house();
    house.pod_sends(CLIENT, &build::udp(CLIENT, NGINX, 4000, 53, b"ask"));
    house.sleep(std::time::Duration::from_secs(31));
    assert_eq!(paper.words(), ["begun", "timeout"]);
}

#[test]
fn writing_allocates_nothing_for_flows_that_begin_and_make_room_and_are_denied() {
    for policies in ["", "Ingress"] {
        let (mut house, paper) = house();
        if !policies.is_empty() {
            house.policy(&deny_all(policies));
        }
        let port = house.nodes[M02].port_of(NGINX);
        let question = build::udp(NGINX, CLIENT, 1, 53, b"question");
        let question =
            Frame::from_ethernet(&build::ethernet(pod_mac(NGINX), GATEWAY_MAC, &question));
        let (mut frame, now) = (Frame::new(), house.now);
        let node = &mut house.nodes[M02];
        let mut walk = |from: u16, to: u16| {
            for number in from..to {
                frame.copy_from(&question);
                let at = frame.bytes().len() - frame.packet_len() + 20;
                frame.bytes_mut()[at..at + 2].copy_from_slice(&number.to_be_bytes());
                node.walk(now, port, &mut frame);
                node.workers[0].log_denied(now, node.world.generation);
            }
        };
        walk(0, 10);
        let info = measure(|| walk(10, 9_000));
        assert_eq!(info.count_total, 0, "{info:?}");
        assert!(paper.take().len() > 500);
    }
}
