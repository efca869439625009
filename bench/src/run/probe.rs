//! The measurements. Each takes one world and a time, and gives one or more figures of [`super::metric::METRICS`].

mod cni;
mod connections;
mod latency;
mod packets;
mod tcp;

use std::{net::SocketAddrV4, time::Duration};

use super::{error::Result, world::World};

/// Port of the bench's own servers.
const PORT: u16 = 5300;
/// What a bounded program may take beyond its time before it is ended.
const GRACE: Duration = Duration::from_secs(15);

/// Figures of one measurement, by their names.
pub type Figures = Vec<(&'static str, f64)>;

/// Which cores client, server and forwarder run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// All on CPU 0.
    One,
    /// The client on CPU 0, the server on CPU 1, the forwarder anywhere.
    Two,
    /// All anywhere.
    Any,
}

/// One measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Bulk TCP by iperf3.
    Tcp {
        /// Connections at once.
        streams: u32,
    },
    /// 64-byte UDP frames as fast as they go.
    SmallPackets,
    /// The highest rate of 64-byte UDP frames at which none is lost.
    ZeroLoss,
    /// Frames of 64, 594 and 1468 bytes, 7 : 4 : 1.
    Imix,
    /// TCP request and response.
    TcpRequests(Cores),
    /// UDP request and response.
    UdpRequests(Cores),
    /// Connections opened, used and closed.
    Connections,
    /// Starting a pod.
    CniAdd,
}

/// Every measurement of a run, in order.
pub const PROBES: [Probe; 11] = [
    Probe::Tcp { streams: 1 },
    Probe::Tcp { streams: 4 },
    Probe::SmallPackets,
    Probe::ZeroLoss,
    Probe::Imix,
    Probe::TcpRequests(Cores::One),
    Probe::TcpRequests(Cores::Two),
    Probe::UdpRequests(Cores::One),
    Probe::UdpRequests(Cores::Two),
    Probe::Connections,
    Probe::CniAdd,
];

impl Probe {
    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp { streams: 1 } => "tcp1",
            Self::Tcp { .. } => "tcp4",
            Self::SmallPackets => "udp64",
            Self::ZeroLoss => "zero-loss",
            Self::Imix => "imix",
            Self::TcpRequests(Cores::One) => "tcp-rr-one-core",
            Self::TcpRequests(Cores::Two) => "tcp-rr-two-cores",
            Self::TcpRequests(Cores::Any) => "tcp-rr",
            Self::UdpRequests(Cores::One) => "udp-rr-one-core",
            Self::UdpRequests(Cores::Two) => "udp-rr-two-cores",
            Self::UdpRequests(Cores::Any) => "udp-rr",
            Self::Connections => "connections",
            Self::CniAdd => "cni-add",
        }
    }

    /// Measures for about this long.
    ///
    /// # Errors
    /// A generator or sink failed, or the bench was interrupted.
    pub fn measure(self, world: &World, length: Duration) -> Result<Figures> {
        match self {
            Self::Tcp { streams } => tcp::measure(world, streams, length),
            Self::SmallPackets => packets::small(world, length),
            Self::Imix => packets::imix(world, length),
            Self::ZeroLoss => packets::zero_loss(world, length),
            Self::TcpRequests(cores) => {
                latency::measure(world, latency::Protocol::Tcp, cores, length)
            }
            Self::UdpRequests(cores) => {
                latency::measure(world, latency::Protocol::Udp, cores, length)
            }
            Self::Connections => connections::measure(world, length),
            Self::CniAdd => cni::measure(world),
        }
    }
}

fn server_address(world: &World) -> SocketAddrV4 {
    SocketAddrV4::new(world.address, PORT)
}
