//! Traces on minikube-m02 of the walk-through, word by word.

mod agreement;

use std::path::Path;
use std::sync::Arc;

use cni_shim::protocol::Attachment;
use cni_shim::trace::{Given, Made};
use packet::{MacAddr, Protocol};

use super::*;
use crate::control::{Seed, Update, Uplink, Workload};

const MINIKUBE_M02: &str = r#"
node = "minikube-m02"
[[pool]]
name = "default-ipv4-ippool"
cidr = "10.244.0.0/16"
block_size = 26
ipip = "Always"
nat_outgoing = true
[[peer]]
name = "minikube-m03"
address = "172.16.30.8/24"
"#;

/// `client` may be asked by nobody; `web` by port 80 only.
const POLICIES: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default, labels: {app: web}}, spec: {containers: []}}
---
{apiVersion: v1, kind: Pod, metadata: {name: client, namespace: default, labels: {app: client}}, spec: {containers: []}}
---
{apiVersion: v1, kind: Pod, metadata: {name: far, namespace: default, labels: {app: far}}, spec: {containers: []},
 status: {podIP: 10.244.151.1, podIPs: [{ip: 10.244.151.1}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: port-80, namespace: default},
 spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: nobody, namespace: default},
 spec: {podSelector: {matchLabels: {app: client}}, policyTypes: [Ingress]}}
";

fn workload(pod: &str, last: u8) -> Workload {
    Workload {
        id: Attachment {
            container_id: pod.into(),
            ifname: "eth0".into(),
        },
        namespace: "default".into(),
        pod: pod.into(),
        address: [10, 244, 205, last].into(),
        mac: MacAddr([2, 0, 0, 0, 1, last]),
        host_interface: format!("cali{pod}"),
        host_index: last.into(),
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: Vec::new(),
        slot: u32::from(last) - 193,
    }
}

fn desired() -> DesiredState {
    let config = crate::config::parse(Path::new("node.toml"), MINIKUBE_M02).unwrap();
    let seed = Seed {
        address: "172.16.30.7/24".parse().unwrap(),
        tunnel_address: [10, 244, 205, 192].into(),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2, 0, 0, 0, 0, 7]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    let mut cluster = policy::Cluster::new();
    for object in policy::parse("t.yaml", POLICIES).unwrap() {
        cluster.apply(object);
    }
    let mut desired = DesiredState::new(&config, seed).unwrap();
    desired.apply(Update::Policies(Arc::new(cluster)));
    desired.apply(Update::Attached(Box::new(workload("web", 193))));
    desired.apply(Update::Attached(Box::new(workload("client", 194))));
    let mac = MacAddr([2, 0, 0, 0, 0, 8]);
    desired.apply(Update::Neighbour([172, 16, 30, 8].into(), Some(mac)));
    desired
}

fn world(desired: &DesiredState) -> Arc<dataplane::Snapshot> {
    let settings = policy::Settings::default();
    Arc::new(crate::worker::offline::snapshot(desired, settings, 1480))
}

fn made(from: &str, to: &str, protocol: Protocol, dst_port: u16) -> Probe {
    Probe::Made(Made {
        from: from.into(),
        to: to.into(),
        protocol: protocol.0,
        src_port: None,
        dst_port,
        payload_bytes: 0,
    })
}

fn ask(probe: &Probe) -> Result<Hop, TraceError> {
    let desired = desired();
    trace(&Offline(world(&desired)), &desired, probe)
}

fn told(probe: &Probe) -> Hop {
    ask(probe).unwrap()
}

