//! The neighbour table: which MAC address answers for an IPv4 address on a link.

use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
    },
};
use packet::ethernet::MacAddr;

use crate::{Handle, Result, connection::Context, link};

/// An entry of the IPv4 neighbour table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub oif: u32,
    /// The neighbour.
    pub ip: Ipv4Addr,
    /// Its hardware address, once known.
    pub mac: Option<MacAddr>,
    /// Where resolution stands.
    pub state: NeighbourState,
}

impl Neighbour {
    /// The address to send to, if the kernel itself would send to it now (`NUD_VALID`).
    #[must_use]
    pub fn usable_mac(&self) -> Option<MacAddr> {
        let valid = matches!(
            self.state,
            NeighbourState::Reachable
                | NeighbourState::Stale
                | NeighbourState::Delay
                | NeighbourState::Probe
                | NeighbourState::Permanent
                | NeighbourState::Noarp
        );
        self.mac.filter(|_| valid)
    }
}

impl Handle {
    /// The IPv4 neighbours of a link.
    ///
    /// # Errors
    /// The kernel refuses or answers something unreadable.
    pub fn neighbours(&self, oif: u32) -> Result<Vec<Neighbour>> {
        let mut question = NeighbourMessage::default();
        question.header.family = AddressFamily::Inet;
        question.attributes.push(NeighbourAttribute::IfIndex(oif));
        let context = Context::new("list", format!("neighbours of link number {oif}"));
        let answers = self
            .connection
            .dump(&Message::GetNeighbour(question), &context)?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                Message::NewNeighbour(message) => Neighbour::read(message),
                _ => None,
            })
            .filter(|neighbour| neighbour.oif == oif)
            .collect())
    }

    /// Starts or refreshes resolution of a neighbour, as a packet to it would (`NTF_USE`).
    /// Returns at once; the outcome is in [`Handle::neighbours`] or a [`crate::Monitor`].
    ///
    /// # Errors
    /// ENODEV if there is no such link.
    pub fn provoke(&self, oif: u32, ip: Ipv4Addr) -> Result<()> {
        let mut message = to_neighbour(oif, ip);
        message.header.flags = NeighbourFlags::Use;
        self.change_neighbour("provoke neighbour", message, oif, ip)
    }

    /// Sets a permanent entry.
    ///
    /// # Errors
    /// ENODEV if there is no such link.
    pub fn set_neighbour(&self, oif: u32, ip: Ipv4Addr, mac: MacAddr) -> Result<()> {
        let mut message = to_neighbour(oif, ip);
        message.header.state = NeighbourState::Permanent;
        message
            .attributes
            .push(NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
        self.change_neighbour("set neighbour", message, oif, ip)
    }

    fn change_neighbour(
        &self,
        operation: &'static str,
        message: NeighbourMessage,
        oif: u32,
        ip: Ipv4Addr,
    ) -> Result<()> {
        let context = Context::new(operation, format!("{ip} on link number {oif}"));
        let flags = NLM_F_CREATE | NLM_F_REPLACE;
        self.connection
            .change(Message::NewNeighbour(message), flags, &context)
    }
}

impl Neighbour {
    /// `None` for other families.
    pub(crate) fn read(message: &NeighbourMessage) -> Option<Self> {
        let mut ip = None;
        let mut mac = None;
        for attribute in &message.attributes {
            match attribute {
                NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => {
                    ip = Some(*address);
                }
                NeighbourAttribute::LinkLayerAddress(bytes) => mac = link::mac(bytes),
                _ => {}
            }
        }
        let header = &message.header;
        Some(Self {
            oif: header.ifindex,
            ip: ip?,
            mac,
            state: header.state,
        })
    }
}

fn to_neighbour(oif: u32, ip: Ipv4Addr) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.ifindex = oif;
    message
        .attributes
        .push(NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)));
    message
}
