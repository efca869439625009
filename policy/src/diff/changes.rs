//! What changed, told once for all pairs of which it is true.

use std::collections::BTreeMap;

use serde::Serialize;

/// Pairs whose verdict changed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The traffic.
    pub traffic: Vec<String>,
    /// The sources.
    pub from: Vec<String>,
    /// The destinations. Of an end that is a source, too, only its flows to others are meant.
    pub to: Vec<String>,
    /// The verdict of the old state.
    pub before: Side,
    /// The verdict of the new state.
    pub after: Side,
}

/// A verdict and who gave it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Side {
    /// Was it allowed?
    pub allowed: bool,
    /// What decided the source's egress; `None` = it allows before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<String>,
    /// What decided the destination's ingress; `None` = it allows before and after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// The directions that deny.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_by: Vec<&'static str>,
}

/// Puts changes together that differ only in their destinations, then those that differ only in
/// their sources.
pub(super) fn merged(changes: Vec<Change>) -> Vec<Change> {
    let by_source = join(changes, |change| &change.from, |change| &mut change.to);
    let mut changes = join(by_source, |change| &change.to, |change| &mut change.from);
    changes.sort_by(|a, b| {
        let key = |change: &Change| (change.after.allowed, change.from.clone(), change.to.clone());
        key(a).cmp(&key(b))
    });
    changes
}

/// Joins the `joined` lists of changes that have everything else, `same` included, in common.
fn join(
    changes: Vec<Change>,
    same: impl Fn(&Change) -> &Vec<String>,
    joined: impl Fn(&mut Change) -> &mut Vec<String>,
) -> Vec<Change> {
    let mut first: BTreeMap<(Vec<String>, Vec<String>, Side, Side), usize> = BTreeMap::new();
    let mut kept: Vec<Change> = Vec::new();
    for mut change in changes {
        let (traffic, same) = (change.traffic.clone(), same(&change).clone());
        let key = (traffic, same, change.before.clone(), change.after.clone());
        match first.get(&key) {
            Some(index) => {
                let more = std::mem::take(joined(&mut change));
                joined(&mut kept[*index]).extend(more);
            }
            None => {
                first.insert(key, kept.len());
                kept.push(change);
            }
        }
    }
    kept
}
