//! CHECK: is the pod still as ADD left it, and does the daemon forward for it?

use cni_shim::{Request, Response, error_code};

use crate::{
    call::Call,
    daemon::{Daemon, unexpected},
    environment::Verb,
    failure::Failure,
    ipam::Ipam,
    result,
    wiring::{Ends, Expected},
};

/// Serves CHECK.
///
/// # Errors
/// Code 7 without a usable `prevResult`, 102 naming the first difference, 11 without a daemon, the
/// daemon's or the IPAM plugin's own codes.
pub(crate) fn run(call: &Call) -> Result<(), Failure> {
    let ifname = call.environment.ifname.as_str();
    let unusable = |what: &str| Failure::new(error_code::INVALID_CONFIGURATION, what);
    let previous = call.config.previous.as_ref();
    let previous = previous.ok_or_else(|| unusable("CHECK needs prevResult, and there is none"))?;
    let (index, interface) = result::container_interface(previous, ifname).ok_or_else(|| {
        unusable(&format!(
            "prevResult names no interface {ifname} in a container"
        ))
    })?;
    let address = result::first_ipv4(previous, Some(index))
        .ok_or_else(|| unusable(&format!("prevResult names no IPv4 address on {ifname}")))?;

    let host_interface = call.host_interface();
    Ends::open(call.open_netns()?)?.verify(&Expected {
        ifname,
        host_interface: &host_interface,
        mac: interface
            .get("mac")
            .and_then(|mac| mac.as_str())
            .filter(|mac| !mac.is_empty()),
        address,
    })?;
    check_daemon(call, host_interface, address)?;
    Ipam::of(call)?.forward(Verb::Check)
}

fn check_daemon(
    call: &Call,
    host_interface: String,
    address: ipnet::Ipv4Net,
) -> Result<(), Failure> {
    let attachment = call.attachment();
    let request = Request::Check {
        container_id: attachment.container_id,
        ifname: attachment.ifname,
        host_interface,
        address,
    };
    match Daemon::connect(call)?.call(&request)? {
        Response::Checked {} => Ok(()),
        other => Err(unexpected("check", &other)),
    }
}
