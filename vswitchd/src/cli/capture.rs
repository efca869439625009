//! `vswitchctl capture`: what passes the switch, live.

pub(crate) mod filter;
mod line;
mod session;
mod sink;
mod units;

use std::io::{self, BufWriter, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use cni_shim::Request;
use cni_shim::capture::{Capture, Direction, Record, Scope, Stage, Stats};

use super::{Daemon, remark};
use crate::recording::{Files, Plan};
use line::Lines;
pub(super) use session::Session;
use session::is_drained;
pub(super) use sink::Sink;
use sink::To;

/// Bytes of the largest frame.
pub(super) const WHOLE_FRAME: u32 = 65_549;

/// Arguments of `vswitchctl capture`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Stages, in the order of the walk:
  rx           as a port gave it to the switch
  post-policy  conntrack and policy have let it pass, and it has a way
  pre-encap    about to be put into IPIP
  tx           taken by the device it leaves by; small TCP segments may have been joined
  drop         it goes no further, as it was when that was decided

A frame is seen once at each stage asked for. Where it has no Ethernet header there (tunl0, post-policy,
pre-encap) it is given one of zero addresses. Times are UTC.

Examples:
  vswitchctl capture shop/web
  vswitchctl capture --all --drops
  vswitchctl capture shop/web --drops --reason policy_ingress,policy_egress
  vswitchctl capture --uplink -f icmp -c 10
  vswitchctl capture shop/web --stage rx,tx -w web.pcapng --rotate-size 100M --files 5
  vswitchctl capture shop/web -w - | wireshark -k -i -")]
pub(super) struct Args {
    /// A pod of this node: its frames at every port.
    #[arg(value_name = "POD|NAMESPACE/POD", group = "scope")]
    pod: Option<String>,
    /// What passes the port on this interface.
    #[arg(long, value_name = "NAME", group = "scope")]
    port: Option<String>,
    /// What passes the uplink.
    #[arg(long, group = "scope")]
    uplink: bool,
    /// What passes the host's port, tunl0.
    #[arg(long, group = "scope")]
    host: bool,
    /// Everything.
    #[arg(long, group = "scope")]
    all: bool,
    /// Where to look [default: rx,tx,drop].
    #[arg(long, value_name = "STAGE,...", value_delimiter = ',')]
    stage: Vec<Stage>,
    /// Dropped frames only: the same as --stage drop.
    #[arg(long, conflicts_with = "stage")]
    drops: bool,
    /// Of dropped frames, only those with one of these reasons.
    #[arg(long, value_name = "REASON,...", value_delimiter = ',')]
    reason: Vec<String>,
    /// With a pod: in = to it, out = from it. With a port: in = into the switch, out = out of it.
    #[arg(long)]
    direction: Option<Way>,
    /// Only what matches, in tcpdump's language (see pcap-filter(7)).
    #[arg(short, long, value_name = "FILTER")]
    filter: Option<String>,
    /// Bytes kept of each frame at most; 0 = all.
    #[arg(short, long, value_name = "BYTES", default_value_t = WHOLE_FRAME)]
    snap_len: u32,
    /// End after so many.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 10s, 500ms, 5m.
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    duration: Option<Duration>,
    /// Write pcapng to this file, or with - to standard output.
    #[arg(short, long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Begin a new file after so many bytes: 100M, 1G.
    #[arg(long, value_name = "SIZE", value_parser = units::bytes, requires = "write")]
    rotate_size: Option<u64>,
    /// Begin a new file after this time.
    #[arg(long, value_name = "TIME", value_parser = units::duration, requires = "write")]
    rotate_time: Option<Duration>,
    /// Keep only the newest N files.
    #[arg(long, value_name = "N", requires = "write", value_parser = clap::value_parser!(u16).range(1..))]
    files: Option<u16>,
}

/// The words of `--direction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// To the pod, or into the switch.
    In,
    /// From the pod, or out of the switch.
    Out,
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let plan = self.plan()?;
        let capture = self.capture()?;
        let to_stdout = plan.as_ref().is_none_or(|plan| plan.path.is_none());
        if to_stdout && plan.is_some() && io::stdout().is_terminal() {
            bail!("pcapng does not go to a terminal: pipe it to a program, or name a file");
        }
        let session = Session::begin(daemon, &Request::Capture(capture))?;
        let output: Option<OwnedFd> = match to_stdout {
            true => Some(io::stdout().as_fd().try_clone_to_owned()?),
            false => None,
        };
        session.end_when_told(self.duration, output)?;
        let to = match plan {
            None => To::Lines(Lines::new(
                BufWriter::new(io::stdout().lock()),
                is_coloured(),
            )),
            Some(plan) => To::Files(Box::new(Files::begin(plan)?)),
        };
        let (captured, stats) = pump(session, Sink::new(to), self.count)?;
        remark(&format!(
            "{captured} captured, {} matched, {} lost by the tap",
            stats.matched, stats.lost
        ));
        Ok(ExitCode::SUCCESS)
    }

    fn capture(&self) -> anyhow::Result<Capture> {
        let expression = self.filter.clone().unwrap_or_default();
        let filter = filter::compile(&expression)?;
        Ok(Capture {
            scope: self.scope()?,
            stages: self.stages(),
            reasons: self.reason.clone(),
            direction: self.direction.map(|way| match way {
                Way::In => Direction::In,
                Way::Out => Direction::Out,
            }),
            filter,
            expression,
            snap_len: self.snap_len,
        })
    }

    fn scope(&self) -> anyhow::Result<Scope> {
        Ok(match (&self.pod, &self.port) {
            (Some(pod), _) => Scope::Pod(pod.clone()),
            (_, Some(port)) => Scope::Port(port.clone()),
            _ if self.uplink => Scope::Uplink,
            _ if self.host => Scope::Host,
            _ if self.all => Scope::All,
            _ => bail!("whose frames? Name a pod, --port NAME, --uplink, --host or --all"),
        })
    }

    fn stages(&self) -> Vec<Stage> {
        match (self.drops || !self.reason.is_empty(), self.stage.is_empty()) {
            (true, true) => vec![Stage::Drop],
            (_, true) => vec![Stage::Rx, Stage::Tx, Stage::Drop],
            (_, false) => self.stage.clone(),
        }
    }

    fn plan(&self) -> anyhow::Result<Option<Plan>> {
        let Some(path) = &self.write else {
            return Ok(None);
        };
        let path = (path.as_os_str() != "-").then(|| path.clone());
        let rotates = self.rotate_size.is_some() || self.rotate_time.is_some();
        if path.is_none() && rotates {
            bail!("standard output is one file: --rotate-size and --rotate-time need -w FILE");
        }
        if self.files.is_some() && !rotates {
            bail!("--files needs --rotate-size or --rotate-time");
        }
        Ok(Some(Plan {
            path,
            rotate_bytes: self.rotate_size,
            rotate_after: self.rotate_time,
            keep: self.files.map(usize::from),
            snap_len: self.snap_len,
            filter: self.filter.clone().unwrap_or_default(),
        }))
    }
}

