//! Settled flows relayed by the kernel, between real daemons: what arrives, what is counted, and that policy, taps and the end
//! of a connection are what they are without it.
//!
//! The kernel's part needs the machine's own root. In a lab within a user namespace these tests check that the daemons say
//! so, and that everything else holds just the same.

#![forbid(unsafe_code)]

mod netns_common;

use std::thread;
use std::time::Duration;

use cni_shim::{Request, Response};
use lab::Lab;
use netns_common::{
    M02, M03, NGINX, Running,
    capture::Capture,
    drops::Drops,
    minikube,
    policing::{pod, policy, put},
    show, soon,
    tap::Tap,
    transfer::arrives,
    without_ipv6,
};
use port::Relay;

/// Sends numbered datagrams to port 7100 at a steady rate, from one CPU, then says how many.
const NUMBERS: &str = r#"
import os, socket, struct, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
to.connect(("VICTIM", 7100))
start = time.monotonic()
for number in range(COUNT):
    ahead = start + number / RATE - time.monotonic()
    if ahead > 0:
        time.sleep(ahead)
    to.send(struct.pack(">I", number) + bytes(60))
print(COUNT)
"#;

/// Receives them until there is silence for two seconds, then says how many came, how many came late, and how often some
/// were missing before one.
const COUNTER: &str = r#"
import socket, struct
at = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
at.bind(("", 7100))
at.settimeout(20)
came = late = gaps = 0
expected = 0
try:
    while True:
        number = struct.unpack(">I", at.recv(2048)[:4])[0]
        came += 1
        late += number < expected
        gaps += number > expected
        expected = max(expected, number + 1)
        at.settimeout(2)
except TimeoutError:
    print(came, late, gaps)
"#;

/// The walk-through's cluster with a pod `beside` on nginx's node.
fn cluster(name: &str, kernel_relay: &str) -> Lab {
    let mut config = minikube(name);
    config.pods.push(pod("beside", M02, "beside"));
    let key = "kernel_relay".to_owned();
    config.daemon.insert(key, kernel_relay.into());
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    lab
}

/// Whether this kernel lets us: the lab has the same rights as this process, or fewer.
fn kernel_may() -> bool {
    Relay::new(1).is_ok()
}

/// A sum over the workers of a node.
fn workers(lab: &Lab, node: &str, column: &str) -> u64 {
    let rows = show(lab, node, "workers");
    rows.iter().map(|row| row[column].as_u64().unwrap()).sum()
}

/// Who relays, in the daemon's words: its status, its doctor's finding and its log agree.
fn relay(lab: &Lab, node: &str) -> String {
    let status = show(lab, node, "status");
    let said = status[0]["relay"].as_str().unwrap().to_owned();
    let Response::Table { rows } = lab.ask(node, &Request::Doctor {}).unwrap() else {
        panic!("no table");
    };
    let finding = rows.iter().find(|row| row["check"] == "relay").unwrap();
    let sentence = format!("settled flows are relayed {said}");
    assert_eq!(
        (&finding["status"], &finding["sentence"]),
        (&"ok".into(), &sentence.as_str().into())
    );
    let log = lab.daemon(node).unwrap().read_log().unwrap();
    assert_eq!(log.matches(&sentence).count(), 1, "{log}");
    said
}

/// A flow of numbers to `nginx` under way.
struct Numbers {
    count: u32,
    counter: Running,
    sender: Running,
}

impl Numbers {
    fn start(lab: &Lab, from: &str, count: u32, rate: u32) -> Self {
        let counter = Running::python(lab, "nginx", COUNTER);
        soon("the counter listens", || {
            netns_common::ok(lab, "nginx", "ss -Hlun").contains(":7100 ")
        });
        let script = NUMBERS.replace("VICTIM", NGINX);
        let script = script.replace("COUNT", &count.to_string());
        let sender = Running::python(lab, from, &script.replace("RATE", &rate.to_string()));
        Self {
            count,
            counter,
            sender,
        }
    }

    /// How many came, how many of them after a later one, and how often some were missing.
    fn end(self) -> [u32; 3] {
        assert_eq!(self.sender.finish().trim(), self.count.to_string());
        let said = self.counter.finish();
        let numbers: Vec<u32> = said
            .split_whitespace()
            .map(|n| n.parse().unwrap())
            .collect();
        numbers.try_into().unwrap()
    }
}

#[test]
fn whole_transfers_arrive_and_the_kernel_has_carried_them() {
    let lab = cluster("relay-auto", "auto");
    let may = kernel_may();
    for (node, from) in [(M02, "beside"), (M02, "nginx-manual")] {
        let said = relay(&lab, node);
        assert_eq!(said == "by the kernel", may, "{said}");
        assert!(may || said.contains("it needs"), "{said}");
        let before = workers(&lab, node, "relayed");
        arrives(&lab, from, 20_000_000);
        soon("what was relayed is counted", || {
            (workers(&lab, node, "relayed") > before) == may
        });
    }
    // To another node data only leaves, and is not relayed; what comes back are acknowledgements.
    let (came, left) = (workers(&lab, M03, "relayed"), workers(&lab, M02, "relayed"));
    assert!(came < left || !may, "{came} and {left}");
}

