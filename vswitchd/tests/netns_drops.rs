//! Drops by pod: what is counted is what was sent, at the pod that sent it and at the pod it was for.

#![forbid(unsafe_code)]

mod netns_common;

use std::{
    io::{BufRead, BufReader},
    sync::mpsc,
    thread,
    time::Duration,
};

use lab::Lab;
use netns_common::{
    M02, MANUAL, NGINX, Running,
    drops::Drops,
    minikube,
    policing::{pod, policy, put},
    scapy::Scapy,
    show, without_ipv6,
};

const SENT: u64 = 40;

/// The count of one row of `show drops --by-pod` on nginx's node.
fn counted(lab: &Lab, pod: &str, way: &str, reason: &str) -> u64 {
    let rows = show(lab, M02, "pod-drops");
    let is_it = |row: &&serde_json::Map<String, serde_json::Value>| {
        row["pod"] == pod && row["way"] == way && row["reason"] == reason
    };
    let row = rows.iter().find(is_it);
    row.map_or(0, |row| row["count"].as_u64().unwrap())
}

#[test]
fn each_pod_is_charged_for_what_it_sent_and_what_its_policy_refused() {
    let mut config = minikube("drops-by-pod");
    config.pods.push(pod("client", M02, "client"));
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    let shut = "podSelector: {matchLabels: {run: nginx}}, policyTypes: [Ingress]";
    put(&lab, &policy("shut", "", shut));
    let drops = Drops::of(&lab, M02);
    let own = lab.address("client").unwrap();
    let mut client = Scapy::start(&lab, "client");
    let frame = |src: &str, port: u16| {
        format!(
            "[Ether(src=me,dst='ee:ee:ee:ee:ee:ee')/IP(src='{src}',dst='{NGINX}')/\
             UDP(sport=4000+n,dport={port}) for n in range({SENT})]"
        )
    };
    client.send(&frame(&own.to_string(), 53));
    client.send(&frame("10.9.9.9", 53));
    let mut manual = Scapy::start(&lab, "nginx-manual");
    manual.send(&frame(MANUAL, 54));
    let expected = [("policy_ingress", 2 * SENT), ("spoofed_source", SENT)];
    drops.rose_by("all of them", &expected);
    let of = |pod, way, reason| counted(&lab, pod, way, reason);
    assert_eq!(of("default/client", "from", "policy_ingress"), SENT);
    assert_eq!(of("default/client", "from", "spoofed_source"), SENT);
    assert_eq!(of("default/nginx", "toward", "policy_ingress"), 2 * SENT);
    assert_eq!(of("(uplink)", "from", "policy_ingress"), SENT);
    assert_eq!(of("default/nginx", "from", "policy_ingress"), 0);
    assert_eq!(of("default/client", "toward", "policy_ingress"), 0);
}

#[test]
fn watching_through_a_pipe_tells_what_rises_and_how_fast() {
    let lab = Lab::up(minikube("drops-watch")).unwrap();
    without_ipv6(&lab);
    let argv = [
        env!("CARGO_BIN_EXE_vswitchctl"),
        "show",
        "drops",
        "--by-pod",
        "--watch",
    ];
    let mut watching = Running::spawn(lab.command(M02, &argv).unwrap());
    let mut scapy = Scapy::start(&lab, "nginx");
    let stdout = watching.0.stdout.take().unwrap();
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.all(|line| sender.send(line).is_ok())
    });
    // When it has begun to watch nobody says: again and again, until it tells of them.
    let mut found = None;
    for _ in 0..20 {
        scapy.send(&format!(
            "[Ether(src=me,dst='ee:ee:ee:ee:ee:ee')/IP(src='10.9.9.9',dst='{MANUAL}')/UDP()]*{SENT}"
        ));
        let is_it = |line: &String| line.contains("/s") && line.contains("spoofed_source");
        let soon = Duration::from_millis(1500);
        let mut line = std::iter::from_fn(|| lines.recv_timeout(soon).ok());
        found = line.find(is_it);
        if found.is_some() {
            break;
        }
    }
    let line = found.expect("a line about what rose");
    assert!(line.contains("default/nginx  from"), "{line}");
    watching.0.kill().unwrap();
    watching.0.wait().unwrap();
}
