//! Which ports are open, and opening and closing them at every worker.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use dashmap::DashMap;
use dataplane::{PortCounters, PortId};
use port::{Fanout, Filter, PacketConfig, PacketPort, Side, Waker};

use super::command::{Command, End};
use super::encapsulation::SegmentationHelp;
use super::relaying::Attachments;
use crate::control::{DesiredState, Encapsulation, PublishError};

/// The host's TUN device.
pub(crate) const HOST: PortId = PortId(0);
/// The underlay.
pub(crate) const UPLINK: PortId = PortId(1);
/// The workload ports begin here, by slot.
const FIRST_WORKLOAD: u16 = 2;
/// How long a fresh interface is waited for.
const SETTLE: Duration = Duration::from_millis(100);
/// Frames in one system call.
const BATCH: usize = 64;

/// The same where they are ARP and little else.
const FEW: usize = 4;

/// The port of a workload's slot.
pub(crate) fn workload_port(slot: u32) -> PortId {
    PortId(FIRST_WORKLOAD.saturating_add(u16::try_from(slot).unwrap_or(u16::MAX)))
}

/// The counters of every open port, one per worker, by interface name.
pub(super) type Registry = Arc<DashMap<String, Vec<Arc<PortCounters>>>>;

/// What a port is opened on; another index or filter is another port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) interface: String,
    pub(super) index: u32,
    pub(super) filter: Filter,
    /// Ports without a queueing discipline of their own may pass it by.
    pub(super) qdisc_bypass: bool,
}

/// The open packet ports.
pub(super) struct Ports {
    open: BTreeMap<PortId, Wanted>,
    commands: Vec<Sender<Command>>,
    wakers: Vec<Waker>,
    registry: Registry,
    segmentation: SegmentationHelp,
    relayed: Attachments,
    /// The last fan-out group given; never one whose sockets may still be open.
    group: u16,
}

impl Ports {
    pub(super) fn new(
        commands: Vec<Sender<Command>>,
        wakers: Vec<Waker>,
        registry: Registry,
        segmentation: SegmentationHelp,
        relayed: Attachments,
    ) -> Self {
        Self {
            open: BTreeMap::new(),
            commands,
            wakers,
            registry,
            segmentation,
            relayed,
            group: 0,
        }
    }

    /// Gives each worker its end of a port.
    pub(super) fn adopt(&self, id: PortId, ends: Vec<End>) {
        let Some(name) = ends.first().map(|end| end.io.name().to_owned()) else {
            return;
        };
        let counters: Vec<Arc<PortCounters>> = ends.iter().map(|_| Arc::default()).collect();
        self.registry.insert(name, counters.clone());
        for ((commands, end), counters) in self.commands.iter().zip(ends).zip(counters) {
            // A worker that is gone has been reported already.
            let _ = commands.send(Command::Open { id, end, counters });
        }
        self.wakers.iter().for_each(Waker::wake);
    }

    /// Opens what is wanted and not open. What is open and no longer wanted
    /// stays until [`Ports::close_unwanted`].
    pub(super) fn open_wanted(
        &mut self,
        wanted: &BTreeMap<PortId, Wanted>,
    ) -> Result<(), PublishError> {
        for (id, wanted) in wanted {
            if self.open.get(id) == Some(wanted) {
                continue;
            }
            let ends = self.open_ends(*id, wanted)?;
            await_running(&wanted.interface);
            self.forget(*id);
            self.adopt(*id, ends);
            self.open.insert(*id, wanted.clone());
        }
        Ok(())
    }

    /// Closes what is open and not wanted: after the snapshot without it.
    pub(super) fn close_unwanted(&mut self, wanted: &BTreeMap<PortId, Wanted>) {
        let gone: Vec<PortId> = self
            .open
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .copied()
            .collect();
        for id in gone {
            self.forget(id);
            for commands in &self.commands {
                let _ = commands.send(Command::Close(id));
            }
        }
        let open = &self.open;
        self.relayed
            .keep(open.values().map(|open| open.index).collect());
        self.wakers.iter().for_each(Waker::wake);
    }