#[test]
fn switched_off_it_is_left_to_the_workers() {
    let lab = cluster("relay-off", "off");
    assert_eq!(relay(&lab, M02), "in user space: kernel_relay = \"off\"");
    arrives(&lab, "beside", 5_000_000);
    assert_eq!(workers(&lab, M02, "relayed"), 0);
    assert_eq!(workers(&lab, M02, "lanes"), 0);
}

/// Lanes open and close all the while: with each policy, and with each tap. A veth has a queue on each CPU, so two datagrams
/// may change places when a thread between them moves, with lanes and without; a dozen lanes that opened too soon are more.
#[test]
fn nothing_is_lost_late_or_twice_while_lanes_come_and_go() {
    let lab = cluster("relay-order", "auto");
    let drops = [M02, M03].map(|node| Drops::of(&lab, node));
    for from in ["beside", "nginx-manual"] {
        let before = workers(&lab, M02, "relayed");
        let count = 20_000;
        let numbers = Numbers::start(&lab, from, count, 4000);
        for round in 0..6 {
            let spec = format!("podSelector: {{matchLabels: {{other: x{round}}}}}");
            put(&lab, &policy(&format!("other{round}"), "", &spec));
            thread::sleep(Duration::from_millis(300));
            let tap = Tap::start(&lab, M02, "nginx");
            tap.finish();
        }
        let [came, late, gaps] = numbers.end();
        assert_eq!(came, count, "{from}");
        assert!(late <= 1 && gaps <= 1, "{from}: {late} late, {gaps} gaps");
        let relayed = workers(&lab, M02, "relayed") - before;
        assert_eq!(relayed > 0, kernel_may(), "{relayed} of {count}");
    }
    for drops in drops {
        assert_eq!(drops.risen(), [].into());
    }
}

#[test]
fn a_denial_ends_a_relayed_flow_with_its_next_packet() {
    let lab = cluster("relay-denied", "auto");
    for from in ["beside", "nginx-manual"] {
        put(&lab, "");
        let before = workers(&lab, M02, "relayed");
        let numbers = Numbers::start(&lab, from, 8000, 2000);
        soon("it is relayed", || {
            !kernel_may() || workers(&lab, M02, "relayed") > before
        });
        let spec = "podSelector: {matchLabels: {run: nginx}}, ingress: []";
        put(&lab, &policy("closed", "", spec));
        let came = Capture::start(&lab, M02, &nginx_port(&lab), "udp port 7100 and outbound");
        thread::sleep(Duration::from_millis(500));
        assert_eq!(came.frames(), [""; 0], "{from}: the policy is in force");
        let [came, late, _] = numbers.end();
        assert!(came > 0 && came < 8000 && late == 0, "{came}");
    }
}

/// The host's end of nginx's veth.
fn nginx_port(lab: &Lab) -> String {
    let rows = show(lab, M02, "endpoints");
    let row = rows.iter().find(|row| row["endpoint"] == "default/nginx");
    row.unwrap()["interface"].as_str().unwrap().to_owned()
}

#[test]
fn a_tap_sees_every_frame_of_a_flow_that_was_relayed() {
    let lab = cluster("relay-tap", "auto");
    let before = workers(&lab, M02, "relayed");
    let numbers = Numbers::start(&lab, "beside", 6000, 2000);
    soon("it is relayed", || {
        !kernel_may() || workers(&lab, M02, "relayed") > before
    });
    let tap = Tap::start(&lab, M02, "nginx --stage tx -s 96");
    assert_eq!(numbers.end(), [6000, 0, 0]);
    let (recorded, _) = tap.finish();
    let seen = recorded.fields(&["udp.dstport", "data.data"]);
    let numbers: Vec<u32> = seen
        .iter()
        .filter_map(|line| line.strip_prefix("7100|"))
        .map(|data| u32::from_str_radix(&data[..8], 16).unwrap())
        .collect();
    let first = numbers[0];
    assert!(
        numbers.iter().copied().eq(first..6000),
        "each, from {first} on"
    );
}

#[test]
fn counts_of_flows_and_ports_are_those_of_what_was_sent() {
    let lab = cluster("relay-counts", "auto");
    let numbers = Numbers::start(&lab, "beside", 4000, 4000);
    assert_eq!(numbers.end(), [4000, 0, 0]);
    let relayed = workers(&lab, M02, "relayed");
    assert_eq!(relayed > 3000, kernel_may(), "{relayed}");
    let rows = show(&lab, M02, "conntrack");
    let row = rows.iter().find(|row| row["dst_port"] == 7100);
    let row = row.unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(row["packets"], 4000);
    let rows = show(&lab, M02, "ports");
    let port = nginx_port(&lab);
    let row = rows.iter().find(|row| row["interface"] == port.as_str());
    assert!(row.unwrap()["tx_frames"].as_u64().unwrap() >= 4000);
}
