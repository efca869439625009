//! Bandwidth limits of a pod, given by the runtime and enforced by the switch, both ways.

#![forbid(unsafe_code)]

mod netns_common;

use lab::{
    Lab,
    config::{Bandwidth, Pod},
};
use netns_common::{M02, NGINX, Running, drops::Drops, listens, minikube, ok, without_ipv6};
use serde_json::Value;

/// Towards the limited pod, and from it, in bits per second.
const INGRESS: f64 = 20e6;
const EGRESS: f64 = 10e6;

fn limited(name: &str) -> Lab {
    let mut config = minikube(name);
    let nginx = config
        .pods
        .iter_mut()
        .find(|pod| pod.name == "nginx")
        .unwrap();
    nginx.bandwidth = Some(Bandwidth {
        ingress_rate: INGRESS as u64,
        ingress_burst: 1_000_000,
        egress_rate: EGRESS as u64,
        egress_burst: 1_000_000,
    });
    Lab::up(config).unwrap()
}

/// Goodput of TCP in bits per second over four seconds, after one that is left out.
fn tcp(lab: &Lab, from: &str, to: &str, direction: &str) -> f64 {
    let line = format!("iperf3 -J -t 4 -O 1 --connect-timeout 3000 -c {to} {direction}");
    let report: Value = serde_json::from_str(&ok(lab, from, &line)).unwrap();
    report["end"]["sum_received"]["bits_per_second"]
        .as_f64()
        .unwrap()
}

/// A limit counts IP packets: of 1480 bytes TCP with timestamps delivers 1428. That much of it, within a tenth.
fn assert_near(found: f64, limit: f64, what: &str) {
    let expected = limit * 1428.0 / 1480.0;
    let share = found / expected;
    assert!(
        (0.9..=1.1).contains(&share),
        "{what}: {found:.0} bit/s of {limit:.0} is {share:.2} of what it lets through"
    );
}

#[test]
fn tcp_gets_what_the_limit_says_both_ways_from_another_node() {
    let lab = limited("bandwidth-nodes");
    let _server = Running::start(&lab, "nginx", "iperf3 -s");
    listens(&lab, "nginx", 5201);
    assert_near(tcp(&lab, "nginx-manual", NGINX, ""), INGRESS, "ingress");
    assert_near(tcp(&lab, "nginx-manual", NGINX, "-R"), EGRESS, "egress");
}

#[test]
fn a_limit_holds_nobody_else_up() {
    let lab = limited("bandwidth-others");
    lab.pod_add(&Pod::new("default", "third", M02, [])).unwrap();
    let _servers = ["nginx", "third"].map(|pod| {
        let server = Running::start(&lab, pod, "iperf3 -s");
        listens(&lab, pod, 5201);
        server
    });
    // The limited pod is kept busy by more than it may have.
    let flood = format!("iperf3 -u -b 40M -t 5 -c {NGINX}");
    let _flood = Running::start(&lab, "nginx-manual", &flood);
    let third = lab.address("third").unwrap().to_string();
    without_ipv6(&lab);
    let drops = Drops::of(&lab, M02);
    let unlimited = tcp(&lab, "nginx-manual", &third, "");
    assert!(unlimited > 5.0 * INGRESS, "{unlimited:.0} bit/s to {third}");
    let reasons: Vec<String> = drops.risen().into_keys().collect();
    assert_eq!(reasons, ["bandwidth_exceeded"]);
}

#[test]
fn the_chained_bandwidth_plugins_tbf_on_the_host_end_holds_towards_the_pod() {
    let mut config = minikube("bandwidth-tbf");
    config.cni = toml::from_str(
        "version = '1.0.0'
        vswitch = { capabilities = {} }
        chain = [{ type = 'bandwidth', capabilities = { bandwidth = true } }]",
    )
    .unwrap();
    let nginx = config
        .pods
        .iter_mut()
        .find(|pod| pod.name == "nginx")
        .unwrap();
    nginx.bandwidth = Some(Bandwidth {
        ingress_rate: INGRESS as u64,
        ingress_burst: 1_000_000,
        ..Bandwidth::default()
    });
    let lab = Lab::up(config).unwrap();
    assert!(ok(&lab, M02, "tc qdisc").contains("tbf"));
    let _server = Running::start(&lab, "nginx", "iperf3 -s");
    listens(&lab, "nginx", 5201);
    assert_near(tcp(&lab, "nginx-manual", NGINX, ""), INGRESS, "ingress");
    let back = tcp(&lab, "nginx-manual", NGINX, "-R");
    assert!(
        back > 5.0 * INGRESS,
        "{back:.0} bit/s from the pod, which has no limit"
    );
}