/// From the daemon to the sink until the end; how many there were, and what the daemon counted.
///
/// # Errors
/// Writing fails, or the daemon ends what nobody told it to end. What was captured is written all the same.
pub(super) fn pump(
    mut session: Session,
    mut sink: Sink,
    count: Option<u64>,
) -> anyhow::Result<(u64, Stats)> {
    let mut captured = 0;
    let mut stats = Stats::default();
    let mut is_open = true;
    let broken = loop {
        let record = match session.records.next_record() {
            Ok(Some(record)) => record,
            end => break end.err(),
        };
        let wrote = match record {
            Record::Stats(seen) => {
                stats = seen;
                Ok(())
            }
            Record::Directory(directory) => {
                sink.learn(directory);
                Ok(())
            }
            Record::Packet(_) if !is_open || count.is_some_and(|most| captured >= most) => Ok(()),
            Record::Packet(packet) => {
                captured += 1;
                sink.packet(&packet)
            }
        };
        let wrote = match wrote {
            Ok(()) if is_drained(&session.records) => sink.flush(),
            wrote => wrote,
        };
        match wrote {
            Err(error) if super::is_broken_pipe(&error) => is_open = false,
            wrote => wrote?,
        }
        if !is_open || count == Some(captured) {
            session.end();
        }
    };
    if is_open {
        sink.finish(stats)?;
    }
    session.check_end(broken).with_context(|| {
        let Stats { matched, lost } = stats;
        format!("{captured} captured, {matched} matched, {lost} lost by the tap so far")
    })?;
    Ok((captured, stats))
}

/// On a terminal, unless NO_COLOR (no-color.org) forbids it.
fn is_coloured() -> bool {
    let forbidden = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !forbidden
}

#[cfg(test)]
mod tests;
