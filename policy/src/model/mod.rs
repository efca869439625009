//! The cluster as policy sees it: one model for every source.
//!
//! A source (see [`crate::source`]) turns its dialect into these types; the compiler and the
//! oracle read nothing else. The shape is Calico's, because it contains the others: tiers in
//! order, in a tier policies in order, in a policy rules in order.

mod cluster;
mod endpoint;
mod labels;
mod node;
mod object;
mod pod;
mod policy;
mod rule;
mod selector;
mod tier;

pub use cluster::Cluster;
pub use endpoint::Endpoint;
pub use labels::{Labels, NAMESPACE_NAME_LABEL};
pub use node::Node;
pub use object::{Kind, Object, ObjectKey};
pub use pod::{NamedPort, Phase, Pod, PodKey};
pub use policy::{NamespaceScope, Order, PodScope, Policy, PolicyKey, PolicyKind};
pub use rule::{Action, Peer, Peers, PortMatch, Ports, Rule};
pub use selector::Selector;
pub use tier::{DEFAULT_TIER, EndOfTier, Tier};
