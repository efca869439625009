//! Tier.

use super::Read;
use super::policy::order;
use crate::model::{EndOfTier, Order, Tier};
use crate::source::yaml::metadata::Metadata;
use crate::source::yaml::view::Map;

/// Reads a Tier. The tiers that are always there can be written down, but not changed.
pub(super) fn read(object: &Map<'_>, metadata: &Metadata<'_>) -> Read<Tier> {
    simple_name(object)?;
    let mut tier = Tier {
        name: metadata.name.clone(),
        order: Order::LAST,
        end: EndOfTier::Deny,
    };
    if let Some(spec) = object.get("spec") {
        let spec = spec.map()?;
        spec.only(&["order", "defaultAction"])?;
        tier.order = order(&spec)?;
        tier.end = end(&spec)?;
    }
    unchanged_if_built_in(object, tier)
}

/// Tier names have no dots, because they are parts of other names.
fn simple_name(object: &Map<'_>) -> Read<()> {
    let name = object.require("metadata")?.map()?.require("name")?;
    let text = name.text()?;
    if text.len() <= 63 && !text.contains('.') {
        return Ok(());
    }
    Err(name.invalid("a tier's name: lower-case letters, digits and '-', at most 63 characters"))
}

fn end(spec: &Map<'_>) -> Read<EndOfTier> {
    let Some(view) = spec.get("defaultAction") else {
        return Ok(EndOfTier::Deny);
    };
    match view.text()? {
        "Deny" => Ok(EndOfTier::Deny),
        "Pass" => Ok(EndOfTier::Pass),
        _ => Err(view.invalid("Deny or Pass")),
    }
}

fn unchanged_if_built_in(object: &Map<'_>, tier: Tier) -> Read<Tier> {
    let built_in = Tier::built_in()
        .into_iter()
        .find(|own| own.name == tier.name);
    let Some(own) = built_in.filter(|own| *own != tier) else {
        return Ok(tier);
    };
    let place = object.get("spec").unwrap_or_else(|| object.view.clone());
    Err(place.invalid(format!(
        "order {} and defaultAction {:?} for the built-in tier {}",
        own.order.0, own.end, own.name
    )))
}
