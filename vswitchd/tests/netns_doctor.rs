//! `vswitchctl doctor` on a node in order, and on nodes with each trap set.

#![forbid(unsafe_code)]

mod netns_common;

use std::fs;

use lab::{Kill, Lab};
use netns_common::{M02, M02_ADDRESS, M03, M03_ADDRESS, Running, minikube, ok, run, shell};
use serde_json::Value;

/// A lab whose node has a CNI configuration of ours, where the doctor looks for it.
fn ward(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    let ours = r#"{"name":"k8s-pod-network","plugins":[{"type":"vswitch"}]}"#;
    write_conflist(&lab, "10-vswitch.conflist", ours);
    lab
}

fn write_conflist(lab: &Lab, name: &str, text: &str) {
    lab.sandbox()
        .write(&format!("/run/lab/net.d/{name}"), text)
        .unwrap();
}

/// What the doctor finds, and its exit status.
struct Report {
    findings: Vec<Value>,
    status: i32,
}

fn examine(lab: &Lab, node: &str) -> Report {
    examine_with(lab, node, "")
}

fn examine_with(lab: &Lab, node: &str, options: &str) -> Report {
    let program = env!("CARGO_BIN_EXE_vswitchctl");
    let socket = lab::node::socket(node);
    let places = "--cni-dir /run/lab/net.d --cni-cache /run/lab/results";
    let line = format!("{program} --socket {socket} doctor -o json {places} {options}");
    let output = run(lab, node, &line);
    Report {
        findings: serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{e}: {}", netns_common::text(&output))),
        status: output.status.code().unwrap(),
    }
}

impl Report {
    /// The findings about a subject, as `level: found`.
    fn about(&self, subject: &str) -> Vec<String> {
        let about = self.findings.iter().filter(|f| f["subject"] == subject);
        let text = |f: &Value| format!("{}: {}", word(f, "level"), word(f, "found"));
        about.map(text).collect()
    }

    /// What is not well, as `subject: found`.
    fn bad(&self) -> Vec<String> {
        let bad = self.findings.iter().filter(|f| f["level"] != "ok");
        let text = |f: &Value| format!("{}: {}", word(f, "subject"), word(f, "found"));
        bad.map(text).collect()
    }

    /// Whether one finding that is not well is about this and says this, and has advice.
    fn warns(&self, subject: &str, said: &str) {
        let is_it = |f: &&Value| {
            f["subject"] == subject && f["level"] != "ok" && word(f, "found").contains(said)
        };
        let found = self.findings.iter().find(is_it);
        let found = found.unwrap_or_else(|| panic!("{subject}, {said:?}: {:#?}", self.findings));
        assert!(!word(found, "advice").is_empty(), "{found}");
        assert!(self.status >= 1);
    }
}

fn word<'a>(finding: &'a Value, key: &str) -> &'a str {
    finding[key].as_str().unwrap()
}

#[test]
fn a_node_in_order_is_well_and_every_peer_was_asked() {
    let lab = ward("doctor-well");
    let report = examine(&lab, M02);
    assert_eq!(report.bad(), [""; 0], "{:#?}", report.findings);
    assert_eq!(report.status, 0);
    let peers = report.about("tunnel").remove(0);
    assert!(
        peers.starts_with("ok: asked from tunl0 to tunl0, answered: "),
        "{peers}"
    );
    assert!(
        peers.contains("minikube (") && peers.contains("minikube-m03 ("),
        "{peers}"
    );
    for subject in [
        "kernel",
        "fan-out",
        "tcx",
        "XDP",
        "IPIP module",
        "clock",
        "nftables",
        "uplink",
        "protocol unreachable",
        "duplicate addresses",
    ] {
        assert_ne!(
            report.about(subject).len(),
            0,
            "{subject}: {:#?}",
            report.findings
        );
    }
    let passive = examine_with(&lab, M02, "--passive");
    assert_eq!((passive.status, passive.about("tunnel").len()), (0, 0));
}

#[test]
fn kernel_parameters_that_trip_pods_are_found() {
    let lab = ward("doctor-sysctl");
    let set = |name: &str, value: &str| {
        shell(
            &lab,
            M02,
            &format!("echo {value} >/proc/sys/net/ipv4/{name}"),
        );
    };
    set("conf/all/rp_filter", "1");
    examine(&lab, M02).warns("rp_filter", "all = 1 (strict) counts for tunl0");
    set("conf/all/rp_filter", "0");
    set("conf/eth0/forwarding", "0");
    examine(&lab, M02).warns("ip_forward", "1, but eth0 has it off");
    set("ip_forward", "0");
    examine(&lab, M02).warns("ip_forward", "nothing outside");
    set("ip_forward", "1");
    assert_eq!(examine(&lab, M02).bad(), [""; 0]);
}

#[test]
fn a_foreign_network_that_would_win_breaks_and_one_beside_it_is_a_warning() {
    let lab = ward("doctor-cni");
    let bridge = r#"{"name":"podman","plugins":[{"type":"bridge"}]}"#;
    write_conflist(&lab, "87-podman-bridge.conflist", bridge);
    let report = examine(&lab, M02);
    report.warns("CNI configuration", "87-podman-bridge.conflist");
    assert_eq!(report.status, 1);
    write_conflist(&lab, "05-first.conflist", bridge);
    let report = examine(&lab, M02);
    report.warns(
        "CNI configuration",
        "05-first.conflist (network \"podman\", plugin bridge) wins",
    );
    assert_eq!(report.status, 2);
}

