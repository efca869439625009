//! Nodes of the cluster. No rule of NetworkPolicy names them; they are read so that a manifest
//! with nodes is complete, and for the sources that will select them.

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
