//! Who may talk to whom: Kubernetes objects -> model -> compiled table -> verdict. Pure.
//!
//! - [`source`] reads manifests and turns every policy dialect into the one [`model`].
//! - [`model`] is the cluster as policy sees it: pods, namespaces, and tiers of ordered rules.
//! - [`compile()`] turns a [`Cluster`] into a [`Table`], which answers [`Table::verdict`] for the
//!   first packet of a flow with a few hash lookups and no allocation.
//! - [`oracle`] answers the same question slowly and obviously. It is the truth of the tests.
//!
//! The crate has no clock and no sockets; the only I/O is reading a directory of manifests in
//! [`source::yaml::load_dir`].
//!
//! What is *not* decided here, because it needs state or the device a packet came by: replies and
//! related ICMP errors on allowed flows (connection tracking), fragments after the first, and
//! traffic from the node itself to its own pods. The data plane decides those.
#![forbid(unsafe_code)]

pub mod ask;
pub mod compile;
pub mod diff;
pub mod explain;
pub mod lint;
pub mod matrix;
pub mod model;
pub mod oracle;
pub mod source;
mod table;
mod verdict;
mod words;

pub use compile::{Compiler, Subjects, compile};
pub use model::{Cluster, Object, ObjectKey};
pub use source::yaml::{ManifestError, is_manifest, load_dir, parse};
pub use table::Table;
pub use verdict::{Denial, Direction, Flow, RuleDescription, RuleRef, Settings, Verdict, protocol};
