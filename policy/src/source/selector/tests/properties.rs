//! What is displayed reads back, and no text is too odd.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::super::join::{all_of, any_of};
use super::{Dialect, Labels, Selector, parse, parse_as};

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec!["a", "b", "in", "has", "not", "x.y/z-1_A"])
            .prop_map(str::to_owned),
        "[a-zA-Z0-9_./-]{1,8}",
    ]
}

/// No value holds both quotes: the language cannot write it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[abv]{0,2}", "[^'\\n]{0,6}", "[^\"\\n]{0,6}"]
}

fn selector() -> impl Strategy<Value = Selector> {
    let leaf = prop_oneof![
        (key(), btree_set(value(), 0..4)).prop_map(|(k, v)| Selector::In(k, v)),
        key().prop_map(Selector::Has),
        (key(), value()).prop_map(|(k, v)| Selector::StartsWith(k, v)),
        (key(), value()).prop_map(|(k, v)| Selector::EndsWith(k, v)),
        (key(), value()).prop_map(|(k, v)| Selector::Contains(k, v)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Selector::Not(Box::new(part))),
            vec(inner.clone(), 0..4).prop_map(Selector::All),
            vec(inner, 0..4).prop_map(Selector::Any),
        ]
    })
}

fn some_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map(key(), value(), 0..6)
}

/// The same tree without what leaves no trace in text, groups of one and of none for a choice, and
/// joined as the reader joins.
fn canonical(selector: Selector) -> Selector {
    let each = |parts: Vec<Selector>| parts.into_iter().map(canonical).collect::<Vec<_>>();
    match selector {
        Selector::All(mut parts) | Selector::Any(mut parts) if parts.len() == 1 => {
            canonical(parts.remove(0))
        }
        Selector::Any(parts) if parts.is_empty() => Selector::Not(Box::new(Selector::everything())),
        Selector::All(parts) if parts.is_empty() => Selector::All(parts),
        Selector::All(parts) => all_of(each(parts)),
        Selector::Any(parts) => any_of(each(parts)),
        Selector::Not(inner) => Selector::Not(Box::new(canonical(*inner))),
        leaf => leaf,
    }
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back(selector in selector(), labels in vec(some_labels(), 8)) {
        let shown = selector.to_string();
        let back = parse(&shown).map_err(|error| TestCaseError::fail(error.pointed()))?;
        prop_assert_eq!(&back, &canonical(selector.clone()), "{}", shown);
        for labels in labels {
            prop_assert_eq!(back.matches(&labels), selector.matches(&labels), "{}", &shown);
        }
    }

    #[test]
    fn any_text_is_read_or_pointed_at(text in "\\PC{0,40}|[ab'\"(){},!=&| \t]{0,30}") {
        for dialect in [Dialect::LABELS, Dialect::RULE_NAMESPACES, Dialect::ACCOUNTS] {
            if let Err(error) = parse_as(&text, &dialect) {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
                prop_assert_eq!(error.pointed().lines().count(), 3);
            }
        }
    }
}
