//! Which traffic may pass between two ends, when nobody says which is meant.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::ask::{Judge, Party};
use crate::matrix::Samples;

/// One line for each way in which traffic from one end to the other is decided: what is decided
/// so, and by whom. Every kind of traffic that policies tell apart is in one of them.
#[must_use]
pub fn overview(judge: &Judge, from: &Party, to: &Party) -> String {
    let mut ways: Vec<(bool, String)> = Vec::new();
    let mut traffic: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for sample in Samples::of(&[judge.roster()]).traffic {
        let Ok(ruling) = judge.rule(from, to, &sample.kind) else {
            continue;
        };
        let egress = judge.half(from, ruling.egress);
        let ingress = judge.half(to, ruling.ingress);
        let way = (
            ruling.allowed(),
            format!("egress: {egress}; ingress: {ingress}"),
        );
        let number = ways.iter().position(|known| *known == way);
        let number = number.unwrap_or_else(|| {
            ways.push(way);
            ways.len() - 1
        });
        traffic.entry(number).or_default().push(sample.name);
    }
    let mut text = format!("{from} -> {to}\n");
    if ways.is_empty() {
        text.push_str("  no address family in common: nothing passes\n");
    }
    for (number, (allowed, reasons)) in ways.iter().enumerate() {
        let verdict = if *allowed { "allowed" } else { "denied" };
        let traffic = traffic.get(&number).map(|names| names.join(", "));
        let traffic = traffic.unwrap_or_default();
        let _ = writeln!(text, "  {verdict:7}  {traffic}\n           {reasons}");
    }
    text
}
