//! Cluster 1 of the walk-through: three nodes, two pods, an outside host.

use std::{fs, path::Path};

use super::{
    Stage,
    narrator::{Narrator, one_spaced},
};
use crate::error::{Result, io_error};

const CONFIG: &str = include_str!("../../../../configs/lab/minikube.toml");
const DENY: (&str, &str) = (
    "default-deny-ingress.yaml",
    include_str!("../../../../configs/policy/default-deny-ingress.yaml"),
);
const ALLOW: (&str, &str) = (
    "allow-all-ingress.yaml",
    include_str!("../../../../configs/policy/allow-all-ingress.yaml"),
);

/// The route table of minikube-m02 in the walk-through.
const ROUTES: [&str; 6] = [
    "default via 172.16.30.1 dev eth0",
    "10.244.120.64/26 via 172.16.30.6 dev tunl0 onlink",
    "10.244.151.0/26 via 172.16.30.8 dev tunl0 onlink",
    "blackhole 10.244.205.192/26",
    "10.244.205.193 dev calic440f455693 scope link",
    "172.16.30.0/24 dev eth0 scope link src 172.16.30.7",
];

const NGINX: &str = "10.244.205.193";
const NGINX_MANUAL: &str = "10.244.151.1";

pub(super) fn play(narrator: &mut Narrator) -> Result<()> {
    narrator.chapter("Cluster 1: three nodes, each a network namespace with its own vswitchd");
    narrator.text(
        "Nodes are on an underlay bridge behind a gateway; 8.8.8.8 is a host behind that gateway.\n\
         Pods are wired by the CNI plugin `vswitch`, run as a container runtime runs it.",
    );
    let mut stage = Stage::set(narrator, "configs/lab/minikube.toml", CONFIG)?;
    pod(&mut stage)?;
    node(&mut stage)?;
    tables(&mut stage)?;
    traffic(&mut stage)?;
    outside(&mut stage)?;
    policy(&mut stage)?;
    stage.lab.down()
}

fn pod(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.chapter("Inside a pod");
    let output = stage.run("default/nginx", "ip address show eth0")?;
    stage.fact(
        "nginx has the first address of its node's block",
        "inet 10.244.205.193/32 brd 10.244.205.193 scope global",
        &output,
    );
    stage.fact(
        "its interface leaves room for the outer header",
        "mtu 1480",
        &output,
    );
    stage.fact(
        "its interface is one end of a veth pair",
        "eth0@if",
        &output,
    );

    let output = stage.run("default/nginx", "ip route")?;
    let routes: Vec<&str> = output.lines().map(str::trim).collect();
    let expected = [
        "default via 169.254.1.1 dev eth0",
        "169.254.1.1 dev eth0 scope link",
    ];
    stage.narrator.check(
        "its routes are exactly Calico's two",
        routes == expected,
        &expected.join(" and "),
        &output,
    );

    stage.run("default/nginx", &format!("ping -c 1 -W 2 {NGINX_MANUAL}"))?;
    let output = stage.run("default/nginx", "ip neighbour")?;
    stage.fact(
        "the gateway's MAC address is the one proxy ARP answers with",
        "169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee",
        &output,
    );

    let output = stage.run("default/nginx-manual", "ip -4 -oneline address show eth0")?;
    stage.fact(
        "nginx-manual has the first address of its own node's block",
        "inet 10.244.151.1/32",
        &output,
    );
    Ok(())
}

fn node(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.chapter("On a node");
    let output = stage.run("minikube-m02", "ip address")?;
    stage.fact(
        "tunl0 has the block's address number 0",
        "inet 10.244.205.192/32",
        &output,
    );
    stage.fact("eth0 is on the underlay", "inet 172.16.30.7/24", &output);
    stage.fact(
        "the pod's host interface has Calico's name for it",
        "calic440f455693",
        &output,
    );
    for (node, tunnel, interface) in [
        ("minikube", "10.244.120.64/32", None),
        ("minikube-m03", "10.244.151.0/32", Some("califba6dd09590")),
    ] {
        let output = stage.run(node, "ip -oneline address show tunl0")?;
        stage.fact(
            &format!("{node}'s tunl0 is the first address of the block its name leads to"),
            tunnel,
            &output,
        );
        if let Some(interface) = interface {
            let output = stage.run(node, "ip -brief link")?;
            stage.fact(
                &format!("{interface} leads to nginx-manual"),
                interface,
                &output,
            );
        }
    }
    Ok(())
}

