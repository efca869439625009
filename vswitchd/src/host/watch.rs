//! What the kernel reports, told to the engine: neighbours, links, addresses, routes.
//!
//! Two threads. One listens to rtnetlink and never asks; if the kernel had to drop reports, it reads
//! everything anew. The other keeps the neighbours of the data plane alive: the kernel does not see
//! our frames, so without provocation it would forget its entries.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::Sender;
use dashmap::DashMap;
use netlink::{Change, Event, Group, Handle, Link, Monitor, Neighbour};
use packet::ethernet::MacAddr;
use tracing::{debug, warn};

use super::{nat::Nat, uplink::local_addresses};
use crate::control::{DesiredState, Message, Update, Uplink};

/// How often an unresolved neighbour is provoked.
const UNRESOLVED: Duration = Duration::from_secs(1);
/// Every how many of these rounds a resolved one is: well below the kernel's
/// `base_reachable_time` of 30 seconds.
const RESOLVED_ROUNDS: u32 = 10;

/// Gateways on the uplink and their MAC addresses, shared by the threads here.
pub type NextHops = Arc<DashMap<Ipv4Addr, Option<MacAddr>>>;

/// What is watched for.
pub struct Watch {
    uplink: Uplink,
    /// For the thread that provokes: the interface may be made anew.
    uplink_index: Arc<AtomicU32>,
    /// Peers by name: address, and the gateway last told.
    peers: BTreeMap<String, (Ipv4Addr, Ipv4Addr)>,
    hops: NextHops,
    engine: Sender<Message>,
    nat: Option<Nat>,
}

impl Watch {
    /// Watches for what this state names.
    #[must_use]
    pub fn new(state: &DesiredState, engine: Sender<Message>, nat: Option<Nat>) -> Self {
        let peers = state.peers.values().map(|peer| {
            let addresses = (peer.address.addr(), peer.next_hop.address);
            (peer.name.clone(), addresses)
        });
        let peers: BTreeMap<_, _> = peers.collect();
        let hops = peers
            .values()
            .map(|(_, gateway)| (*gateway, None))
            .collect();
        Self {
            uplink: state.uplink.clone(),
            uplink_index: Arc::new(AtomicU32::new(state.uplink.index)),
            peers,
            hops: Arc::new(hops),
            engine,
            nat,
        }
    }

    /// Subscribes, reads the present state of everything, and leaves the two threads behind.
    ///
    /// # Errors
    /// The kernel refuses netlink, or a thread.
    pub fn start(mut self) -> Result<NextHops, WatchError> {
        let groups = [Group::Link, Group::Address, Group::Route, Group::Neighbour];
        let mut monitor = Monitor::open(&groups)?;
        let handle = Handle::open()?;
        self.resync(&handle)?;
        let hops = self.hops.clone();
        let (kept, uplink) = (hops.clone(), self.uplink_index.clone());
        let keeper = Handle::open()?;
        thread::Builder::new()
            .name("neighbours".into())
            .spawn(move || keep_alive(&keeper, &uplink, &kept))?;
        let listen = move || {
            loop {
                match monitor.next_event() {
                    Ok(event) => self.hear(&handle, event),
                    Err(error) => return warn!(%error, "the kernel's reports have ended"),
                }
            }
        };
        thread::Builder::new()
            .name("netlink".into())
            .spawn(listen)?;
        Ok(hops)
    }

    fn hear(&mut self, handle: &Handle, event: Event) {
        let result = match event {
            Event::Neighbour(change) => {
                self.neighbour(change);
                Ok(())
            }
            Event::Link(Change::New(link)) => match self.link(&link) {
                true => self.gateways(handle).and(self.neighbours(handle)),
                false => Ok(()),
            },
            Event::Link(Change::Gone(link)) => {
                self.tell(Update::LinkGone(link.index));
                Ok(())
            }
            Event::Address(_) => self.addresses(handle),
            Event::Route(_) => self.gateways(handle),
            Event::Qdisc(_) => Ok(()),
            Event::Lost => self.resync(handle),
        };
        if let Err(error) = result {
            warn!(%error, "reading the kernel's tables");
        }
    }

    fn resync(&mut self, handle: &Handle) -> netlink::Result<()> {
        if let Some(link) = handle.link(&self.uplink.name)? {
            self.link(&link);
        }
        self.addresses(handle)?;
        self.gateways(handle)?;
        self.neighbours(handle)
    }

