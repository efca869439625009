//! From the text of a file to a [`Config`]: every key, its shape, and how the keys fit together.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::Ipv4Net;
use policy::Settings;
use toml::de::DeTable;

use super::{
    Config, ConfigErrors, IpipMode, Log, LogFormat, Peer, Pool, Timeouts,
    expect::{
        ABSOLUTE_PATH, BLOCK_SIZE, BLOCKS_PER_NODE, BOOLEAN, ESTABLISHED, HOST_ADDRESS, INTERFACE,
        IPIP_MODE, KERNEL_ENCAPSULATION, KERNEL_RELAY, LISTEN, LOG_FORMAT, LOG_LEVEL, MAX_FLOWS,
        MTU, NAME, NETWORK, NODE_NAME, REPLY, SECONDS, SPIN, WORKERS,
    },
    flow_log,
    reader::{At, Mistakes, Section},
    recorder,
};

/// Connections tracked at most when the file does not say, all workers together.
const DEFAULT_MAX_FLOWS: usize = 131_072;
/// Workers when the file does not say: one per core, at most so many.
const DEFAULT_WORKERS: usize = 4;
/// How long a worker looks for frames before it sleeps, when the file does not say: about twice what waking up takes.
const DEFAULT_SPIN: Duration = Duration::from_micros(50);

/// Parses and validates a text; `file` is only for the messages.
///
/// # Errors
/// Every mistake found; for broken TOML syntax, only the first.
pub fn parse(file: &Path, text: &str) -> Result<Config, ConfigErrors> {
    let mut mistakes = Mistakes::new(file, text);
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            mistakes.add(&span, "syntax", "valid TOML", error.message().trim());
            return Err(mistakes.into_errors());
        }
    };
    let config = read_config(file, &mut mistakes, table.get_ref());
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(mistakes.into_errors()),
    }
}

fn read_config<'t>(
    file: &Path,
    mistakes: &mut Mistakes<'_>,
    table: &'t DeTable<'t>,
) -> Option<Config> {
    let mut root = Section::root(table);
    let node = root.required(mistakes, "node", &NODE_NAME);
    let address = root.optional(mistakes, "address", &HOST_ADDRESS);
    let uplink = root.optional(mistakes, "uplink", &INTERFACE);
    let blocks = root.list(mistakes, "blocks", &NETWORK);
    let blocks_per_node = root.optional(mistakes, "blocks_per_node", &BLOCKS_PER_NODE);
    let kernel_encapsulation =
        root.optional(mistakes, "kernel_encapsulation", &KERNEL_ENCAPSULATION);
    let kernel_relay = root.optional(mistakes, "kernel_relay", &KERNEL_RELAY);
    let workers = root.optional(mistakes, "workers", &WORKERS);
    let spin = root.optional(mistakes, "spin_us", &SPIN);
    let state_dir = root.optional(mistakes, "state_dir", &ABSOLUTE_PATH);
    let socket = root.optional(mistakes, "socket", &ABSOLUTE_PATH);
    let policy_dir = root.optional(mistakes, "policy_dir", &ABSOLUTE_PATH);
    let policy = read_policy(mistakes, &mut root);
    let mtu = root.optional(mistakes, "mtu", &MTU);
    let log = read_log(mistakes, &mut root);
    let metrics_listen = read_metrics(mistakes, &mut root);
    let flow_log = flow_log::read(mistakes, &mut root);
    let recorder = recorder::read(mistakes, &mut root);
    let pools = read_pools(mistakes, &mut root);
    let peers = read_peers(mistakes, &mut root);
    let max_flows = read_max_flows(mistakes, &mut root);
    let timeouts = read_timeouts(mistakes, &mut root);
    root.finish(mistakes);

    check_pools(mistakes, &pools);
    check_peers(mistakes, node.as_ref(), address.as_ref(), &peers);
    check_blocks(mistakes, &pools, &blocks, &peers);

    Some(Config {
        file: file.to_owned(),
        node: node?.value,
        address: address.map(|at| at.value),
        uplink: uplink.map(|at| at.value),
        blocks: blocks.into_iter().map(|at| at.value).collect(),
        blocks_per_node: blocks_per_node.map_or(1, |at| at.value),
        kernel_encapsulation: kernel_encapsulation.map_or_else(Default::default, |at| at.value),
        kernel_relay: kernel_relay.map_or_else(Default::default, |at| at.value),
        workers: workers.map_or_else(default_workers, |at| at.value),
        spin: spin.map_or(DEFAULT_SPIN, |at| at.value),
        state_dir: path_or(state_dir, "/var/lib/vswitchd"),
        socket: path_or(socket, cni_shim::protocol::DEFAULT_SOCKET),
        policy_dir: policy_dir.map(|at| at.value),
        policy,
        mtu_bytes: mtu.map(|at| at.value).filter(|mtu| *mtu != 0),
        log,
        metrics_listen,
        flow_log,
        recorder,
        pools: pools.into_iter().map(|read| read.pool).collect(),
        peers: peers.into_iter().map(ReadPeer::into_peer).collect(),
        max_flows,
        timeouts,
    })
}

