//! Where the pod's address comes from: the daemon, or a delegated IPAM plugin.

use std::net::Ipv4Addr;

use cni_shim::{Request, Response, error_code};
use ipnet::Ipv4Net;
use netlink::Handle;

use crate::{
    call::Call,
    daemon::{Daemon, unexpected},
    delegate::Delegate,
    environment::Verb,
    failure::Failure,
    result,
};

/// The gateway every pod is told (Calico).
pub(crate) const GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);

/// Bytes an IPIP header takes from the uplink's MTU.
const IPIP_BYTES: u32 = 20;

/// Calico's assumption where no uplink can be found (`findHostMTU`).
const UNKNOWN_UPLINK_MTU: u32 = 1460;

/// A reserved address and what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Always a /32.
    pub(crate) address: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    /// Of the pod's interface, in bytes.
    pub(crate) mtu: u32,
}

/// Who hands out addresses.
#[derive(Debug)]
pub(crate) enum Ipam<'a> {
    /// `calico-ipam`, `vswitch-ipam`, or nothing said.
    Daemon,
    /// Any other type.
    Delegate(Delegate<'a>),
}

impl<'a> Ipam<'a> {
    /// The configuration's choice.
    ///
    /// # Errors
    /// As [`Delegate::find`].
    pub(crate) fn of(call: &'a Call) -> Result<Self, Failure> {
        match call.config.ipam.kind.as_str() {
            "" | "calico-ipam" | "vswitch-ipam" => Ok(Self::Daemon),
            kind => Ok(Self::Delegate(Delegate::find(call, kind)?)),
        }
    }

    /// Reserves an address. The daemon gives the same one when asked again.
    pub(crate) fn allocate(&self, call: &Call, daemon: &mut Daemon) -> Result<Lease, Failure> {
        let mut lease = match self {
            Self::Daemon => allocate_from_daemon(call, daemon)?,
            Self::Delegate(delegate) => allocate_from(delegate)?,
        };
        if call.config.mtu != 0 {
            lease.mtu = call.config.mtu;
        }
        Ok(lease)
    }

    /// Forwards a verb to the delegate, if there is one. The daemon frees its own addresses.
    pub(crate) fn forward(&self, verb: Verb) -> Result<(), Failure> {
        match self {
            Self::Daemon => Ok(()),
            Self::Delegate(delegate) => delegate.run(verb).map(|_| ()),
        }
    }
}

fn allocate_from_daemon(call: &Call, daemon: &mut Daemon) -> Result<Lease, Failure> {
    let (environment, args) = (&call.environment, &call.environment.args);
    let request = Request::Allocate {
        container_id: environment.container_id.clone(),
        ifname: environment.ifname.clone(),
        netns: environment.netns.clone(),
        namespace: args.namespace.clone(),
        pod: args.pod.clone(),
        pod_uid: args.pod_uid.clone(),
        requested: call.config.requested_ip().or(args.ip),
    };
    match daemon.call(&request)? {
        Response::Allocated {
            address,
            mtu,
            gateway,
            ..
        } => Ok(Lease {
            address: alone(address.addr()),
            gateway,
            mtu,
        }),
        other => Err(unexpected("allocate", &other)),
    }
}

fn allocate_from(delegate: &Delegate<'_>) -> Result<Lease, Failure> {
    let result = delegate.run(Verb::Add)?;
    let address = result
        .as_object()
        .and_then(|result| result::first_ipv4(result, None));
    let lease = address.ok_or_else(|| {
        Failure::new(
            error_code::DELEGATE_FAILURE,
            "the IPAM plugin gave no IPv4 address",
        )
        .with_details(result.to_string())
    });
    let lease = lease.and_then(|address| {
        Ok(Lease {
            address: alone(address.addr()),
            gateway: GATEWAY,
            mtu: uplink_mtu()?,
        })
    });
    if lease.is_err() {
        let _ = delegate.run(Verb::Del); // give back what cannot be used
    }
    lease
}

fn alone(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::from(address)
}

/// MTU of the default route's link, less the IPIP header.
fn uplink_mtu() -> Result<u32, Failure> {
    let handle = Handle::open()?;
    let default = handle
        .routes()?
        .into_iter()
        .filter(netlink::Route::is_default);
    let uplink = default
        .min_by_key(|route| route.metric)
        .and_then(|route| route.oif);
    let link = uplink
        .map(|index| handle.link_at(index))
        .transpose()?
        .flatten();
    Ok(link
        .map_or(UNKNOWN_UPLINK_MTU, |link| link.mtu)
        .saturating_sub(IPIP_BYTES))
}
