//! Selectors: which labels a policy means.

use std::collections::BTreeSet;
use std::fmt;

use super::Labels;

/// A condition on labels, as a tree.
///
/// Kubernetes' `matchLabels` and `matchExpressions` become a conjunction of [`Selector::In`],
/// [`Selector::Has`] and their negations; Calico's selector language uses every variant. A test of
/// a value fails when the key is absent, so its negation holds: Kubernetes' `NotIn` and Calico's
/// `!=` match objects without the label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selector {
    /// The key is present and its value is one of these.
    In(String, BTreeSet<String>),
    /// The key is present, with any value.
    Has(String),
    /// The key is present and its value begins with this.
    StartsWith(String, String),
    /// The key is present and its value ends with this.
    EndsWith(String, String),
    /// The key is present and its value has this in it.
    Contains(String, String),
    /// The inner condition does not hold.
    Not(Box<Selector>),
    /// Every condition holds; an empty list holds always.
    All(Vec<Selector>),
    /// One condition at least holds; an empty list never holds.
    Any(Vec<Selector>),
}

impl Selector {
    /// The selector that matches everything: Kubernetes' `{}`, Calico's `all()`.
    #[must_use]
    pub fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// The key is present with exactly this value.
    #[must_use]
    pub fn equals(key: &str, value: &str) -> Self {
        Self::In(key.to_owned(), BTreeSet::from([value.to_owned()]))
    }

    /// Does it plainly match everything, whatever the labels?
    #[must_use]
    pub fn is_everything(&self) -> bool {
        matches!(self, Self::All(parts) if parts.iter().all(Self::is_everything))
    }

    /// Does this set of labels satisfy the condition?
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |key: &str| labels.get(key).map(String::as_str);
        match self {
            Self::In(key, values) => value(key).is_some_and(|value| values.contains(value)),
            Self::Has(key) => labels.contains_key(key),
            Self::StartsWith(key, text) => value(key).is_some_and(|v| v.starts_with(&**text)),
            Self::EndsWith(key, text) => value(key).is_some_and(|v| v.ends_with(&**text)),
            Self::Contains(key, text) => value(key).is_some_and(|v| v.contains(&**text)),
            Self::Not(inner) => !inner.matches(labels),
            Self::All(parts) => parts.iter().all(|part| part.matches(labels)),
            Self::Any(parts) => parts.iter().any(|part| part.matches(labels)),
        }
    }

    /// The same condition about keys that begin with this prefix.
    #[must_use]
    pub fn with_key_prefix(&self, prefix: &str) -> Self {
        let key = |key: &str| format!("{prefix}{key}");
        let each = |parts: &[Self]| parts.iter().map(|p| p.with_key_prefix(prefix)).collect();
        match self {
            Self::In(name, values) => Self::In(key(name), values.clone()),
            Self::Has(name) => Self::Has(key(name)),
            Self::StartsWith(name, text) => Self::StartsWith(key(name), text.clone()),
            Self::EndsWith(name, text) => Self::EndsWith(key(name), text.clone()),
            Self::Contains(name, text) => Self::Contains(key(name), text.clone()),
            Self::Not(inner) => Self::Not(Box::new(inner.with_key_prefix(prefix))),
            Self::All(parts) => Self::All(each(parts)),
            Self::Any(parts) => Self::Any(each(parts)),
        }
    }

    /// A label that everything it matches has with one of these values, if there is such: a way to
    /// find candidates in an index without asking every object.
    #[must_use]
    pub fn required_label(&self) -> Option<(&str, &BTreeSet<String>)> {
        match self {
            Self::In(key, values) => Some((key, values)),
            Self::All(parts) => parts.iter().find_map(Self::required_label),
            _ => None,
        }
    }
}

