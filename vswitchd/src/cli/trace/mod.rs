//! `vswitchctl trace`: what would happen to a packet.

mod nodes;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::ValueEnum;
use cni_shim::trace::{Given, Probe};
use serde::Serialize;

use self::nodes::{Nodes, Place};
use self::traffic::Traffic;
use super::{say, to_json};
use crate::trace::{Hop, Verdict, hex};

/// The packet was dropped.
const DROPPED: u8 = 3;
/// It left for a node that could not be asked.
const LEFT: u8 = 4;
/// More nodes than a packet between two pods visits; a cap on loops.
const MAX_HOPS: usize = 8;

/// Arguments of `vswitchctl trace`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
FROM and TO are a pod (NAMESPACE/POD, or POD of namespace default), an address, `host`, or the name of \
a node, which stands for that node's host. The packet is walked by the data plane's own code under the \
tables in force; it is not sent, and no counter and no connection changes.

With --frame or --pcap, FROM is the port the frame comes by: a pod, `host`, `uplink` or an interface.

TCP is a SYN, or one more segment where --sport and --dport are those of a known connection. In a lab \
the trace goes on at the next node; elsewhere it says where to.

Exit status: 0 delivered, 1 trouble, 2 a wrong command line, 3 dropped, 4 left for a node that cannot \
be asked.

Examples:
  vswitchctl trace nginx nginx-manual
  vswitchctl trace shop/web shop/db --dport 5432
  vswitchctl trace shop/web 8.8.8.8 --proto udp --dport 53 -o json
  vswitchctl trace nginx nginx-manual --size 1453
  vswitchctl trace uplink --pcap outer.pcap --packet 3
  vswitchctl trace nginx --frame eeeeeeeeeeee0200000001c108060001080006040001...
  vswitchctl trace host nginx --node minikube-m02
  vswitchctl trace nginx 10.244.151.1 -f /etc/vswitchd/vswitchd.toml")]
pub(super) struct Args {
    /// Who would send the packet.
    from: String,
    /// To whom.
    #[arg(required_unless_present_any = ["frame", "pcap"], conflicts_with_all = ["frame", "pcap"])]
    to: Option<String>,
    #[command(flatten)]
    traffic: Traffic,
    /// The frame itself, as hexadecimal digits, link header included (from the host: none).
    #[arg(long, value_name = "HEX", conflicts_with_all = ["pcap", "proto", "icmp", "sport", "dport", "size"])]
    frame: Option<String>,
    /// A capture to take the frame from: pcap or pcapng.
    #[arg(long, value_name = "FILE", requires = "packet", conflicts_with_all = ["proto", "icmp", "sport", "dport", "size"])]
    pcap: Option<PathBuf>,
    /// Which frame of the capture, from 1.
    #[arg(long, value_name = "N", requires = "pcap")]
    packet: Option<usize>,
    #[command(flatten)]
    place: Place,
    /// A node's TOML to trace without a daemon: with its policy directory, and the pods of it that have an
    /// address of this node's blocks.
    #[arg(short, long, value_name = "CONFIG")]
    file: Option<PathBuf>,
    /// With -f: a directory of manifests instead of its `policy_dir`.
    #[arg(long, value_name = "DIR", requires = "file")]
    policy: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// A whole trace.
#[derive(Serialize)]
struct Trace<'a> {
    verdict: Verdict,
    reason: Option<&'a str>,
    text: &'a str,
    hops: &'a [Hop],
}

impl Args {
    pub(super) fn run(self, socket: PathBuf) -> anyhow::Result<ExitCode> {
        let probe = self.probe()?;
        let mut nodes = match &self.file {
            Some(file) => Nodes::offline(file, self.policy.as_deref())?,
            None => Nodes::first(socket, &self.place, &self.from)?,
        };
        let mut first = nodes.ask(probe.clone())?;
        // Begin where the packet does, if that node can be asked and no other is asked for.
        if self.place.node.is_none()
            && let Some(node) = &first.came_from
            && nodes.go_to(node)
        {
            first = nodes.ask(probe)?;
        }
        let mut hops = vec![first];
        while let Some(onward) = hops.last().and_then(|hop| hop.end.onward.clone())
            && hops.len() < MAX_HOPS
            && nodes.go_to(&onward.node)
        {
            hops.push(nodes.ask(onward.probe)?);
        }
        self.print(&hops)
    }

    fn probe(&self) -> anyhow::Result<Probe> {
        if let Some(frame) = &self.frame {
            let bytes = hex::from_hex(frame).map_err(anyhow::Error::msg);
            let bytes = bytes.context("--frame")?;
            // What the host sends has no link header.
            let is_packet = self.from == "host";
            return Ok(given(&self.from, &bytes, is_packet, None));
        }
        if let (Some(file), Some(number)) = (&self.pcap, self.packet) {
            let captured = crate::capture_file::nth(file, number)?;
            let (bytes, offload) = captured.as_taken();
            return Ok(given(&self.from, &bytes, captured.is_packet, offload));
        }
        let to = self.to.clone().context("expected TO, found none")?;
        Ok(Probe::Made(self.traffic.probe(&self.from, &to)?))
    }

    fn print(&self, hops: &[Hop]) -> anyhow::Result<ExitCode> {
        let Some(last) = hops.last() else {
            bail!("expected a walk, found none");
        };
        match self.output {
            Output::Text => say(&text(hops))?,
            Output::Json => say(&to_json(&Trace {
                verdict: last.end.verdict,
                reason: last.end.reason.as_deref(),
                text: &last.end.text,
                hops,
            })?)?,
        }
        Ok(match last.end.verdict {
            Verdict::Delivered | Verdict::Kept => ExitCode::SUCCESS,
            Verdict::Dropped => DROPPED.into(),
            Verdict::Onward => LEFT.into(),
        })
    }
}

fn given(port: &str, bytes: &[u8], is_packet: bool, offload: Option<[u8; 10]>) -> Probe {
    Probe::Given(Given {
        port: port.to_owned(),
        bytes: hex::to_hex(bytes),
        is_packet,
        offload: offload.map(|header| hex::to_hex(&header)),
    })
}

/// The hops, and in the last line what came of it.
fn text(hops: &[Hop]) -> String {
    let about = hops
        .first()
        .map_or(String::new(), |hop| match &hop.came_from {
            Some(node) => format!("{}, as it arrives from {node}", hop.about),
            None => hop.about.clone(),
        });
    let walks: Vec<String> = hops.iter().map(ToString::to_string).collect();
    let mut text = format!("{about}\n\n{}\n", walks.join("\n"));
    if let Some(Hop { end, .. }) = hops.last() {
        text.push_str(&end.text);
        if let Some(onward) = &end.onward {
            text.push_str(&format!(
                "; go on there: {}",
                command(&onward.node, &onward.probe)
            ));
        }
    }
    text
}

/// The command that goes on where this one could not.
fn command(node: &str, probe: &Probe) -> String {
    match probe {
        Probe::Given(given) if !given.is_packet && given.offload.is_none() => {
            format!(
                "on {node}, `vswitchctl trace {} --frame {}`",
                given.port, given.bytes
            )
        }
        _ => format!("on {node}, `vswitchctl trace FROM TO` with the same arguments"),
    }
}
