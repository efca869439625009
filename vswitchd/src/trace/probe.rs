//! From a question to the frame that arrives.

use std::net::Ipv4Addr;

use cni_shim::trace::{Given, Made, Probe};
use dataplane::{GATEWAY_IP, GATEWAY_MAC, PortId, PortKind};
use packet::transport::TcpFlags;
use packet::{EtherType, Frame, MacAddr, Offload, Protocol, build, ethernet, frame, ipv4, offload};

use super::names::{Names, Place};
use super::walk::owners_excerpt;
use super::{Ground, Step, TraceError, hex, walk};
use crate::control::Encapsulation;

/// The first source port to try where none is asked for.
const FIRST_PORT: u16 = 40_000;
/// Ports tried before one with a known flow is taken.
const PORTS_TRIED: u16 = 16;
/// Stands for a MAC address that does not matter to the walk.
const SOMEBODY: MacAddr = MacAddr([0x02, 0, 0, 0, 0, 0x01]);

/// A frame at a port.
pub(super) struct Arriving {
    pub(super) port: PortId,
    pub(super) frame: Frame,
    /// The packet in a few words.
    pub(super) about: String,
    /// The node whose pod or host sends it, if another one.
    pub(super) came_from: Option<String>,
}

/// The frame that the probe stands for.
pub(super) fn arriving(
    ground: &dyn Ground,
    names: &Names<'_>,
    probe: &Probe,
) -> Result<Arriving, TraceError> {
    match probe {
        Probe::Made(made) => from_ends(ground, names, made),
        Probe::Given(given) => from_bytes(names, given),
    }
}

/// Whether the gateway of the pod at this port is answered; nothing for other ports.
pub(super) fn arp(
    ground: &dyn Ground,
    names: &Names<'_>,
    port: PortId,
) -> Result<Option<Step>, TraceError> {
    let Some(workload) = names.world.workload(port) else {
        return Ok(None);
    };
    let request = build::arp_request(workload.mac, workload.address, GATEWAY_IP);
    let walk = walk(ground, names.world, port, &Frame::from_ethernet(&request))?;
    let step = match walk.refused {
        None => Step::new(
            "arp",
            format!("who has {GATEWAY_IP}? answered: {GATEWAY_MAC}"),
        ),
        Some(reason) => Step::new("arp", format!("who has {GATEWAY_IP}? no answer: {reason}")),
    };
    Ok(Some(step.with("answered", walk.refused.is_none())))
}

fn from_ends(ground: &dyn Ground, names: &Names<'_>, made: &Made) -> Result<Arriving, TraceError> {
    let protocol = Protocol(made.protocol);
    if made.dst_port != 0 && !protocol.has_ports() {
        return Err(TraceError::NoPorts(protocol));
    }
    let src = names.address("a sender", &made.from)?;
    let dst = names.address("a receiver", &made.to)?;
    let place = names.place(src);
    if matches!(place, Place::Outside) && names.is_own(src) {
        return Err(TraceError::NotAttached(made.from.clone()));
    }
    let port = names.port_of(&place);
    let port = port.ok_or_else(|| TraceError::NotAttached(made.from.clone()))?;
    let ends = Ends {
        src,
        dst,
        place,
        port,
    };
    let (packet, kind) = choose_packet(ground, names, made, &ends)?;
    let (from, to) = (names.who(src), names.who(dst));
    Ok(Arriving {
        port,
        frame: ends.dressed(names, &packet),
        about: format!("{from} -> {to}, {kind}"),
        came_from: match ends.place {
            Place::Peer(peer, _) => Some(peer.name.clone()),
            _ => None,
        },
    })
}

struct Ends<'a> {
    src: Ipv4Addr,
    dst: Ipv4Addr,
    place: Place<'a>,
    port: PortId,
}

impl Ends<'_> {
    /// Whether a packet of so many bytes can arrive from there.
    ///
    /// # Errors
    /// [`TraceError::TooLong`].
    fn allow(&self, packet_len: usize) -> Result<(), TraceError> {
        let tunnel = match self.place {
            Place::Peer(_, Encapsulation::Ipip) => ipv4::HEADER_LEN,
            _ => 0,
        };
        match packet_len + tunnel {
            fits if fits <= frame::MAX_PACKET => Ok(()),
            found => Err(TraceError::TooLong { found }),
        }
    }

    /// The packet as it arrives from there.
    fn dressed(&self, names: &Names<'_>, packet: &[u8]) -> Frame {
        let own_mac = uplink_mac(names, self.port);
        match self.place {
            Place::Workload(pod) => {
                Frame::from_ethernet(&build::ethernet(pod.mac, GATEWAY_MAC, packet))
            }
            Place::Host | Place::Outside => Frame::from_packet(packet),
            Place::Peer(peer, encapsulation) => {
                let sender = peer.next_hop.mac.unwrap_or(SOMEBODY);
                // The other node has taken its hop.
                let packet = build::with_header(packet, |header| header.ttl -= 1);
                let packet = match encapsulation {
                    Encapsulation::Plain => packet,
                    Encapsulation::Ipip => build::ipip(
                        peer.address.addr(),
                        names.desired.node.address.addr(),
                        &packet,
                    ),
                };
                Frame::from_ethernet(&build::ethernet(sender, own_mac, &packet))
            }
        }
    }
}

