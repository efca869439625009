//! The judge: both directions of a question, answered by the compiled table.

use std::net::Ipv6Addr;

use thiserror::Error;

use super::{FlowKind, Party, Roster};
use crate::model::Cluster;
use crate::verdict::{Direction, RuleDescription, Verdict};
use crate::{Table, compile};

/// A cluster and its compiled table, ready for questions by name.
#[derive(Debug)]
pub struct Judge {
    roster: Roster,
    table: Table,
}

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What the source's egress says.
    pub egress: Half,
    /// What the destination's ingress says.
    pub ingress: Half,
}

/// What one direction says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// Policy does not apply to the end: allowed.
    NotPoliced,
    /// The pod's own node reaches it whatever policy says: allowed.
    OwnNode,
    /// The table's verdict.
    Judged(Verdict),
}

/// The two ends have no address family in common that the traffic could use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected two ends with {wanted}, found {from} and {to}")]
pub struct NoCommonFamily {
    wanted: &'static str,
    from: String,
    to: String,
}

impl Judge {
    /// Compiles the cluster.
    #[must_use]
    pub fn new(cluster: Cluster) -> Self {
        Self::of(Roster::new(cluster))
    }

    /// Compiles the cluster of a roster.
    #[must_use]
    pub fn of(roster: Roster) -> Self {
        let table = compile(roster.cluster());
        Self { roster, table }
    }

    /// Who is who.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// May `from` open such a flow to `to`?
    ///
    /// Cost: that of two verdicts.
    ///
    /// # Errors
    /// The ends have no common address family.
    pub fn rule(
        &self,
        from: &Party,
        to: &Party,
        kind: &FlowKind,
    ) -> Result<Ruling, NoCommonFamily> {
        let (source, destination) = from
            .meet(to, kind)
            .ok_or_else(|| NoCommonFamily::between(from, to, kind))?;
        let egress = match from.is_policed() {
            true => {
                let flow = kind.flow(source, destination);
                Half::Judged(self.table.verdict(Direction::Egress, &flow))
            }
            false => Half::NotPoliced,
        };
        let ingress = match to.is_policed() {
            true if from.is_own_node_of(to) => Half::OwnNode,
            true => {
                let flow = kind.flow(destination, source);
                Half::Judged(self.table.verdict(Direction::Ingress, &flow))
            }
            false => Half::NotPoliced,
        };
        Ok(Ruling { egress, ingress })
    }

    /// What decided a half, if it was judged.
    #[must_use]
    pub fn describe(&self, half: Half) -> Option<RuleDescription> {
        match half {
            Half::Judged(verdict) => Some(self.table.describe(verdict.rule)),
            Half::NotPoliced | Half::OwnNode => None,
        }
    }
}

impl Ruling {
    /// Both directions allow.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.egress.allowed() && self.ingress.allowed()
    }
}

impl Half {
    /// Does this direction allow?
    #[must_use]
    pub fn allowed(&self) -> bool {
        match self {
            Self::NotPoliced | Self::OwnNode => true,
            Self::Judged(verdict) => verdict.allowed,
        }
    }
}

impl NoCommonFamily {
    pub(crate) fn between(from: &Party, to: &Party, kind: &FlowKind) -> Self {
        let wanted = match kind {
            FlowKind::IcmpV6 { .. } => "IPv6 addresses, because ICMPv6 is asked for",
            FlowKind::Icmp { .. } if !kind.fits(Ipv6Addr::UNSPECIFIED.into()) => {
                "IPv4 addresses, because the message asked for is one of ICMP and not of ICMPv6"
            }
            _ => "addresses of one family",
        };
        let shown = |party: &Party| {
            let addresses: Vec<String> = party.addresses.iter().map(ToString::to_string).collect();
            format!("{party} ({})", addresses.join(", "))
        };
        Self {
            wanted,
            from: shown(from),
            to: shown(to),
        }
    }
}
