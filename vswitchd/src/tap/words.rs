//! What conntrack and policy said of a frame, in words.

use std::fmt::Write as _;

use policy::Table;

use super::sight::{Judged, Said};

/// Writes it over what was there. `table` is that of the generation that judged, if it is still known.
pub(super) fn write(note: &mut String, judged: &Judged, table: Option<&Table>) {
    note.clear();
    if let Some(state) = judged.state {
        add(note, format_args!("conntrack {state}"));
    }
    for said in judged.said.iter().flatten() {
        let (direction, answer) = (said.direction, answer(said));
        match table {
            Some(table) => {
                let rule = table.describe(said.rule);
                add(note, format_args!("{direction} {answer}: {rule}"));
            }
            None => {
                let generation = judged.generation;
                add(
                    note,
                    format_args!("{direction} {answer}: a rule of generation {generation}"),
                );
            }
        }
    }
}

/// One part, with a separator before it.
fn add(note: &mut String, part: std::fmt::Arguments<'_>) {
    let separator = if note.is_empty() { "" } else { "; " };
    // Writing to a string does not fail.
    let _ = write!(note, "{separator}{part}");
}

fn answer(said: &Said) -> &'static str {
    match (said.allowed, said.is_kept) {
        (true, _) => "allowed",
        (false, true) => "denied, but the flow is kept",
        (false, false) => "denied",
    }
}

#[cfg(test)]
mod tests {
    use dataplane::Generation;
    use policy::{Cluster, Direction};

    use super::*;

    #[test]
    fn a_rule_of_a_generation_that_went_unseen_is_said_to_be_of_it() {
        let mut cluster = Cluster::new();
        cluster.set_workload("default", "a", "10.0.0.1".parse().unwrap());
        let table = policy::compile(&cluster);
        let judged = Judged {
            generation: Generation(7),
            said: [
                Some(Said {
                    direction: Direction::Ingress,
                    allowed: true,
                    is_kept: false,
                    rule: policy::RuleRef::NO_POLICY,
                }),
                None,
            ],
            ..Judged::default()
        };
        let mut note = "what was there".to_owned();
        write(&mut note, &judged, None);
        assert_eq!(note, "ingress allowed: a rule of generation 7");
        write(&mut note, &judged, Some(&table));
        assert!(note.starts_with("ingress allowed: "), "{note}");
        assert!(!note.contains("generation"), "{note}");
    }
}
