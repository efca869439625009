//! Captured frames as files and in words: pcapng, who is who, what a packet says.
//!
//! Written by `vswitchctl capture` from the daemon's records, and by the daemon itself from its flight recorder.

mod book;
mod dissect;
mod files;
mod pcapng;

pub(crate) use book::{Book, verdict};
pub(crate) use files::{Files, Plan};