fn tables(stage: &mut Stage<'_>) -> Result<()> {
    stage
        .narrator
        .chapter("What the daemon of minikube-m02 knows");
    let output = stage.run("minikube-m02", "vswitchctl show routes")?;
    for route in ROUTES {
        stage.fact(&format!("route: {route}"), route, &output);
    }
    let exactly = output.lines().map(one_spaced).eq(ROUTES.map(String::from));
    stage.narrator.check(
        "no other, and in this order",
        exactly,
        "the six routes",
        &output,
    );
    let output = stage.run("minikube-m02", "vswitchctl show nodes")?;
    for (node, address) in [
        ("minikube", "172.16.30.6/24"),
        ("minikube-m02", "172.16.30.7/24"),
        ("minikube-m03", "172.16.30.8/24"),
    ] {
        stage.fact(
            &format!("node {node} is {address}"),
            &format!("{node} 64512 {address}"),
            &output,
        );
    }
    let output = stage.run("minikube-m02", "vswitchctl show pools")?;
    stage.fact("the pool is the walk-through's", "10.244.0.0/16", &output);
    let output = stage.run("minikube-m02", "vswitchctl show blocks")?;
    for block in ["10-244-120-64-26", "10-244-151-0-26", "10-244-205-192-26"] {
        stage.fact(&format!("block {block} is there"), block, &output);
    }
    Ok(())
}

fn traffic(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.chapter("Pod to pod, across nodes");
    let output = stage.ping("default/nginx-manual", NGINX, true)?;
    stage.fact(
        "each node takes one hop off the inner packet",
        "ttl=62",
        &output,
    );

    stage
        .narrator
        .text("\nThe same on the wire, at the receiving node:");
    let output = stage.capture(
        "minikube-m02",
        "ip proto 4",
        2,
        "default/nginx-manual",
        NGINX,
    )?;
    stage.fact(
        "the request travels as IP in IP between the nodes",
        &format!("172.16.30.8 > 172.16.30.7: IP {NGINX_MANUAL} > {NGINX}: ICMP echo request"),
        &output,
    );
    stage.fact(
        "and so does the reply",
        &format!("172.16.30.7 > 172.16.30.8: IP {NGINX} > {NGINX_MANUAL}: ICMP echo reply"),
        &output,
    );
    Ok(())
}

fn outside(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.chapter("Pod to the outside");
    stage.ping("default/nginx-manual", "8.8.8.8", true)?;
    stage.narrator.text("\nWhat the outside host sees:");
    let output = stage.capture("8.8.8.8", "icmp", 1, "default/nginx-manual", "8.8.8.8")?;
    stage.fact(
        "the outside sees the node's address, not the pod's",
        "IP 172.16.30.8 > 8.8.8.8: ICMP echo request",
        &output,
    );
    Ok(())
}

fn policy(stage: &mut Stage<'_>) -> Result<()> {
    stage.narrator.chapter("NetworkPolicy: deny all ingress");
    let folder = stage.lab.sandbox().path("/run/lab/demo");
    apply(stage, &folder, DENY)?;
    both_ways(stage, false)?;

    stage
        .narrator
        .chapter("NetworkPolicy: and allow it again by a second policy");
    apply(stage, &folder, ALLOW)?;
    both_ways(stage, true)?;

    stage.narrator.chapter("Every drop is accounted for");
    let output = stage.run("minikube-m02", "vswitchctl show drops")?;
    let counted = output
        .lines()
        .any(|line| line.contains("polic") && line.split_whitespace().any(is_count));
    stage.narrator.check(
        "the drops by policy are counted",
        counted,
        "a line about policy with a count above 0",
        &output,
    );
    Ok(())
}

fn both_ways(stage: &mut Stage<'_>, reaches: bool) -> Result<()> {
    stage.ping("default/nginx-manual", NGINX, reaches)?;
    stage.ping("default/nginx", NGINX_MANUAL, reaches).map(drop)
}

fn apply(stage: &mut Stage<'_>, folder: &Path, (name, text): (&str, &str)) -> Result<()> {
    stage
        .narrator
        .command("", &format!("vswitchctl lab apply configs/policy/{name}"));
    stage.narrator.output(text);
    let file = folder.join(name);
    fs::create_dir_all(folder).map_err(io_error("cannot create", folder))?;
    fs::write(&file, text).map_err(io_error("cannot write", &file))?;
    stage.lab.apply(&file)
}

fn is_count(word: &str) -> bool {
    word.parse::<u64>().is_ok_and(|count| count > 0)
}