/// In Calico's selector language.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::In(key, values) => write_in(f, key, "in", values),
            Self::Has(key) => write!(f, "has({key})"),
            Self::StartsWith(key, text) => write!(f, "{key} starts with {}", Quoted(text)),
            Self::EndsWith(key, text) => write!(f, "{key} ends with {}", Quoted(text)),
            Self::Contains(key, text) => write!(f, "{key} contains {}", Quoted(text)),
            Self::Not(inner) => match &**inner {
                Self::In(key, values) => write_in(f, key, "not in", values),
                inner => write!(f, "!{}", Operand(inner)),
            },
            Self::All(parts) if parts.is_empty() => f.write_str("all()"),
            Self::Any(parts) if parts.is_empty() => f.write_str("!all()"),
            Self::All(parts) => write_joined(f, parts, " && "),
            Self::Any(parts) => write_joined(f, parts, " || "),
        }
    }
}

/// A value in the quotes it does not contain.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') { '"' } else { '\'' };
        write!(f, "{quote}{}{quote}", self.0)
    }
}

/// A part of a larger expression: in parentheses where it needs them.
struct Operand<'a>(&'a Selector);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Selector::Has(_) => write!(f, "{}", self.0),
            Selector::All(parts) if parts.is_empty() => write!(f, "{}", self.0),
            _ => write!(f, "({})", self.0),
        }
    }
}

fn write_in(
    f: &mut fmt::Formatter<'_>,
    key: &str,
    word: &str,
    values: &BTreeSet<String>,
) -> fmt::Result {
    if let (1, Some(only)) = (values.len(), values.first()) {
        let sign = if word == "in" { "==" } else { "!=" };
        return write!(f, "{key} {sign} {}", Quoted(only));
    }
    write!(f, "{key} {word} {{")?;
    for (position, value) in values.iter().enumerate() {
        let comma = if position > 0 { ", " } else { "" };
        write!(f, "{comma}{}", Quoted(value))?;
    }
    f.write_str("}")
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: &[Selector], sign: &str) -> fmt::Result {
    for (position, part) in parts.iter().enumerate() {
        if position > 0 {
            f.write_str(sign)?;
        }
        match part {
            Selector::All(_) | Selector::Any(_) => write!(f, "{}", Operand(part))?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
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

    fn text(test: fn(String, String) -> Selector, value: &str) -> Selector {
        test("app".to_owned(), value.to_owned())
    }

    #[test]
    fn everything_matches_no_labels_at_all() {
        assert!(Selector::everything().matches(&Labels::new()));
        assert!(Selector::everything().is_everything());
    }

    #[test]
    fn nothing_matches_an_empty_choice() {
        assert!(!Selector::Any(vec![]).matches(&labels(&[("app", "web")])));
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
    fn tests_of_a_value_need_the_key() {
        let web = labels(&[("app", "web-1")]);
        assert!(text(Selector::StartsWith, "web").matches(&web));
        assert!(text(Selector::EndsWith, "-1").matches(&web));
        assert!(text(Selector::Contains, "b-").matches(&web));
        assert!(!text(Selector::Contains, "").matches(&Labels::new()));
        assert!(!text(Selector::StartsWith, "eb").matches(&web));
    }

    #[test]
    fn all_needs_every_part_and_any_needs_one() {
        let parts = vec![Selector::equals("a", "1"), Selector::equals("b", "2")];
        let both = Selector::All(parts.clone());
        assert!(both.matches(&labels(&[("a", "1"), ("b", "2"), ("c", "3")])));
        assert!(!both.matches(&labels(&[("a", "1")])));
        assert!(Selector::Any(parts).matches(&labels(&[("a", "1")])));
    }

    #[test]
    fn a_selector_reads_as_calico_writes_it() {
        let one = Selector::equals("app", "web");
        let not = Selector::Not(Box::new(Selector::Has("old".to_owned())));
        let either = Selector::Any(vec![one.clone(), text(Selector::StartsWith, "db")]);
        let all = Selector::All(vec![either, not]);
        assert_eq!(
            all.to_string(),
            "(app == 'web' || app starts with 'db') && !has(old)"
        );
        assert_eq!(
            one.with_key_prefix("pcsa.").to_string(),
            "pcsa.app == 'web'"
        );
    }
}
