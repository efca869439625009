//! Nodes of the cluster. ClusterNetworkPolicy selects them as peers by label, policy sees their
//! addresses, and a pod's own node always reaches it; no policy applies to a node.

use std::net::IpAddr;

use super::Labels;

/// A Node object, as far as policy needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The node's name.
    pub name: String,
    /// The node's labels.
    pub labels: Labels,
    /// `InternalIP` and `ExternalIP` of `status.addresses`, in that order of listing.
    pub addresses: Vec<IpAddr>,
}
