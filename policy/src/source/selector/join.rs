//! `||` and `&&` of several conditions, in as few tests as will do.
//!
//! People list the values of a label as `app == 'a' || app == 'b' || ...`. That is one set, and one
//! look-up however long it is; so is `app != 'a' && app != 'b' && ...`, the other way round.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Selector;

type Values = (String, BTreeSet<String>);

/// One of these at least holds.
pub(super) fn any_of(parts: Vec<Selector>) -> Selector {
    let nested = |part| match part {
        Selector::Any(inner) if !inner.is_empty() => Ok(inner),
        other => Err(other),
    };
    let in_set = |part| match part {
        Selector::In(key, values) => Ok((key, values)),
        other => Err(other),
    };
    let written = |(key, values)| Selector::In(key, values);
    only_or(gather(flat(parts, nested), in_set, written), Selector::Any)
}

/// All of these hold.
pub(crate) fn all_of(parts: Vec<Selector>) -> Selector {
    let nested = |part| match part {
        Selector::All(inner) if !inner.is_empty() => Ok(inner),
        other => Err(other),
    };
    let out_of_set = |part| match part {
        Selector::Not(inner) => match *inner {
            Selector::In(key, values) => Ok((key, values)),
            other => Err(Selector::Not(Box::new(other))),
        },
        other => Err(other),
    };
    let written = |(key, values)| Selector::Not(Box::new(Selector::In(key, values)));
    only_or(
        gather(flat(parts, nested), out_of_set, written),
        Selector::All,
    )
}

/// The parts, and those of parts that are joined in the same way, in order.
fn flat(
    parts: Vec<Selector>,
    nested: impl Fn(Selector) -> Result<Vec<Selector>, Selector>,
) -> Vec<Selector> {
    let each = parts.into_iter().map(|part| match nested(part) {
        Ok(inner) => inner,
        Err(other) => vec![other],
    });
    each.flatten().collect()
}

/// The parts, in which the tests of a label against values are one, where the first of them stood.
fn gather(
    parts: Vec<Selector>,
    test: impl Fn(Selector) -> Result<Values, Selector>,
    written: impl Fn(Values) -> Selector,
) -> Vec<Selector> {
    let mut gathered: Vec<Result<Values, Selector>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for part in parts {
        let part = test(part);
        if let Ok((key, values)) = &part {
            if let Some(Ok((_, known))) = places.get(key).map(|place| &mut gathered[*place]) {
                known.extend(values.iter().cloned());
                continue;
            }
            places.insert(key.clone(), gathered.len());
        }
        gathered.push(part);
    }
    let whole = gathered.into_iter();
    whole
        .map(|part| part.map_or_else(|other| other, &written))
        .collect()
}

/// The only part, or all of them joined.
fn only_or(mut parts: Vec<Selector>, join: fn(Vec<Selector>) -> Selector) -> Selector {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
