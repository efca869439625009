//! Fields that hold a selector in Calico's language.

use super::Read;
use crate::model::Selector;
use crate::source::selector::{Dialect, all_of, parse_as};
use crate::source::yaml::Problem;
use crate::source::yaml::view::Map;

/// The selector of a field. Empty text is no selector, as in Calico.
pub(super) fn read(map: &Map<'_>, field: &str, dialect: &Dialect) -> Read<Option<Selector>> {
    let Some(view) = map.get(field) else {
        return Ok(None);
    };
    let text = view.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let selector = parse_as(text, dialect);
    selector
        .map(Some)
        .map_err(|error| view.error(Problem::Selector(Box::new(error))))
}

/// All of the selectors that are there; nothing when none is.
pub(super) fn both(first: Option<Selector>, second: Option<Selector>) -> Option<Selector> {
    match (first, second) {
        (Some(first), Some(second)) => Some(all_of(vec![first, second])),
        (one, other) => one.or(other),
    }
}
