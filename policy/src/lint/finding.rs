//! A finding: where, what, why it matters, what to do.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::model::{ObjectKey, Policy};

/// How sure it is that something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Something has no effect, or not the one it seems to have.
    Warning,
    /// It may well be meant.
    Hint,
}

/// Something a person should look at again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// The object, such as `NetworkPolicy shop/web`.
    pub object: String,
    /// Where it stands, as `file:line`; empty if that is not known.
    pub place: String,
    /// Path of the field, such as `spec.ingress[0].from[1]`.
    pub field: String,
    /// How sure it is that something is wrong.
    pub level: Level,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub advice: String,
}

/// `file:line: warning: object, field: what. why. -> advice`, on three lines.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        let level = match self.level {
            Level::Warning => "warning",
            Level::Hint => "hint",
        };
        let (object, field) = (&self.object, &self.field);
        writeln!(f, "{level}: {object}, {field}: {}", self.what)?;
        writeln!(f, "  {}", self.why)?;
        write!(f, "  -> {}", self.advice)
    }
}

/// What is said about a field.
pub(super) struct Remark {
    pub(super) level: Level,
    pub(super) what: String,
    pub(super) why: String,
    pub(super) advice: String,
}

impl Remark {
    pub(super) fn warning(
        what: impl Into<String>,
        why: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warning,
            what: what.into(),
            why: why.into(),
            advice: advice.into(),
        }
    }
}

/// What was found so far.
pub(super) struct Findings<'a> {
    places: BTreeMap<String, &'a str>,
    found: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(places: &'a BTreeMap<ObjectKey, String>) -> Self {
        let places = places.iter();
        Self {
            places: places
                .map(|(key, place)| (key.to_string(), place.as_str()))
                .collect(),
            found: Vec::new(),
        }
    }

    pub(super) fn about(&mut self, policy: &Policy, field: String, remark: Remark) {
        self.named(policy.key.to_string(), field, remark);
    }

    pub(super) fn named(&mut self, object: String, field: String, remark: Remark) {
        let place = self.places.get(&object).copied().unwrap_or_default();
        self.found.push(Finding {
            place: place.to_owned(),
            object,
            field,
            level: remark.level,
            what: remark.what,
            why: remark.why,
            advice: remark.advice,
        });
    }

    pub(super) fn sorted(mut self) -> Vec<Finding> {
        self.found.sort();
        self.found
    }
}
