//! Tiers: policies are judged tier by tier.

use super::Order;

/// The tier of Kubernetes NetworkPolicy (Calico's name for it).
pub const DEFAULT_TIER: &str = "default";

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
    /// The built-in default tier: order 1,000,000, ends in a deny.
    #[must_use]
    pub fn default_tier() -> Self {
        Self::closed(DEFAULT_TIER)
    }

    /// A tier known only by name: ordered with the default tier and closed at its end.
    #[must_use]
    pub fn closed(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            order: Order(1_000_000.0),
            end: EndOfTier::Deny,
        }
    }
}
