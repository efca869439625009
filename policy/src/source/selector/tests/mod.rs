//! The language, its errors, and that what is displayed reads back.

mod language;
mod mistakes;
mod properties;

use super::{Dialect, MAX_DEPTH, MAX_LENGTH, SelectorProblem};
use super::{parse, parse_as, parse_namespace_selector};
use crate::model::{Labels, Selector};

#[track_caller]
fn read(text: &str) -> Selector {
    match parse(text) {
        Ok(selector) => selector,
        Err(error) => panic!("{}", error.pointed()),
    }
}
