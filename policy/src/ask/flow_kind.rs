//! What a new flow carries: `80/tcp`, `53/udp`, `icmp`, `icmp:3/1`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use thiserror::Error;

use crate::verdict::{Flow, protocol};

/// The source port of a flow nobody gave one: the first dynamic port (RFC 6335, section 6).
pub const DEFAULT_SOURCE_PORT: u16 = 49152;

/// An echo request of ICMP (RFC 792).
const ECHO: (u8, u8) = (8, 0);
/// Its reply.
const ECHO_REPLY: (u8, u8) = (0, 0);
/// An echo request of ICMPv6 (RFC 4443, section 4.1).
const ECHO_V6: (u8, u8) = (128, 0);
/// Its reply.
const ECHO_REPLY_V6: (u8, u8) = (129, 0);

/// The traffic of a flow, whoever its ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowKind {
    /// A protocol with ports.
    Port {
        /// IP protocol number.
        protocol: u8,
        /// Destination port.
        port: u16,
        /// Source port.
        source: u16,
    },
    /// ICMP between IPv4 addresses. An echo request or its reply is that of ICMPv6 between ends that
    /// have only IPv6 in common; other messages are IPv4's alone.
    Icmp {
        /// Type and code; `None` is an echo request.
        message: Option<(u8, u8)>,
    },
    /// ICMPv6, between IPv6 addresses only.
    IcmpV6 {
        /// Type and code; `None` is an echo request.
        message: Option<(u8, u8)>,
    },
    /// Any other protocol, by number.
    Other(u8),
}

/// A text that names no traffic.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "expected PORT/tcp, PORT/udp, PORT/sctp, icmp, icmp:TYPE/CODE, icmpv6 or protocol:NUMBER, found {found:?}"
)]
pub struct FlowKindError {
    found: String,
}

impl FlowKind {
    /// A flow to this port of a protocol, from a [usual source port](DEFAULT_SOURCE_PORT).
    #[must_use]
    pub fn port(protocol: u8, port: u16) -> Self {
        Self::Port {
            protocol,
            port,
            source: DEFAULT_SOURCE_PORT,
        }
    }

    /// An echo request.
    #[must_use]
    pub fn ping() -> Self {
        Self::Icmp { message: None }
    }

    /// Can it travel between addresses of this family?
    #[must_use]
    pub fn fits(&self, address: IpAddr) -> bool {
        match self {
            Self::IcmpV6 { .. } | Self::Other(protocol::ICMPV6) => address.is_ipv6(),
            Self::Other(protocol::ICMP) => address.is_ipv4(),
            Self::Icmp { message } => address.is_ipv4() || as_v6(*message).is_some(),
            _ => true,
        }
    }

    /// Is this the traffic's own family, rather than one that will do?
    pub(super) fn prefers(&self, address: IpAddr) -> bool {
        !matches!(self, Self::Icmp { .. }) || address.is_ipv4()
    }

    /// The flow between two addresses of one family, as the subject sees it.
    #[must_use]
    pub fn flow(&self, subject: IpAddr, peer: IpAddr) -> Flow {
        let mut flow = Flow {
            subject,
            peer,
            protocol: 0,
            src_port: 0,
            dst_port: 0,
            icmp: None,
        };
        match *self {
            Self::Port {
                protocol,
                port,
                source,
            } => {
                flow.protocol = protocol;
                (flow.src_port, flow.dst_port) = (source, port);
            }
            Self::Icmp { message } if subject.is_ipv4() => {
                flow.protocol = protocol::ICMP;
                flow.icmp = Some(message.unwrap_or(ECHO));
            }
            Self::Icmp { message } => {
                flow.protocol = protocol::ICMPV6;
                flow.icmp = as_v6(message);
            }
            Self::IcmpV6 { message } => {
                flow.protocol = protocol::ICMPV6;
                flow.icmp = Some(message.unwrap_or(ECHO_V6));
            }
            Self::Other(number) => flow.protocol = number,
        }
        flow
    }
}

/// The message of ICMPv6 that says what this one of ICMP does.
fn as_v6(message: Option<(u8, u8)>) -> Option<(u8, u8)> {
    match message {
        None | Some(ECHO) => Some(ECHO_V6),
        Some(ECHO_REPLY) => Some(ECHO_REPLY_V6),
        Some(_) => None,
    }
}

/// The name of a protocol as ports are written with it: `tcp`.
#[must_use]
pub(crate) fn short_name(number: u8) -> String {
    protocol::name(number).map_or_else(|| format!("protocol {number}"), str::to_lowercase)
}

