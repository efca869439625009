//! What a tap is aimed at: the ports and addresses behind the words of the command line.

use cni_shim::capture::{Direction, Scope};
use dataplane::PortId;
use packet::Protocol;

use crate::control::{DesiredState, Workload};
use crate::worker::{HOST, UPLINK, workload_port};

/// The ports and addresses that a scope means at one time. Nothing, when its pod is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aim {
    all: bool,
    ports: Vec<PortId>,
    /// Of pods: their ports and addresses belong together.
    addresses: Vec<u32>,
}

/// The ports of a frame at one stage, as far as they are told there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// It came by this one.
    pub(super) came: Option<PortId>,
    /// It leaves by this one.
    pub(super) leaves: Option<PortId>,
}

/// The ends of a packet, through one tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) src: u32,
    pub(super) dst: u32,
}

impl Aim {
    /// A pod, by its port and address; or a port alone.
    #[cfg(test)]
    pub(super) fn at(port: PortId, pod: Option<std::net::Ipv4Addr>) -> Self {
        Self {
            all: false,
            ports: vec![port],
            addresses: pod.map(std::net::Ipv4Addr::to_bits).into_iter().collect(),
        }
    }

    /// What a scope means in this state; `None` when there is no such pod or port.
    pub(super) fn of(scope: &Scope, state: &DesiredState) -> Option<Self> {
        let at = |port| Self {
            ports: vec![port],
            ..Self::default()
        };
        let mut workloads = state.workloads.values();
        match scope {
            Scope::All => Some(Self {
                all: true,
                ..Self::default()
            }),
            Scope::Uplink => Some(at(UPLINK)),
            Scope::Host => Some(at(HOST)),
            Scope::Port(name) if *name == state.uplink.name => Some(at(UPLINK)),
            Scope::Port(name) if name == crate::host::TUNNEL => Some(at(HOST)),
            Scope::Port(name) => workloads
                .find(|workload| workload.host_interface == *name)
                .map(|workload| at(workload_port(workload.slot))),
            Scope::Pod(name) => Self::of_pod(workloads.filter(|pod| is_called(pod, name))),
        }
    }

    fn of_pod<'a>(interfaces: impl Iterator<Item = &'a Workload>) -> Option<Self> {
        let mut aim = Self::default();
        for workload in interfaces {
            aim.ports.push(workload_port(workload.slot));
            aim.addresses.push(workload.address.to_bits());
        }
        (!aim.ports.is_empty()).then_some(aim)
    }

    /// Whether it means every frame at this port.
    pub(super) fn has_port(&self, port: PortId) -> bool {
        self.all || self.ports.contains(&port)
    }

    /// The addresses it means at other ports.
    pub(super) fn addresses(&self) -> &[u32] {
        &self.addresses
    }

    /// Whether it means ports, and not pods or everything.
    pub(super) fn is_of_ports(&self) -> bool {
        !self.ports.is_empty() && self.addresses.is_empty()
    }

    /// Whether a frame seen there is meant.
    pub(super) fn means(
        &self,
        place: Place,
        ends: Option<Ends>,
        wanted: Option<Direction>,
    ) -> bool {
        let came = place.came.is_some_and(|port| self.has_port(port));
        let leaves = place.leaves.is_some_and(|port| self.has_port(port));
        if self.addresses.is_empty() {
            return match wanted {
                None => came || leaves,
                Some(Direction::In) => came,
                Some(Direction::Out) => leaves,
            };
        }
        let has =
            |end: fn(&Ends) -> u32| ends.is_some_and(|ends| self.addresses.contains(&end(&ends)));
        let toward = || leaves || has(|ends| ends.dst);
        let away = || came || has(|ends| ends.src);
        match wanted {
            None => toward() || away(),
            Some(Direction::In) => toward(),
            Some(Direction::Out) => away(),
        }
    }
}

/// `NAMESPACE/POD`, or `POD`.
pub(super) fn is_called(workload: &Workload, name: &str) -> bool {
    match name.split_once('/') {
        Some((namespace, pod)) => workload.namespace == namespace && workload.pod == pod,
        None => workload.pod == name,
    }
}

impl Ends {
    /// Those of an IPv4 packet; of the inner one where it is IPIP.
    #[inline]
    pub(super) fn of(packet: &[u8]) -> Option<Self> {
        let ends = |packet: &[u8]| {
            let [s0, s1, s2, s3, d0, d1, d2, d3] = *packet.get(12..20)?.first_chunk()?;
            Some(Self {
                src: u32::from_be_bytes([s0, s1, s2, s3]),
                dst: u32::from_be_bytes([d0, d1, d2, d3]),
            })
        };
        match *packet.first_chunk::<20>()? {
            [first, _, _, _, _, _, _, _, _, protocol, ..] if protocol == Protocol::IPIP.0 => {
                ends(packet.get(usize::from(first & 0x0f) * 4..)?)
            }
            _ => ends(packet),
        }
    }
}
