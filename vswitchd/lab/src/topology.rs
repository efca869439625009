//! The underlay: a bridge in the sandbox's own namespace, a router, the nodes' `eth0`, and hosts behind the router.
//!
//! The router has no route to any pod: a packet that leaves a node with a pod's address as its source
//! gets no answer from outside. That is how the lab proves outgoing NAT.

use crate::{
    config::{Config, Outside},
    error::Result,
    sandbox::Sandbox,
};

/// Name of the router's namespace.
pub const GATEWAY: &str = "gateway";

/// Builds all of it. Nodes can reach one another and the outside afterwards.
///
/// # Errors
/// A command failed; it is named.
pub fn build(sandbox: &Sandbox, config: &Config) -> Result<()> {
    let mut sandbox_lines = vec![
        format!(
            "link add underlay mtu {} type bridge forward_delay 0",
            config.underlay.mtu
        ),
        "link set underlay up".to_string(),
        format!("netns add {GATEWAY}"),
    ];
    sandbox_lines.extend(
        config
            .nodes
            .iter()
            .map(|node| format!("netns add {}", node.name)),
    );
    sandbox_lines.extend(
        config
            .outside
            .iter()
            .map(|host| format!("netns add {}", host.netns())),
    );
    sandbox_lines.extend(bridge_port("uplink-gw", GATEWAY, config.underlay.mtu));
    for (i, node) in config.nodes.iter().enumerate() {
        sandbox_lines.extend(bridge_port(
            &format!("uplink{i}"),
            &node.name,
            config.underlay.mtu,
        ));
    }
    sandbox.ip_batch("building the underlay", None, &sandbox_lines)?;
    quiet_bridge(sandbox)?;

    build_gateway(sandbox, config)?;
    for node in &config.nodes {
        let address = format!("{}/{}", node.address, config.underlay.gateway.prefix_len());
        let gateway = config.underlay.gateway.addr();
        let lines = [
            "link set lo up".to_string(),
            format!("address add {address} broadcast + dev eth0"),
            "link set eth0 up".to_string(),
            format!("route add default via {gateway} dev eth0"),
        ];
        sandbox.ip_batch(
            &format!("addressing node {}", node.name),
            Some(&node.name),
            &lines,
        )?;
        forwarding_on(sandbox, &node.name)?;
    }
    Ok(())
}

/// A veth pair: one end on the bridge, the other as `eth0` in a namespace.
fn bridge_port(name: &str, netns: &str, mtu: u32) -> [String; 2] {
    [
        format!("link add {name} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {netns}"),
        format!("link set {name} master underlay up"),
    ]
}

/// A bridge whose frames netfilter does not see, whatever the host's br_netfilter does.
fn quiet_bridge(sandbox: &Sandbox) -> Result<()> {
    const SCRIPT: &str =
        "for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 >$f; done";
    sandbox
        .run(
            "keeping netfilter off the bridge",
            None,
            &["sh", "-c", SCRIPT],
        )
        .map(drop)
}

/// Routers and Kubernetes nodes forward; kube-proxy and kubeadm insist on it.
fn forwarding_on(sandbox: &Sandbox, netns: &str) -> Result<()> {
    let argv = ["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"];
    sandbox
        .run("switching forwarding on", Some(netns), &argv)
        .map(drop)
}

fn build_gateway(sandbox: &Sandbox, config: &Config) -> Result<()> {
    let gateway = config.underlay.gateway;
    let mut lines = vec![
        "link set lo up".to_string(),
        format!("address add {gateway} broadcast + dev eth0"),
        "link set eth0 up".to_string(),
    ];
    for (i, host) in config.outside.iter().enumerate() {
        lines.push(format!(
            "link add out{i} type veth peer name eth0 netns {}",
            host.netns()
        ));
        lines.push(format!("link set out{i} up"));
        lines.push(format!("route add {}/32 dev out{i}", host.address));
    }
    sandbox.ip_batch("building the gateway", Some(GATEWAY), &lines)?;
    forwarding_on(sandbox, GATEWAY)?;
    config
        .outside
        .iter()
        .try_for_each(|host| build_outside(sandbox, host, &gateway.addr().to_string()))
}

fn build_outside(sandbox: &Sandbox, host: &Outside, gateway: &str) -> Result<()> {
    let lines = [
        "link set lo up".to_string(),
        format!("address add {}/32 dev eth0", host.address),
        "link set eth0 up".to_string(),
        format!("route add {gateway}/32 dev eth0"),
        format!("route add default via {gateway} dev eth0"),
    ];
    sandbox.ip_batch(
        &format!("building outside host {}", host.address),
        Some(&host.netns()),
        &lines,
    )
}
