//! What can change, and what a change does to the [`DesiredState`].

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use cni_shim::protocol::Attachment;
use packet::ethernet::MacAddr;

use super::{DesiredState, Uplink, Workload};

/// One change. Applying it twice is applying it once; updates about different things may come in
/// any order.
#[derive(Clone, Debug)]
pub enum Update {
    /// A pod interface was wired. Its `slot` is chosen when the update is applied.
    Attached(Box<Workload>),
    /// A pod interface is no more.
    Detached(Attachment),
    /// The host end of a pod interface, by its index, has vanished (its namespace died).
    LinkGone(u32),
    /// The policy source was read.
    Policies(Arc<policy::Cluster>),
    /// Pods and Namespaces that are new in the policy source, ahead of its next whole reading. One
    /// that is known already stays as it is until then.
    Newcomers(Vec<policy::Object>),
    /// The policy source is wrong; the last good policies stay in force.
    PoliciesRejected(Vec<String>),
    /// A neighbour on the uplink was resolved (`Some`) or lost (`None`).
    Neighbour(Ipv4Addr, Option<MacAddr>),
    /// The kernel would send to a peer by way of this address.
    Gateway {
        /// The peer's name.
        peer: String,
        /// The peer's own address, or the router's.
        address: Ipv4Addr,
        /// The router's or peer's MAC address, if it is known already.
        mac: Option<MacAddr>,
    },
    /// The host's addresses.
    LocalAddresses(BTreeSet<Ipv4Addr>),
    /// The uplink, as it is now.
    Uplink(Uplink),
    /// The path to a peer takes no packet larger than this.
    PathMtu {
        /// The peer's name.
        peer: String,
        /// Outer header included, in bytes.
        bytes: u32,
    },
}

impl DesiredState {
    /// Applies one update; `true` = something changed and must be published.
    pub fn apply(&mut self, update: Update) -> bool {
        match update {
            Update::Attached(workload) => self.attach(*workload),
            Update::Detached(id) => self.workloads.remove(&id).is_some(),
            Update::LinkGone(index) => {
                let before = self.workloads.len();
                self.workloads.retain(|_, held| held.host_index != index);
                before != self.workloads.len()
            }
            Update::Policies(cluster) => {
                self.policy_errors.clear();
                set(&mut self.policy, cluster) | self.catch_up()
            }
            Update::Newcomers(objects) => self.look_ahead(objects),
            Update::PoliciesRejected(errors) => {
                self.policy_errors = errors;
                false
            }
            Update::Neighbour(address, mac) => self.set_neighbour(address, mac),
            Update::Gateway { peer, address, mac } => self.set_gateway(&peer, address, mac),
            Update::LocalAddresses(mut addresses) => {
                addresses.insert(self.node.tunnel_address);
                set(&mut self.node.local_addresses, addresses)
            }
            Update::Uplink(uplink) => self.set_uplink(uplink),
            Update::PathMtu { peer, bytes } => match self.peers.get_mut(&peer) {
                Some(peer) => set(&mut peer.path_mtu_bytes, bytes),
                None => false,
            },
        }
    }

    fn attach(&mut self, mut workload: Workload) -> bool {
        let same_link = |old: &&Workload| old.host_index == workload.host_index;
        let before = self.workloads.get(&workload.id);
        let slot = before.filter(same_link).map(|old| old.slot);
        workload.slot = slot.unwrap_or_else(|| self.free_slot());
        if before == Some(&workload) {
            return false;
        }
        self.workloads.insert(workload.id.clone(), workload);
        true
    }

    fn set_neighbour(&mut self, address: Ipv4Addr, mac: Option<MacAddr>) -> bool {
        let mut changed = false;
        for peer in self.peers.values_mut() {
            if peer.next_hop.address == address {
                changed |= set(&mut peer.next_hop.mac, mac);
            }
        }
        changed
    }

    fn set_gateway(&mut self, peer: &str, address: Ipv4Addr, mac: Option<MacAddr>) -> bool {
        match self.peers.get_mut(peer) {
            Some(peer) => set(&mut peer.next_hop, super::NextHop { address, mac }),
            None => false,
        }
    }

    /// A path MTU that was the uplink's follows it; one learned from the path stays, but no path is
    /// wider than the uplink.
    fn set_uplink(&mut self, uplink: Uplink) -> bool {
        let (old, new) = (self.uplink.mtu_bytes, uplink.mtu_bytes);
        for peer in self.peers.values_mut() {
            let learned = peer.path_mtu_bytes < old;
            peer.path_mtu_bytes = if learned {
                peer.path_mtu_bytes.min(new)
            } else {
                new
            };
        }
        set(&mut self.uplink, uplink)
    }
}

/// Assigns and says whether that changed anything.
fn set<T: PartialEq>(place: &mut T, value: T) -> bool {
    let changed = *place != value;
    *place = value;
    changed
}

#[cfg(test)]
mod tests;
