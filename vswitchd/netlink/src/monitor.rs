//! What the kernel tells on its own: links, addresses, routes and neighbours as they change.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd},
};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use nix::libc;

use crate::{
    Address, Error, Link, Neighbour, NetNs, Result, Route,
    connection::{retry, split},
};

/// Room for a burst of changes, in bytes; the kernel clamps it to `net.core.rmem_max`.
const SOCKET_BUFFER_BYTES: u32 = 1 << 20;

/// What to be told about (`RTNLGRP_*`, `include/uapi/linux/rtnetlink.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Links appear, change and go.
    Link,
    /// IPv4 addresses.
    Address,
    /// IPv4 routes of the main table.
    Route,
    /// IPv4 neighbours.
    Neighbour,
    /// Queueing disciplines.
    Qdisc,
}

impl Group {
    fn number(self) -> u32 {
        match self {
            Self::Link => 1,
            Self::Neighbour => 3,
            Self::Qdisc => 4,
            Self::Address => 5,
            Self::Route => 7,
        }
    }
}

/// New (or changed), or gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// It exists now, looking like this.
    New(T),
    /// It existed, looking like this.
    Gone(T),
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A link.
    Link(Change<Link>),
    /// An IPv4 address.
    Address(Change<Address>),
    /// An IPv4 route of the main table.
    Route(Change<Route>),
    /// An IPv4 neighbour.
    Neighbour(Change<Neighbour>),
    /// A queueing discipline of the link with this index came, changed or went.
    Qdisc(u32),
    /// The kernel had to drop events (ENOBUFS): read the tables anew.
    Lost,
}

/// A subscription. Open it first, then read the tables: nothing is missed in between.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    waiting: VecDeque<Event>,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Subscribes to changes of the calling thread's namespace.
    ///
    /// # Errors
    /// The kernel has no route netlink, or the process has no descriptor left.
    pub fn open(groups: &[Group]) -> Result<Self> {
        let failed = |source| Error::kernel("subscribe to", format!("{groups:?}"), source);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        // A smaller buffer only means that `Event::Lost` comes sooner.
        let _ = socket.set_rx_buf_sz(SOCKET_BUFFER_BYTES);
        for group in groups {
            socket.add_membership(group.number()).map_err(failed)?;
        }
        Ok(Self {
            socket,
            waiting: VecDeque::new(),
            buffer: Vec::with_capacity(64 << 10),
        })
    }

    /// Subscribes to changes of `namespace`.
    ///
    /// # Errors
    /// As [`Monitor::open`] and [`NetNs::run`].
    pub fn open_in(namespace: &NetNs, groups: &[Group]) -> Result<Self> {
        namespace.run(|| Self::open(groups))?
    }

    /// The next event; waits for one.
    ///
    /// # Errors
    /// The socket fails. Messages of kinds not asked for, or unreadable, are passed over.
    pub fn next_event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            self.receive(0)?;
        }
    }

    /// The next event if one is there; for use with the descriptor and a poller.
    ///
    /// # Errors
    /// As [`Monitor::next_event`].
    pub fn try_next(&mut self) -> Result<Option<Event>> {
        while self.waiting.is_empty() && self.receive(libc::MSG_DONTWAIT)? {}
        Ok(self.waiting.pop_front())
    }

    /// Reads one datagram into `waiting`; false if none was there.
    fn receive(&mut self, flags: i32) -> Result<bool> {
        self.buffer.clear();
        match retry(|| self.socket.recv(&mut self.buffer, flags)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.waiting.push_back(Event::Lost);
                return Ok(true);
            }
            Err(error) => return Err(Error::kernel("receive", "route events", error)),
        }
        self.waiting.extend(split(&self.buffer).filter_map(read));
        Ok(true)
    }
}

impl AsFd for Monitor {
    /// Readable when [`Monitor::try_next`] may have something. Drain it until `None`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn read(bytes: &[u8]) -> Option<Event> {
    let message = NetlinkMessage::<Message>::deserialize(bytes).ok()?;
    let NetlinkPayload::InnerMessage(message) = message.payload else {
        return None;
    };
    Some(match message {
        Message::NewLink(m) => Event::Link(Change::New(Link::read(&m))),
        Message::DelLink(m) => Event::Link(Change::Gone(Link::read(&m))),
        Message::NewAddress(m) => Event::Address(Change::New(Address::read(&m)?)),
        Message::DelAddress(m) => Event::Address(Change::Gone(Address::read(&m)?)),
        Message::NewRoute(m) => Event::Route(Change::New(Route::read(&m)?)),
        Message::DelRoute(m) => Event::Route(Change::Gone(Route::read(&m)?)),
        Message::NewNeighbour(m) => Event::Neighbour(Change::New(Neighbour::read(&m)?)),
        Message::NewQueueDiscipline(m) | Message::DelQueueDiscipline(m) => {
            Event::Qdisc(m.header.index.try_into().ok()?)
        }
        Message::DelNeighbour(m) => Event::Neighbour(Change::Gone(Neighbour::read(&m)?)),
        _ => return None,
    })
}
