//! A small capture, walked under one policy and under another.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use packet::transport::TcpFlags;
use packet::{Frame, MacAddr, build};

use super::*;
use crate::capture_file::Writer;
use crate::offline::OfflineNode;
use crate::trace::Verdict;

const WEB: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 200);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 244, 151, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(8, 8, 8, 8);
const NODE: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 7);
const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 8);

const CONFIG: &str = r#"
node = "minikube-m02"
address = "172.16.30.7/24"
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

/// A folder with a node's file, a capture, and a policy directory.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new(packets: &[(&str, Vec<u8>)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("node.toml"), CONFIG).unwrap();
        for (name, policies) in [("open", POD.to_owned()), ("shut", POD.to_owned() + ONLY_80)] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join("all.yaml"), policies).unwrap();
        }
        let files = Self { folder };
        let mut writer = Writer::create(&files.path("capture")).unwrap();
        let mac = |last| MacAddr([2, 9, 9, 9, 9, last]);
        for (number, (interface, packet)) in packets.iter().enumerate() {
            let frame = Frame::from_ethernet(&build::ethernet(mac(1), mac(2), packet));
            let at = Duration::from_secs(1_700_000_000) + Duration::from_secs(number as u64);
            writer.write(at, interface, &frame, None).unwrap();
        }
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What comes of each packet: its rule and fate, or why it is left out.
    fn fates(&self, policies: &str) -> Vec<Result<(Rule, Fate), Unfit>> {
        let strangers = addresses(&self.path("capture")).unwrap();
        let policies = self.path(policies);
        let node =
            OfflineNode::with_strangers(&self.path("node.toml"), Some(&policies), &strangers);
        let mut player = Player::new(node.unwrap());
        let play = |captured: Captured| {
            let entry = player.entry(&captured)?;
            Ok((entry.rule, player.play(captured.at, &entry, |_, _| ())))
        };
        let frames = Reader::open(&self.path("capture")).unwrap();
        frames.map(Result::unwrap).map(play).collect()
    }
}

fn syn(src: Ipv4Addr, dst: Ipv4Addr, port: u16) -> Vec<u8> {
    build::tcp(src, dst, 40_000, port, TcpFlags::SYN, 1, b"")
}

#[test]
fn the_source_address_says_the_port() {
    let files = Files::new(&[
        ("any", syn(WEB, FAR, 443)),
        ("any", syn(STRANGER, WEB, 80)),
        ("any", build::ipip(PEER, NODE, &syn(FAR, WEB, 80))),
        ("any", syn(FAR, WEB, 8080)),
        ("any", syn(OUTSIDE, WEB, 80)),
        ("any", build::ipip(NODE, PEER, &syn(WEB, FAR, 443))),
        ("any", syn(OUTSIDE, NODE, 22)),
    ]);
    let fates = files.fates("open");
    let verdict = |at: usize| {
        let (rule, fate) = fates[at].clone().unwrap();
        (rule, fate.verdict)
    };
    assert_eq!(verdict(0), (Rule::Source, Verdict::Onward));
    assert_eq!(verdict(1), (Rule::Source, Verdict::Delivered));
    assert_eq!(verdict(2), (Rule::Source, Verdict::Delivered));
    assert_eq!(verdict(3), (Rule::SourceTunneled, Verdict::Delivered));
    assert_eq!(verdict(4), (Rule::Source, Verdict::Delivered));
    assert_eq!(fates[5], Err(Unfit::Leaving));
    assert_eq!(fates[6], Err(Unfit::Foreign));
}

#[test]
fn an_interface_that_the_capture_named_says_the_port_and_later_stages_are_left_out() {
    let files = Files::new(&[
        ("default/web:rx", syn(FAR, WEB, 80)),
        ("default/web:tx", syn(FAR, WEB, 80)),
        ("host:rx", syn(OUTSIDE, WEB, 80)),
    ]);
    let fates = files.fates("open");
    let (rule, fate) = fates[0].clone().unwrap();
    assert_eq!(rule, Rule::Interface);
    assert_eq!(fate.reason, Some(dataplane::DropReason::SpoofedSource));
    assert_eq!(fates[1], Err(Unfit::LaterStage));
    assert_eq!(fates[2].clone().unwrap().1.verdict, Verdict::Delivered);
}

#[test]
fn another_policy_changes_the_fate_of_what_it_denies_and_of_nothing_else() {
    let files = Files::new(&[
        ("any", syn(STRANGER, WEB, 80)),
        ("any", syn(STRANGER, WEB, 443)),
        (
            "any",
            build::tcp(
                WEB,
                STRANGER,
                80,
                40_000,
                TcpFlags::SYN | TcpFlags::ACK,
                1,
                b"",
            ),
        ),
    ]);
    let [open, shut] = ["open", "shut"].map(|policies| files.fates(policies));
    let differ: Vec<usize> = (0..3).filter(|at| open[*at] != shut[*at]).collect();
    assert_eq!(differ, [1]);
    let (_, fate) = shut[1].clone().unwrap();
    assert_eq!(fate.reason, Some(dataplane::DropReason::PolicyIngress));
    let rule = fate.rule.unwrap();
    assert!(rule.contains("NetworkPolicy default/only-80"), "{rule}");
}

#[test]
fn time_is_the_captures() {
    let udp = |src, dst, ports: (u16, u16)| build::udp(src, dst, ports.0, ports.1, b"x");
    let question = udp(WEB, STRANGER, (4000, 53));
    let answer = udp(STRANGER, WEB, (53, 4000));
    // A second later the answer is known; after the flow's 120 s it would be a new flow.
    let mut packets = vec![("any", question), ("any", answer.clone())];
    packets.extend((0..125).map(|_| ("any", syn(WEB, OUTSIDE, 443))));
    packets.push(("any", answer));
    let files = Files::new(&packets);
    let fates = files.fates("shut");
    assert_eq!(fates[1].clone().unwrap().1.verdict, Verdict::Delivered);
    let late = fates.last().unwrap().clone().unwrap().1;
    assert_eq!(late.reason, Some(dataplane::DropReason::PolicyIngress));
    // The file may say otherwise.
    let longer = format!("{CONFIG}[timeouts]\nudp_replied_seconds = 300\n");
    fs::write(files.path("node.toml"), longer).unwrap();
    let late = files.fates("shut").pop().unwrap().unwrap().1;
    assert_eq!(late.verdict, Verdict::Delivered);
}

#[test]
fn a_node_remembers_as_many_flows_as_its_file_says() {
    let question = build::udp(WEB, OUTSIDE, 4000, 53, b"x");
    let mut packets = vec![("any", question)];
    packets.extend((1..=1024).map(|port| ("any", syn(WEB, OUTSIDE, port))));
    packets.push(("any", build::udp(OUTSIDE, WEB, 53, 4000, b"x")));
    let files = Files::new(&packets);
    for (max_flows, verdict) in [(1024, Verdict::Dropped), (2048, Verdict::Delivered)] {
        let keys = format!(
            "{CONFIG}[conntrack]\nmax_flows = {max_flows}\n[timeouts]\nudp_unreplied_seconds = 3000\ntcp_handshake_seconds = 3000\n"
        );
        fs::write(files.path("node.toml"), keys).unwrap();
        let last = files.fates("shut").pop().unwrap().unwrap().1;
        assert_eq!(last.verdict, verdict, "{max_flows}");
    }
}
