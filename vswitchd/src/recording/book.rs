//! Who is who, as the daemon said last, and a packet in words.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;

use cni_shim::capture::{Directory, Packet, Port, Stage};
use packet::ethernet;

use super::dissect::{Dissected, dissect};

/// Names for numbers.
#[derive(Debug, Default)]
pub(crate) struct Book {
    ports: HashMap<u16, Port>,
    names: HashMap<Ipv4Addr, String>,
    reasons: Vec<String>,
}

impl Book {
    /// Forgets what was, and knows this.
    pub(crate) fn learn(&mut self, directory: Directory) {
        let ports = directory.ports.into_iter();
        self.ports = ports.map(|port| (port.id, port)).collect();
        self.names = directory.names.into_iter().collect();
        self.reasons = directory.reasons;
    }

    /// The interface behind a port, and whose it is.
    pub(crate) fn port(&self, id: u16) -> (&str, &str) {
        match self.ports.get(&id) {
            Some(port) => (&port.interface, &port.owner),
            None => ("?", "no port"),
        }
    }

    /// Why a packet was dropped.
    pub(crate) fn reason(&self, packet: &Packet<'_>) -> Option<&str> {
        let reason = self.reasons.get(usize::from(packet.reason?));
        Some(reason.map_or("a reason this version does not know", String::as_str))
    }

    /// Who has this address.
    pub(crate) fn name(&self, address: Ipv4Addr) -> Option<&str> {
        self.names.get(&address).map(String::as_str)
    }

    /// What the packet's bytes say.
    pub(crate) fn dissect(&self, packet: &Packet<'_>) -> Dissected {
        let (link, rest) = packet
            .bytes
            .split_at(packet.bytes.len().min(ethernet::HEADER_LEN));
        dissect(link, rest)
    }

    /// A packet's comment: what became of it, what policy said, and who its ends are.
    pub(crate) fn comment(&self, packet: &Packet<'_>) -> String {
        let mut parts = Vec::new();
        if let Some(reason) = self.reason(packet) {
            parts.push(format!("dropped: {reason}"));
        }
        if !packet.note.is_empty() {
            parts.push(packet.note.to_owned());
        }
        if packet.gso_size > 0 {
            parts.push(format!("super-segment, cut by {}", packet.gso_size));
        }
        let ends = self.dissect(packet).ends;
        if let Some((src, dst)) = ends
            && (self.name(src).is_some() || self.name(dst).is_some())
        {
            parts.push(format!("{} > {}", self.called(src), self.called(dst)));
        }
        parts.join("; ")
    }

    fn called(&self, address: Ipv4Addr) -> Called<'_> {
        Called(self.name(address), address)
    }
}

/// A name, or an address that has none.
struct Called<'a>(Option<&'a str>, Ipv4Addr);

impl fmt::Display for Called<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => f.write_str(name),
            None => self.1.fmt(f),
        }
    }
}

/// One word for what became of the packet at its stage.
pub(crate) fn verdict(stage: Stage) -> &'static str {
    match stage {
        Stage::Rx => "arrives",
        Stage::PostPolicy => "passes",
        Stage::PreEncap => "to tunnel",
        Stage::Tx => "leaves",
        Stage::Drop => "DROPPED",
    }
}
