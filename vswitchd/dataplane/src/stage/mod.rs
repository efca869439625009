//! The rooms a frame walks through, in the order of the walk.

pub(crate) mod answer;
pub(crate) mod arp;
pub(crate) mod arrive;
pub(crate) mod flow_of;
pub(crate) mod judge;
pub(crate) mod link;
pub(crate) mod path_mtu;
pub(crate) mod route;
pub(crate) mod source;
pub(crate) mod transmit;
pub(crate) mod tunnel;

use crate::drop_reason::DropReason;

/// A frame that goes no further, and the MTU its sender should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: DropReason,
    /// Next-hop MTU for [`DropReason::FragmentationNeeded`], else 0.
    pub(crate) mtu_bytes: u16,
}

impl From<DropReason> for Refusal {
    fn from(reason: DropReason) -> Self {
        Self {
            reason,
            mtu_bytes: 0,
        }
    }
}
