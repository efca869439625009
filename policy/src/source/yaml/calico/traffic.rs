//! Protocols, ports and ICMP messages of a rule.

use super::Read;
use super::entity::Entity;
use crate::model::{Icmp, PortMatch};
use crate::source::yaml::Problem;
use crate::source::yaml::validate::is_port_name;
use crate::source::yaml::view::{Map, View};
use crate::verdict::protocol::{ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, is_icmp};

/// `protocol` and `notProtocol` of a rule.
#[derive(Debug)]
pub(super) struct Protocols<'a> {
    pub(super) is: Option<u8>,
    pub(super) is_not: Option<u8>,
    rule: Map<'a>,
}

impl<'a> Protocols<'a> {
    pub(super) fn read(rule: &Map<'a>) -> Read<Self> {
        let read = |field| rule.get(field).map(|view| protocol(&view)).transpose();
        let protocols = Self {
            is: read("protocol")?,
            is_not: read("notProtocol")?,
            rule: rule.clone(),
        };
        protocols.check_icmp()?;
        Ok(protocols)
    }

    /// Does the rule name this protocol, to mean it or to leave it out?
    pub(super) fn name(&self, number: u8) -> bool {
        [self.is, self.is_not].contains(&Some(number))
    }

    /// Ports need a protocol that has them. Calico does not count UDPLite.
    pub(super) fn check_ports(&self, ends: [&Entity<'_>; 2]) -> Read<()> {
        if matches!(self.is, Some(TCP | UDP | SCTP)) {
            return Ok(());
        }
        let at = ends.into_iter().find_map(|end| end.ports_at.as_ref());
        at.map_or(Ok(()), |view| {
            Err(view.error(Problem::Conflict(
                "ports need protocol TCP, UDP or SCTP in the rule",
            )))
        })
    }

    fn check_icmp(&self) -> Read<()> {
        match self.rule.get("icmp") {
            Some(view) if !self.is.is_some_and(is_icmp) => Err(view.error(Problem::Conflict(
                "icmp needs protocol ICMP or ICMPv6 in the rule",
            ))),
            _ => Ok(()),
        }
    }
}

fn protocol(view: &View<'_>) -> Read<u8> {
    let number = match view.integer_or_text()? {
        Ok(number) => u8::try_from(number).ok(),
        Err("TCP") => Some(TCP),
        Err("UDP") => Some(UDP),
        Err("ICMP") => Some(ICMP),
        Err("ICMPv6") => Some(ICMPV6),
        Err("SCTP") => Some(SCTP),
        Err("UDPLite") => Some(UDPLITE),
        Err(text) => text.parse().ok(),
    };
    number.filter(|number| *number > 0).ok_or_else(|| {
        view.invalid("TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255")
    })
}

/// `icmp` or `notICMP`; without a type it asks for nothing.
pub(super) fn icmp(rule: &Map<'_>, field: &str) -> Read<Option<Icmp>> {
    let Some(view) = rule.get(field) else {
        return Ok(None);
    };
    let map = view.map()?;
    map.only(&["type", "code"])?;
    let byte = |field: &str, most: u8, expected: &str| -> Read<Option<u8>> {
        let Some(view) = map.get(field) else {
            return Ok(None);
        };
        let byte = u8::try_from(view.integer()?).ok();
        let byte = byte.filter(|byte| *byte <= most);
        byte.map(Some).ok_or_else(|| view.invalid(expected))
    };
    let kind = byte("type", 254, "an ICMP type from 0 to 254")?;
    let code = byte("code", 255, "an ICMP code from 0 to 255")?;
    match (kind, map.get("code")) {
        (Some(kind), _) => Ok(Some(Icmp { kind, code })),
        (None, Some(code)) => Err(code.error(Problem::Conflict("code needs type"))),
        (None, None) => Ok(None),
    }
}

const PORT: &str = "a port from 1 to 65535, a range such as \"8000:8080\", or a port name of at \
                    most 15 lower-case letters, digits and '-' with at least one letter";

/// A port: a number, a range written `first:last`, or a name.
pub(super) fn port(view: &View<'_>) -> Read<PortMatch> {
    let port = match view.integer_or_text()? {
        Ok(number) => u16::try_from(number)
            .ok()
            .and_then(|port| range(port, port)),
        Err(text) => match text.split_once(':') {
            Some((first, last)) => digits(first)
                .zip(digits(last))
                .and_then(|(a, b)| range(a, b)),
            None if is_port_name(text) => Some(PortMatch::Named(text.to_owned())),
            None => digits(text).and_then(|port| range(port, port)),
        },
    };
    port.ok_or_else(|| view.invalid(PORT))
}

/// A number in plain digits: `parse` alone would take a sign.
fn digits(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn range(first: u16, last: u16) -> Option<PortMatch> {
    (0 < first && first <= last).then_some(PortMatch::Range(first..=last))
}
