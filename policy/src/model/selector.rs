//! Selectors: which labels a policy means.

use std::collections::BTreeSet;

use super::Labels;

/// A condition on labels, as a tree.
///
/// Kubernetes' `matchLabels` and `matchExpressions` become a conjunction of [`Selector::In`],
/// [`Selector::Has`] and their negations. A richer language adds variants here and a parser in its
/// own source; nothing else changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The key is present and its value is one of these.
    In(String, BTreeSet<String>),
    /// The key is present, with any value.
    Has(String),
    /// The inner condition does not hold. `Not(In(..))` holds when the key is absent, as
    /// Kubernetes' `NotIn` does.
    Not(Box<Selector>),
    /// Every condition holds; an empty list holds always.
    All(Vec<Selector>),
}

impl Selector {
    /// The selector that matches everything: Kubernetes' `{}`.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// The key is present with exactly this value.
    #[must_use]
    pub fn equals(key: &str, value: &str) -> Self {
        Self::In(key.to_owned(), BTreeSet::from([value.to_owned()]))
    }

    /// Does this set of labels satisfy the condition?
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Self::Has(key) => labels.contains_key(key),
            Self::Not(inner) => !inner.matches(labels),
            Self::All(parts) => parts.iter().all(|part| part.matches(labels)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn everything_matches_no_labels_at_all() {
        assert!(Selector::everything().matches(&Labels::new()));
    }

    #[test]
    fn not_in_matches_when_the_key_is_absent() {
        let not_in = Selector::Not(Box::new(Selector::equals("app", "web")));
        assert!(not_in.matches(&Labels::new()));
        assert!(not_in.matches(&labels(&[("app", "db")])));
        assert!(!not_in.matches(&labels(&[("app", "web")])));
    }

    #[test]
    fn has_matches_an_empty_value() {
        assert!(Selector::Has("app".to_owned()).matches(&labels(&[("app", "")])));
        assert!(!Selector::Has("app".to_owned()).matches(&Labels::new()));
    }

    #[test]
    fn all_needs_every_part() {
        let both = Selector::All(vec![Selector::equals("a", "1"), Selector::equals("b", "2")]);
        assert!(both.matches(&labels(&[("a", "1"), ("b", "2"), ("c", "3")])));
        assert!(!both.matches(&labels(&[("a", "1")])));
    }
}
