//! Policy's no, and what comes of it.

use policy::model::Reply;

use crate::drop_reason::DropReason;

/// Why policy denies a flow, and what its senders are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The row its packets are counted in.
    pub reason: DropReason,
    /// As the policy that denies it says, else the node's setting.
    pub reply: Reply,
}
