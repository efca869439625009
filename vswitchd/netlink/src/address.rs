//! IPv4 addresses of links.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage as Message,
    address::{AddressAttribute, AddressMessage, AddressScope},
};

use crate::{Handle, Result, connection::Context};

/// An IPv4 address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the link.
    pub index: u32,
    /// The address and its prefix, host bits kept.
    pub address: Ipv4Net,
    /// The broadcast address, if one is set.
    pub broadcast: Option<Ipv4Addr>,
    /// Scope global, as opposed to link or host.
    pub global: bool,
}

impl Handle {
    /// The IPv4 addresses of one link, or of all.
    ///
    /// # Errors
    /// The kernel refuses or answers something unreadable.
    pub fn addresses(&self, index: Option<u32>) -> Result<Vec<Address>> {
        let mut question = AddressMessage::default();
        question.header.family = AddressFamily::Inet;
        let context = Context::new("list", "addresses");
        let answers = self
            .connection
            .dump(&Message::GetAddress(question), &context)?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                Message::NewAddress(message) => Address::read(message),
                _ => None,
            })
            .filter(|address| index.is_none_or(|index| index == address.index))
            .collect())
    }

    /// Adds an address of scope global.
    ///
    /// # Errors
    /// EEXIST if the link has it already, ENODEV if there is no such link.
    pub fn add_address(
        &self,
        index: u32,
        address: Ipv4Net,
        broadcast: Option<Ipv4Addr>,
    ) -> Result<()> {
        let message = to_address(index, address, broadcast);
        let context = Context::new("add address", format!("{address} to link number {index}"));
        self.connection.change(
            Message::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
            &context,
        )
    }

    /// Removes an address.
    ///
    /// # Errors
    /// EADDRNOTAVAIL if the link does not have it.
    pub fn delete_address(&self, index: u32, address: Ipv4Net) -> Result<()> {
        let message = to_address(index, address, None);
        let context = Context::new(
            "delete address",
            format!("{address} of link number {index}"),
        );
        self.connection
            .change(Message::DelAddress(message), 0, &context)
    }
}

impl Address {
    /// `None` for other families.
    pub(crate) fn read(message: &AddressMessage) -> Option<Self> {
        let mut own = None;
        let mut remote = None;
        let mut broadcast = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(IpAddr::V4(address)) => own = Some(*address),
                AddressAttribute::Address(IpAddr::V4(address)) => remote = Some(*address),
                AddressAttribute::Broadcast(address) => broadcast = Some(*address),
                _ => {}
            }
        }
        Some(Self {
            index: message.header.index,
            address: Ipv4Net::new(own.or(remote)?, message.header.prefix_len).ok()?,
            broadcast,
            global: message.header.scope == AddressScope::Universe,
        })
    }
}

fn to_address(index: u32, address: Ipv4Net, broadcast: Option<Ipv4Addr>) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = address.prefix_len();
    message.header.scope = AddressScope::Universe;
    message.header.index = index;
    let ip = IpAddr::V4(address.addr());
    message.attributes = vec![AddressAttribute::Local(ip), AddressAttribute::Address(ip)];
    message
        .attributes
        .extend(broadcast.map(AddressAttribute::Broadcast));
    message
}
