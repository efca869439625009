//! A pod that floods starves nobody: not another pod's packets, nor its ARP, nor the host's health checks, nor another
//! node. All of it is counted in packets; how fast they are is not looked at.

#![forbid(unsafe_code)]

mod netns_common;

use std::{
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
};

use lab::{Lab, config::Pod};
use netns_common::{M02, M03, MANUAL, NGINX, Running, drops::Drops, listens, minikube, show};

/// Two floods at once would be a test of the machine.
static ALONE: Mutex<()> = Mutex::new(());

/// Datagrams a flood must have sent to be one, and sends at most.
const FLOOD: u64 = 30_000;
const FLOOD_AT_MOST: u64 = 6_000_000;
/// What the others send, one at a time, and how many of them must be answered. Commonly all are.
const PROBES: u64 = 200;
const ANSWERED_ON_A_NODE: u64 = 190;
/// Where a flood crosses to another node, the receiving node's uplink is one queue for everyone: what overflows there (`missed` of
/// its `eth0`) hits all alike, and on a busy machine one probe in ten has been seen to go.
const ANSWERED_ACROSS: u64 = 150;
/// ARP requests, of which so many must be answered, and health checks, of which all must be: TCP sends again.
const REQUESTS: u64 = 50;
const REQUESTS_ANSWERED: u64 = 48;

/// Small datagrams over eight flows, as fast as one process can; ends with its input.
const FLOODER: &str = r#"
import os, socket, sys, threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
sockets = []
for _ in range(8):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(("TARGET", 9000))
    sockets.append(one)
print("!", flush=True)
sent = 0
while sent < MOST and not stop.is_set():
    for one in sockets:
        for _ in range(32):
            try:
                one.send(b"0123456789abcdef00")
                sent += 1
            except OSError:
                pass
print(sent)
"#;

/// Takes what comes and says nothing: the flood must not be answered by ICMP errors.
const DRAIN: &str = r#"
import socket
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("", 9000))
print("!", flush=True)
while True:
    sink.recv(64)
"#;

/// Sends what comes back to where it came from.
const ECHO: &str = r#"
import socket
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("", 9000))
print("!", flush=True)
while True:
    data, sender = sink.recvfrom(64)
    try:
        sink.sendto(data, sender)
    except OSError:
        pass
"#;

/// Asks for the gateway's address, one request at a time; says how many were answered within a second.
const ARP: &str = r#"
import socket, struct, time
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
line.bind(("eth0", 0x0806))
me = line.getsockname()[4]
own = socket.inet_aton("OWN")
gateway = socket.inet_aton("169.254.1.1")
request = b"\xff" * 6 + me + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + me + own + bytes(6) + gateway
answered = 0
for _ in range(COUNT):
    line.send(request)
    end = time.monotonic() + 1
    while (left := end - time.monotonic()) > 0:
        line.settimeout(left)
        try:
            frame = line.recv(128)
        except TimeoutError:
            break
        if frame[:6] == me and frame[20:22] == b"\x00\x02" and frame[28:32] == gateway:
            answered += 1
            break
print(answered)
"#;

/// As the kubelet's probes: connects, hears a byte; says how many came to that. In the time given for it TCP repeats a lost
/// SYN twice (after 1 s and 3 s).
const HEALTH: &str = r#"
import socket
healthy = 0
for _ in range(COUNT):
    try:
        with socket.create_connection(("POD", 8000), 4) as check:
            healthy += check.recv(1) == b"+"
    except OSError as error:
        print(type(error).__name__)
print(healthy)
"#;

/// What health checks find.
const HEALTHY: &str = r#"
import socket
server = socket.create_server(("", 8000))
while True:
    connection, _ = server.accept()
    with connection:
        connection.send(b"+")
"#;

/// The pod that floods, the one flooded, and one that has nothing to do with it, all on `minikube-m03`.
fn up(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    for pod in ["flood", "drain", "victim"] {
        lab.pod_add(&Pod::new("default", pod, M03, [])).unwrap();
    }
    lab
}

fn address(lab: &Lab, pod: &str) -> Ipv4Addr {
    lab.address(pod).unwrap()
}

/// Starts a script; returns when it says that it has begun.
fn begun(lab: &Lab, target: &str, script: &str) -> Running {
    use std::io::Read;
    let mut running = Running::python(lab, target, script);
    let mut first = [0];
    let stdout = running.0.stdout.as_mut().unwrap();
    stdout.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"!", "{target}");
    running
}

/// The number in the last line of what was said.
fn last_number(said: &str) -> u64 {
    let last = said.trim().lines().last().unwrap_or_default();
    last.parse()
        .unwrap_or_else(|_| panic!("a number in\n{said}"))
}

/// Replies to pings sent one a 10 ms.
fn start_pings(lab: &Lab, from: &str, to: &str) -> Running {
    Running::start(
        lab,
        from,
        &format!("ping -n -q -c {PROBES} -i 0.01 -W 1 {to}"),
    )
}

