//! The daemon, as the verbs use it: a refusal is a [`Failure`].

use cni_shim::{Attachment, Client, Request, Response, error_code};

use crate::{call::Call, failure::Failure};

/// A connection to the daemon.
#[derive(Debug)]
pub(crate) struct Daemon(Client);

impl Daemon {
    /// Connects to the configuration's socket.
    ///
    /// # Errors
    /// Code 11, at once, if nobody listens.
    pub(crate) fn connect(call: &Call) -> Result<Self, Failure> {
        Ok(Self(Client::connect(call.config.socket())?))
    }

    /// One exchange.
    ///
    /// # Errors
    /// The daemon's own code and sentence if it refuses; code 11 if it goes away or is silent.
    pub(crate) fn call(&mut self, request: &Request) -> Result<Response, Failure> {
        match self.0.call(request)? {
            Response::Error {
                code,
                message,
                details,
            } => Err(Failure::new(code, message).with_details(details)),
            response => Ok(response),
        }
    }

    /// Closes the port and frees the address; an unknown attachment is fine.
    pub(crate) fn detach(&mut self, attachment: Attachment) -> Result<(), Failure> {
        let Attachment {
            container_id,
            ifname,
        } = attachment;
        match self.call(&Request::Detach {
            container_id,
            ifname,
        })? {
            Response::Detached {} => Ok(()),
            other => Err(unexpected("detach", &other)),
        }
    }
}

/// An answer to some other question.
pub(crate) fn unexpected(op: &str, response: &Response) -> Failure {
    let message = format!("vswitchd answered {op} with {response:?}");
    Failure::new(error_code::PROTOCOL_FAILURE, message)
}
