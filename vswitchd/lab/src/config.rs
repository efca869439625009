//! The TOML a lab is built from: underlay, nodes, pools, pods, outside hosts.
//!
//! `configs/lab/minikube.toml` shows it. Unknown keys are errors. The `[daemon]` table and each node's
//! `daemon` table are handed to the daemons as they are, the node's over the common one; the daemon judges them.

mod validate;

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::Path};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, io_error};

/// A whole lab.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name of the lab: letters, digits, `-`. Labs of different names can be up at once.
    pub name: String,
    /// The network the nodes are on.
    pub underlay: Underlay,
    /// The nodes; at least one.
    #[serde(rename = "node")]
    pub nodes: Vec<Node>,
    /// Address pools of the pods; at least one.
    #[serde(rename = "pool")]
    pub pools: Vec<Pool>,
    /// The pods, in the order they are started.
    #[serde(rename = "pod", default)]
    pub pods: Vec<Pod>,
    /// Hosts behind the gateway.
    #[serde(rename = "outside", default)]
    pub outside: Vec<Outside>,
    /// What the container runtime does.
    #[serde(default)]
    pub cni: Cni,
    /// Keys for every daemon's TOML, such as `workers = 2`.
    #[serde(default)]
    pub daemon: toml::Table,
}

/// The network the nodes are on: one bridge with a router.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Underlay {
    /// The router's address, with the prefix length of the network: `172.16.30.1/24`.
    pub gateway: Ipv4Net,
    /// MTU of every interface on it, in bytes.
    #[serde(default = "default_mtu")]
    pub mtu: u32,
}

/// A node: a network namespace with `eth0` on the underlay and a daemon.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its name, which also chooses its block.
    pub name: String,
    /// Its address on the underlay.
    pub address: Ipv4Addr,
    /// Keys for this daemon's TOML, over the common ones.
    #[serde(default)]
    pub daemon: toml::Table,
}

/// An address pool, written into every daemon's TOML.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// All its addresses.
    pub cidr: Ipv4Net,
    /// Prefix length of a node's block.
    #[serde(default = "default_block_size")]
    pub block_size: u8,
    /// When packets between nodes are encapsulated: `Always`, `CrossSubnet` or `Never`.
    #[serde(default = "default_ipip")]
    pub ipip: String,
    /// Whether pods reach the outside under their node's address.
    #[serde(default = "yes")]
    pub nat_outgoing: bool,
}

/// A pod: a network namespace wired by the CNI plugin of its node.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its Kubernetes namespace.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// The node it runs on.
    pub node: String,
    /// Labels, which policies select by.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Ports of its container: named ports for policies, host ports for `portmap`.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Rate limits, handed to the plugin as `runtimeConfig.bandwidth`.
    #[serde(default)]
    pub bandwidth: Option<Bandwidth>,
}

impl Pod {
    /// A pod with labels and nothing else.
    #[must_use]
    pub fn new(
        namespace: &str,
        name: &str,
        node: &str,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        Self {
            name: name.into(),
            namespace: namespace.into(),
            node: node.into(),
            labels: labels.into_iter().collect(),
            ports: Vec::new(),
            bandwidth: None,
        }
    }

    /// `namespace/name`.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Name of its network namespace: `namespace.name`.
    #[must_use]
    pub fn netns(&self) -> String {
        format!("{}.{}", self.namespace, self.name)
    }
}

/// A port of a pod's container.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Name policies may use instead of the number.
    #[serde(default)]
    pub name: Option<String>,
    /// The number.
    pub port: u16,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default = "default_protocol")]
    pub protocol: String,
    /// Port of the node that leads here, if any; needs a chained `portmap`.
    #[serde(default)]
    pub host_port: Option<u16>,
}

/// Rate limits in bits per second, bursts in bits; ingress is towards the pod. Absent is unlimited.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bandwidth {
    /// Towards the pod.
    pub ingress_rate: u64,
    /// Bucket towards the pod.
    pub ingress_burst: u64,
    /// From the pod.
    pub egress_rate: u64,
    /// Bucket from the pod.
    pub egress_burst: u64,
}