fn answered(ping: Running) -> u64 {
    let said = ping.finish();
    let received = said
        .split(", ")
        .find_map(|part| part.strip_suffix(" received"));
    received
        .and_then(|count| count.parse().ok())
        .unwrap_or_else(|| panic!("{said}"))
}

/// What counters said before: for the sentence of a failure.
struct Evidence<'a> {
    lab: &'a Lab,
    drops: [Drops<'a>; 2],
    backlog: u64,
}

impl<'a> Evidence<'a> {
    fn before(lab: &'a Lab) -> Self {
        Self {
            lab,
            drops: [M02, M03].map(|node| Drops::of(lab, node)),
            backlog: backlog_drops(),
        }
    }

    /// What has been counted since, and by whom.
    fn since(&self) -> String {
        let risen = self.drops.each_ref().map(Drops::risen);
        let backlog = backlog_drops() - self.backlog;
        format!(
            "counted since: {risen:?}; missed by port: {:?}; dropped at the kernel's backlog, by anyone on this machine: {backlog}",
            missed(self.lab)
        )
    }
}

/// What each port of the two nodes has missed.
fn missed(lab: &Lab) -> Vec<String> {
    let rows = [M02, M03]
        .into_iter()
        .flat_map(|node| show(lab, node, "ports"));
    let said = rows.map(|row| format!("{}: {}", row["interface"], row["missed"]));
    said.collect()
}

/// Frames that a pod of `minikube-m03` has sent, also those its port has missed.
fn said_by(lab: &Lab, pod: &str) -> u64 {
    let pods = lab.pod_list();
    let pod = pods.iter().find(|attachment| attachment.pod.name == pod);
    let interface = pod.unwrap().host_interface();
    let ports = show(lab, M03, "ports");
    let port = ports.iter().find(|row| row["interface"] == interface);
    let port = port.unwrap_or_else(|| panic!("{interface} in {ports:?}"));
    ["rx_frames", "missed"]
        .map(|count| port[count].as_u64().unwrap())
        .iter()
        .sum()
}

/// The second column of `/proc/net/softnet_stat`: packets that found the queue of a CPU full.
fn backlog_drops() -> u64 {
    let table = std::fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let words = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1));
    words
        .map(|word| u64::from_str_radix(word, 16).unwrap())
        .sum()
}

/// While `flood` floods a pod with this sink, everyone else is served.
fn serves_everyone_else(lab: &Lab, flooded: &str, sink: &str) {
    let victim = address(lab, "victim").to_string();
    let _sink = begun(lab, flooded, sink);
    let _healthy = Running::python(lab, "victim", HEALTHY);
    listens(lab, "victim", 8000);
    let flooder = FLOODER
        .replace("TARGET", &address(lab, flooded).to_string())
        .replace("MOST", &FLOOD_AT_MOST.to_string());
    let count = REQUESTS.to_string();
    let arp = ARP.replace("OWN", &victim).replace("COUNT", &count);
    let health = HEALTH.replace("POD", &victim).replace("COUNT", &count);

    let evidence = Evidence::before(lab);
    let mut flood = begun(lab, "flood", &flooder);
    let pings = [
        ("a pod of the same node", MANUAL, ANSWERED_ON_A_NODE),
        ("a pod of another node", NGINX, ANSWERED_ACROSS),
    ]
    .map(|(what, to, least)| (what, start_pings(lab, "victim", to), least));
    let back = start_pings(lab, "nginx", &victim);
    let arp = Running::python(lab, "victim", &arp);
    let health = Running::python(lab, M03, &health);
    let back = [("from another node", back, ANSWERED_ACROSS)];
    for (what, ping, least) in pings.into_iter().chain(back) {
        let answered = answered(ping);
        assert!(
            answered >= least,
            "{what}: {answered} of {PROBES} pings answered; {}",
            evidence.since()
        );
    }
    let said = arp.finish();
    assert!(
        last_number(&said) >= REQUESTS_ANSWERED,
        "ARP: {said}{}",
        evidence.since()
    );
    let said = health.finish();
    assert_eq!(
        last_number(&said),
        REQUESTS,
        "health checks: {said}{}",
        evidence.since()
    );

    let still_floods = flood.0.try_wait().unwrap().is_none();
    let sent = last_number(&flood.finish());
    assert!(
        still_floods,
        "the flood lasted until all was answered, after {sent}"
    );
    assert!(sent >= FLOOD, "{sent} datagrams are no flood");
}

#[test]
fn a_pod_that_floods_its_node_starves_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = up("fair-node");
    serves_everyone_else(&lab, "drain", DRAIN);
}

/// A worker looks first where it has just sent to, for the answer: here there is always one.
#[test]
fn a_flood_that_is_answered_starves_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = up("fair-echo");
    serves_everyone_else(&lab, "drain", ECHO);
    let answers = said_by(&lab, "drain");
    assert!(answers >= FLOOD, "{answers} answers");
}

#[test]
fn a_pod_that_floods_another_node_starves_nobody() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = up("fair-nodes");
    serves_everyone_else(&lab, "nginx", DRAIN);
}
