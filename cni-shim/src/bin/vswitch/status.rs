//! STATUS: could an ADD be served now?

use cni_shim::{Request, Response, error_code};

use crate::{
    call::Call,
    daemon::{Daemon, unexpected},
    environment::Verb,
    failure::Failure,
    ipam::Ipam,
};

/// Serves STATUS.
///
/// # Errors
/// Code 50 if not, 51 if the daemon says that running containers suffer too.
pub(crate) fn run(call: &Call) -> Result<(), Failure> {
    ask_daemon(call).map_err(not_available)?;
    Ipam::of(call)
        .and_then(|ipam| ipam.forward(Verb::Status))
        .map_err(not_available)
}

fn ask_daemon(call: &Call) -> Result<(), Failure> {
    match Daemon::connect(call)?.call(&Request::Status {})? {
        Response::Ready {} => Ok(()),
        other => Err(unexpected("status", &other)),
    }
}

/// STATUS has two codes of its own; every other reason becomes the first of them.
fn not_available(failure: Failure) -> Failure {
    match failure.code {
        error_code::NOT_AVAILABLE | error_code::LIMITED_CONNECTIVITY => failure,
        _ => Failure {
            code: error_code::NOT_AVAILABLE,
            ..failure
        },
    }
}