    fn forget(&mut self, id: PortId) {
        let Some(closed) = self.open.remove(&id) else {
            return;
        };
        let mut others = self.open.values();
        if !others.any(|open| open.interface == closed.interface) {
            self.registry.remove(&closed.interface);
        }
    }

    /// One socket a worker, opened in the workers' order: the kernel's fan-out
    /// numbers its members so. Where the kernel may relay frames, they listen
    /// behind its program, and the first worker has one more for what is not IPv4.
    fn open_ends(&mut self, id: PortId, wanted: &Wanted) -> Result<Vec<End>, PublishError> {
        let members = self.commands.len() as u16;
        self.group = self.group.wrapping_add(1);
        let side = match id {
            UPLINK => Side::Uplink,
            _ => Side::Workload,
        };
        let is_relayed = self.relayed.attach(&wanted.interface, wanted.index, side);
        let config = PacketConfig {
            interface: &wanted.interface,
            filter: wanted.filter.clone(),
            behind_tc: is_relayed,
            fanout: (members > 1).then_some(Fanout {
                group: self.group,
                members,
            }),
            qdisc_bypass: wanted.qdisc_bypass,
            encapsulator: (id == UPLINK)
                .then(|| self.segmentation.attach(&wanted.interface))
                .flatten(),
            batch: BATCH,
        };
        let open = |config: &PacketConfig<'_>| -> Result<Box<PacketPort>, PublishError> {
            let port = PacketPort::open(config).map_err(|error| PublishError::Port {
                interface: wanted.interface.clone(),
                reason: error.to_string(),
            })?;
            Ok(Box::new(port))
        };
        let mut ends = Vec::new();
        for _ in 0..members {
            let mut end = End::plain(open(&config)?);
            end.relayed = is_relayed.then_some(wanted.index);
            ends.push(end);
        }
        if is_relayed && id != UPLINK {
            let others = PacketConfig {
                filter: Filter::NotIpv4,
                behind_tc: false,
                fanout: None,
                batch: FEW,
                ..config
            };
            ends[0].aside = Some(open(&others)?);
        }
        Ok(ends)
    }
}

/// Waits for a fresh veth to send what it is given. One that does not get there
/// (a pod that set its end down) is served all the same.
fn await_running(interface: &str) {
    let start = Instant::now();
    let Ok(handle) = netlink::Handle::open() else {
        return;
    };
    while start.elapsed() < SETTLE
        && let Ok(Some(link)) = handle.link(interface)
        && !link.running
    {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The packet ports that a state needs.
pub(super) fn wanted(state: &DesiredState) -> BTreeMap<PortId, Wanted> {
    let mut wanted = BTreeMap::new();
    wanted.insert(
        UPLINK,
        Wanted {
            interface: state.uplink.name.clone(),
            index: state.uplink.index,
            filter: uplink_filter(state),
            // The host's own queueing discipline is obeyed, and its tcpdump
            // sees what is sent.
            qdisc_bypass: false,
        },
    );
    for workload in state.workloads.values() {
        wanted.insert(
            workload_port(workload.slot),
            Wanted {
                interface: workload.host_interface.clone(),
                index: workload.host_index,
                filter: Filter::Everything,
                qdisc_bypass: false,
            },
        );
    }
    wanted
}

/// Plain packets are looked at only where some peer sends them.
fn uplink_filter(state: &DesiredState) -> Filter {
    let mut routes = state.peers.values().flat_map(|peer| &peer.routes);
    if !routes.any(|route| route.encapsulation == Encapsulation::Plain) {
        return Filter::Uplink;
    }
    let blocks = state.blocks.iter();
    Filter::UplinkPlain {
        block: blocks
            .map(|block| (block.network(), block.prefix_len()))
            .collect(),
    }
}
