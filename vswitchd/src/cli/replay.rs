//! `vswitchctl replay`: a capture, walked through the data plane.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::ValueEnum;
use serde::Serialize;

use super::{say, to_json};
use crate::capture_file::{Captured, Reader, Writer};
use crate::offline::OfflineNode;
use crate::replay::{self, Difference, Entry, Fate, Player, Tally};
use crate::trace::{Verdict, headers};

/// The second policies change a packet's fate.
const DIFFERENT: u8 = 3;
/// Where the daemon's configuration lies.
const CONFIG: &str = "/etc/vswitchd/vswitchd.toml";

/// Arguments of `vswitchctl replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The capture is pcap or pcapng, of Ethernet, Linux cooked or raw IP. It needs neither daemon nor root: the \
node is what CONFIG describes, its pods are those of the policies' manifests that have an address of this \
node's blocks, and every other address of these blocks in the capture is a container that is no pod. Time \
is the capture's. A frame comes by the port that its interface names, if `vswitchctl capture` wrote the \
file (only stage rx is walked again); else its source address says which. MAC addresses are not compared. \
TCP packets of more than 1480 bytes are taken for super-segments.

With two --policy, the packets whose fate the second changes are printed.

Exit status: 0 walked, and with two policies no difference; 1 trouble; 2 a wrong command line; 3 the second \
policies change a packet's fate.

Examples:
  vswitchctl replay node.pcapng
  vswitchctl replay node.pcapng -f minikube-m02.toml --policy manifests -w out.pcapng
  vswitchctl replay node.pcapng -f minikube-m02.toml --policy before --policy after")]
pub(super) struct Args {
    /// The capture.
    capture: PathBuf,
    /// The node's TOML; it must have `address`.
    #[arg(short = 'f', long = "file", value_name = "CONFIG", default_value = CONFIG)]
    config: PathBuf,
    /// A directory of manifests instead of the node's `policy_dir`; a second one is compared with the first.
    #[arg(long = "policy", value_name = "DIR")]
    policies: Vec<PathBuf>,
    /// Write what leaves by each port, under the last policies, as pcapng.
    #[arg(short, long, value_name = "OUT")]
    write: Option<PathBuf>,
    /// Print at most so many packets whose fate differs.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
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

/// All that is printed.
#[derive(Serialize)]
struct Report {
    node: String,
    /// Under each policies.
    tallies: Vec<Tally>,
    /// How many packets have another fate under the second.
    different: usize,
    /// The first of them.
    differences: Vec<Difference>,
}

impl Args {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        if self.policies.len() > 2 {
            bail!(
                "expected --policy twice at most, found {} of them",
                self.policies.len()
            );
        }
        let mut players = self.players()?;
        let mut writer = self.write.as_deref().map(Writer::create).transpose()?;
        let mut report = Report {
            node: players[0].name().to_owned(),
            tallies: players.iter().map(|_| Tally::default()).collect(),
            different: 0,
            differences: Vec::new(),
        };
        let mut first = None;
        for captured in Reader::open(&self.capture)? {
            let captured = captured?;
            let since = captured
                .at
                .saturating_sub(*first.get_or_insert(captured.at));
            self.replay(&captured, since, &mut players, &mut writer, &mut report)?;
        }
        self.print(&report)
    }

    /// A node under each policies.
    fn players(&self) -> anyhow::Result<Vec<Player>> {
        let strangers = replay::addresses(&self.capture)?;
        let load = |policies: Option<&Path>| {
            let node = OfflineNode::with_strangers(&self.config, policies, &strangers)?;
            Ok(Player::new(node))
        };
        match self.policies.is_empty() {
            true => Ok(vec![load(None)?]),
            false => self
                .policies
                .iter()
                .map(|policies| load(Some(policies)))
                .collect(),
        }
    }

    fn replay(
        &self,
        captured: &Captured,
        since: Duration,
        players: &mut [Player],
        writer: &mut Option<Writer>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let mut fates = Vec::new();
        let last = players.len() - 1;
        for (index, player) in players.iter_mut().enumerate() {
            report.tallies[index].packet(since);
            let entry = match player.entry(captured) {
                Ok(entry) => entry,
                Err(unfit) => {
                    report.tallies[index].not_replayed(unfit);
                    continue;
                }
            };
            let out = writer.as_mut().filter(|_| index == last);
            let fate = play(player, captured, &entry, out)?;
            let words = words(player, &fate);
            report.tallies[index].fate(captured.number, entry.rule, &entry.frame, &fate, &words);
            fates.push((words, headers::summary(&entry.frame)));
        }
        if let [(before, packet), (after, _)] = &fates[..]
            && before != after
        {
            report.different += 1;
            if report.differences.len() < self.limit {
                report.differences.push(Difference {
                    number: captured.number,
                    packet: packet.clone(),
                    before: before.clone(),
                    after: after.clone(),
                });
            }
        }
        Ok(())
    }

    fn print(&self, report: &Report) -> anyhow::Result<ExitCode> {
        match self.output {
            Output::Json => say(&to_json(report)?)?,
            Output::Text => say(text(report).trim_end())?,
        }
        Ok(match report.different {
            0 => ExitCode::SUCCESS,
            _ => DIFFERENT.into(),
        })
    }
}

/// Walks the frame; what leaves is written, if there is where to.
fn play(
    player: &mut Player,
    captured: &Captured,
    entry: &Entry,
    writer: Option<&mut Writer>,
) -> anyhow::Result<Fate> {
    let mut sent = Vec::new();
    let fate = player.play(captured.at, entry, |port, frame| {
        sent.push((port, frame.clone()));
    });
    if let Some(writer) = writer {
        let reason = fate.reason.map(|reason| {
            let number = captured.number;
            format!("answer to packet {number}, which was dropped: {reason}")
        });
        for (port, frame) in sent {
            let name = format!("{}:tx", player.owner(port));
            writer.write(captured.at, &name, &frame, reason.as_deref())?;
        }
    }
    Ok(fate)
}

/// A fate in words.
fn words(player: &Player, fate: &Fate) -> String {
    match (fate.verdict, fate.reason, fate.port) {
        (Verdict::Dropped, Some(reason), _) => match &fate.rule {
            Some(rule) => format!("dropped: {reason}: {rule}"),
            None => format!("dropped: {reason}"),
        },
        (_, _, Some(port)) => format!("to {}", player.port(port)),
        _ => "kept".to_owned(),
    }
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for (index, tally) in report.tallies.iter().enumerate() {
        let which = match (report.tallies.len(), index) {
            (1, _) => "",
            (_, 0) => ", first policies",
            _ => ", second policies",
        };
        text.push_str(&format!("{}{which}: {tally}\n", report.node));
    }
    if report.tallies.len() > 1 {
        let shown = report.differences.len();
        text.push_str(&format!("{} packets have another fate", report.different));
        text.push_str(match report.different > shown {
            true => "; the first of them:\n",
            false => "\n",
        });
        for difference in &report.differences {
            text.push_str(&format!("{difference}\n"));
        }
    }
    text
}
