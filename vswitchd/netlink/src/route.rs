//! IPv4 routes of the main table, and the kernel's own answer to "how would you send this?".

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteMetric,
        RouteProtocol, RouteScope, RouteType,
    },
};

use crate::{Handle, Result, connection::Context};

/// An IPv4 route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destination; `0.0.0.0/0` is the default route.
    pub dst: Ipv4Net,
    /// Next hop, if the destination is not on the link itself.
    pub gateway: Option<Ipv4Addr>,
    /// Index of the link to send on; a blackhole has none.
    pub oif: Option<u32>,
    /// Universe for a route with a next hop, link for one without.
    pub scope: RouteScope,
    /// Source address of packets that start here.
    pub prefsrc: Option<Ipv4Addr>,
    /// Who made it; `Boot` is what `ip route` does and does not show.
    pub protocol: RouteProtocol,
    /// Unicast, blackhole, ...
    pub kind: RouteType,
    /// The next hop counts as on the link even if no route says so.
    pub onlink: bool,
    /// Preference; lower wins, 0 is the best.
    pub metric: u32,
    /// MTU of the route in bytes, if set.
    pub mtu: Option<u32>,
}

/// How the kernel would send a packet now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteAnswer {
    /// Index of the link it would leave by.
    pub oif: u32,
    /// Next hop; `None` means the destination itself is the neighbour.
    pub gateway: Option<Ipv4Addr>,
    /// Source address it would get.
    pub prefsrc: Option<Ipv4Addr>,
    /// Unicast to somewhere else, or local to this host.
    pub kind: RouteType,
}

impl Route {
    /// `<dst> dev <oif> scope link`.
    #[must_use]
    pub fn on_link(dst: Ipv4Net, oif: u32) -> Self {
        Self {
            dst: dst.trunc(),
            gateway: None,
            oif: Some(oif),
            scope: RouteScope::Link,
            prefsrc: None,
            protocol: RouteProtocol::Boot,
            kind: RouteType::Unicast,
            onlink: false,
            metric: 0,
            mtu: None,
        }
    }

    /// `<dst> via <gateway> dev <oif>`.
    #[must_use]
    pub fn via(dst: Ipv4Net, gateway: Ipv4Addr, oif: u32) -> Self {
        let scope = RouteScope::Universe;
        Self {
            gateway: Some(gateway),
            scope,
            ..Self::on_link(dst, oif)
        }
    }

    /// `blackhole <dst>`.
    #[must_use]
    pub fn blackhole(dst: Ipv4Net) -> Self {
        let scope = RouteScope::Universe;
        Self {
            oif: None,
            scope,
            kind: RouteType::BlackHole,
            ..Self::on_link(dst, 0)
        }
    }

    /// The default route?
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.dst.prefix_len() == 0
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == RouteType::BlackHole {
            write!(f, "blackhole ")?;
        }
        write!(f, "{}", self.dst)?;
        self.gateway
            .map_or(Ok(()), |gateway| write!(f, " via {gateway}"))?;
        self.oif
            .map_or(Ok(()), |oif| write!(f, " on link number {oif}"))
    }
}

