//! Links: interfaces, of which the veth pair matters most.

use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage as Message,
    link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage},
};
use packet::ethernet::MacAddr;

use crate::{Handle, NetNs, Result, connection::Context};

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Interface index in its namespace.
    pub index: u32,
    /// Interface name, at most 15 bytes.
    pub name: String,
    /// Hardware address, if it is six bytes long (a TUN device has none).
    pub mac: Option<MacAddr>,
    /// Largest packet in bytes, link header not counted.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Up and operational (`IFF_RUNNING`): what is sent now leaves. A fresh veth with carrier is
    /// not there yet: until the kernel's linkwatch ran, its queueing discipline swallows frames.
    pub running: bool,
    /// `lo` and nothing else.
    pub loopback: bool,
    /// `veth`, `tun`, `bridge`, ...; `None` for hardware.
    pub kind: Option<String>,
    /// Index of the lower or other end (`IFLA_LINK`): a veth's peer, in the peer's namespace.
    pub peer_index: Option<u32>,
    /// The bridge or bond it is a port of.
    pub controller: Option<u32>,
    /// Its root queueing discipline (`IFLA_QDISC`): `noqueue` for a veth that nobody gave another one.
    pub qdisc: Option<String>,
}

/// A veth pair to create: one end in the handle's namespace, the other end elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Veth<'a> {
    /// Name of the end in the handle's namespace.
    pub name: &'a str,
    /// MTU of both ends in bytes.
    pub mtu: u32,
    /// Transmit and receive queues of each end, at least 1.
    pub queues: u32,
    /// Name of the other end.
    pub peer_name: &'a str,
    /// Namespace of the other end.
    pub peer_netns: &'a NetNs,
    /// Hardware address of the end in the handle's namespace; `None` lets the kernel draw one.
    pub mac: Option<MacAddr>,
}

impl Handle {
    /// Every link of the namespace.
    ///
    /// # Errors
    /// The kernel refuses or answers something unreadable.
    pub fn links(&self) -> Result<Vec<Link>> {
        let context = Context::new("list", "links");
        let answers = self
            .connection
            .dump(&Message::GetLink(LinkMessage::default()), &context)?;
        Ok(answers
            .iter()
            .filter_map(|answer| match answer {
                Message::NewLink(message) => Some(Link::read(message)),
                _ => None,
            })
            .collect())
    }

