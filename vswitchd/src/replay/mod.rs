//! A capture walked through the data plane of a node that its files describe.
//!
//! [`entry`](entry::of) says by which port a frame comes, [`Player`] walks it in the time of the
//! capture's own clock, and [`Tally`] counts what came of all of them.

mod entry;
mod player;
mod tally;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::Path;

use packet::{Protocol, ipv4};

use crate::capture_file::{CaptureError, Captured, Reader};

pub use entry::{Entry, Rule, Unfit};
pub use player::{Fate, Player};
pub use tally::{Difference, DropTally, Tally};

/// Every address that sends or receives in the capture, inside tunnels too: pods, as far as they lie
/// in blocks of the node.
///
/// # Errors
/// The capture cannot be read.
pub fn addresses(capture: &Path) -> Result<BTreeSet<Ipv4Addr>, CaptureError> {
    let mut found = BTreeSet::new();
    for captured in Reader::open(capture)? {
        if let Some(header) = innermost(&captured?) {
            found.extend([header.src, header.dst]);
        }
    }
    Ok(found)
}

/// The header of the packet itself, behind an outer one.
fn innermost(captured: &Captured) -> Option<ipv4::Header> {
    let frame = captured.frame(false);
    if !captured.is_ipv4() {
        return None;
    }
    let outer = ipv4::Header::parse_quoted(frame.packet()).ok()?;
    match outer.protocol {
        Protocol::IPIP => ipv4::Header::parse_quoted(outer.payload(frame.packet())).ok(),
        _ => Some(outer),
    }
}
