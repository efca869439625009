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
mod scope;
mod selector;
mod set;
mod tier;

pub use cluster::Cluster;
pub use endpoint::{Claim, Endpoint};
pub(crate) use labels::with_namespace_labels;
pub use labels::{
    CALICO_NAME_LABEL, Labels, NAMESPACE_LABEL, NAMESPACE_NAME_LABEL, ORCHESTRATOR,
    ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX,
};
pub use node::Node;
pub use object::{Kind, Object, ObjectKey};
pub use pod::{NamedPort, Phase, Pod, PodKey};
pub use policy::{Established, Order, Policy, PolicyKey, PolicyKind, Reply};
pub use rule::{Action, End, Icmp, Peers, PortCondition, PortMatch, Rule, Traffic, TrafficSet};
pub use scope::{Members, Namespaces, Scope};
pub use selector::Selector;
pub use set::NetworkSet;
pub use tier::{ADMIN_TIER, BASELINE_TIER, DEFAULT_TIER, EndOfTier, Tier};
