//! Containers that share: a clone costs nothing, and a change afterwards copies one small piece.
//!
//! That is what lets a table be published for every event without being copied.

mod map;
mod pages;

pub(crate) use map::Map;
pub(crate) use pages::Pages;
