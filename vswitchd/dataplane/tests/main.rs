//! The claims of the data plane, shown in an in-memory house.
//!
//! `house` is the house; each other file is a room of claims. They are one
//! test binary, so that the house is built once.

#![forbid(unsafe_code)]

mod house;

mod walk_arp;
mod walk_drops;