fn default_workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores.min(DEFAULT_WORKERS)
}

fn path_or(path: Option<At<PathBuf>>, default: &str) -> PathBuf {
    path.map_or_else(|| PathBuf::from(default), |at| at.value)
}

fn read_log(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Log {
    let mut log = Log {
        format: LogFormat::Text,
        level: "info".into(),
    };
    let Some(mut section) = root.table(mistakes, "log") else {
        return log;
    };
    if let Some(format) = section.optional(mistakes, "format", &LOG_FORMAT) {
        log.format = format.value;
    }
    if let Some(level) = section.optional(mistakes, "level", &LOG_LEVEL) {
        log.level = level.value;
    }
    section.finish(mistakes);
    log
}

fn read_metrics(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Option<SocketAddr> {
    let mut section = root.table(mistakes, "metrics")?;
    let listen = section.optional(mistakes, "listen", &LISTEN);
    section.finish(mistakes);
    listen.map(|at| at.value)
}

fn read_policy(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Settings {
    let mut settings = Settings::default();
    let Some(mut section) = root.table(mistakes, "policy") else {
        return settings;
    };
    if let Some(reply) = section.optional(mistakes, "deny", &REPLY) {
        settings.reply = reply.value;
    }
    if let Some(established) = section.optional(mistakes, "established", &ESTABLISHED) {
        settings.established = established.value;
    }
    section.finish(mistakes);
    settings
}

/// A pool with the place of its range, for the checks between pools.
struct ReadPool {
    pool: Pool,
    cidr: At<Ipv4Net>,
}

fn read_pools(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Vec<ReadPool> {
    let sections = root.tables(mistakes, "pool");
    if sections.is_empty() {
        let expected = "at least one [[pool]] with a name and a cidr";
        mistakes.add(&root.span(), "pool", expected, "none");
    }
    let pools = sections
        .into_iter()
        .filter_map(|section| read_pool(mistakes, section));
    pools.collect()
}

fn read_pool(mistakes: &mut Mistakes<'_>, mut section: Section<'_>) -> Option<ReadPool> {
    let name = section.required(mistakes, "name", &NAME);
    let cidr = section.required(mistakes, "cidr", &NETWORK);
    let block_size = section.optional(mistakes, "block_size", &BLOCK_SIZE);
    let ipip = section.optional(mistakes, "ipip", &IPIP_MODE);
    let nat_outgoing = section.optional(mistakes, "nat_outgoing", &BOOLEAN);
    section.finish(mistakes);
    let (name, cidr) = (name?, cidr?);
    let block_size = block_size.map_or(26, |at| at.value);
    if block_size < cidr.value.prefix_len() {
        let expected = format!("a pool at least as large as its blocks (/{block_size})");
        mistakes.add(
            &cidr.span,
            cidr.key.clone(),
            expected,
            cidr.value.to_string(),
        );
    }
    let pool = Pool {
        name: name.value,
        cidr: cidr.value,
        block_size,
        ipip: ipip.map_or(IpipMode::Always, |at| at.value),
        nat_outgoing: nat_outgoing.is_none_or(|at| at.value),
    };
    Some(ReadPool { pool, cidr })
}

/// A peer with the places of its values, for the checks between peers.
struct ReadPeer {
    name: At<String>,
    address: At<Ipv4Net>,
    blocks: Vec<At<Ipv4Net>>,
}

impl ReadPeer {
    fn into_peer(self) -> Peer {
        Peer {
            name: self.name.value,
            address: self.address.value,
            blocks: self.blocks.into_iter().map(|at| at.value).collect(),
        }
    }
}

fn read_peers(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Vec<ReadPeer> {
    let sections = root.tables(mistakes, "peer");
    let peers = sections
        .into_iter()
        .filter_map(|section| read_peer(mistakes, section));
    peers.collect()
}

fn read_peer(mistakes: &mut Mistakes<'_>, mut section: Section<'_>) -> Option<ReadPeer> {
    let name = section.required(mistakes, "name", &NODE_NAME);
    let address = section.required(mistakes, "address", &HOST_ADDRESS);
    let blocks = section.list(mistakes, "blocks", &NETWORK);
    section.finish(mistakes);
    Some(ReadPeer {
        name: name?,
        address: address?,
        blocks,
    })
}

fn read_max_flows(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> usize {
    let Some(mut section) = root.table(mistakes, "conntrack") else {
        return DEFAULT_MAX_FLOWS;
    };
    let max_flows = section.optional(mistakes, "max_flows", &MAX_FLOWS);
    section.finish(mistakes);
    max_flows.map_or(DEFAULT_MAX_FLOWS, |at| at.value)
}

fn read_timeouts(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Timeouts {
    let mut timeouts = Timeouts::default();
    let Some(mut section) = root.table(mistakes, "timeouts") else {
        return timeouts;
    };
    let keys: [(&'static str, &mut Duration); 7] = [
        ("tcp_handshake_seconds", &mut timeouts.tcp_handshake),
        ("tcp_established_seconds", &mut timeouts.tcp_established),
        ("tcp_closing_seconds", &mut timeouts.tcp_closing),
        ("udp_unreplied_seconds", &mut timeouts.udp_unreplied),
        ("udp_replied_seconds", &mut timeouts.udp_replied),
        ("icmp_seconds", &mut timeouts.icmp),
        ("other_seconds", &mut timeouts.other),
    ];
    for (name, field) in keys {
        if let Some(seconds) = section.optional(mistakes, name, &SECONDS) {
            *field = seconds.value;
        }
    }
    section.finish(mistakes);
    timeouts
}

fn overlap(a: &Ipv4Net, b: &Ipv4Net) -> bool {
    a.contains(b) || b.contains(a)
}

fn check_pools(mistakes: &mut Mistakes<'_>, pools: &[ReadPool]) {
    for (index, later) in pools.iter().enumerate() {
        for earlier in &pools[..index] {
            if overlap(&earlier.pool.cidr, &later.pool.cidr) {
                let expected = format!(
                    "a range apart from pool {:?} ({})",
                    earlier.pool.name, earlier.pool.cidr
                );
                let found = later.pool.cidr.to_string();
                mistakes.add(&later.cidr.span, later.cidr.key.clone(), expected, found);
            }
        }
    }
}

fn check_peers(
    mistakes: &mut Mistakes<'_>,
    node: Option<&At<String>>,
    address: Option<&At<Ipv4Net>>,
    peers: &[ReadPeer],
) {
    for (index, peer) in peers.iter().enumerate() {
        let (name, ip) = (&peer.name, &peer.address);
        if node.is_some_and(|node| node.value == name.value) {
            let expected = "another node's name (this node is not its own peer)";
            mistakes.add(&name.span, name.key.clone(), expected, quoted(&name.value));
        }
        if address.is_some_and(|own| own.value.addr() == ip.value.addr()) {
            let expected = "an address other than this node's own";
            mistakes.add(&ip.span, ip.key.clone(), expected, ip.value.to_string());
        }
        for earlier in &peers[..index] {
            if earlier.name.value == name.value {
                let expected = "a name no earlier peer has";
                mistakes.add(&name.span, name.key.clone(), expected, quoted(&name.value));
            }
            if earlier.address.value.addr() == ip.value.addr() {
                let expected = format!("an address other than {:?}'s", earlier.name.value);
                mistakes.add(&ip.span, ip.key.clone(), expected, ip.value.to_string());
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn check_blocks(
    mistakes: &mut Mistakes<'_>,
    pools: &[ReadPool],
    own: &[At<Ipv4Net>],
    peers: &[ReadPeer],
) {
    let own = own.iter().map(|block| ("this node", block));
    let theirs = peers.iter().flat_map(|peer| {
        let blocks = peer.blocks.iter();
        blocks.map(|block| (peer.name.value.as_str(), block))
    });
    let blocks: Vec<(&str, &At<Ipv4Net>)> = own.chain(theirs).collect();
    for (index, (_, block)) in blocks.iter().enumerate() {
        check_block_in_pool(mistakes, pools, block);
        for (owner, earlier) in &blocks[..index] {
            if overlap(&earlier.value, &block.value) {
                let expected = format!("a block apart from {} of {owner}", earlier.value);
                let found = block.value.to_string();
                mistakes.add(&block.span, block.key.clone(), expected, found);
            }
        }
    }
}

fn check_block_in_pool(mistakes: &mut Mistakes<'_>, pools: &[ReadPool], block: &At<Ipv4Net>) {
    let pool = pools
        .iter()
        .find(|read| read.pool.cidr.contains(&block.value));
    let found = block.value.to_string();
    match pool {
        None if pools.is_empty() => {} // the missing pool is reported already
        None => {
            let ranges: Vec<String> = pools
                .iter()
                .map(|read| read.pool.cidr.to_string())
                .collect();
            let expected = format!("a block inside a pool ({})", ranges.join(", "));
            mistakes.add(&block.span, block.key.clone(), expected, found);
        }
        Some(read) if read.pool.block_size != block.value.prefix_len() => {
            let (size, name) = (read.pool.block_size, &read.pool.name);
            let expected = format!("a /{size}, the block size of pool {name:?}");
            mistakes.add(&block.span, block.key.clone(), expected, found);
        }
        Some(_) => {}
    }
}
