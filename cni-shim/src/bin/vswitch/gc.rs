//! GC: everything of this network that the runtime does not list goes.

use cni_shim::{Request, Response};

use crate::{
    call::Call,
    daemon::{Daemon, unexpected},
    environment::Verb,
    failure::{Failure, both},
    ipam::Ipam,
};

/// Serves GC. The daemon and the IPAM plugin both get their turn, whatever happens to the other.
///
/// # Errors
/// Code 7 if the list of valid attachments is missing, 11 without a daemon, the daemon's or the IPAM
/// plugin's own codes.
pub(crate) fn run(call: &Call) -> Result<(), Failure> {
    let request = Request::Gc {
        valid: call.config.valid_attachments()?,
    };
    let collected = Daemon::connect(call).and_then(|mut daemon| daemon.call(&request));
    let collected = collected.and_then(|response| match response {
        Response::Collected { removed } => {
            for gone in removed {
                call.log.info(&format!(
                    "collected {} of {}",
                    gone.ifname, gone.container_id
                ));
            }
            Ok(())
        }
        other => Err(unexpected("gc", &other)),
    });
    both(
        collected,
        Ipam::of(call).and_then(|ipam| ipam.forward(Verb::Gc)),
    )
}
