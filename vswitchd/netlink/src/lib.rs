//! The kernel's host network as blocking calls: namespaces, links, addresses, routes, neighbours.
//!
//! Everything here talks rtnetlink and waits for the answer; nothing is cached and nothing runs in
//! the background. The CNI plugin, the daemon's host set-up and the lab use it.
//!
//! - [`NetNs`]: a network namespace held open by a file.
//! - [`Handle`]: questions and changes, in the namespace it was opened in.
//! - [`Monitor`]: what the kernel tells on its own.
//! - [`sysctl`]: `/proc/sys` of the calling thread's namespace.
//!
//! IPv4 only: IPv6 entries are left out of every list. Addresses are host values
//! ([`std::net::Ipv4Addr`]), sizes are bytes, interface indices are those of the handle's namespace.
#![forbid(unsafe_code)]

mod address;
mod connection;
mod error;
mod handle;
mod link;
mod monitor;
mod neighbour;
mod netns;
mod route;
pub mod sysctl;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use address::Address;
pub use error::{Error, Result};
pub use handle::Handle;
pub use link::{Link, Veth};
pub use monitor::{Change, Event, Group, Monitor};
pub use neighbour::Neighbour;
pub use netlink_packet_route::{
    neighbour::NeighbourState,
    route::{RouteProtocol, RouteScope, RouteType},
};
pub use netns::NetNs;
pub use route::{Route, RouteAnswer};

#[cfg(test)]
mod tests;
