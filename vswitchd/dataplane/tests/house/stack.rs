//! A TCP/IP stack as a pod: smoltcp behind one end of the veth.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;

use dataplane::{GATEWAY_IP, Time};
use packet::{Protocol, icmpv4, ipv4};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Address, Ipv4Cidr};

use super::{House, Place, pod_mac};

/// smoltcp talks ARP only within its own networks, from its own address there;
/// a kernel asks for a gateway that is in none of them, from the address it
/// has. So the stack gets this address, too, and on the wire its ARP speaks of
/// the pod's.
const BESIDE_GATEWAY: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 2);
/// Where the sender's and the target's IPv4 address stand in an ARP frame.
const ARP_SENDER: Range<usize> = 28..32;
const ARP_TARGET: Range<usize> = 38..42;

fn is_arp(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[0x08, 0x06])
}

/// The pod's end of the veth.
struct Veth {
    rx: VecDeque<Vec<u8>>,
    tx: VecDeque<Vec<u8>>,
    mtu: usize,
}

struct Received(Vec<u8>);
struct Transmit<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Transmit<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}

impl Device for Veth {
    type RxToken<'a> = Received;
    type TxToken<'a> = Transmit<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Transmit<'_>)> {
        let frame = self.rx.pop_front()?;
        Some((Received(frame), Transmit(&mut self.tx)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Transmit<'_>> {
        Some(Transmit(&mut self.tx))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities
    }
}

/// A pod with a stack of its own: /32 address, default route by 169.254.1.1.
pub struct Stack {
    pub pod: Ipv4Addr,
    pub sockets: SocketSet<'static>,
    /// Fragmentation-needed messages that lowered the MTU.
    pub told_mtu: Vec<u16>,
    interface: Interface,
    veth: Veth,
}

impl Stack {
    pub fn new(pod: Ipv4Addr, mtu: usize) -> Self {
        let mut veth = Veth {
            rx: VecDeque::new(),
            tx: VecDeque::new(),
            mtu,
        };
        Self {
            pod,
            sockets: SocketSet::new(Vec::new()),
            told_mtu: Vec::new(),
            interface: configure(pod, &mut veth),
            veth,
        }
    }

    /// A socket together with the interface's context, which connecting needs.
    pub fn with<S, R>(
        &mut self,
        handle: smoltcp::iface::SocketHandle,
        act: impl FnOnce(&mut S, &mut smoltcp::iface::Context) -> R,
    ) -> R
    where
        S: smoltcp::socket::AnySocket<'static>,
    {
        act(self.sockets.get_mut::<S>(handle), self.interface.context())
    }

    fn poll(&mut self, now: Time) {
        let now = Instant::from_micros((now.as_nanos() / 1000) as i64);
        while !self.veth.rx.is_empty() {
            self.heed_mtu();
            let (veth, sockets) = (&mut self.veth, &mut self.sockets);
            self.interface.poll_ingress_single(now, veth, sockets);
        }
        self.interface
            .poll_egress(now, &mut self.veth, &mut self.sockets);
    }

    /// The next frame the pod sends, as a kernel would send it.
    fn send(&mut self) -> Option<Vec<u8>> {
        let mut frame = self.veth.tx.pop_front()?;
        if is_arp(&frame) {
            frame[ARP_SENDER].copy_from_slice(&self.pod.octets());
        }
        Some(frame)
    }

    /// Takes a frame from the switch.
    fn receive(&mut self, frame: &[u8]) {
        let mut frame = frame.to_vec();
        if is_arp(&frame) {
            frame[ARP_TARGET].copy_from_slice(&BESIDE_GATEWAY.octets());
        }
        self.veth.rx.push_back(frame);
    }

    /// smoltcp ignores fragmentation-needed. A kernel believes it (RFC 1191);
    /// so does this one, by making its interface narrower.
    fn heed_mtu(&mut self) {
        let frame = self.veth.rx.front().expect("a frame to look at");
        let Some(packet) = frame.get(14..) else {
            return;
        };
        let Ok(header) = ipv4::Header::parse(packet) else {
            return;
        };
        if header.protocol != Protocol::ICMP {
            return;
        }
        let Ok(icmp) = icmpv4::Header::parse(header.payload(packet)) else {
            return;
        };
        if let Some(mtu) = icmp.next_hop_mtu() {
            self.told_mtu.push(mtu);
            self.veth.mtu = mtu.into();
            self.interface = configure(self.pod, &mut self.veth);
        }
    }
}

fn cidr(address: Ipv4Addr, prefix: u8) -> IpCidr {
    IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::from(address.octets()), prefix))
}

fn configure(pod: Ipv4Addr, veth: &mut Veth) -> Interface {
    let mac = EthernetAddress(pod_mac(pod).0);
    let mut interface = Interface::new(Config::new(mac.into()), veth, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        addresses.push(cidr(pod, 32)).unwrap();
        addresses.push(cidr(BESIDE_GATEWAY, 30)).unwrap();
    });
    let gateway = Ipv4Address::from(GATEWAY_IP.octets());
    interface
        .routes_mut()
        .add_default_ipv4_route(gateway)
        .unwrap();
    interface
}

impl House {
    /// Lets the stacks talk until `done` or `limit` of virtual time is over.
    ///
    /// # Panics
    /// When it is over.
    pub fn talk(
        &mut self,
        stacks: &mut [Stack],
        limit: Duration,
        mut done: impl FnMut(&mut [Stack]) -> bool,
    ) {
        let end = self.now + limit;
        while !done(stacks) {
            assert!(self.now < end, "not done after {limit:?}");
            self.sleep(Duration::from_millis(1));
            for index in 0..stacks.len() {
                stacks[index].poll(self.now);
                while let Some(frame) = stacks[index].send() {
                    let pod = stacks[index].pod;
                    self.hand(pod, &frame, stacks);
                }
            }
        }
    }

    /// One frame of a pod, to whichever stacks it reaches.
    fn hand(&mut self, pod: Ipv4Addr, frame: &[u8], stacks: &mut [Stack]) {
        let outcome = self.pod_sends_ethernet(pod, frame);
        self.hear(&outcome.events);
        for delivery in &outcome.delivered {
            let Place::Pod(to) = delivery.place else {
                continue;
            };
            if let Some(stack) = stacks.iter_mut().find(|stack| stack.pod == to) {
                stack.receive(delivery.frame.bytes());
            }
        }
        // Nobody looks at the log of so many packets.
        self.underlay.log.clear();
    }
}

/// Says "lost" about every `n`th TCP packet within the tunnel.
pub fn every(n: usize) -> super::Loss {
    let mut seen = 0;
    Box::new(move |wire| {
        let inner = &wire[ipv4::HEADER_LEN..];
        let is_tcp =
            ipv4::Header::parse(inner).is_ok_and(|header| header.protocol == Protocol::TCP);
        seen += usize::from(is_tcp);
        is_tcp && seen % n == 0
    })
}
