//! The daemon's TOML: one file per node, read once at start.
//!
//! [`load`] reads and validates a file and answers with a [`Config`] in which everything that is
//! written is right, or with every mistake found, each with its file, line, key, what was expected
//! and what was found. What the file leaves out and only the host can tell (uplink, address) stays
//! `None` here; `host::uplink` finds it.

mod error;
mod expect;
mod flow_log;
mod parse;
mod reader;
mod recorder;

pub use error::{ConfigError, ConfigErrors};
pub use flow_log::FlowLog;
pub use parse::parse;
pub use recorder::Recorder;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::Ipv4Net;

/// Everything one node's file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file itself, for later messages.
    pub file: PathBuf,
    /// This node's name in the cluster; the address block follows from it.
    pub node: String,
    /// This node's underlay address and prefix; `None` = the uplink's first one.
    pub address: Option<Ipv4Net>,
    /// The underlay interface; `None` = detected.
    pub uplink: Option<String>,
    /// Blocks this node owns; empty = derived from its name.
    pub blocks: Vec<Ipv4Net>,
    /// Blocks that a node without blocks in the file is given, at least 1.
    pub blocks_per_node: usize,
    /// Whether the kernel may help to encapsulate super-segments on the uplink.
    pub kernel_encapsulation: KernelEncapsulation,
    /// Whether the kernel may relay settled flows from port to port.
    pub kernel_relay: KernelRelay,
    /// Worker threads, at least 1.
    pub workers: usize,
    /// How long a worker without frames looks for more before it sleeps; it learns by itself where that is in vain.
    pub spin: Duration,
    /// Where state that survives a restart lives.
    pub state_dir: PathBuf,
    /// The admin socket.
    pub socket: PathBuf,
    /// Directory of Kubernetes YAML; `None` = no policies, everything allowed.
    pub policy_dir: Option<PathBuf>,
    /// The `[policy]` section: what a denial means where no policy says otherwise.
    pub policy: policy::Settings,
    /// MTU of pods in bytes; `None` = uplink's minus what [`Config::encapsulation_bytes`] says.
    pub mtu_bytes: Option<u32>,
    /// How the log looks.
    pub log: Log,
    /// Where metrics and probes are served over HTTP; `None` = nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The `[flow_log]` section; `None` = flows are not logged.
    pub flow_log: Option<FlowLog>,
    /// The flight recorder; `None` = off.
    pub recorder: Option<Recorder>,
    /// Address pools, in the file's order.
    pub pools: Vec<Pool>,
    /// The other nodes, in the file's order.
    pub peers: Vec<Peer>,
    /// Connections tracked at most, all workers together.
    pub max_flows: usize,
    /// Connection tracking time-outs.
    pub timeouts: Timeouts,
}

/// Bytes that the outer IPv4 header of IPIP takes (RFC 2003).
pub const IPIP_OVERHEAD: u32 = 20;

/// Whether super-segments in IPIP leave the uplink whole, with the help of a small program at its egress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelEncapsulation {
    /// Where the kernel allows it (Linux 6.6, CAP_BPF); else they are cut in user space.
    #[default]
    Auto,
    /// They are cut in user space.
    Off,
}

/// Whether frames of settled flows pass from port to port inside the kernel, by a small program at the ports' ingress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KernelRelay {
    /// Where the kernel allows it (Linux 6.6, CAP_BPF); else the workers carry them all.
    #[default]
    Auto,
    /// The workers carry them all.
    Off,
}

/// The `[log]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `text` for people, `json` for collectors.
    pub format: LogFormat,
    /// A `tracing` filter: a level, or `target=level,...`.
    pub level: String,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    Text,
    /// One JSON object.
    Json,
}

/// A range of pod addresses (Calico's IPPool).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name, for people.
    pub name: String,
    /// Its range.
    pub cidr: Ipv4Net,
    /// Prefix length of its blocks, 20 to 32.
    pub block_size: u8,
    /// When packets to another node's blocks are encapsulated.
    pub ipip: IpipMode,
    /// Packets from this pool to outside all pools leave with the node's address.
    pub nat_outgoing: bool,
}

/// When a pool's packets between nodes are encapsulated (Calico's `ipipMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpipMode {
    /// Always.
    Always,
    /// Only to nodes in another subnet.
    CrossSubnet,
    /// Never: the underlay routes pod addresses.
    Never,
}

impl IpipMode {
    /// The word used in files and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::CrossSubnet => "CrossSubnet",
            Self::Never => "Never",
        }
    }
}

/// Another node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: String,
    /// Its underlay address and prefix.
    pub address: Ipv4Net,
    /// Its blocks; empty = derived from its name.
    pub blocks: Vec<Ipv4Net>,
}

/// How long a silent connection is remembered. The defaults are those of Linux' nf_conntrack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP before the handshake is complete.
    pub tcp_handshake: Duration,
    /// TCP established.
    pub tcp_established: Duration,
    /// TCP after a FIN or RST.
    pub tcp_closing: Duration,
    /// UDP seen one way only.
    pub udp_unreplied: Duration,
    /// UDP seen both ways.
    pub udp_replied: Duration,
    /// ICMP echo.
    pub icmp: Duration,
    /// Every other protocol.
    pub other: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            tcp_handshake: Duration::from_secs(60),
            tcp_established: Duration::from_secs(432_000),
            tcp_closing: Duration::from_secs(120),
            udp_unreplied: Duration::from_secs(30),
            udp_replied: Duration::from_secs(120),
            icmp: Duration::from_secs(30),
            other: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// MTU of pods in bytes. Calico's rule: what the uplink takes, minus the encapsulation if any
    /// pool uses one.
    #[must_use]
    pub fn pod_mtu_bytes(&self, uplink_mtu_bytes: u32) -> u32 {
        let overhead = self.encapsulation_bytes();
        self.mtu_bytes
            .unwrap_or(uplink_mtu_bytes.saturating_sub(overhead))
    }

    /// Bytes that the encapsulation takes, if any pool uses one.
    #[must_use]
    pub fn encapsulation_bytes(&self) -> u32 {
        match self.pools.iter().any(|pool| pool.ipip != IpipMode::Never) {
            true => IPIP_OVERHEAD,
            false => 0,
        }
    }

    /// The pool an address belongs to; the most specific if pools were nested.
    #[must_use]
    pub fn pool_of(&self, address: Ipv4Addr) -> Option<&Pool> {
        let holds = |pool: &&Pool| pool.cidr.contains(&address);
        self.pools
            .iter()
            .filter(holds)
            .max_by_key(|pool| pool.cidr.prefix_len())
    }
}

/// Reads and validates a file.
///
/// # Errors
/// Every mistake that could be found in one reading: an unreadable file or broken TOML syntax is
/// the only one reported; otherwise all wrong keys and values are.
pub fn load(file: &Path) -> Result<Config, ConfigErrors> {
    match std::fs::read_to_string(file) {
        Ok(text) => parse(file, &text),
        Err(error) => Err(ConfigErrors(vec![ConfigError::unreadable(file, &error)])),
    }
}

#[cfg(test)]
mod tests;
