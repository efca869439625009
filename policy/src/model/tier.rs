//! Tiers: policies are judged tier by tier.

use super::Order;

/// The tier of Kubernetes NetworkPolicy (Calico's name for it).
pub const DEFAULT_TIER: &str = "default";

/// The tier of ClusterNetworkPolicy's `Admin` (Calico's name for it).
pub const ADMIN_TIER: &str = "kube-admin";

/// The tier of ClusterNetworkPolicy's `Baseline` (Calico's name for it).
pub const BASELINE_TIER: &str = "kube-baseline";

/// What happens when policies of a tier select an endpoint and none of their rules decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfTier {
    /// The flow is denied.
    Deny,
    /// The next tier is asked.
    Pass,
}

/// A tier.
#[derive(Clone, Debug, PartialEq)]
pub struct Tier {
    /// The tier's name.
    pub name: String,
    /// Lower runs first; the name decides a tie.
    pub order: Order,
    /// What stands after the tier's last rule.
    pub end: EndOfTier,
}

impl Tier {
    /// The tiers that are there without an object: Calico's.
    #[must_use]
    pub fn built_in() -> [Self; 3] {
        let tier = |name: &str, order, end| Self {
            name: name.to_owned(),
            order: Order(order),
            end,
        };
        [
            tier(ADMIN_TIER, 1_000.0, EndOfTier::Pass),
            tier(DEFAULT_TIER, 1_000_000.0, EndOfTier::Deny),
            tier(BASELINE_TIER, 10_000_000.0, EndOfTier::Pass),
        ]
    }

    /// A tier that policies name and nobody has defined: last and closed at its end.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            order: Order::LAST,
            end: EndOfTier::Deny,
        }
    }
}