#[test]
fn a_second_machine_with_the_nodes_address_is_found_by_arp() {
    let lab = ward("doctor-twice");
    // Out of the way of its own routes: an address that only its ARP knows.
    shell(
        &lab,
        M03,
        &format!("ip address add {M02_ADDRESS}/32 dev lo"),
    );
    let mac = netns_common::mac(&lab, M03, "eth0");
    let report = examine(&lab, M02);
    report.warns(
        "duplicate addresses",
        &format!("{mac} on eth0 answers ARP for {M02_ADDRESS}"),
    );
    assert_eq!(report.status, 2);
}

/// Loses what M02 sends and this matches, on the underlay's switch: neither node's kernel knows.
fn lose(lab: &Lab, matching: &str) {
    on_the_switch(
        lab,
        &format!(
            "nft add table netdev filter && \
             nft 'add chain netdev filter in {{ type filter hook ingress device uplink1 priority 0; }}' && \
             nft 'add rule netdev filter in {matching} drop'"
        ),
    );
}

fn on_the_switch(lab: &Lab, script: &str) {
    let output = lab.sandbox().command(None, &["sh", "-c", script]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", netns_common::text(&output));
}

#[test]
fn a_filter_of_protocol_4_is_told_from_a_daemon_and_a_node_that_are_gone() {
    let lab = ward("doctor-peers");
    let peer = "peer minikube-m03";
    lose(&lab, &format!("ip daddr {M03_ADDRESS} ip protocol 4"));
    let report = examine(&lab, M02);
    report.warns(
        peer,
        "answers on the underlay and not inside IPIP (protocol 4)",
    );
    let others = report.about("tunnel").remove(0);
    assert!(
        others.contains("minikube (") && !others.contains("m03"),
        "{others}"
    );
    on_the_switch(&lab, "nft delete table netdev filter");
    assert_eq!(examine(&lab, M02).bad(), [""; 0]);

    lab.stop(M03, Kill::Gently).unwrap();
    examine(&lab, M02).warns(peer, "no vswitchd runs there");
    ok(&lab, M03, "ip link set eth0 down");
    let report = examine(&lab, M02);
    report.warns(
        peer,
        "answers neither through the tunnel nor on the underlay",
    );
    assert_eq!(report.status, 1);
}

/// Packets of a protocol that no kernel knows (RFC 3692's 253), for as long as the doctor takes.
const UNKNOWN_PROTOCOL: &str = r#"
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
for _ in range(400):
    s.sendto(b"?", ("TO", 0))
    time.sleep(0.01)
"#;

#[test]
fn a_kernel_that_answers_a_protocol_it_does_not_know_is_found() {
    let lab = ward("doctor-unknown");
    let quiet = examine(&lab, M02);
    assert!(quiet.about("protocol unreachable")[0].starts_with("ok: the kernel keeps quiet"));
    let script = UNKNOWN_PROTOCOL.replace("TO", M02_ADDRESS);
    let _sender = Running::python(&lab, M03, &script);
    netns_common::soon("the kernel has met some", || {
        let snmp = ok(&lab, M02, "cat /proc/net/snmp");
        let values = snmp.lines().filter(|line| line.starts_with("Ip:")).nth(1);
        values.unwrap().split(' ').nth(7) != Some("0")
    });
    let report = examine(&lab, M02);
    report.warns("protocol unreachable", "answered each with ICMP 3/2");
}

#[test]
fn a_path_that_is_narrower_than_it_says_is_found() {
    let lab = ward("doctor-narrow");
    lose(&lab, "ip length > 1400");
    let report = examine(&lab, M02);
    report.warns("peer minikube-m03", "those of 1480 bytes do not");
    assert_eq!(report.status, 1);
}

#[test]
fn an_underlay_too_narrow_for_pods_is_a_warning() {
    let lab = ward("doctor-mtu");
    ok(&lab, M02, "ip link set eth0 mtu 1200");
    let report = examine(&lab, M02);
    report.warns("uplink", "MTU 1200: 1180 for pods");
    report.warns("pod MTU", "default/nginx");
}

#[test]
fn a_node_without_its_daemon_says_so_and_nobody_is_asked() {
    let lab = ward("doctor-alone");
    lab.stop(M02, Kill::Gently).unwrap();
    let report = examine(&lab, M02);
    report.warns("daemon", "vswitchd.sock");
    assert_eq!(report.status, 2);
    assert_eq!(report.about("tunnel"), [""; 0]);
    assert!(
        pinged(&lab, M02, M03_ADDRESS),
        "the underlay is none of its business"
    );
}

fn pinged(lab: &Lab, from: &str, to: &str) -> bool {
    netns_common::pings(lab, from, to)
}

#[test]
fn passing_a_report_to_a_file_changes_nothing() {
    let lab = ward("doctor-file");
    let program = env!("CARGO_BIN_EXE_vswitchctl");
    let socket = lab::node::socket(M02);
    let script = format!(
        "{program} --socket {socket} doctor --cni-dir /run/lab/net.d --cni-cache /run/lab/results \
         >/run/lab/report; echo $?"
    );
    assert_eq!(shell(&lab, M02, &script).trim(), "0");
    let text = fs::read_to_string(lab.sandbox().path("/run/lab/report")).unwrap();
    assert!(
        text.lines()
            .all(|line| line.starts_with("ok ") || line.trim_start().starts_with("->"))
    );
}
