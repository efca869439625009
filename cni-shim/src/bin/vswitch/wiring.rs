//! The interface itself: the veth pair, its two ends, the pod's routes and address.
//!
//! The order is that of Calico's plugin (`cni-plugin/pkg/dataplane/linux/dataplane_linux.go`), with
//! these differences, all on the host end:
//!
//! - It keeps the MAC address the kernel drew. The pod is told ee:ee:ee:ee:ee:ee by the daemon's
//!   proxy ARP, so the host's IP stack sees the pod's frames as somebody else's and never forwards a
//!   second copy.
//! - No proxy_arp, no forwarding, no route: the daemon answers and routes. `arp_ignore=8` keeps the
//!   kernel from answering ARP beside it and IPv6 is off. A pod that finds out the host end's own
//!   MAC could still address the kernel and get around policy: `rp_filter=1` closes that way, since
//!   no route ever leads back through this interface.

use std::net::Ipv4Addr;

use cni_shim::{error_code, steps::Step};
use ipnet::Ipv4Net;
use netlink::{Handle, Link, NetNs, Route, RouteScope, Veth, sysctl};
use packet::ethernet::MacAddr;

use crate::{failure::Failure, ipam::Lease};

/// What to build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) ifname: &'a str,
    pub(crate) host_interface: &'a str,
    pub(crate) lease: Lease,
    pub(crate) queues: u32,
    /// The hardware address the runtime wants for the pod's end.
    pub(crate) mac: Option<MacAddr>,
    pub(crate) ip_forward: bool,
}

/// What was built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wired {
    /// Index of the host end in the host's namespace.
    pub(crate) host_index: u32,
    pub(crate) pod_mac: MacAddr,
}

/// Both namespaces, opened.
#[derive(Debug)]
pub(crate) struct Ends {
    host: Handle,
    pod: Handle,
    pod_netns: NetNs,
}

impl Ends {
    /// Opens both sides; the calling thread is in the host's namespace.
    pub(crate) fn open(pod_netns: NetNs) -> Result<Self, Failure> {
        let pod = Handle::open_in(&pod_netns)?;
        Ok(Self {
            host: Handle::open()?,
            pod,
            pod_netns,
        })
    }

    /// The pod's end, if there is an interface of that name.
    pub(crate) fn pod_end(&self, ifname: &str) -> Result<Option<Link>, Failure> {
        Ok(self.pod.link(ifname)?)
    }

    /// The first address of the pod's end.
    pub(crate) fn pod_address(&self, link: &Link) -> Result<Option<Ipv4Net>, Failure> {
        let addresses = self.pod.addresses(Some(link.index))?;
        Ok(addresses.first().map(|address| address.address))
    }

    /// The host end a pod's interface is paired with, if it is one of ours by its name's prefix:
    /// each must name the other, because an index alone may be of any namespace.
    pub(crate) fn our_peer_of(&self, pod_end: &Link) -> Result<Option<Link>, Failure> {
        let Some(index) = pod_end.peer_index else {
            return Ok(None);
        };
        let peer = self.host.link_at(index)?;
        Ok(peer.filter(|peer| {
            let ours = peer.name.starts_with(cni_shim::DEFAULT_PREFIX);
            ours && peer.kind.as_deref() == Some("veth") && peer.peer_index == Some(pod_end.index)
        }))
    }

    /// Builds everything in the annotated order.
    pub(crate) fn wire(&self, plan: &Plan<'_>) -> Result<Wired, Failure> {
        self.remove_host_end(plan.host_interface)?;
        Step::StaleRemoved.done();
        self.create_pair(plan)?;
        Step::VethCreated.done();
        let host_index = self.ready_host_end(plan.host_interface)?;
        Step::HostReady.done();
        let pod_end = self.ready_pod_end(plan.ifname)?;
        Step::PodUp.done();
        self.add_routes(pod_end.index, plan.lease.gateway)?;
        Step::RoutesAdded.done();
        let address = plan.lease.address;
        self.pod
            .add_address(pod_end.index, address, Some(address.addr()))?;
        Step::AddressAdded.done();
        self.set_pod_forwarding(plan.ip_forward)?;
        Step::PodReady.done();
        let pod_mac = pod_end
            .mac
            .ok_or_else(|| broken("has no MAC address", plan.ifname))?;
        Ok(Wired {
            host_index,
            pod_mac,
        })
    }

    /// Deletes the host end of that name, and with it the pod's end; none is fine.
    pub(crate) fn remove_host_end(&self, name: &str) -> Result<(), Failure> {
        match self.host.link(name)? {
            Some(link) => delete(&self.host, link.index),
            None => Ok(()),
        }
    }

    /// Deletes the pod's end, and with it the host end; none is fine.
    pub(crate) fn remove_pod_end(&self, link: &Link) -> Result<(), Failure> {
        delete(&self.pod, link.index)
    }

