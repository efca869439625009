//! A relay between the ends of three veth pairs, with the sockets that hear what it leaves to the daemon.

use packet::flow::FlowKey;
use packet::ipip::{self, Outer};
use packet::{EtherType, Frame, MacAddr, Protocol, build, ethernet, ipv4};
use port::{
    Arrives, Encapsulator, Filter, LaneSpec, Link, PacketConfig, PacketPort, PortIo, Relay,
    RelayAttachment, RelayCounts, Side,
};

use super::{PATIENCE, frames, namespace, receive, receive_waiting, send_all, wait};

/// The generation in force at first.
pub(crate) const GENERATION: u32 = 7;
/// What marks begin with.
pub(crate) const MARK: [u8; 4] = [0x06, 0xaa, 0xbb, 0xcc];
/// The lane's MTU.
pub(crate) const MTU: u16 = 1480;
/// The link header that relayed frames leave with.
const LEAVES: ethernet::Header = ethernet::Header {
    dst: MacAddr([2, 0, 0, 0, 0, 0x21]),
    src: MacAddr([2, 0, 0, 0, 0, 0x20]),
    ethertype: EtherType::IPV4,
};
/// The uplink's own address, as in [`frames::on`].
const UPLINK_MAC: &str = "02:00:00:00:00:02";

/// Frames go in at `pod` or `wire`, and come out at `far`, if they are relayed, or are heard at `host` or `uplink`.
pub(crate) struct House {
    pub(crate) relay: Relay,
    pub(crate) pod: PacketPort,
    pub(crate) host: PacketPort,
    pub(crate) wire: PacketPort,
    pub(crate) uplink: PacketPort,
    pub(crate) far: PacketPort,
    pub(crate) attached: Vec<RelayAttachment>,
    far_index: u32,
}

impl House {
    /// Nothing where programs may not be loaded.
    pub(crate) fn build() -> Option<Self> {
        let relay = match Relay::new(64) {
            Ok(relay) => relay,
            Err(error) => {
                assert!(!namespace::may_attach_bpf(), "{error}");
                assert!(error.to_string().contains(": it needs "), "{error}");
                return None;
            }
        };
        namespace::veth("host", "pod");
        namespace::veth("wire", "uplink");
        namespace::veth("tofar", "far");
        namespace::run(&format!("ip link set uplink address {UPLINK_MAC}"));
        let attached = vec![
            relay.attach("host", Side::Workload).expect("attach"),
            relay.attach("uplink", Side::Uplink).expect("attach"),
        ];
        relay.allow(Some(GENERATION));
        let encapsulator = Encapsulator::attach("wire", |failure| panic!("{failure}"));
        Some(Self {
            relay,
            pod: open("pod", false, None),
            host: open("host", true, None),
            wire: open("wire", false, Some(encapsulator.expect("an encapsulator"))),
            uplink: open("uplink", true, None),
            far: open("far", false, None),
            attached,
            far_index: nix::net::if_::if_nametoindex("tofar").expect("its number"),
        })
    }

    /// The lane of [`tcp`]'s frames from the pod.
    pub(crate) fn lane(&self, protocol: Protocol) -> LaneSpec {
        let (src_port, dst_port) = match protocol {
            Protocol::TCP => (40_000, 80),
            _ => (4000, 5000),
        };
        LaneSpec {
            interface: self.attached[0].interface_index(),
            flow: FlowKey {
                src: frames::POD,
                dst: frames::OTHER_POD,
                src_port,
                dst_port,
                protocol,
            },
            arrives: Arrives::Plain { link: link() },
            to_interface: self.far_index,
            link: LEAVES.emit(),
            mtu_bytes: MTU,
            mark: MARK,
        }
    }

    /// The same flow, from another node.
    pub(crate) fn tunnel_lane(&self, protocol: Protocol) -> LaneSpec {
        LaneSpec {
            interface: self.attached[1].interface_index(),
            arrives: Arrives::Tunnel {
                local: frames::OTHER_NODE,
                remote: frames::NODE,
            },
            ..self.lane(protocol)
        }
    }

    /// Prepares a lane and opens it.
    pub(crate) fn open(&self, index: u16, lane: &LaneSpec) {
        self.relay.prepare(index, lane).expect("prepare");
        assert!(self.relay.open(index, 0, GENERATION));
    }