impl fmt::Display for FlowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port {
                protocol,
                port,
                source,
            } => {
                write!(f, "{port}/{}", short_name(*protocol))?;
                match *source {
                    DEFAULT_SOURCE_PORT => Ok(()),
                    source => write!(f, " from port {source}"),
                }
            }
            Self::Icmp { message } => write_icmp(f, "icmp", *message),
            Self::IcmpV6 { message } => write_icmp(f, "icmpv6", *message),
            Self::Other(number) => write!(f, "protocol:{number}"),
        }
    }
}

fn write_icmp(f: &mut fmt::Formatter<'_>, name: &str, message: Option<(u8, u8)>) -> fmt::Result {
    f.write_str(name)?;
    match message {
        Some((kind, code)) => write!(f, ":{kind}/{code}"),
        None => Ok(()),
    }
}

impl FromStr for FlowKind {
    type Err = FlowKindError;

    fn from_str(text: &str) -> Result<Self, FlowKindError> {
        let error = || FlowKindError {
            found: text.to_owned(),
        };
        let lower = text.to_ascii_lowercase();
        if let Some((name, message)) = lower.split_once(':') {
            return named(name, message).ok_or_else(error);
        }
        if let Some((port, protocol)) = lower.split_once('/') {
            return to_port(port, protocol).ok_or_else(error);
        }
        match lower.as_str() {
            "icmp" => Ok(Self::ping()),
            "icmpv6" => Ok(Self::IcmpV6 { message: None }),
            _ => Err(error()),
        }
    }
}

fn to_port(port: &str, protocol: &str) -> Option<FlowKind> {
    let port = port.parse().ok().filter(|port: &u16| *port > 0)?;
    let protocol = with_ports(protocol)?;
    Some(FlowKind::port(protocol, port))
}

/// The number of a protocol that has ports.
pub(super) fn with_ports(name: &str) -> Option<u8> {
    match name {
        "tcp" => Some(protocol::TCP),
        "udp" => Some(protocol::UDP),
        "sctp" => Some(protocol::SCTP),
        "udplite" => Some(protocol::UDPLITE),
        _ => None,
    }
}

fn named(name: &str, message: &str) -> Option<FlowKind> {
    if name == "protocol" {
        let number = message.parse().ok()?;
        let plain = !protocol::has_ports(number) && !protocol::is_icmp(number);
        return plain.then_some(FlowKind::Other(number));
    }
    let (kind, code) = message.split_once('/').unwrap_or((message, "0"));
    let message = Some((kind.parse().ok()?, code.parse().ok()?));
    match name {
        "icmp" => Some(FlowKind::Icmp { message }),
        "icmpv6" => Some(FlowKind::IcmpV6 { message }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for text in [
            "80/tcp",
            "53/udp",
            "9003/sctp",
            "icmp",
            "icmp:3/1",
            "icmpv6",
            "icmpv6:129/0",
            "protocol:47",
        ] {
            assert_eq!(text.parse::<FlowKind>().unwrap().to_string(), text);
        }
        assert_eq!("80/TCP".parse(), Ok(FlowKind::port(protocol::TCP, 80)));
        let unreachable = FlowKind::Icmp {
            message: Some((3, 0)),
        };
        assert_eq!("icmp:3".parse(), Ok(unreachable));
    }

    #[test]
    fn what_names_no_traffic_is_an_error_that_shows_it() {
        for text in [
            "",
            "80",
            "tcp",
            "0/tcp",
            "65536/tcp",
            "80/icmp",
            "icmp:256",
            "protocol:6",
            "ping:1",
        ] {
            let error = text.parse::<FlowKind>().unwrap_err().to_string();
            assert!(error.contains(&format!("found {text:?}")), "{error}");
        }
    }

    #[test]
    fn an_echo_request_is_that_of_the_family() {
        let flow = |a: &str, b: &str| FlowKind::ping().flow(a.parse().unwrap(), b.parse().unwrap());
        let v4 = flow("10.0.0.1", "10.0.0.2");
        assert_eq!((v4.protocol, v4.icmp), (protocol::ICMP, Some((8, 0))));
        let v6 = flow("fd00::1", "fd00::2");
        assert_eq!((v6.protocol, v6.icmp), (protocol::ICMPV6, Some((128, 0))));
        let over_v6 = |message| {
            let kind = FlowKind::Icmp {
                message: Some(message),
            };
            let fits = kind.fits("fd00::1".parse().unwrap());
            fits.then(|| {
                kind.flow("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap())
                    .icmp
            })
        };
        assert_eq!(over_v6((8, 0)), Some(Some((128, 0))));
        assert_eq!(over_v6((0, 0)), Some(Some((129, 0))));
        assert_eq!(over_v6((3, 1)), None);
    }
}
