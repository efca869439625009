//! What survives a restart besides the address book: the attachments.
//!
//! A pod keeps working after the daemon was killed because the daemon finds here which ports it had.

mod attachments;
pub mod durable;

pub use attachments::{Attached, Attachments, StateError};
