//! Calico's selector language: text -> [`Selector`].
//!
//! ```text
//! expression = conjunction { "||" conjunction }
//! conjunction = operand { "&&" operand }
//! operand    = { "!" } ( "(" expression ")" | "all()" | "global()" | "has(" key ")" | test )
//! test       = key ( "==" | "!=" | "contains" | "starts with" | "ends with" ) value
//!            | key ( "in" | "not in" ) "{" [ value { "," value } [ "," ] ] "}"
//! ```
//!
//! A key is letters, digits, `_`, `.`, `/` and `-`; a value stands in single or double quotes and
//! knows no escapes; blanks are spaces and tabs. Nothing at all means `all()`. Words are operators
//! only where one belongs, so `in in {"in"}` is about the label `in`.
//!
//! `k != v` and `k not in {..}` hold for objects without the label `k`; the other tests do not.
//!
//! Source: projectcalico/calico, libcalico-go/lib/selector (tokenizer and parser with their tests)
//! and api/pkg/apis/projectcalico/v3 (where `global()` may stand).

mod dialect;
mod error;
mod join;
mod lexer;
mod parser;
#[cfg(test)]
mod tests;

pub(crate) use dialect::Dialect;
pub use error::{SelectorError, SelectorProblem};
pub(crate) use join::all_of;

use crate::model::Selector;

/// The longest expression that is read, in characters.
pub const MAX_LENGTH: usize = 65_536;

/// The deepest nesting of parentheses that is read.
pub const MAX_DEPTH: usize = 100;

/// Reads an expression about the labels of pods and network sets. `global()` means what is in no
/// namespace.
///
/// # Errors
/// The first place where the text leaves the language: see [`SelectorError`].
///
/// ```
/// use policy::source::selector::parse;
///
/// let error = parse("app == web").expect_err("values stand in quotes");
/// assert_eq!(
///     error.pointed(),
///     "app == web\n       ^\nexpected a value in quotes, found the word web"
/// );
/// ```
pub fn parse(text: &str) -> Result<Selector, SelectorError> {
    parse_as(text, &Dialect::LABELS)
}

/// Reads the `namespaceSelector` of a rule: an expression about the labels of namespaces. In it
/// `all()` means every namespace, but nothing outside of them, and `global()`, which must stand
/// alone, what is in no namespace.
///
/// # Errors
/// As [`parse`].
pub fn parse_namespace_selector(text: &str) -> Result<Selector, SelectorError> {
    parse_as(text, &Dialect::RULE_NAMESPACES)
}

/// Reads an expression in which `all()`, `global()` and keys mean what this field says.
pub(crate) fn parse_as(text: &str, dialect: &Dialect) -> Result<Selector, SelectorError> {
    parser::parse(text, dialect).map_err(|fault| SelectorError::new(text, fault))
}
