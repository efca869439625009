//! Cluster 2 of the walk-through: two nodes, and the way from a pod on one to a pod on the other, hop by hop.

use super::{Stage, narrator::Narrator};
use crate::error::Result;

const CONFIG: &str = include_str!("../../../../configs/lab/kicbase.toml");
const FROM: &str = "default/busybox-f5945bfb5-mw26t";
const HOPS: [(&str, &str); 3] = [
    ("10.244.120.64", "tunl0 of the pod's own node"),
    ("10.244.205.192", "tunl0 of the other node"),
    ("10.244.205.193", "the other pod"),
];

pub(super) fn play(narrator: &mut Narrator) -> Result<()> {
    narrator.chapter("Cluster 2: two nodes, and the way between their pods");
    let mut stage = Stage::set(narrator, "configs/lab/kicbase.toml", CONFIG)?;
    let output = stage.run(FROM, "ip -4 -oneline address show eth0")?;
    stage.fact(
        "the third pod of the block has its fourth address",
        "inet 10.244.120.67/32",
        &output,
    );
    for (node, interface) in [
        ("minikube", "cali8d02ed71817"),
        ("minikube-m02", "cali79f33e4263e"),
    ] {
        let output = stage.run(node, "ip -brief link")?;
        stage.fact(
            &format!("its host interface on {node} is {interface}"),
            interface,
            &output,
        );
    }
    stage.ping(FROM, "10.244.205.193", true)?;
    let output = stage.run(FROM, "traceroute -n -N 1 10.244.205.193")?;
    for (i, (address, who)) in HOPS.into_iter().enumerate() {
        let hop = i + 1;
        stage.fact(
            &format!("hop {hop} is {who}"),
            &format!("{hop} {address}"),
            &output,
        );
    }
    let hops = output.lines().skip(1).count();
    stage.narrator.check(
        "there are three hops",
        hops == HOPS.len(),
        "3 lines",
        &output,
    );
    stage.lab.down()
}