    pub(crate) fn counts(&self, index: u16) -> RelayCounts {
        self.relay.counts(index)
    }

    /// Sends frames from the pod that are relayed, all of them: returns them as they arrive.
    pub(crate) fn relayed(&mut self, sent: &[Frame]) -> Vec<Frame> {
        crosses(&mut self.pod, &mut self.host, &mut self.far, sent)
    }

    /// Sends frames from the pod that are left to the daemon, all of them: returns them as they arrive.
    pub(crate) fn left(&mut self, sent: &[Frame]) -> Vec<Frame> {
        crosses(&mut self.pod, &mut self.far, &mut self.host, sent)
    }

    /// As [`relayed`](House::relayed), from the other node.
    pub(crate) fn relayed_from_wire(&mut self, sent: &[Frame]) -> Vec<Frame> {
        crosses(&mut self.wire, &mut self.uplink, &mut self.far, sent)
    }

    /// As [`left`](House::left), from the other node.
    pub(crate) fn left_from_wire(&mut self, sent: &[Frame]) -> Vec<Frame> {
        crosses(&mut self.wire, &mut self.far, &mut self.uplink, sent)
    }
}

/// Runs a test with a house, where one can be built.
pub(crate) fn housed(name: &str, test: impl FnOnce(House)) {
    namespace::alone(name, || {
        if let Some(house) = House::build() {
            test(house);
        }
    });
}

/// A segment of the TCP lanes' connection, with an IPv4 identification.
pub(crate) fn tcp(number: u16) -> Frame {
    let packet = build::with_header(&frames::tcp_packet(100), |header| {
        header.identification = number;
    });
    frames::on(Link::Ethernet, Frame::from_packet(&packet))
}

/// A frame's packet as it comes from the other node.
pub(crate) fn on_wire(frame: &Frame) -> Frame {
    let mut frame = frame.clone();
    let outer = Outer {
        src: frames::NODE,
        dst: frames::OTHER_NODE,
        identification: 0,
    };
    ipip::encapsulate(&mut frame, outer);
    frames::on(Link::Ethernet, frame)
}

fn crosses(
    from: &mut PacketPort,
    not: &mut PacketPort,
    to: &mut PacketPort,
    sent: &[Frame],
) -> Vec<Frame> {
    send_all(from, sent);
    let received = receive(to, sent.len());
    assert_eq!(receive_waiting(not), [], "at {} too", not.name());
    assert_eq!(receive_waiting(to), [], "more than was sent");
    received
}

pub(crate) fn open(
    interface: &str,
    behind_tc: bool,
    encapsulator: Option<Encapsulator>,
) -> PacketPort {
    let config = PacketConfig {
        interface,
        filter: Filter::Everything,
        behind_tc,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: encapsulator.map(std::sync::Arc::new),
        batch: 64,
    };
    PacketPort::open(&config).expect("a packet port")
}

/// The link header of [`frames::on`].
pub(crate) fn link() -> [u8; 14] {
    let frame = frames::on(Link::Ethernet, frames::udp(0, 0));
    frame.bytes()[..14].try_into().expect("a link header")
}

/// A frame as it is when it has been relayed: with its new MACs, and a hop less.
pub(crate) fn after(mut frame: Frame) -> Frame {
    ipv4::decrement_ttl(frame.ip_header_mut());
    frame.set_link(&LEAVES.emit());
    frame
}

/// A frame as it is when it has been marked: the number-th of its lane, from 0.
pub(crate) fn marked(mut frame: Frame, number: u16) -> Frame {
    let mut link: [u8; 14] = frame.bytes()[..14].try_into().expect("a link header");
    link[..4].copy_from_slice(&MARK);
    link[4..6].copy_from_slice(&number.to_be_bytes());
    frame.set_link(&link);
    frame
}

/// A frame of the lanes without its mark.
pub(crate) fn unmarked(mut frame: Frame) -> Frame {
    frame.set_link(&link());
    frame
}

/// Waits for a moment in which nothing arrives at a port.
pub(crate) fn nothing(port: &mut PacketPort) {
    let brief = PATIENCE / 100;
    assert!(!wait(port, brief), "{:?}", receive_waiting(port));
}
