//! What a trace says: for programs as it is, for people as text.

use std::fmt;

use cni_shim::trace::Probe;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Columns that the name of a stage takes.
const STAGE_WIDTH: usize = 11;

/// One node's part of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hop {
    /// The node.
    pub node: String,
    /// The generation of the snapshot that the packet was judged under.
    pub generation: u32,
    /// The packet in a few words.
    pub about: String,
    /// The node it came from, where its walk did not begin here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub came_from: Option<String>,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// What came of it here.
    pub end: End,
}

/// What one stage found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The stage: `rx`, `arp`, `decap`, `source`, `conntrack`, `policy`, `route`, `forward`, `encap`,
    /// `answer`, `tx` or `drop`.
    pub stage: String,
    /// What it found; one line, or several.
    pub text: String,
    /// The same for programs, as far as the stage has such facts.
    #[serde(flatten)]
    pub facts: Map<String, Value>,
}

impl Step {
    /// A step in words.
    pub(super) fn new(stage: &str, text: impl Into<String>) -> Self {
        Self {
            stage: stage.to_owned(),
            text: text.into(),
            facts: Map::new(),
        }
    }

    /// The same with one fact more.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

/// What came of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is with whom it was for, or with the host kernel, as far as the switch can see.
    Delivered,
    /// It is gone.
    Dropped,
    /// It is on its way to another node.
    Onward,
    /// The switch keeps it: a fragment of a packet that is not complete, or a report to itself.
    Kept,
}

/// How a node's part ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// What came of it.
    pub verdict: Verdict,
    /// The label of the drop reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// One sentence: to whom, or why not and what to do.
    pub text: String,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onward: Option<Onward>,
}

/// Where a trace goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onward {
    /// The node.
    pub node: String,
    /// The packet as it arrives there.
    pub probe: Probe,
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, generation {}", self.node, self.generation)?;
        for step in &self.steps {
            let mut lines = step.text.lines();
            let first = lines.next().unwrap_or_default();
            writeln!(f, "  {:STAGE_WIDTH$}{first}", step.stage)?;
            for line in lines {
                writeln!(f, "  {:STAGE_WIDTH$}{line}", "")?;
            }
        }
        Ok(())
    }
}
