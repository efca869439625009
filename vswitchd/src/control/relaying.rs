//! Who carries the frames of settled flows from port to port.

use std::fmt;

/// Who carries them, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relaying {
    /// The kernel, from pod to pod and from the uplink to pods.
    On,
    /// The kernel, but not at every port: why not at the last one.
    Partly(String),
    /// The workers alone, for this reason.
    Off(String),
}

impl fmt::Display for Relaying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("by the kernel"),
            Self::Partly(reason) => write!(f, "by the kernel, but not at every port: {reason}"),
            Self::Off(reason) => write!(f, "in user space: {reason}"),
        }
    }
}
