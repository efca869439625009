//! What can be wrong with a selector, and where.

use thiserror::Error;

use super::{MAX_DEPTH, MAX_LENGTH};

/// How much of a long expression [`SelectorError::pointed`] shows on either side of the place.
const SHOWN_AROUND: usize = 60;

/// A selector that is not one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("column {column} of the selector: {problem}")]
pub struct SelectorError {
    /// The expression as written.
    pub expression: String,
    /// Where it goes wrong: column in characters, from 1. One past the last when something is
    /// missing at the end.
    pub column: usize,
    /// What is wrong there.
    #[source]
    pub problem: SelectorProblem,
}

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorProblem {
    /// Something else belongs here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What belongs here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// `global()` where Calico's API does not take it.
    #[error("expected no global() here, which must stand alone in the namespaceSelector of a rule")]
    Global,
    /// More parentheses inside each other than are read.
    #[error("expected at most {MAX_DEPTH} parentheses inside each other, found more")]
    TooDeep,
    /// More text than is read.
    #[error("expected at most {MAX_LENGTH} characters, found more")]
    TooLong,
}

/// A problem and its column.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) column: usize,
    pub(super) problem: SelectorProblem,
}

impl Fault {
    pub(super) fn unexpected(column: usize, expected: &'static str, found: String) -> Self {
        let problem = SelectorProblem::Unexpected { expected, found };
        Self { column, problem }
    }
}

impl SelectorError {
    pub(super) fn new(text: &str, fault: Fault) -> Self {
        Self {
            expression: text.to_owned(),
            column: fault.column,
            problem: fault.problem,
        }
    }

    /// Three lines for a terminal: the expression, a caret under the place, and what is wrong.
    /// Of a long expression only the surroundings are shown.
    #[must_use]
    pub fn pointed(&self) -> String {
        let before = self.column.saturating_sub(1);
        let skipped = before.saturating_sub(SHOWN_AROUND);
        let last = before + SHOWN_AROUND;
        let mut line = String::from(if skipped > 0 { "..." } else { "" });
        let caret = line.len() + before - skipped;
        let shown = self.expression.chars().skip(skipped).take(last - skipped);
        line.extend(shown.map(|c| if c.is_control() { ' ' } else { c }));
        if self.expression.chars().nth(last).is_some() {
            line.push_str("...");
        }
        format!("{line}\n{:caret$}^\n{}", "", self.problem)
    }
}