#[test]
fn a_syn_to_another_node_is_told_stage_by_stage() {
    let hop = told(&made("web", "far", Protocol::TCP, 443));
    assert_eq!(
        hop.about,
        "default/web (10.244.205.193) -> default/far (10.244.151.1), tcp 40000 > 443, SYN"
    );
    let expected = "\
minikube-m02, generation 1
  arp        who has 169.254.1.1? answered: ee:ee:ee:ee:ee:ee
  rx         caliweb (default/web)
             02:00:00:00:01:c1 > ee:ee:ee:ee:ee:ee, IPv4
             10.244.205.193 > 10.244.151.1, tcp 40000 > 443 [S], ttl 64, 40 bytes, DF
  source     10.244.205.193 is the pod's own address and MAC
  conntrack  tcp 10.244.205.193:40000 > 10.244.151.1:443, worker 0
  conntrack  a new flow
  policy     egress of default/web (10.244.205.193): allowed: no policy selects
  conntrack  then SYN_SENT
  route      10.244.151.1 is in 10.244.151.0/26, a block of minikube-m03 (172.16.30.8): by eth0 (the uplink)
  forward    ttl 64 becomes 63
  forward    40 bytes on the wire fit into the way's 1480
  encap      IPIP 172.16.30.7 > 172.16.30.8, to minikube-m03 (172.16.30.8)
  tx         eth0 (the uplink)
             02:00:00:00:00:07 > 02:00:00:00:00:08, IPv4
             172.16.30.7 > 172.16.30.8, ipip, ttl 64, 60 bytes, DF
             10.244.205.193 > 10.244.151.1, tcp 40000 > 443 [S], ttl 63, 40 bytes, DF
";
    assert_eq!(hop.to_string(), expected);
    assert_eq!(hop.end.verdict, Verdict::Onward);
    assert_eq!(
        hop.end.text,
        "leaves minikube-m02 for minikube-m03 (172.16.30.8)"
    );
    let onward = hop.end.onward.unwrap();
    assert_eq!(onward.node, "minikube-m03");
    let Probe::Given(given) = onward.probe else {
        panic!("{:?}", onward.probe);
    };
    let frame = "0200000000080200000000070800";
    assert!(
        given.bytes.starts_with(frame) && !given.is_packet,
        "{given:?}"
    );
}