impl Handle {
    /// The IPv4 routes of the main table.
    ///
    /// # Errors
    /// The kernel refuses or answers something unreadable.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet;
        let context = Context::new("list", "routes");
        let answers = self
            .connection
            .dump(&Message::GetRoute(question), &context)?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                Message::NewRoute(message) => Route::read(message),
                _ => None,
            })
            .collect())
    }

    /// Adds a route.
    ///
    /// # Errors
    /// EEXIST if there is one of that destination and metric, ENETUNREACH if the gateway is not
    /// on the link, ENETDOWN if the link is down.
    pub fn add_route(&self, route: &Route) -> Result<()> {
        self.change_route("add route", route, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Adds a route, in place of the one of that destination and metric if there is one.
    ///
    /// # Errors
    /// As [`Handle::add_route`] without EEXIST.
    pub fn replace_route(&self, route: &Route) -> Result<()> {
        self.change_route("replace route", route, NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Removes the route that has all of these properties.
    ///
    /// # Errors
    /// ESRCH if there is none.
    pub fn delete_route(&self, route: &Route) -> Result<()> {
        let context = Context::new("delete route", route.to_string());
        self.connection
            .change(Message::DelRoute(route.write()), 0, &context)
    }

    fn change_route(&self, operation: &'static str, route: &Route, flags: u16) -> Result<()> {
        let context = Context::new(operation, route.to_string());
        self.connection
            .change(Message::NewRoute(route.write()), flags, &context)
    }

    /// How the kernel would send a packet to `destination` now, policy routing included.
    ///
    /// # Errors
    /// ENETUNREACH without a route, EINVAL or EACCES for blackhole and prohibit routes.
    pub fn route_to(&self, destination: Ipv4Addr) -> Result<RouteAnswer> {
        let context = Context::new("find route to", destination.to_string());
        let mut question = RouteMessage::default();
        question.header.address_family = AddressFamily::Inet;
        question.header.destination_prefix_length = 32;
        question
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::Inet(destination)));
        let answer = self.connection.ask(Message::GetRoute(question), &context)?;
        match answer {
            Some(Message::NewRoute(message)) => {
                RouteAnswer::read(&message).ok_or_else(|| context.answer("a link", "none"))
            }
            other => Err(context.answer("a route", format!("{other:?}"))),
        }
    }
}

impl Route {
    /// `None` for other families, other tables and cache entries.
    pub(crate) fn read(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let in_main = header.table == RouteHeader::RT_TABLE_MAIN;
        let cloned = header.flags.contains(RouteFlags::Cloned);
        if header.address_family != AddressFamily::Inet || !in_main || cloned {
            return None;
        }
        let unset = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, header.destination_prefix_length).ok()?;
        let mut route = Self {
            oif: None,
            scope: header.scope,
            protocol: header.protocol,
            kind: header.kind,
            onlink: header.flags.contains(RouteFlags::Onlink),
            ..Self::on_link(unset, 0)
        };
        for attribute in &message.attributes {
            route.read_attribute(attribute);
        }
        Some(route)
    }

    fn read_attribute(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(ip)) => {
                self.dst = Ipv4Net::new(*ip, self.dst.prefix_len()).unwrap_or(self.dst);
            }
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => self.gateway = Some(*ip),
            RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => self.prefsrc = Some(*ip),
            RouteAttribute::Oif(index) => self.oif = Some(*index),
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::Metrics(metrics) => self.mtu = metrics.iter().find_map(mtu),
            _ => {}
        }
    }

    fn write(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header = RouteHeader {
            address_family: AddressFamily::Inet,
            destination_prefix_length: self.dst.prefix_len(),
            table: RouteHeader::RT_TABLE_MAIN,
            protocol: self.protocol,
            scope: self.scope,
            kind: self.kind,
            flags: if self.onlink {
                RouteFlags::Onlink
            } else {
                RouteFlags::empty()
            },
            ..RouteHeader::default()
        };
        let address = RouteAddress::Inet;
        if !self.is_default() {
            message
                .attributes
                .push(RouteAttribute::Destination(address(self.dst.network())));
        }
        let optional = [
            self.gateway.map(|ip| RouteAttribute::Gateway(address(ip))),
            self.prefsrc
                .map(|ip| RouteAttribute::PrefSource(address(ip))),
            self.oif.map(RouteAttribute::Oif),
            Some(self.metric)
                .filter(|metric| *metric != 0)
                .map(RouteAttribute::Priority),
            self.mtu
                .map(|mtu| RouteAttribute::Metrics(vec![RouteMetric::Mtu(mtu)])),
        ];
        message.attributes.extend(optional.into_iter().flatten());
        message
    }
}

impl RouteAnswer {
    fn read(message: &RouteMessage) -> Option<Self> {
        let mut oif = None;
        let mut gateway = None;
        let mut prefsrc = None;
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Oif(index) => oif = Some(*index),
                RouteAttribute::Gateway(RouteAddress::Inet(ip)) => gateway = Some(*ip),
                RouteAttribute::PrefSource(RouteAddress::Inet(ip)) => prefsrc = Some(*ip),
                _ => {}
            }
        }
        Some(Self {
            oif: oif?,
            gateway,
            prefsrc,
            kind: message.header.kind,
        })
    }
}

fn mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(bytes) => Some(*bytes),
        _ => None,
    }
}