    /// The link of that name, if there is one.
    ///
    /// # Errors
    /// As [`Handle::links`].
    pub fn link(&self, name: &str) -> Result<Option<Link>> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        self.get_link(message, &Context::new("get link", name))
    }

    /// The link of that index, if there is one.
    ///
    /// # Errors
    /// As [`Handle::links`].
    pub fn link_at(&self, index: u32) -> Result<Option<Link>> {
        self.get_link(
            to_link(index),
            &Context::new("get link", format!("number {index}")),
        )
    }

    fn get_link(&self, message: LinkMessage, context: &Context) -> Result<Option<Link>> {
        match self.connection.ask(Message::GetLink(message), context) {
            Ok(Some(Message::NewLink(message))) => Ok(Some(Link::read(&message))),
            Ok(other) => Err(context.answer("a link", format!("{other:?}"))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates a veth pair; both ends are down.
    ///
    /// # Errors
    /// EEXIST if either name is taken, EINVAL for an impossible MTU or name, EPERM, EOPNOTSUPP
    /// without veth in the kernel.
    pub fn create_veth(&self, veth: &Veth<'_>) -> Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = veth_end(veth.peer_name, veth);
        // The kernel resolves the number in this process, while `peer_netns` holds it open.
        peer.attributes
            .push(LinkAttribute::NetNsFd(veth.peer_netns.as_fd().as_raw_fd()));

        let mut message = LinkMessage::default();
        message.attributes = veth_end(veth.name, veth);
        message
            .attributes
            .extend(veth.mac.map(|mac| LinkAttribute::Address(mac.0.to_vec())));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        self.create_link(
            message,
            format!("{} with peer {}", veth.name, veth.peer_name),
        )
    }

    /// Creates a bridge; it is down.
    ///
    /// # Errors
    /// EEXIST if the name is taken, EOPNOTSUPP without the bridge module.
    pub fn create_bridge(&self, name: &str) -> Result<()> {
        let mut message = LinkMessage::default();
        message
            .attributes
            .push(LinkAttribute::IfName(name.to_owned()));
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Bridge,
            )]));
        self.create_link(message, format!("{name} (bridge)"))
    }

    fn create_link(&self, message: LinkMessage, object: String) -> Result<()> {
        let context = Context::new("create link", object);
        self.connection.change(
            Message::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            &context,
        )
    }

    /// Deletes a link; of a veth pair, both ends go.
    ///
    /// # Errors
    /// ENODEV if there is none.
    pub fn delete_link(&self, index: u32) -> Result<()> {
        let context = Context::new("delete link", format!("number {index}"));
        self.connection
            .change(Message::DelLink(to_link(index)), 0, &context)
    }

    /// Sets a link up.
    ///
    /// # Errors
    /// ENODEV if there is none.
    pub fn set_up(&self, index: u32) -> Result<()> {
        let mut message = to_link(index);
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.set_link(message, "set link up")
    }

    /// Sets a link down.
    ///
    /// # Errors
    /// ENODEV if there is none.
    pub fn set_down(&self, index: u32) -> Result<()> {
        let mut message = to_link(index);
        message.header.change_mask = LinkFlags::Up;
        self.set_link(message, "set link down")
    }

    /// Sets a link's MTU, in bytes.
    ///
    /// # Errors
    /// EINVAL outside of what the device takes, ENODEV if there is none.
    pub fn set_mtu(&self, index: u32, mtu: u32) -> Result<()> {
        self.set_attribute(index, LinkAttribute::Mtu(mtu), "set MTU of link")
    }

    /// Sets a link's hardware address.
    ///
    /// # Errors
    /// EBUSY for devices that must be down, EADDRNOTAVAIL for a multicast address, ENODEV.
    pub fn set_mac(&self, index: u32, mac: MacAddr) -> Result<()> {
        self.set_attribute(
            index,
            LinkAttribute::Address(mac.0.to_vec()),
            "set MAC of link",
        )
    }

    /// Renames a link.
    ///
    /// # Errors
    /// EEXIST if the name is taken, EBUSY on old kernels if the link is up.
    pub fn rename_link(&self, index: u32, name: &str) -> Result<()> {
        self.set_attribute(index, LinkAttribute::IfName(name.to_owned()), "rename link")
    }

    /// Makes a link a port of a bridge.
    ///
    /// # Errors
    /// ENODEV if either is missing, ELOOP, EINVAL for a link that cannot be a port.
    pub fn set_controller(&self, index: u32, bridge: u32) -> Result<()> {
        self.set_attribute(
            index,
            LinkAttribute::Controller(bridge),
            "set controller of link",
        )
    }

    /// Moves a link into another namespace, down and without its addresses.
    ///
    /// # Errors
    /// EEXIST if the name is taken there, EINVAL for links that may not move.
    pub fn move_link(&self, index: u32, namespace: &NetNs) -> Result<()> {
        let number = namespace.as_fd().as_raw_fd();
        self.set_attribute(index, LinkAttribute::NetNsFd(number), "move link")
    }

    fn set_attribute(
        &self,
        index: u32,
        attribute: LinkAttribute,
        operation: &'static str,
    ) -> Result<()> {
        let mut message = to_link(index);
        message.attributes.push(attribute);
        self.set_link(message, operation)
    }

    fn set_link(&self, message: LinkMessage, operation: &'static str) -> Result<()> {
        let context = Context::new(operation, format!("number {}", message.header.index));
        self.connection
            .change(Message::SetLink(message), 0, &context)
    }
}

impl Link {
    pub(crate) fn read(message: &LinkMessage) -> Self {
        let flags = message.header.flags;
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            mtu: 0,
            up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Up | LinkFlags::Running),
            loopback: flags.contains(LinkFlags::Loopback),
            kind: None,
            peer_index: None,
            controller: None,
            qdisc: None,
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Address(bytes) => link.mac = mac(bytes),
                LinkAttribute::Link(index) => link.peer_index = Some(*index).filter(|i| *i != 0),
                LinkAttribute::Controller(index) => link.controller = Some(*index),
                LinkAttribute::Qdisc(name) => link.qdisc = Some(name.clone()),
                LinkAttribute::LinkInfo(infos) => link.kind = infos.iter().find_map(kind),
                _ => {}
            }
        }
        link
    }
}

fn kind(info: &LinkInfo) -> Option<String> {
    match info {
        LinkInfo::Kind(kind) => Some(kind.to_string()),
        _ => None,
    }
}

/// Six bytes or nothing.
pub(crate) fn mac(bytes: &[u8]) -> Option<MacAddr> {
    bytes.try_into().ok().map(MacAddr)
}

fn to_link(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn veth_end(name: &str, veth: &Veth<'_>) -> Vec<LinkAttribute> {
    let queues = veth.queues.max(1);
    vec![
        LinkAttribute::IfName(name.to_owned()),
        LinkAttribute::Mtu(veth.mtu),
        LinkAttribute::NumTxQueues(queues),
        LinkAttribute::NumRxQueues(queues),
    ]
}
