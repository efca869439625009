//! Which pairs change verdict between two states of a cluster, and who decides before and after.
//!
//! Asked are the pods that are in both states, an outsider for every address block policies tell
//! apart and, when policies name nodes, the nodes; for every kind of traffic policies tell apart,
//! unless the caller says which (see [`Samples`](crate::matrix::Samples)).

mod changes;
mod compare;
mod text;

pub use changes::{Change, Side};
pub use compare::{Diff, Question, diff};

#[cfg(test)]
mod tests;
