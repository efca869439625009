//! A truth table, and its lines for programs.

use serde::{Deserialize, Serialize};

/// May one end open a flow to another?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Both directions allow it.
    Allowed,
    /// The source's egress denies it.
    Egress,
    /// The destination's ingress denies it.
    Ingress,
    /// Both deny it.
    Both,
    /// The two have no address family in common.
    Apart,
}

impl Cell {
    /// The cell of two directions.
    #[must_use]
    pub fn of(egress: bool, ingress: bool) -> Self {
        match (egress, ingress) {
            (true, true) => Self::Allowed,
            (false, true) => Self::Egress,
            (true, false) => Self::Ingress,
            (false, false) => Self::Both,
        }
    }

    /// `allow`, `deny`, or null when there is no way to try.
    #[must_use]
    pub fn verdict(self) -> Option<&'static str> {
        match self {
            Self::Allowed => Some("allow"),
            Self::Egress | Self::Ingress | Self::Both => Some("deny"),
            Self::Apart => None,
        }
    }

    fn denied_by(self) -> &'static [&'static str] {
        match self {
            Self::Allowed | Self::Apart => &[],
            Self::Egress => &["egress"],
            Self::Ingress => &["ingress"],
            Self::Both => &["egress", "ingress"],
        }
    }
}

/// The truth table of some traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grid {
    /// The traffic: all of it has this table.
    pub traffic: Vec<String>,
    /// The ends, those that nobody can tell apart together.
    pub groups: Vec<Vec<String>>,
    /// By group of the source, by group of the destination. On the diagonal stands how members of
    /// a group relate to each other.
    pub cells: Vec<Vec<Cell>>,
}

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// The traffic.
    pub traffic: Vec<String>,
    /// The sources.
    pub from: Vec<String>,
    /// The destinations. When these are the sources, any two different ones of them are meant.
    pub to: Vec<String>,
    /// `allow` or `deny`; null when they have no address family in common.
    pub verdict: Option<&'static str>,
    /// The directions that deny.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub denied_by: &'static [&'static str],
}

impl Grid {
    /// The table as one record for each pair of groups. How a lone end relates to itself is left
    /// out: it always reaches itself.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (from, row) in self.groups.iter().zip(&self.cells) {
            for (to, cell) in self.groups.iter().zip(row) {
                if from == to && from.len() == 1 {
                    continue;
                }
                records.push(Record {
                    traffic: self.traffic.clone(),
                    from: from.clone(),
                    to: to.clone(),
                    verdict: cell.verdict(),
                    denied_by: cell.denied_by(),
                });
            }
        }
        records
    }
}
