//! Requests that wait for the next publication, and their answers.

use cni_shim::protocol::{Attachment, Response, error_code};
use tokio::sync::oneshot;

use crate::{
    control::{PublishError, Workload},
    state::Attached,
};

/// A request that is answered after the next publication.
pub(super) enum Pending {
    Attach(Box<PendingAttach>),
    Detach {
        id: Attachment,
        reply: oneshot::Sender<Response>,
    },
    Collect {
        ids: Vec<Attachment>,
        reply: oneshot::Sender<Response>,
    },
}

/// An ADD under way, and what stood there before it.
pub(super) struct PendingAttach {
    pub(super) attached: Attached,
    pub(super) workload: Workload,
    pub(super) before: Option<Attached>,
    /// Older attachments of the same host interface, which it takes over.
    pub(super) retired: Vec<Attached>,
    pub(super) reply: oneshot::Sender<Response>,
}

impl Pending {
    pub(super) fn concerns(&self, id: &Attachment) -> bool {
        match self {
            Self::Attach(attach) => attach.attached.id == *id,
            Self::Detach { id: other, .. } => other == id,
            Self::Collect { ids, .. } => ids.contains(id),
        }
    }

    pub(super) fn attaching(&self) -> Option<&Attachment> {
        match self {
            Self::Attach(attach) => Some(&attach.attached.id),
            Self::Detach { .. } | Self::Collect { .. } => None,
        }
    }

    pub(super) fn refuse(self, error: &PublishError) -> Answer {
        let response = refusal(error_code::TRY_AGAIN_LATER, error.to_string());
        let reply = match self {
            Self::Attach(attach) => attach.reply,
            Self::Detach { reply, .. } | Self::Collect { reply, .. } => reply,
        };
        Answer { reply, response }
    }
}

/// What is said when everybody can see it: who is told that a pod is attached finds it in the view.
pub(super) struct Answer {
    pub(super) reply: oneshot::Sender<Response>,
    pub(super) response: Response,
}

impl Answer {
    pub(super) fn send(self) {
        answer(self.reply, self.response);
    }
}

/// Refuses one ADD.
pub(super) fn refuse_attach(attach: PendingAttach, error: &PublishError) -> Answer {
    let code = match error {
        PublishError::Port { .. } => error_code::INTERFACE_FAILURE,
        PublishError::Late { .. } | PublishError::Other(_) => error_code::TRY_AGAIN_LATER,
    };
    Answer {
        reply: attach.reply,
        response: refusal(code, error.to_string()),
    }
}

/// Answers; a client that hung up meanwhile is no error.
pub(super) fn answer(reply: oneshot::Sender<Response>, response: Response) {
    let _ = reply.send(response);
}

/// A refusal without further details.
pub(super) fn refusal(code: u32, message: impl Into<String>) -> Response {
    Response::Error {
        code,
        message: message.into(),
        details: String::new(),
    }
}
