//! Who cuts the super-segments that leave inside IPIP.

use std::fmt;

/// Who cuts them, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segmentation {
    /// The kernel or the device: they leave the switch whole.
    Kernel,
    /// The switch, for this reason.
    UserSpace(String),
    /// The switch, since the kernel's part was found not to work: what was found.
    GivenUp(String),
}

impl fmt::Display for Segmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel => f.write_str("by the kernel"),
            Self::UserSpace(reason) | Self::GivenUp(reason) => {
                write!(f, "in user space: {reason}")
            }
        }
    }
}
