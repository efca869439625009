//! `vswitchctl replay` and `vswitchctl trace -f` as a user runs them: no daemon, no root.

#![forbid(unsafe_code)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use packet::transport::TcpFlags;
use packet::{Frame, MacAddr, build};
use vswitchd::capture_file::{Reader, Writer};

const WEB: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);

const CONFIG: &str = r#"
node = "minikube-m02"
address = "172.16.30.7/24"
policy_dir = "FOLDER/before"
[[pool]]
name = "default-ipv4-ippool"
cidr = "10.244.0.0/16"
[[peer]]
name = "minikube-m03"
address = "172.16.30.8/24"
"#;

const POD: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: default, labels: {app: web}}, spec: {containers: []},
 status: {phase: Running, podIP: 10.244.205.193, podIPs: [{ip: 10.244.205.193}]}}
";

const ONLY_80: &str = "
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: only-80, namespace: default},
 spec: {podSelector: {matchLabels: {app: web}}, ingress: [{ports: [{port: 80}]}]}}
";

/// A folder with a node's file, two policy directories and a capture of four packets.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let config = CONFIG.replace("FOLDER", path.to_str().unwrap());
    fs::write(path.join("node.toml"), config).unwrap();
    for (name, manifests) in [
        ("before", POD.to_owned()),
        ("after", POD.to_owned() + ONLY_80),
    ] {
        fs::create_dir(path.join(name)).unwrap();
        fs::write(path.join(name).join("all.yaml"), manifests).unwrap();
    }
    let syn = |src, dst, port| build::tcp(src, dst, 40_000, port, TcpFlags::SYN, 1, b"");
    let packets = [
        syn(OUTSIDE, WEB, 80),
        syn(OUTSIDE, WEB, 443),
        syn(WEB, FAR, 443),
        syn(WEB, [10, 244, 7, 7].into(), 443),
    ];
    let mut writer = Writer::create(&path.join("in.pcapng")).unwrap();
    for (number, packet) in packets.iter().enumerate() {
        let [a, b] = [1, 2].map(|last| MacAddr([2, 0, 0, 0, 0, last]));
        let frame = Frame::from_ethernet(&build::ethernet(a, b, packet));
        let at = Duration::from_millis(1_700_000_000_000 + 250 * number as u64);
        writer.write(at, "any", &frame, None).unwrap();
    }
    drop(writer);
    folder
}

fn vswitchctl(folder: &Path, line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command.args(line.split_whitespace()).current_dir(folder);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_capture_is_counted_by_what_comes_of_it() {
    let folder = folder();
    let output = vswitchctl(folder.path(), "replay in.pcapng -f node.toml -w out.pcapng");
    let expected = "\
minikube-m02: 4 packets in 0.750 s
         4  port found by source address
what came of them
         1  dropped
         2  to calif29c9d7a0ce (default/web)
         1  to eth0 (the uplink)
no_route: 1
  The destination lies in a pool but in no known block: a peer is missing, or the address is not in use.
  such as packet 4: 10.244.205.193 > 10.244.7.7, tcp 40000 > 443 [S], ttl 64, 40 bytes, DF
";
    let interface = cni_shim::host_interface_name("cali", "default", "web");
    let expected = expected.replace("calif29c9d7a0ce", &interface);
    assert_eq!(text(&output.stdout), expected, "{}", text(&output.stderr));
    assert_eq!(output.status.code(), Some(0));
    let left = Reader::open(&folder.path().join("out.pcapng")).unwrap();
    let left: Vec<_> = left
        .map(|frame| frame.unwrap().interface.unwrap())
        .collect();
    let expected = [
        "default/web:tx",
        "default/web:tx",
        "uplink:tx",
        "default/web:tx",
    ];
    assert_eq!(
        left, expected,
        "the last is the ICMP error about what had no route"
    );
}

#[test]
fn two_policies_are_compared_packet_by_packet() {
    let folder = folder();
    let line = "replay in.pcapng -f node.toml --policy before --policy after";
    let output = vswitchctl(folder.path(), line);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    let expected = "\
1 packets have another fate
packet 2: 8.8.8.8 > 10.244.205.193, tcp 40000 > 443 [S], ttl 64, 40 bytes, DF
  before: to INTERFACE (default/web)
  after:  dropped: policy_ingress: no ingress rule matched, end of tier default; selected by NetworkPolicy default/only-80
";
    let interface = cni_shim::host_interface_name("cali", "default", "web");
    assert!(
        said.ends_with(&expected.replace("INTERFACE", &interface)),
        "{said}"
    );
    let output = vswitchctl(folder.path(), &format!("{line} -o json"));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&json["different"], &json["differences"][0]["number"]),
        (&1.into(), &2.into())
    );
    assert_eq!(json["tallies"][1]["drops"]["policy_ingress"]["packets"], 1);
    let same = "replay in.pcapng -f node.toml --policy after --policy after";
    assert_eq!(vswitchctl(folder.path(), same).status.code(), Some(0));
}

#[test]
fn a_packet_of_a_capture_is_traced_on_a_node_that_is_only_a_file() {
    let folder = folder();
    let run = |line: &str| {
        let output = vswitchctl(folder.path(), line);
        let said = text(&output.stdout) + &text(&output.stderr);
        (said, output.status.code())
    };
    let (said, status) = run("trace 8.8.8.8 web --dport 443 -f node.toml --policy after");
    assert_eq!(status, Some(3), "{said}");
    assert!(
        said.lines()
            .last()
            .unwrap()
            .contains("NetworkPolicy default/only-80"),
        "{said}"
    );
    let (said, status) = run("trace web 10.244.151.1 --dport 443 -f node.toml");
    assert_eq!(status, Some(4), "{said}");
    assert!(
        said.lines()
            .last()
            .unwrap()
            .contains("go on there: on minikube-m03, `vswitchctl trace uplink --frame 02")
    );
    let (said, status) = run("trace host --pcap in.pcapng --packet 1 -f node.toml");
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("8.8.8.8 > 10.244.205.193, tcp 40000 > 80 [S]"),
        "{said}"
    );
    let (said, status) = run("trace host --pcap in.pcapng --packet 9 -f node.toml");
    assert_eq!(status, Some(1));
    assert!(
        said.contains("expected a packet 9, found 4 packets"),
        "{said}"
    );
}