/// A host behind the gateway, in a namespace of its own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Outside {
    /// Its address; also its name, unless it has one.
    pub address: Ipv4Addr,
    /// A name for `lab exec`.
    #[serde(default)]
    pub name: Option<String>,
}

impl Outside {
    /// Name of its network namespace.
    #[must_use]
    pub fn netns(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.address.to_string())
    }
}

/// The network configuration the lab's container runtime uses.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cni {
    /// Name of the network.
    pub network: String,
    /// `cniVersion` of the conflist.
    pub version: String,
    /// Keys for the `vswitch` plugin's own object, over what the lab writes.
    pub vswitch: toml::Table,
    /// Plugins chained after it, such as `[{ type = "portmap", snat = true, capabilities = { portMappings = true } }]`.
    pub chain: Vec<toml::Table>,
}

impl Default for Cni {
    fn default() -> Self {
        Self {
            network: "k8s-pod-network".into(),
            version: "0.3.1".into(),
            vswitch: toml::Table::new(),
            chain: Vec::new(),
        }
    }
}

fn default_mtu() -> u32 {
    1500
}

fn default_block_size() -> u8 {
    26
}

fn default_ipip() -> String {
    "Always".into()
}

fn yes() -> bool {
    true
}

fn default_namespace() -> String {
    "default".into()
}

fn default_protocol() -> String {
    "TCP".into()
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Syntax`] with line and column, [`Error::Value`] with the key.
    pub fn load(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(io_error("cannot read", path))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a text; `file` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Syntax`] with line and column, [`Error::Value`] with the key.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|source| Error::Syntax {
            file: file.into(),
            source: Box::new(source),
        })?;
        config.validate(file)?;
        Ok(config)
    }

    /// The underlay's network: `172.16.30.0/24`.
    #[must_use]
    pub fn underlay_net(&self) -> Ipv4Net {
        self.underlay.gateway.trunc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        name = "small"
        [underlay]
        gateway = "10.0.0.1/24"
        [[node]]
        name = "n1"
        address = "10.0.0.2"
        [[pool]]
        name = "p"
        cidr = "10.244.0.0/16"
        [[pod]]
        name = "web"
        node = "n1"
    "#;

    fn refused(text: &str) -> String {
        Config::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_left_out_is_as_in_calico() {
        let config = Config::parse("x.toml", SMALL).unwrap();
        assert_eq!(config.underlay.mtu, 1500);
        assert_eq!(config.pools[0].block_size, 26);
        assert_eq!(config.pools[0].ipip, "Always");
        assert!(config.pools[0].nat_outgoing);
        assert_eq!(config.pods[0].key(), "default/web");
        assert_eq!(config.cni.network, "k8s-pod-network");
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let message = refused(&SMALL.replace("node = \"n1\"", "node = \"n1\"\ncolour = \"red\""));
        assert!(
            message.contains("colour") && message.contains("line 14"),
            "{message}"
        );
    }

    #[test]
    fn a_pod_on_no_node_is_refused_by_key() {
        let message = refused(&SMALL.replace("node = \"n1\"", "node = \"n9\""));
        assert_eq!(
            message,
            "x.toml: pod[0].node: expected the name of a [[node]], found `n9`"
        );
    }

    #[test]
    fn a_node_off_the_underlay_is_refused() {
        let message = refused(&SMALL.replace("10.0.0.2", "10.9.0.2"));
        assert!(
            message.contains("node[0].address: expected an address of 10.0.0.0/24"),
            "{message}"
        );
    }

    #[test]
    fn two_things_of_one_name_are_refused() {
        let message = refused(&SMALL.replace("\"n1\"", "\"gateway\""));
        assert!(
            message.contains("a name nothing else in the lab has"),
            "{message}"
        );
    }
}
