//! From the model to the table: everything that can be worked out before the first packet.
//!
//! 1. Endpoints that no policy can tell apart are one [identity]: same namespace, same labels, same
//!    named ports. An address leads to its identity by one lookup, so a pod that comes or goes
//!    with a known identity changes one entry.
//! 2. Every scope that a rule in force names is a [feature](features). Identities with the same
//!    features are one [class](classes): what the rules see of a peer.
//! 3. The policies of a tier that select the same endpoints are one [program] per direction: a
//!    matrix of bits, whose columns are rules and whose rows are found by the peer's class, its
//!    [address](networks) and the [ports]. The first column that all rows share decides.
//!
//! So a verdict costs the same however many pods and policies there are; 64 rules that select one
//! pod in one tier cost it one word. The [`Compiler`] takes events and redoes what they touch; a
//! [`Table`] it gives out shares everything else with the one before ([persistent]).
//!
//! Only policies that select a subject are compiled. A node needs its own pods as subjects, so the
//! 10,000 policies of a cluster cost it the few hundred that concern it.

mod classes;
mod compiler;
mod endpoints;
mod ends;
mod features;
mod identity;
mod label_index;
mod members;
mod names;
mod networks;
mod persistent;
mod ports;
mod program;
mod reasons;
mod replace;
mod rows;
mod selection;
mod stretches;
mod tiers;
mod traffic;

pub use compiler::{Compiler, Subjects};
pub(crate) use endpoints::{Owner, Owners};
pub(crate) use identity::Profile;
pub(crate) use persistent::Pages;
pub(crate) use program::{Party, Question, TierProgram};
pub(crate) use reasons::Reasons;
pub(crate) use selection::Subject;

use crate::Table;
use crate::model::Cluster;
use crate::verdict::Settings;

/// Compiles the table of this cluster. Every endpoint of the cluster can be a subject.
#[must_use]
pub fn compile(cluster: &Cluster) -> Table {
    let mut compiler = Compiler::new(Subjects::All, Settings::default());
    compiler.replace(cluster);
    compiler.table()
}

// Maps by what tenants choose (labels, names, addresses, rows of rules) are std's, whose hash they
// cannot know; maps by numbers of our own use the faster one.

/// A count as an id.
fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 of anything")
}
