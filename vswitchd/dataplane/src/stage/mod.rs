//! The rooms a frame walks through, in the order of the walk.

pub(crate) mod answer;
pub(crate) mod arp;
pub(crate) mod arrive;
pub(crate) mod flow_of;
pub(crate) mod judge;
pub(crate) mod link;
pub(crate) mod log;
pub(crate) mod path_mtu;
pub(crate) mod policy;
pub(crate) mod route;
pub(crate) mod short_way;
pub(crate) mod source;
pub(crate) mod transmit;
pub(crate) mod tunnel;

use ::policy::model::Reply;

use crate::action::Action;
use crate::denied::Denied;
use crate::drop_reason::DropReason;
use crate::ids::PortId;

/// How a walk ends: with a frame that is dressed for this port, or otherwise.
pub(crate) type Walked = Result<PortId, Instead>;

/// What became of a frame that is not sent on.
pub(crate) enum Instead {
    /// It goes no further.
    Refused(Refusal),
    /// It was answered, kept, or is somebody else's to go on with.
    Finished(Action),
}

impl<R: Into<Refusal>> From<R> for Instead {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

/// A frame that goes no further, and what its sender should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: DropReason,
    /// What policy says about an answer, where policy refuses.
    pub(crate) reply: Reply,
    /// Next-hop MTU for [`DropReason::FragmentationNeeded`], else 0.
    pub(crate) mtu_bytes: u16,
}

impl From<DropReason> for Refusal {
    fn from(reason: DropReason) -> Self {
        Self {
            reason,
            reply: Reply::Drop,
            mtu_bytes: 0,
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Self {
            reply: denied.reply,
            ..denied.reason.into()
        }
    }
}