    fn create_pair(&self, plan: &Plan<'_>) -> Result<(), Failure> {
        let host = NetNs::current()?;
        Ok(self.pod.create_veth(&Veth {
            name: plan.ifname,
            mtu: plan.lease.mtu,
            queues: plan.queues,
            peer_name: plan.host_interface,
            peer_netns: &host,
            mac: plan.mac,
        })?)
    }

    fn ready_host_end(&self, name: &str) -> Result<u32, Failure> {
        let link = self
            .host
            .link(name)?
            .ok_or_else(|| broken("is gone", name))?;
        sysctl::ensure(&format!("net/ipv4/conf/{name}/arp_ignore"), "8")?;
        sysctl::ensure(&format!("net/ipv4/conf/{name}/rp_filter"), "1")?;
        match sysctl::ensure(&format!("net/ipv6/conf/{name}/disable_ipv6"), "1") {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {} // a kernel without IPv6 has nothing to switch off
        }
        self.host.set_up(link.index)?;
        Ok(link.index)
    }

    fn ready_pod_end(&self, ifname: &str) -> Result<Link, Failure> {
        let link = self
            .pod
            .link(ifname)?
            .ok_or_else(|| broken("is gone", ifname))?;
        self.pod.set_up(link.index)?;
        Ok(link)
    }

    fn add_routes(&self, index: u32, gateway: Ipv4Addr) -> Result<(), Failure> {
        self.pod.add_route(&Route::on_link(gateway.into(), index))?;
        Ok(self
            .pod
            .add_route(&Route::via(Ipv4Net::default(), gateway, index))?)
    }

    fn set_pod_forwarding(&self, allowed: bool) -> Result<(), Failure> {
        let value = if allowed { "1" } else { "0" };
        Ok(self
            .pod_netns
            .run(|| sysctl::ensure("net.ipv4.ip_forward", value))??)
    }

    /// Is the pod's end as it was left: up, with that MAC (if given), that address, both routes,
    /// and its host end? Other addresses and routes are no concern of ours.
    pub(crate) fn verify(&self, expected: &Expected<'_>) -> Result<(), Failure> {
        let ifname = expected.ifname;
        let link = self
            .pod
            .link(ifname)?
            .ok_or_else(|| differs(ifname, "missing"))?;
        if !link.up {
            return Err(differs(ifname, "down"));
        }
        let mac = link.mac.map(|mac| mac.to_string()).unwrap_or_default();
        if let Some(recorded) = expected
            .mac
            .filter(|recorded| !recorded.eq_ignore_ascii_case(&mac))
        {
            return Err(differs(ifname, &format!("MAC {mac}, expected {recorded}")));
        }
        self.verify_address(&link, expected.address)?;
        self.verify_routes(&link)?;
        match self.our_peer_of(&link)? {
            Some(peer) if peer.name == expected.host_interface => Ok(()),
            found => Err(differs(
                ifname,
                &format!(
                    "paired with {}, expected {}",
                    found.map_or_else(|| "nothing on the host".to_owned(), |peer| peer.name),
                    expected.host_interface
                ),
            )),
        }
    }

    fn verify_address(&self, link: &Link, expected: Ipv4Net) -> Result<(), Failure> {
        let addresses = self.pod.addresses(Some(link.index))?;
        if addresses.iter().any(|address| address.address == expected) {
            return Ok(());
        }
        let found: Vec<String> = addresses.iter().map(|a| a.address.to_string()).collect();
        Err(differs(
            &link.name,
            &format!("addresses {found:?}, expected {expected}"),
        ))
    }

    fn verify_routes(&self, link: &Link) -> Result<(), Failure> {
        let gateway = crate::ipam::GATEWAY;
        let routes = self.pod.routes()?;
        let has = |wanted: &dyn Fn(&Route) -> bool| {
            routes
                .iter()
                .any(|route| route.oif == Some(link.index) && wanted(route))
        };
        let to_gateway =
            |route: &Route| route.dst == gateway.into() && route.scope == RouteScope::Link;
        if !has(&to_gateway) {
            return Err(differs(
                &link.name,
                &format!("no route {gateway} scope link"),
            ));
        }
        if !has(&|route| route.is_default() && route.gateway == Some(gateway)) {
            return Err(differs(
                &link.name,
                &format!("no route default via {gateway}"),
            ));
        }
        Ok(())
    }
}

/// What CHECK expects to find.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) ifname: &'a str,
    pub(crate) host_interface: &'a str,
    pub(crate) mac: Option<&'a str>,
    pub(crate) address: Ipv4Net,
}

fn delete(handle: &Handle, index: u32) -> Result<(), Failure> {
    match handle.delete_link(index) {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}

fn broken(what: &str, name: &str) -> Failure {
    let message = format!("interface {name} {what} right after it was created");
    Failure::new(error_code::INTERFACE_FAILURE, message)
}

fn differs(ifname: &str, found: &str) -> Failure {
    let message = format!("interface {ifname} in the container: {found}");
    Failure::new(error_code::CHECK_FAILED, message)
}
