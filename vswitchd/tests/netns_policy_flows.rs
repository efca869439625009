//! What a denial means on real interfaces: connections that were there before, and what the sender is told.

#![forbid(unsafe_code)]

mod netns_common;

use std::time::Duration;

use lab::Lab;
use netns_common::{
    M02, M02_ADDRESS, M03, MANUAL, NGINX, OUTSIDE,
    capture::Capture,
    drops::Drops,
    minikube, ok,
    policing::{Talk, connect, connects, echo, only_policy_drops, pod, policy, put},
    run,
    scapy::Scapy,
    text, without_ipv6,
};

/// Silence takes a second to notice here; a refusal must not take a tenth of one... on a busy machine, half.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The walk-through's cluster with a pod `beside` on nginx's node, and these `[policy]` keys for every daemon.
fn cluster(name: &str, keys: &str) -> Lab {
    let mut config = minikube(name);
    config.pods.push(pod("beside", M02, "beside"));
    if !keys.is_empty() {
        let keys: toml::Table = toml::from_str(keys).unwrap();
        config.daemon.insert("policy".into(), keys.into());
    }
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    lab
}

/// Nginx may be asked at port 7001 only.
fn closed(annotations: &str) -> String {
    let spec = "podSelector: {matchLabels: {run: nginx}}, ingress: [{ports: [{port: 7001}]}]";
    policy("closed", annotations, spec)
}

#[test]
fn recheck_cuts_a_live_connection_and_others_do_not_notice() {
    let lab = cluster("policy-recheck", "");
    let _server = echo(&lab, "nginx", &[7000, 7001]);
    let start = |port| ["nginx-manual", "beside"].map(|pod| Talk::start(&lab, pod, NGINX, port));
    let (cut, others) = (start(7000), start(7001));
    let drops = [M02, M03].map(|node| Drops::of(&lab, node));
    put(&lab, &closed(""));
    for talk in cut {
        assert_eq!(talk.breaks(), "TimeoutError", "a denial is silent");
    }
    for talk in others {
        assert_eq!(talk.end(), "alive");
    }
    drops.iter().for_each(only_policy_drops);
    assert!(drops[0].risen()["policy_ingress"] > 0);
    assert_eq!(connects(&lab, "beside", NGINX, 7000), "TimeoutError");
}

#[test]
fn keep_leaves_a_live_connection_alone_and_refuses_a_new_one() {
    let lab = cluster("policy-keep", "established = 'keep'");
    let _server = echo(&lab, "nginx", &[7000, 7001]);
    let talks = ["nginx-manual", "beside"].map(|pod| Talk::start(&lab, pod, NGINX, 7000));
    put(&lab, &closed(""));
    for pod in ["nginx-manual", "beside"] {
        assert_eq!(connects(&lab, pod, NGINX, 7000), "TimeoutError", "{pod}");
        assert_eq!(connects(&lab, pod, NGINX, 7001), "open", "{pod}");
    }
    for talk in talks {
        assert_eq!(talk.end(), "alive");
    }
}

#[test]
fn a_policys_annotations_override_what_the_daemon_says_both_ways() {
    for (name, keys, annotations, talk_ends, refused) in [
        (
            "policy-yes",
            "",
            "vswitchd/established: keep, vswitchd/deny: reject",
            "alive",
            "ConnectionRefusedError",
        ),
        (
            "policy-no",
            "established = 'keep'\ndeny = 'reject'",
            "vswitchd/established: recheck, vswitchd/deny: drop",
            "TimeoutError",
            "TimeoutError",
        ),
    ] {
        let lab = cluster(name, keys);
        let _server = echo(&lab, "nginx", &[7000]);
        let talk = Talk::start(&lab, "nginx-manual", NGINX, 7000);
        put(&lab, &closed(annotations));
        assert_eq!(connects(&lab, "nginx-manual", NGINX, 7000), refused);
        let ended = match talk_ends {
            "alive" => talk.end(),
            _ => talk.breaks(),
        };
        assert_eq!(ended, talk_ends, "{keys}, {annotations}");
    }
}

#[test]
fn a_rejected_connection_is_refused_at_once_and_a_live_one_reset() {
    let lab = cluster("policy-reset", "deny = 'reject'");
    let _server = echo(&lab, "nginx", &[7000]);
    let talks = ["nginx-manual", "beside"].map(|pod| Talk::start(&lab, pod, NGINX, 7000));
    put(&lab, &closed(""));
    for talk in talks {
        assert_eq!(talk.breaks(), "ConnectionResetError");
    }
    for pod in ["nginx-manual", "beside"] {
        let (how, after) = connect(&lab, pod, NGINX, 7000);
        assert_eq!(how, "ConnectionRefusedError", "{pod}");
        assert!(after < AT_ONCE, "{pod}: {after:?}");
    }
    // Egress, too: the sender's own node refuses in the name of whomever it asked.
    let mute = policy(
        "mute",
        "",
        "podSelector: {matchLabels: {app: beside}}, policyTypes: [Egress]",
    );
    put(&lab, &mute);
    for to in [MANUAL, OUTSIDE] {
        let (how, after) = connect(&lab, "beside", to, 7000);
        assert_eq!(how, "ConnectionRefusedError", "{to}");
        assert!(after < AT_ONCE, "{to}: {after:?}");
    }
}