#[test]
fn a_denial_names_the_policy_and_is_one_line() {
    let hop = told(&made("far", "client", Protocol::UDP, 53));
    assert_eq!(hop.came_from.as_deref(), Some("minikube-m03"));
    let expected = "\
minikube-m02, generation 1
  rx         eth0 (the uplink)
             02:00:00:00:00:08 > 02:00:00:00:00:07, IPv4
             172.16.30.8 > 172.16.30.7, ipip, ttl 64, 48 bytes, DF
             10.244.151.1 > 10.244.205.194, udp 40000 > 53, ttl 63, 28 bytes, DF
  decap      the outer header of minikube-m03 (172.16.30.8) comes off
  source     10.244.151.1 lies in a block of minikube-m03 (172.16.30.8), whose tunnel it came by
  conntrack  udp 10.244.151.1:40000 > 10.244.205.194:53, worker 0
  conntrack  a new flow
  policy     ingress of default/client (10.244.205.194): denied: no ingress rule matched, end of tier default; selected by NetworkPolicy default/nobody
  drop       policy_ingress, at stage policy
";
    assert_eq!(hop.to_string(), expected);
    assert_eq!(hop.end.reason.as_deref(), Some("policy_ingress"));
    let start = "dropped by minikube-m02: policy_ingress: ";
    let end = "Decided by: no ingress rule matched, end of tier default; selected by NetworkPolicy default/nobody. \
               What would have to change: `vswitchctl policy explain default/far default/client --port 53/udp`.";
    let text = &hop.end.text;
    assert!(text.starts_with(start) && text.ends_with(end), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn the_answer_reads_the_same_after_the_wire() {
    let hop = told(&made("client", "web", Protocol::TCP, 80));
    assert_eq!(
        hop.end.text,
        "delivered to default/web on minikube-m02, by caliweb (default/web)"
    );
    let json = serde_json::to_value(&hop).unwrap();
    let policy: Vec<_> = json["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|step| step["stage"] == "policy")
        .map(|step| {
            (
                step["direction"].as_str().unwrap(),
                step["allowed"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(policy, [("egress", true), ("ingress", true)]);
    assert_eq!(json["end"]["verdict"], "delivered");
    assert_eq!(serde_json::from_value::<Hop>(json).unwrap(), hop);
}

#[test]
fn who_is_not_there_is_named_and_who_is_there_too() {
    let refused = |from: &str, to: &str| {
        ask(&made(from, to, Protocol::ICMP, 0))
            .unwrap_err()
            .to_string()
    };
    let error = refused("web", "shop/nobody");
    assert!(
        error.contains("found \"shop/nobody\"; on this node: default/client, default/web"),
        "{error}"
    );
    let error = refused("10.244.205.200", "web");
    assert!(
        error.contains("10.244.205.200 is attached neither here"),
        "{error}"
    );
    let given = Given {
        port: "nowhere".into(),
        bytes: "00".into(),
        is_packet: false,
        offload: None,
    };
    let error = ask(&Probe::Given(given)).unwrap_err().to_string();
    assert!(error.contains("found \"nowhere\""), "{error}");
}

#[test]
fn a_frame_byte_by_byte_walks_by_the_port_that_is_named() {
    let given = |port: &str, bytes: &str| {
        told(&Probe::Given(Given {
            port: port.into(),
            bytes: bytes.into(),
            is_packet: false,
            offload: None,
        }))
    };
    let arp = "eeeeeeeeeeee 0200000001c1 0806 0001 0800 06 04 0001 0200000001c1 0af4cdc1 000000000000 a9fe0101";
    for port in ["web", "default/web", "caliweb", "10.244.205.193"] {
        let hop = given(port, arp);
        assert_eq!(hop.end.text, "answered, by caliweb (default/web)");
    }
    assert_eq!(
        given("client", arp).end.reason.as_deref(),
        Some("arp_spoofed")
    );
    assert_eq!(
        given("uplink", "00").end.reason.as_deref(),
        Some("truncated")
    );
}

#[test]
fn what_is_too_big_says_how_big_it_may_be() {
    let Probe::Made(made) = made("web", "far", Protocol::UDP, 53) else {
        panic!("made");
    };
    let hop = told(&Probe::Made(Made {
        payload_bytes: 1453,
        ..made
    }));
    let text = hop.to_string();
    assert!(
        text.contains("1481 bytes on the wire are more than the way's 1480"),
        "{text}"
    );
    assert!(
        hop.end.text.contains("icmp 3/4, at most 1480 bytes"),
        "{}",
        hop.end.text
    );
}

#[test]
fn what_no_packet_holds_is_an_error_with_its_size() {
    let sized = |from: &str, protocol, payload_bytes| {
        let Probe::Made(made) = made(from, "web", protocol, 0) else {
            panic!("made");
        };
        ask(&Probe::Made(Made {
            payload_bytes,
            ..made
        }))
    };
    let all = [Protocol::TCP, Protocol::UDP, Protocol::SCTP, Protocol::ICMP];
    for protocol in all.iter().chain(&[Protocol(47)]) {
        let error = sized("client", *protocol, u16::MAX)
            .unwrap_err()
            .to_string();
        let expected = "expected a packet of at most 65535 bytes with its headers, found 655";
        assert!(error.starts_with(expected), "{protocol}: {error}");
    }
    for (from, most) in [("client", 65_507), ("far", 65_487), ("8.8.8.8", 65_507)] {
        assert!(sized(from, Protocol::UDP, most).is_ok(), "{from}");
        assert!(sized(from, Protocol::UDP, most + 1).is_err(), "{from}");
        assert!(sized(from, Protocol::UDP, u16::MAX).is_err(), "{from}");
    }
}

#[test]
fn an_answer_from_the_nat_is_said_to_come_from_the_node() {
    let hop = told(&made("web", "8.8.8.8", Protocol::UDP, 53));
    assert_eq!(
        hop.end.text,
        "delivered to the host kernel of minikube-m02, which routes it on to 8.8.8.8, as from 172.16.30.7 (nat_outgoing)"
    );
}
