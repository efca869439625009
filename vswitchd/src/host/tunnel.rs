//! `tunl0`, the host's way to pods: its address, the routes into it, and kernel parameters.
//!
//! The device is made by the host port (it is a TUN device and goes with the daemon). Here it gets
//! the tunnel address as a /32 and a route for every pool, so that whatever the host sends to a pod
//! comes to the switch with the tunnel address as its source.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink::{Handle, Route, RouteProtocol, sysctl};
use tracing::{info, warn};

use super::TUNNEL;

/// Calico's route protocol number (`dataplanedefs`, since v3.33).
const PROTOCOL: RouteProtocol = RouteProtocol::Other(80);

/// What the kernel should know about `tunl0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tunnel address.
    pub address: Ipv4Addr,
    /// MTU in bytes.
    pub mtu_bytes: u32,
    /// The pools' ranges.
    pub pools: Vec<Ipv4Net>,
}

/// Why the host's way to pods could not be laid.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// There is no such device: the host port is not open.
    #[error("{TUNNEL} does not exist; the host port must be open first")]
    NoDevice,
    /// The kernel refuses.
    #[error("setting up {TUNNEL}: {0}")]
    Netlink(#[from] netlink::Error),
}

impl Plan {
    /// The routes, with `tunl0` at an index.
    #[must_use]
    pub fn routes(&self, tunnel: u32) -> Vec<Route> {
        let route = |pool: &Ipv4Net| Route {
            prefsrc: Some(self.address),
            protocol: PROTOCOL,
            ..Route::on_link(*pool, tunnel)
        };
        self.pools.iter().map(route).collect()
    }

    /// Makes it so; doing it twice is doing it once. Other addresses of the device are removed.
    ///
    /// # Errors
    /// See [`TunnelError`].
    pub fn apply(&self) -> Result<(), TunnelError> {
        let handle = Handle::open()?;
        let link = handle.link(TUNNEL)?.ok_or(TunnelError::NoDevice)?;
        if link.mtu != self.mtu_bytes {
            handle.set_mtu(link.index, self.mtu_bytes)?;
        }
        self.set_address(&handle, link.index)?;
        handle.set_up(link.index)?;
        for route in self.routes(link.index) {
            handle.replace_route(&route)?;
        }
        info!(address = %self.address, mtu = self.mtu_bytes, "{TUNNEL} is up");
        Ok(())
    }

    fn set_address(&self, handle: &Handle, index: u32) -> netlink::Result<()> {
        let wanted = Ipv4Net::from(self.address);
        let held = handle.addresses(Some(index))?;
        for other in held.iter().filter(|held| held.address != wanted) {
            handle.delete_address(index, other.address)?;
        }
        match held.iter().any(|held| held.address == wanted) {
            true => Ok(()),
            false => handle.add_address(index, wanted, None),
        }
    }
}

/// Parameters the host path needs. `ip_forward`: pods reach the outside through the host.
/// `rp_filter` off on `tunl0`: replies of pods to hosts come by it whatever the routes say.
/// No redirects: pod -> published port -> pod enters and leaves by the same device.
fn parameters() -> [(String, &'static str); 4] {
    [
        ("net.ipv4.ip_forward".into(), "1"),
        (format!("net.ipv4.conf.{TUNNEL}.rp_filter"), "0"),
        ("net.ipv4.conf.all.send_redirects".into(), "0"),
        (format!("net.ipv4.conf.{TUNNEL}.send_redirects"), "0"),
    ]
}

/// Sets the kernel parameters; one that cannot be set is a warning that names it.
pub fn set_parameters() {
    for (name, value) in parameters() {
        if let Err(error) = sysctl::ensure(&name, value) {
            warn!(%error, "the host's way to pods may not work: expected {name} = {value}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan {
            address: Ipv4Addr::new(10, 244, 205, 192),
            mtu_bytes: 1480,
            pools: vec!["10.244.0.0/16".parse().unwrap()],
        }
    }

    #[test]
    fn a_pool_is_routed_into_the_tunnel_with_its_address_as_source() {
        let routes = plan().routes(9);
        assert_eq!(routes.len(), 1);
        assert_eq!(routes[0].dst.to_string(), "10.244.0.0/16");
        assert_eq!(routes[0].oif, Some(9));
        assert_eq!(routes[0].prefsrc, Some(Ipv4Addr::new(10, 244, 205, 192)));
        assert_eq!(routes[0].protocol, RouteProtocol::Other(80));
    }

    #[test]
    fn the_kernel_has_address_and_route_afterwards_also_when_asked_twice() {
        netlink::testing::isolated(|| {
            let device = port::TunConfig {
                name: TUNNEL,
                mtu: 1480,
                queues: 1,
            };
            assert!(matches!(plan().apply(), Err(TunnelError::NoDevice)));
            let _device = port::TunPort::open(&device).unwrap();
            let other = Plan {
                address: Ipv4Addr::new(10, 244, 1, 0),
                ..plan()
            };
            other.apply().unwrap();
            plan().apply().unwrap();
            plan().apply().unwrap();
            set_parameters();
            let handle = Handle::open().unwrap();
            let index = handle.link(TUNNEL).unwrap().unwrap().index;
            let addresses = handle.addresses(Some(index)).unwrap();
            assert_eq!(addresses.len(), 1, "the other address is gone");
            assert_eq!(addresses[0].address, Ipv4Net::from(plan().address));
            let answer = handle.route_to(Ipv4Addr::new(10, 244, 151, 1)).unwrap();
            assert_eq!((answer.oif, answer.prefsrc), (index, Some(plan().address)));
            assert_eq!(sysctl::read("net.ipv4.ip_forward").unwrap(), "1");
        });
    }
}
