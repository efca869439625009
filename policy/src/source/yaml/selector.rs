//! LabelSelector: `matchLabels` and `matchExpressions`.

use std::collections::BTreeSet;

use super::validate::{is_label_key, is_label_value};
use super::view::View;
use super::{ManifestError, Problem};
use crate::model::Selector;

const KEY: &str = "a label key: an optional DNS prefix and '/', then at most 63 letters, digits, \
                   '-', '_' and '.', beginning and ending with a letter or digit";
const VALUE: &str = "a label value: at most 63 letters, digits, '-', '_' and '.', beginning and \
                     ending with a letter or digit, or nothing";

/// Reads a LabelSelector; `{}` matches everything.
pub(super) fn read(view: &View<'_>) -> Result<Selector, ManifestError> {
    let map = view.map()?;
    map.only(&["matchLabels", "matchExpressions"])?;
    let mut parts = Vec::new();
    if let Some(labels) = map.get("matchLabels") {
        match_labels(&labels, &mut parts)?;
    }
    if let Some(expressions) = map.get("matchExpressions") {
        for expression in expressions.list()? {
            parts.push(match_expression(&expression)?);
        }
    }
    Ok(match <[Selector; 1]>::try_from(parts) {
        Ok([only]) => only,
        Err(parts) => Selector::All(parts),
    })
}

fn match_labels(view: &View<'_>, parts: &mut Vec<Selector>) -> Result<(), ManifestError> {
    let map = view.map()?;
    for (key, value) in map.entries() {
        if !is_label_key(&key.name) {
            let (expected, found) = (KEY.to_owned(), format!("{:?}", key.name));
            return Err(map.key_error(key, Problem::Invalid { expected, found }));
        }
        parts.push(Selector::equals(&key.name, label_value(&value)?));
    }
    Ok(())
}

fn match_expression(view: &View<'_>) -> Result<Selector, ManifestError> {
    let map = view.map()?;
    map.only(&["key", "operator", "values"])?;
    let key = map.require("key")?;
    let name = key.text()?.to_owned();
    if !is_label_key(&name) {
        return Err(key.invalid(KEY));
    }
    let operator = map.require("operator")?;
    let values = map.get("values");
    match operator.text()? {
        "In" => Ok(Selector::In(name, some_values(&operator, values)?)),
        "NotIn" => Ok(Selector::Not(Box::new(Selector::In(
            name,
            some_values(&operator, values)?,
        )))),
        "Exists" => no_values(values).map(|()| Selector::Has(name)),
        "DoesNotExist" => no_values(values).map(|()| Selector::Not(Box::new(Selector::Has(name)))),
        _ => Err(operator.invalid("In, NotIn, Exists or DoesNotExist")),
    }
}

fn some_values(
    operator: &View<'_>,
    values: Option<View<'_>>,
) -> Result<BTreeSet<String>, ManifestError> {
    const NEEDED: Problem = Problem::Conflict("In and NotIn need at least one entry in values");
    let values = values.ok_or_else(|| operator.error(NEEDED))?;
    let list = values.list()?;
    if list.is_empty() {
        return Err(values.error(NEEDED));
    }
    list.iter()
        .map(|value| label_value(value).map(str::to_owned))
        .collect()
}

fn no_values(values: Option<View<'_>>) -> Result<(), ManifestError> {
    match values {
        Some(values) if !values.list()?.is_empty() => {
            Err(values.error(Problem::Conflict("Exists and DoesNotExist take no values")))
        }
        _ => Ok(()),
    }
}

fn label_value<'a>(view: &View<'a>) -> Result<&'a str, ManifestError> {
    let value = view.text()?;
    if is_label_value(value) {
        Ok(value)
    } else {
        Err(view.invalid(VALUE))
    }
}
