//! Who may talk to whom: the truth table of a cluster.
//!
//! [`Samples`] finds the kinds of traffic and the outsiders that policies tell apart, so that a few
//! flows stand for all. [`matrix()`] judges every pair of ends for each of them; ends that nobody can
//! tell apart are [one group](group). What comes out is a [`Grid`]: for people its `Display`, for
//! programs [`Grid::records`].

mod fill;
mod grid;
mod group;
mod nets;
mod ports;
mod samples;
mod text;

pub(crate) use fill::checked;
pub use fill::{Ends, MAX_CELLS, TooLarge, matrix};
pub use grid::{Cell, Grid, Record};
pub(crate) use group::groups;
pub use samples::{Sample, Samples};

#[cfg(test)]
mod tests;