/// Both pods that ask are themselves closed to everybody: what answers them is no ingress.
#[test]
fn all_but_tcp_is_told_that_it_is_filtered_and_silence_stays_silent() {
    let lab = cluster("policy-filtered", "");
    let closed = |annotation| policy("all", annotation, "podSelector: {}, policyTypes: [Ingress]");
    put(&lab, &closed("vswitchd/deny: reject"));
    let datagram = |pod| {
        let script = format!(
            "
import socket
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.connect(('{NGINX}', 53))
line.settimeout(0.5)
line.send(b'question')
try:
    line.recv(9)
except OSError as error:
    print(error)"
        );
        netns_common::python(&lab, pod, &script)
    };
    for pod in ["nginx-manual", "beside"] {
        let at_pod = Capture::start(&lab, pod, "eth0", "icmp");
        let said = text(&run(&lab, pod, &format!("ping -n -c 1 -W 0.5 {NGINX}")));
        assert!(said.contains("Packet filtered"), "{pod}: {said}");
        let said = datagram(pod);
        assert!(said.contains("No route to host"), "{pod}: {said}");
        let told = at_pod.frames();
        let is_told = |frame: &&String| frame.contains("admin prohibited");
        assert_eq!(told.iter().filter(is_told).count(), 2, "{told:?}");
    }
    put(&lab, &closed("vswitchd/deny: drop"));
    for pod in ["nginx-manual", "beside"] {
        let at_pod = Capture::start(&lab, pod, "eth0", &format!("src host not {NGINX} and icmp"));
        let said = text(&run(&lab, pod, &format!("ping -n -c 1 -W 0.5 {NGINX}")));
        assert!(!said.contains("filtered"), "{pod}: {said}");
        assert!(said.contains("100% packet loss"), "{pod}: {said}");
        assert!(datagram(pod).contains("timed out"));
        let unreachable = |frame: &&String| frame.contains("unreachable");
        assert_eq!(at_pod.frames().iter().filter(unreachable).count(), 0);
    }
}

/// The world outside reaches the pod by way of its node's host, whose kernel must believe the answer and carry it on.
#[test]
fn what_the_host_forwards_is_told_too() {
    let lab = cluster("policy-outside", "deny = 'reject'");
    let route = format!("ip route add {NGINX}/32 via {M02_ADDRESS}");
    ok(&lab, "gateway", &route);
    let _server = echo(&lab, "nginx", &[7000, 7001]);
    put(&lab, &closed(""));
    assert_eq!(connects(&lab, OUTSIDE, NGINX, 7001), "open");
    let (how, after) = connect(&lab, OUTSIDE, NGINX, 7000);
    assert_eq!(how, "ConnectionRefusedError");
    assert!(after < AT_ONCE, "{after:?}");
    let said = text(&run(&lab, OUTSIDE, &format!("ping -n -c 1 -W 0.5 {NGINX}")));
    assert!(said.contains("Packet filtered"), "{said}");
    // Its own packets as well, whatever the reason.
    let said = text(&run(&lab, M02, "ping -n -c 1 -W 0.5 10.244.7.7"));
    assert!(said.contains("Net Unreachable"), "{said}");
}

#[test]
fn resets_are_rate_limited() {
    let mut config = minikube("policy-limit");
    config.daemon.insert("workers".into(), 1.into());
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    put(&lab, &closed("vswitchd/deny: reject"));
    let at_pod = Capture::start(&lab, "nginx-manual", "eth0", "tcp[tcpflags] & tcp-rst != 0");
    let mut scapy = Scapy::start(&lab, "nginx-manual");
    scapy.define("gw", "'ee:ee:ee:ee:ee:ee'");
    let drops = Drops::of(&lab, M02);
    let began = std::time::Instant::now();
    let syns = format!(
        "[Ether(src=me,dst=gw)/IP(src='{MANUAL}',dst='{NGINX}')/TCP(sport=p,dport=9,flags='S') for p in range(2000,3000)]"
    );
    assert_eq!(scapy.send(&syns), 1000);
    drops.rose_by("each is counted", &[("policy_ingress", 1000)]);
    let seconds = began.elapsed().as_secs_f64();
    // The kernel of the pod has no such sockets and says nothing to a reset.
    let resets = at_pod.frames().len() as f64;
    let most = 100.0 + 100.0 * seconds + 1.0;
    assert!((100.0..=most).contains(&resets), "{resets} in {seconds} s");
}
