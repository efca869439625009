//! A line of `policy eval`'s output. The order of the fields is the order of the keys.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Half, Judge, Party, PartyKind, Probe, Ruling};
use crate::verdict::RuleDescription;
use crate::words;

/// One of a few words.
type Word = Cow<'static, str>;

/// The answer to a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// The line was a question.
    Judged {
        /// The question's id, as it was given.
        id: Value,
        /// `allow` or `deny`.
        verdict: Word,
        /// What the source's egress says.
        egress: Box<HalfAnswer>,
        /// What the destination's ingress says.
        ingress: Box<HalfAnswer>,
    },
    /// The line could not be judged.
    Error {
        /// The question's id; null when it could not be read.
        id: Value,
        /// The line, from 1.
        line: usize,
        /// What was expected and what was found.
        error: String,
    },
}

/// What one direction says, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HalfAnswer {
    /// `allow` or `deny`.
    pub verdict: Word,
    /// What decided: `rule`, `end of tier`, `no policy selects`, `no policy decides`,
    /// `not policed`, `own node`, `own traffic`, `neighbour discovery`.
    pub reason: Word,
    /// Of `not policed`: why.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub because: Word,
    /// Of `own node`: the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Of `rule`: the policy, such as `NetworkPolicy shop/web`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Of `rule` and `end of tier`: the tier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Of `rule`: its position among the policy's rules of this direction, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Of `end of tier`: the policies that select the end, none of whose rules matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selected_by: Option<Vec<String>>,
}

/// In words: `rule 0 of NetworkPolicy shop/web`.
impl fmt::Display for HalfAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.policy, self.rule, &self.selected_by, &self.tier) {
            (Some(policy), Some(rule), _, _) => write!(f, "rule {rule} of {policy}"),
            (_, _, Some(by), Some(tier)) => {
                let by = words::list(by, "and", Clone::clone);
                write!(f, "end of tier {tier}, selected by {by}")
            }
            _ if self.because.is_empty() => f.write_str(&self.reason),
            _ => write!(f, "{}: {}", self.reason, self.because),
        }
    }
}

impl Answer {
    /// Was the line no question?
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error { .. })
    }
}

impl Judge {
    /// Answers a line; `line` is its number, from 1.
    #[must_use]
    pub fn answer(&self, line: usize, text: &str) -> Answer {
        match Probe::parse(text) {
            Ok(probe) => self.probe(line, probe),
            Err(bad) => Answer::Error {
                line,
                error: bad.problem,
                id: bad.id,
            },
        }
    }

    fn probe(&self, line: usize, probe: Probe) -> Answer {
        let found = |name: &str, text: &str| {
            let party = self.roster().party(text);
            party.map_err(|error| format!("{name}: {error}"))
        };
        let judged = found("from", &probe.from).and_then(|from| {
            let to = found("to", &probe.to)?;
            let ruling = self.rule(&from, &to, &probe.kind);
            let ruling = ruling.map_err(|error| error.to_string())?;
            Ok((from, to, ruling))
        });
        let id = probe.id;
        match judged {
            Ok((from, to, ruling)) => self.judged(id, &from, &to, ruling),
            Err(error) => Answer::Error { id, line, error },
        }
    }

    fn judged(&self, id: Value, from: &Party, to: &Party, ruling: Ruling) -> Answer {
        Answer::Judged {
            id,
            verdict: word(ruling.allowed()),
            egress: Box::new(self.half(from, ruling.egress)),
            ingress: Box::new(self.half(to, ruling.ingress)),
        }
    }

    /// A half of a ruling about this end, in words.
    #[must_use]
    pub fn half(&self, end: &Party, half: Half) -> HalfAnswer {
        let mut answer = match half {
            Half::NotPoliced => HalfAnswer {
                reason: "not policed".into(),
                because: end.why_not_policed().into(),
                ..HalfAnswer::default()
            },
            Half::OwnNode => HalfAnswer {
                reason: "own node".into(),
                node: node_of(end),
                ..HalfAnswer::default()
            },
            Half::Judged(_) => self.describe(half).map(decided_by).unwrap_or_default(),
        };
        answer.verdict = word(half.allowed());
        answer
    }
}

fn word(allowed: bool) -> Word {
    if allowed { "allow" } else { "deny" }.into()
}

fn node_of(end: &Party) -> Option<String> {
    match &end.kind {
        PartyKind::Pod { node, .. } => node.clone(),
        _ => None,
    }
}

fn decided_by(description: RuleDescription) -> HalfAnswer {
    let plain = |reason: &'static str| HalfAnswer {
        reason: reason.into(),
        ..HalfAnswer::default()
    };
    match description {
        RuleDescription::UnknownEndpoint => plain("unknown endpoint"),
        RuleDescription::NoPolicySelects => plain("no policy selects"),
        RuleDescription::NoPolicyDecides => plain("no policy decides"),
        RuleDescription::OwnTraffic => plain("own traffic"),
        RuleDescription::NeighbourDiscovery => plain("neighbour discovery"),
        RuleDescription::Rule {
            tier,
            policy,
            index,
            ..
        } => HalfAnswer {
            policy: Some(policy.to_string()),
            tier: Some(tier),
            rule: Some(index),
            ..plain("rule")
        },
        RuleDescription::EndOfTier {
            tier, selected_by, ..
        } => HalfAnswer {
            tier: Some(tier),
            selected_by: Some(selected_by.iter().map(ToString::to_string).collect()),
            ..plain("end of tier")
        },
    }
}