/// A packet that begins a flow, or one more of a TCP connection that is known. Where no source port
/// is asked for, one without a flow is looked for.
fn choose_packet(
    ground: &dyn Ground,
    names: &Names<'_>,
    made: &Made,
    ends: &Ends<'_>,
) -> Result<(Vec<u8>, String), TraceError> {
    let mut port = made.src_port.unwrap_or(FIRST_PORT);
    loop {
        let (first, kind) = packet(made, ends, port, TcpFlags::SYN);
        ends.allow(first.len())?;
        let frame = ends.dressed(names, &first);
        let known = owners_excerpt(ground, names.world, ends.port, &frame)?.flow;
        let Some(flow) = known.filter(|flow| !flow.state.is_over()) else {
            return Ok((first, kind));
        };
        if made.src_port.is_none() && port < FIRST_PORT + PORTS_TRIED {
            port += 1;
            continue;
        }
        let flags = match flow.state.is_unreplied() {
            true => TcpFlags::SYN,
            false => TcpFlags::ACK,
        };
        return Ok(packet(made, ends, port, flags));
    }
}

fn packet(made: &Made, ends: &Ends<'_>, src_port: u16, flags: TcpFlags) -> (Vec<u8>, String) {
    let (src, dst, dst_port) = (ends.src, ends.dst, made.dst_port);
    let payload = vec![0; made.payload_bytes.into()];
    let protocol = Protocol(made.protocol);
    match protocol {
        Protocol::TCP => {
            let name = if flags == TcpFlags::SYN { "SYN" } else { "ACK" };
            let packet = build::tcp(src, dst, src_port, dst_port, flags, 1, &payload);
            (packet, format!("tcp {src_port} > {dst_port}, {name}"))
        }
        Protocol::UDP => {
            let packet = build::udp(src, dst, src_port, dst_port, &payload);
            (packet, format!("udp {src_port} > {dst_port}"))
        }
        Protocol::SCTP => {
            let packet = build::sctp(src, dst, src_port, dst_port, 0, (1, &payload));
            (packet, format!("sctp {src_port} > {dst_port}"))
        }
        Protocol::ICMP => {
            let packet = build::icmp_echo(src, dst, src_port, 1, &payload);
            (packet, "icmp echo request".to_owned())
        }
        other => (
            build::ipv4(src, dst, other, &payload),
            format!("protocol {other}"),
        ),
    }
}

fn from_bytes(names: &Names<'_>, given: &Given) -> Result<Arriving, TraceError> {
    let port = names.port_named(&given.port)?;
    let mut bytes = hex::from_hex(&given.bytes).map_err(TraceError::Bytes)?;
    let is_host = names
        .world
        .port(port)
        .is_some_and(|port| matches!(port.kind, PortKind::Host));
    let mut link_len = 0;
    let offload = offload(given, usize::from(!given.is_packet) * ethernet::HEADER_LEN)?;
    if !is_host {
        link_len = ethernet::HEADER_LEN;
        if given.is_packet {
            bytes = [&expected_link(names, port)[..], &bytes].concat();
        }
    } else if !given.is_packet && bytes.len() >= ethernet::HEADER_LEN {
        // The host's port has no link header.
        bytes.drain(..ethernet::HEADER_LEN);
    }
    if bytes.len() > ethernet::HEADER_LEN + frame::MAX_PACKET {
        let found = bytes.len();
        return Err(TraceError::Bytes(format!(
            "expected a frame of at most {} bytes, found {found}",
            ethernet::HEADER_LEN + frame::MAX_PACKET
        )));
    }
    let mut frame = Frame::new();
    frame.rx_buffer(link_len)[..bytes.len()].copy_from_slice(&bytes);
    frame.received(link_len, bytes.len(), offload);
    let about = format!("a frame of {} bytes by {}", bytes.len(), names.port(port));
    Ok(Arriving {
        port,
        frame,
        about,
        came_from: None,
    })
}

fn offload(given: &Given, link_len: usize) -> Result<Offload, TraceError> {
    let Some(text) = &given.offload else {
        return Ok(Offload::default());
    };
    let bytes = hex::from_hex(text).map_err(TraceError::Bytes)?;
    let header: [u8; offload::VIRTIO_LEN] = bytes.try_into().map_err(|found: Vec<u8>| {
        TraceError::Bytes(format!(
            "expected a virtio-net header of {} bytes, found {}",
            offload::VIRTIO_LEN,
            found.len()
        ))
    })?;
    Offload::from_virtio(&header, link_len).map_err(|error| TraceError::Bytes(error.to_string()))
}

/// The link header that packets come in with at this port.
pub(crate) fn expected_link(names: &Names<'_>, port: PortId) -> [u8; ethernet::HEADER_LEN] {
    match names.world.workload(port) {
        Some(workload) => workload.link,
        None => ethernet::Header {
            dst: uplink_mac(names, port),
            src: SOMEBODY,
            ethertype: EtherType::IPV4,
        }
        .emit(),
    }
}

fn uplink_mac(names: &Names<'_>, port: PortId) -> MacAddr {
    match names.world.port(port).map(|port| &port.kind) {
        Some(PortKind::Uplink { mac }) => *mac,
        _ => SOMEBODY,
    }
}