    /// Notes the uplink; `true` = it is another interface than before, with neighbours of its own.
    fn link(&mut self, link: &Link) -> bool {
        let Some(mac) = link.mac.filter(|_| link.name == self.uplink.name) else {
            return false;
        };
        let anew = link.index != self.uplink.index;
        let uplink = Uplink {
            name: link.name.clone(),
            index: link.index,
            mac,
            mtu_bytes: link.mtu,
            up: link.up,
        };
        if uplink != self.uplink {
            self.uplink_index.store(uplink.index, Ordering::Relaxed);
            self.uplink = uplink.clone();
            self.tell(Update::Uplink(uplink));
        }
        anew
    }

    /// Reads the whole neighbour table. The kernel reports changes only: what it has known for long
    /// it would never say again, and what went with an interface may have gone unheard.
    fn neighbours(&self, handle: &Handle) -> netlink::Result<()> {
        let table = handle.neighbours(self.uplink.index)?;
        let table = table.iter().map(|held| (held.ip, held.usable_mac()));
        let table: BTreeMap<_, _> = table.collect();
        let gateways: Vec<Ipv4Addr> = self.hops.iter().map(|hop| *hop.key()).collect();
        for gateway in gateways {
            self.set_hop(gateway, table.get(&gateway).copied().flatten());
        }
        Ok(())
    }

    fn neighbour(&self, change: Change<Neighbour>) {
        let (neighbour, mac) = match change {
            Change::New(neighbour) => (neighbour, neighbour.usable_mac()),
            Change::Gone(neighbour) => (neighbour, None),
        };
        if neighbour.oif == self.uplink.index {
            self.set_hop(neighbour.ip, mac);
        }
    }

    fn set_hop(&self, address: Ipv4Addr, mac: Option<MacAddr>) {
        let known = self.hops.get_mut(&address);
        let changed = known.is_some_and(|mut held| std::mem::replace(&mut *held, mac) != mac);
        if changed {
            debug!(%address, ?mac, "neighbour");
            self.tell(Update::Neighbour(address, mac));
        }
    }

    fn addresses(&self, handle: &Handle) -> netlink::Result<()> {
        let addresses = local_addresses(handle)?;
        if let Some(nat) = &self.nat {
            nat.set_local_addresses(addresses.clone());
        }
        self.tell(Update::LocalAddresses(addresses));
        Ok(())
    }

    /// Asks the kernel how it would reach each peer now. A gateway not used before may be a
    /// neighbour that the kernel knows already.
    fn gateways(&mut self, handle: &Handle) -> netlink::Result<()> {
        let moved = self.moved(handle);
        if moved.is_empty() {
            return Ok(());
        }
        for (_, gateway) in &moved {
            self.hops.entry(*gateway).or_insert(None);
        }
        let read = self.neighbours(handle);
        for (peer, address) in moved {
            let mac = self.hops.get(&address).and_then(|held| *held);
            self.tell(Update::Gateway { peer, address, mac });
        }
        let wanted: BTreeSet<Ipv4Addr> = self.peers.values().map(|(_, told)| *told).collect();
        self.hops.retain(|gateway, _| wanted.contains(gateway));
        read
    }

    /// Peers that the kernel reaches by another gateway than before, with that gateway.
    fn moved(&mut self, handle: &Handle) -> Vec<(String, Ipv4Addr)> {
        let mut moved = Vec::new();
        for (name, (address, told)) in &mut self.peers {
            let answer = match handle.route_to(*address) {
                Ok(answer) => answer,
                Err(error) => {
                    debug!(%error, peer = %name, "no route");
                    continue;
                }
            };
            if answer.oif != self.uplink.index {
                let uplink = &self.uplink.name;
                warn!(peer = %name, %address, "the kernel's route does not leave by {uplink}");
            }
            let gateway = answer.gateway.unwrap_or(*address);
            if gateway != *told {
                *told = gateway;
                moved.push((name.clone(), gateway));
            }
        }
        moved
    }

    fn tell(&self, update: Update) {
        // The engine is gone only when the daemon ends.
        let _ = self.engine.send(Message::Update(update));
    }
}

/// Why the kernel could not be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// Netlink refuses.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
    /// No thread.
    #[error("starting a thread: {0}")]
    Thread(#[from] io::Error),
}

/// Provokes what is unresolved each second and what is resolved now and then.
fn keep_alive(handle: &Handle, uplink: &AtomicU32, hops: &NextHops) {
    for round in (0..RESOLVED_ROUNDS).cycle() {
        let due = hops
            .iter()
            .filter(|hop| round == 0 || hop.value().is_none());
        let due: Vec<Ipv4Addr> = due.map(|hop| *hop.key()).collect();
        for gateway in due {
            if let Err(error) = handle.provoke(uplink.load(Ordering::Relaxed), gateway) {
                debug!(%error, %gateway, "neighbour not provoked");
            }
        }
        thread::sleep(UNRESOLVED);
    }
}

#[cfg(test)]
mod tests;
