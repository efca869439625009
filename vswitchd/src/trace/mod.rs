//! What would happen to a packet: the data plane's own walk, written down and put into words.
//!
//! [`trace`] walks one packet on one node. The walk is [`dataplane::observe`] under the snapshot in
//! force, with a copy of what the flow's worker knows of it, so that nothing that lives is touched:
//! no counter, no flow, no frame on a wire. [`Ground`] is what it stands on, live or made from a
//! configuration; [`Hop`] is the answer. `vswitchctl trace` goes on from node to node.

mod end;
mod ground;
pub(crate) mod headers;
pub mod hex;
pub(crate) mod names;
pub(crate) mod probe;
mod report;
mod walk;
mod words;

#[cfg(test)]
mod tests;

use cni_shim::trace::Probe;

use crate::control::DesiredState;

pub use ground::{Ground, Live, Offline};
pub use report::{End, Hop, Onward, Step, Verdict};
pub use walk::{Walk, walk};

use names::Names;

/// Why a packet cannot be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// A name nobody here has.
    #[error(
        "expected {what}: a pod (NAMESPACE/POD, or POD of namespace default), an address, `host` or \
         the name of a node; found {found:?}{hint}"
    )]
    Unknown {
        /// Which end.
        what: &'static str,
        /// As it was written.
        found: String,
        /// What is known instead.
        hint: String,
    },
    /// A port nobody here has.
    #[error("expected a port: `uplink`, `host`, a pod or an interface of this node; found {0:?}")]
    UnknownPort(String),
    /// The pod is not attached to this node, and no other node has its address.
    #[error("{0} is attached neither here nor, as far as this node knows, anywhere else")]
    NotAttached(String),
    /// The bytes are no hexadecimal, or too many.
    #[error("{0}")]
    Bytes(String),
    /// Ports with a protocol that has none.
    #[error("expected tcp, udp, sctp or icmp with a port, found protocol {0}")]
    NoPorts(packet::Protocol),
    /// More than one packet holds, headers included.
    #[error(
        "expected a packet of at most {most} bytes with its headers, found {found}",
        most = packet::frame::MAX_PACKET
    )]
    TooLong {
        /// The packet's bytes.
        found: usize,
    },
    /// The workers gave no answer.
    #[error("worker {0} did not answer in time; `vswitchctl show status` may know why")]
    Silent(dataplane::WorkerId),
    /// There is no data plane.
    #[error("this node forwards nothing yet")]
    NoSnapshot,
}

/// Walks the packet and tells what came of it on this node.
///
/// # Errors
/// [`TraceError`]: the question makes no sense here.
pub fn trace(
    ground: &dyn Ground,
    desired: &DesiredState,
    probe: &Probe,
) -> Result<Hop, TraceError> {
    let world = ground.snapshot().ok_or(TraceError::NoSnapshot)?;
    let names = Names::new(desired, &world);
    let arriving = probe::arriving(ground, &names, probe)?;
    let arp = probe::arp(ground, &names, arriving.port)?;
    let mut steps: Vec<Step> = arp.into_iter().collect();
    let walk = walk(ground, &world, arriving.port, &arriving.frame)?;
    steps.extend(words::tell(&names, &arriving, &walk));
    Ok(Hop {
        node: desired.node.name.clone(),
        generation: world.generation.0,
        about: arriving.about.clone(),
        came_from: arriving.came_from.clone(),
        steps,
        end: end::of(&names, &arriving, &walk),
    })
}
