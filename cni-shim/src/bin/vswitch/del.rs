//! DEL: remove the interface, close the port, free the address. Idempotent.
//!
//! A missing namespace, interface or reservation is a success: somebody was here before. Only one
//! thing is not: a daemon that cannot be told. Its address would stay reserved for a container that
//! no longer exists, so DEL answers 11, "try again later", and the runtime comes back. What else
//! could be removed has been removed by then.

use cni_shim::steps::Step;
use netlink::NetNs;

use crate::{
    call::Call,
    daemon::Daemon,
    environment::Verb,
    failure::{Failure, both},
    ipam::Ipam,
    wiring::Ends,
};

/// Serves DEL.
///
/// # Errors
/// Code 11 if the daemon cannot be reached; 8 if the namespace is the plugin's own; the IPAM
/// plugin's own codes.
pub(crate) fn run(call: &Call) -> Result<(), Failure> {
    let removed = remove_interface(call);
    Step::VethDeleted.done();
    let detached = Daemon::connect(call).and_then(|mut daemon| daemon.detach(call.attachment()));
    Step::Detached.done();
    let released = Ipam::of(call).and_then(|ipam| ipam.forward(Verb::Del));
    both(both(removed, detached), released)
}

/// Deletes the veth pair from the pod's side, where nobody else's interface has that name. The host
/// end of a pod whose namespace is gone went with it; should it not have, the daemon knows whose it
/// is and removes it.
fn remove_interface(call: &Call) -> Result<(), Failure> {
    let path = &call.environment.netns;
    // An unmounted /run/netns/NAME leaves an empty file behind: that is gone, too.
    if let Err(error) = NetNs::open(path) {
        call.log.debug(&format!("the namespace is gone: {error}"));
        return Ok(());
    }
    let ends = Ends::open(call.open_netns()?)?;
    let Some(link) = ends.pod_end(&call.environment.ifname)? else {
        return Ok(());
    };
    if ends.our_peer_of(&link)?.is_none() {
        let text = format!("{} in the container is not ours; left alone", link.name);
        call.log.warn(&text);
        return Ok(());
    }
    ends.remove_pod_end(&link)
}
