//! The host's own default route: what lies outside all pools leaves the switch by it.

use std::net::Ipv4Addr;

use netlink::{Handle, Route};

/// The best default route of the main table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// Next hop; `None` = everything is on the link.
    pub via: Option<Ipv4Addr>,
    /// Its interface.
    pub dev: String,
}

/// Asks the kernel; `None` = there is none, or the kernel does not say.
pub(super) fn default_route() -> Option<DefaultRoute> {
    let handle = Handle::open().ok()?;
    let routes = handle.routes().ok()?;
    let usable = |route: &&Route| route.is_default() && route.oif.is_some();
    let best = routes.iter().filter(usable).min_by_key(|r| r.metric)?;
    let link = handle.link_at(best.oif?).ok()??;
    Some(DefaultRoute {
        via: best.gateway,
        dev: link.name,
    })
}
