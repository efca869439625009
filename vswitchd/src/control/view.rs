//! What the engine leaves behind after each change, for whoever wants to look.

use std::time::SystemTime;

use ipnet::Ipv4Net;

use super::DesiredState;

/// How full a block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockUse {
    /// The block.
    pub cidr: Ipv4Net,
    /// Addresses in use, the tunnel's included.
    pub used: usize,
    /// Addresses free.
    pub free: usize,
}

/// The state in force, and a few facts about it.
#[derive(Clone, Debug)]
pub struct View {
    /// The state itself.
    pub desired: DesiredState,
    /// Its generation.
    pub generation: u64,
    /// This node's blocks.
    pub blocks: Vec<BlockUse>,
    /// Addresses that are held without an attachment: an ADD is under way, or was broken off.
    pub unattached: usize,
    /// Why the newest state is not in force; `None` = it is.
    pub publish_error: Option<String>,
    /// When the daemon started.
    pub started: SystemTime,
}
