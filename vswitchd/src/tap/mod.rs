//! Taps: copies of frames for whoever captures.
//!
//! `admin -> Hub -> (a Tap at every worker, a Stream for the client)`. A worker asks its [`Taps`] once a batch whether any of
//! them may be concerned; if so, it offers each frame at the stages it passes. A [`tap::Tap`] filters before it copies, and
//! copies into rings that were made when it began: what finds no room is counted and forgotten, so a client that reads
//! slowly loses copies, and no frame. The stream's thread empties the rings, says who is who, and ends the tap with the
//! connection.

mod aim;
mod directory;
mod flight;
mod flight_folder;
mod flight_ring;
mod hub;
mod recorder;
mod rings;
mod sight;
mod stream;
#[expect(clippy::module_inception, reason = "the noun of this room")]
mod tap;
mod taps;
mod words;

pub use flight::Flight;
pub(crate) use hub::Workers;
pub use hub::{Begun, Hub, TapError, TapRow};
pub(crate) use taps::{Order, Taps, Written};
#[cfg(test)]
pub(crate) use tests::{Reader, Watch, idle, stuck};

#[cfg(test)]
mod tests;
