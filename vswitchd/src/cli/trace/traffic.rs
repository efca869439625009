//! Which packet is meant.

use anyhow::bail;
use cni_shim::trace::Made;
use packet::Protocol;

/// Names that `--proto` takes.
const PROTOCOLS: [(&str, Protocol); 4] = [
    ("tcp", Protocol::TCP),
    ("udp", Protocol::UDP),
    ("icmp", Protocol::ICMP),
    ("sctp", Protocol::SCTP),
];

/// What the packet carries.
#[derive(Debug, clap::Args)]
pub(super) struct Traffic {
    /// tcp, udp, sctp, icmp or a protocol's number [default: tcp with --dport, else icmp].
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol)]
    proto: Option<Protocol>,
    /// The same as --proto icmp: an echo request.
    #[arg(long, conflicts_with_all = ["proto", "dport"])]
    icmp: bool,
    /// Source port, or ICMP identifier [default: one that no known connection has].
    #[arg(long, value_name = "PORT")]
    sport: Option<u16>,
    /// Destination port.
    #[arg(long, value_name = "PORT")]
    dport: Option<u16>,
    /// Bytes behind the transport header.
    #[arg(long, value_name = "BYTES", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=65_000))]
    size: u16,
}

impl Traffic {
    /// The packet between these ends.
    pub(super) fn probe(&self, from: &str, to: &str) -> anyhow::Result<Made> {
        let protocol = match (self.proto, self.dport) {
            (Some(protocol), _) => protocol,
            (None, Some(_)) => Protocol::TCP,
            (None, None) => Protocol::ICMP,
        };
        let dst_port = match (protocol.has_ports(), self.dport) {
            (true, None) => bail!("expected --dport with {protocol}, found none"),
            (false, Some(port)) => bail!("expected no --dport with {protocol}, found {port}"),
            (_, port) => port.unwrap_or(0),
        };
        Ok(Made {
            from: from.to_owned(),
            to: to.to_owned(),
            protocol: protocol.0,
            src_port: self.sport,
            dst_port,
            payload_bytes: self.size,
        })
    }
}

fn protocol(text: &str) -> Result<Protocol, String> {
    let named = PROTOCOLS.iter().find(|(name, _)| *name == text);
    let number = || text.parse().ok().map(Protocol);
    named
        .map(|(_, protocol)| *protocol)
        .or_else(number)
        .ok_or_else(|| "expected tcp, udp, sctp, icmp or a number from 0 to 255".to_owned())
}
