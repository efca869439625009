//! ADD: reserve an address, wire the interface, hand it to the daemon, print the result.
//!
//! Whatever fails after the address is reserved is undone before the error is printed. Killed
//! half-way, the plugin leaves at most a veth pair and a reserved address; ADD again reuses the
//! address and replaces the pair, DEL and GC remove both.

use cni_shim::{Request, Response, error_code, steps::Step};
use serde_json::Value;

use crate::{
    call::Call,
    daemon::{Daemon, unexpected},
    environment::Verb,
    failure::Failure,
    ipam::{Ipam, Lease},
    result::Outcome,
    wiring::{Ends, Plan, Wired},
};

/// Serves ADD and returns the result to print.
///
/// # Errors
/// Code 11 at once without a daemon; the daemon's or the IPAM plugin's own codes; 8 for an unusable
/// namespace; 101 if the interface exists already or cannot be made.
pub(crate) fn run(call: &Call) -> Result<Value, Failure> {
    let mut daemon = Daemon::connect(call)?;
    let ipam = Ipam::of(call)?;
    call.config.requested_mac()?; // refused before anything is reserved
    let ends = Ends::open(call.open_netns()?)?;
    refuse_existing(call, &ends, &mut daemon)?;
    Step::Validated.done();

    let lease = ipam
        .allocate(call, &mut daemon)
        .inspect_err(|_| give_back(call, &ipam))?;
    Step::Allocated.done();
    let result = attach(call, &ends, &mut daemon, lease).inspect_err(|failure| {
        call.log.error(&format!("{}; undoing", failure.message));
        undo(call, &ends, &ipam);
    })?;
    Step::Attached.done();
    call.log.info(&format!(
        "{} is {} in the container",
        lease.address, call.environment.ifname
    ));
    Ok(result)
}

fn attach(call: &Call, ends: &Ends, daemon: &mut Daemon, lease: Lease) -> Result<Value, Failure> {
    let host_interface = call.host_interface();
    let plan = Plan {
        ifname: &call.environment.ifname,
        host_interface: &host_interface,
        lease,
        queues: call.config.num_queues.unwrap_or(1),
        mac: call.config.requested_mac()?,
        ip_forward: call.config.container_settings.allow_ip_forwarding,
    };
    let wired = ends.wire(&plan)?;
    match daemon.call(&attach_request(call, &plan, wired))? {
        Response::Attached { generation } => {
            call.log.debug(&format!(
                "{host_interface} is live since generation {generation}"
            ));
        }
        other => return Err(unexpected("attach", &other)),
    }
    let outcome = Outcome {
        host_interface: &host_interface,
        ifname: plan.ifname,
        mac: wired.pod_mac,
        mtu: lease.mtu,
        netns: &call.environment.netns,
        address: lease.address,
    };
    Ok(outcome.to_json(call.version, call.config.previous.as_ref()))
}

fn attach_request(call: &Call, plan: &Plan<'_>, wired: Wired) -> Request {
    let environment = &call.environment;
    Request::Attach {
        container_id: environment.container_id.clone(),
        ifname: environment.ifname.clone(),
        netns: environment.netns.clone(),
        namespace: environment.args.namespace.clone(),
        pod: environment.args.pod.clone(),
        host_interface: plan.host_interface.to_owned(),
        host_index: wired.host_index,
        pod_mac: wired.pod_mac.to_string(),
        address: plan.lease.address,
        mtu: plan.lease.mtu,
        bandwidth: call.config.bandwidth(),
        port_mappings: call.config.port_mappings(),
    }
}

/// An interface of that name is an error (specification), unless it is what a killed ADD of this
/// very pod left behind: paired with this pod's host end, and unknown to the daemon.
fn refuse_existing(call: &Call, ends: &Ends, daemon: &mut Daemon) -> Result<(), Failure> {
    let ifname = &call.environment.ifname;
    let Some(link) = ends.pod_end(ifname)? else {
        return Ok(());
    };
    let host_interface = call.host_interface();
    let peer = ends.our_peer_of(&link)?;
    let leftover = peer.is_some_and(|peer| peer.name == host_interface)
        && match ends.pod_address(&link)? {
            Some(address) => !is_attached(call, daemon, host_interface, address)?,
            None => true,
        };
    if leftover {
        call.log.warn(&format!(
            "replacing {ifname}, left behind by an ADD that was killed"
        ));
        return Ok(());
    }
    let message = format!(
        "interface {ifname} exists already in {}",
        call.environment.netns
    );
    Err(Failure::new(error_code::INTERFACE_FAILURE, message))
}

/// A refused check means "not attached"; a silent daemon means we do not know.
fn is_attached(
    call: &Call,
    daemon: &mut Daemon,
    host_interface: String,
    address: ipnet::Ipv4Net,
) -> Result<bool, Failure> {
    let attachment = call.attachment();
    let request = Request::Check {
        container_id: attachment.container_id,
        ifname: attachment.ifname,
        host_interface,
        address,
    };
    match daemon.call(&request) {
        Ok(response) => Ok(response == Response::Checked {}),
        Err(failure) if failure.code == error_code::TRY_AGAIN_LATER => Err(failure),
        Err(_) => Ok(false),
    }
}

/// Removes whatever was made; what cannot be undone is logged, DEL will try again.
fn undo(call: &Call, ends: &Ends, ipam: &Ipam<'_>) {
    if let Err(failure) = ends.remove_host_end(&call.host_interface()) {
        call.log
            .error(&format!("undoing the interface: {}", failure.message));
    }
    give_back(call, ipam);
}

/// Frees the address, also one whose reservation we did not hear about.
fn give_back(call: &Call, ipam: &Ipam<'_>) {
    // A new connection: the old one may be what failed.
    let detached = Daemon::connect(call).and_then(|mut daemon| daemon.detach(call.attachment()));
    for failure in [detached, ipam.forward(Verb::Del)]
        .into_iter()
        .filter_map(Result::err)
    {
        call.log
            .error(&format!("giving back the address: {}", failure.message));
    }
}
