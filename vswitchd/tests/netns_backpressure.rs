//! Devices that are full: every frame is accounted for under its reason, nobody else notices, memory stays bounded, and
//! it is over when the device takes frames again.

#![forbid(unsafe_code)]

mod netns_common;

use lab::{Lab, config::Pod};
use netns_common::{
    M02, NGINX, Running, drops::Drops, minikube, ok, pings, shell, show, soon, without_ipv6,
};
use serde_json::{Map, Value};

/// Datagrams of a flood, and payload bytes of each.
const MANY: u64 = 20_000;
const SIZE: u64 = 1000;

/// Sends `MANY` datagrams to nginx, 20 at a time with a pause, for about two seconds.
const FLOOD: &str = "
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(('VICTIM', 9))
for n in range(MANY // 20):
    for _ in range(20):
        try: s.send(bytes(SIZE))
        except OSError: pass
    time.sleep(0.002)
print('done')
";

/// Two more pods beside nginx: one that floods it, one that does not.
fn crowded(name: &str) -> Lab {
    let mut config = minikube(name);
    for pod in ["flooder", "bystander"] {
        config.pods.push(Pod::new("default", pod, M02, []));
    }
    let lab = Lab::up(config).unwrap();
    // The flood is one way: no ICMP about the closed port comes back.
    shell(
        &lab,
        "nginx",
        "nft 'table ip t { chain o { type filter hook output priority 0; icmp type destination-unreachable drop; }; }'",
    );
    // Nor does the flooder ask for its gateway's address again.
    let gateway = "neigh replace 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent";
    ok(&lab, "flooder", &format!("ip {gateway}"));
    without_ipv6(&lab);
    assert!(pings(&lab, "nginx-manual", NGINX));
    lab
}

fn flood(lab: &Lab) -> Running {
    let script = FLOOD
        .replace("VICTIM", NGINX)
        .replace("MANY", &MANY.to_string())
        .replace("SIZE", &SIZE.to_string());
    Running::python(lab, "flooder", &script)
}

/// The row of a pod's port.
fn port(lab: &Lab, pod: &str) -> Map<String, Value> {
    let rows = show(lab, M02, "ports");
    let owner = format!("default/{pod}");
    let row = rows.into_iter().find(|row| row["owner"] == *owner);
    row.expect("the pod's port")
}

/// The host end of a pod's veth.
fn interface(lab: &Lab, pod: &str) -> String {
    port(lab, pod)["interface"].as_str().unwrap().into()
}

/// Frames the switch has taken from the flooder: its kernel may have dropped some before.
fn taken(lab: &Lab) -> u64 {
    port(lab, "flooder")["rx_frames"].as_u64().unwrap()
}

/// Makes the way to nginx a narrow one: 1 Mbit/s, and a queue of so many bytes.
fn narrow(lab: &Lab, queue_bytes: u64) {
    let interface = interface(lab, "nginx");
    let tbf = format!("tbf rate 1mbit burst 3000 limit {queue_bytes}");
    ok(
        lab,
        M02,
        &format!("tc qdisc add dev {interface} root {tbf}"),
    );
}

fn widen(lab: &Lab) {
    let interface = interface(lab, "nginx");
    ok(lab, M02, &format!("tc qdisc del dev {interface} root"));
}

/// Frames that the pod's kernel has received.
fn received(lab: &Lab, pod: &str) -> u64 {
    let count = shell(lab, pod, "cat /sys/class/net/eth0/statistics/rx_packets");
    count.trim().parse().unwrap()
}

/// Memory of the daemon, bytes.
fn resident(lab: &Lab) -> u64 {
    let pid = lab.daemon(M02).unwrap().pid().unwrap();
    let status = lab.sandbox().path(format!("/proc/{pid}/status"));
    let status = std::fs::read_to_string(status).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib << 10
}

/// A bystander on the same node loses nothing while the flood lasts.
fn bystander_is_reached(lab: &Lab) {
    let bystander = lab.address("bystander").unwrap();
    let said = ok(
        lab,
        "nginx-manual",
        &format!("ping -n -q -c 50 -i 0.02 -W 1 {bystander}"),
    );
    assert!(said.contains(" 0% packet loss"), "{said}");
}

/// All is as before: what is sent to nginx arrives, and nothing is dropped.
fn has_recovered(lab: &Lab) {
    soon("nginx is reached again", || {
        pings(lab, "nginx-manual", NGINX)
    });
    let drops = Drops::of(lab, M02);
    ok(
        lab,
        "nginx-manual",
        &format!("ping -n -q -c 50 -i 0.01 -W 1 {NGINX}"),
    );
    drops.rose_by("after the flood", &[]);
}

#[test]
fn what_the_kernels_queue_drops_is_counted_to_the_frame_and_nobody_else_notices() {
    let lab = crowded("backpressure-dropped");
    narrow(&lab, 6000);
    let before = (taken(&lab), received(&lab, "nginx"));
    let drops = Drops::of(&lab, M02);
    let flooding = flood(&lab);
    bystander_is_reached(&lab);
    assert_eq!(flooding.finish(), "done\n");
    let sent = taken(&lab) - before.0;
    assert!(sent > MANY / 2, "{sent} datagrams");
    soon("every datagram is received or counted", || {
        let risen = drops.risen();
        assert!(
            risen
                .keys()
                .all(|reason| ["kernel_queue_full", "device_full"].contains(&&**reason)),
            "{risen:?}"
        );
        received(&lab, "nginx") - before.1 + risen.values().sum::<u64>() == sent
    });
    assert!(drops.risen()["kernel_queue_full"] > 0);
    widen(&lab);
    has_recovered(&lab);
}

#[test]
fn a_device_that_takes_nothing_costs_a_bounded_queue_and_its_frames_are_counted() {
    let lab = crowded("backpressure-full");
    // More than the socket's send buffer: that is full first.
    narrow(&lab, 100_000_000);
    let drops = Drops::of(&lab, M02);
    assert_eq!(flood(&lab).finish(), "done\n");
    soon("frames are dropped for want of room", || {
        drops.risen().contains_key("device_full")
    });
    let before = resident(&lab);
    let flooding = flood(&lab);
    bystander_is_reached(&lab);
    assert_eq!(flooding.finish(), "done\n");
    let risen = drops.risen();
    assert_eq!(
        risen.keys().collect::<Vec<_>>(),
        ["device_full"],
        "{risen:?}"
    );
    assert!(risen["device_full"] > MANY / 2, "{risen:?}: of two floods");
    let grown = resident(&lab).saturating_sub(before);
    assert!(
        grown < 4 << 20,
        "{grown} bytes for a second flood of {}",
        MANY * SIZE
    );
    widen(&lab);
    has_recovered(&lab);
}
