//! `vswitchctl`, the operator's command line: one file per verb.

mod capture;
mod completions;
mod doctor;
mod draw;
mod extcap;
mod flows;
mod log;
mod man;
mod policy;
mod recorder;
mod replay;
mod show;
mod top;
mod trace;
mod watch;

use std::{
    env,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use cni_shim::{Client, ClientError, DEFAULT_SOCKET, Request, Response};

/// Names the daemon's socket where `--socket` does not.
const SOCKET_VARIABLE: &str = "VSWITCHD_SOCKET";

/// Looks at, and looks after, the pod network daemon vswitchd.
#[derive(Debug, Parser)]
#[command(
    name = "vswitchctl",
    version,
    propagate_version = true,
    after_help = "\
Examples:
  vswitchctl show routes
  vswitchctl show nodes -o wide
  vswitchctl show conntrack -o json --limit 10
  vswitchctl flows --follow --verdict deny
  vswitchctl policy explain shop/web shop/db --port 5432/tcp
  vswitchctl trace shop/web shop/db --dport 5432
  vswitchctl capture shop/web --drops
  vswitchctl doctor
  vswitchctl log set info,vswitchd::control=debug
  vswitchctl lab up -f configs/lab/minikube.toml

Environment:
  VSWITCHD_SOCKET  the daemon's socket, where --socket does not name it"
)]
pub struct Cli {
    /// The daemon's socket [default: $VSWITCHD_SOCKET, else /run/vswitchd/vswitchd.sock].
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print one of the daemon's tables.
    Show(show::Args),
    /// Tell what would happen to a packet, stage by stage and node by node.
    Trace(trace::Args),
    /// Show or record what passes the switch, stage by stage, drops included.
    Capture(capture::Args),
    /// Run a capture through the data plane, without a daemon: verdicts, drops, and what another policy changes.
    Replay(replay::Args),
    /// Who talks to whom: flows that begin, end or are denied, with pods and policies.
    Flows(flows::Args),
    /// A live screen: ports, drops, workers and flows, with rates.
    Top(top::Args),
    /// Who may talk to whom, and why: of the daemon's state or of manifests.
    Policy(policy::Args),
    /// Examine this host: what is missing, what would trip pods, what to do about it.
    Doctor(doctor::Args),
    /// See or change what the daemon writes to its log.
    Log(log::Args),
    /// A cluster on this machine: nodes and pods are namespaces, daemons and wiring are real.
    Lab(lab::cli::Args),
    /// Write out what passed before anybody looked.
    Recorder(recorder::Args),
    /// Be a source of captures for Wireshark and tshark.
    Extcap(extcap::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Write manual pages, one per verb.
    Man(man::Args),
}

/// Runs the command line of this process. Status 0 is success, 1 failure, 2 a wrong command line;
/// `doctor`, `policy`, `trace`, `replay` and `lab exec` have their own.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse_from(with_verb(env::args_os().collect()));
    match cli.run() {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Started by the name that Wireshark knows, the verb is not given.
fn with_verb(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name.is_some_and(|name| name == extcap::PROGRAM) {
        arguments.insert(1, "extcap".into());
    }
    arguments
}

impl Cli {
    fn run(self) -> anyhow::Result<ExitCode> {
        let socket = socket(self.socket, env::var_os(SOCKET_VARIABLE));
        match self.verb {
            Verb::Show(args) => args.run(&Daemon(socket)),
            Verb::Trace(args) => args.run(socket),
            Verb::Capture(args) => args.run(&Daemon(socket)),
            Verb::Replay(args) => args.run(),
            Verb::Flows(args) => args.run(&Daemon(socket)),
            Verb::Top(args) => args.run(&Daemon(socket)),
            Verb::Policy(args) => args.run(&Daemon(socket)),
            Verb::Doctor(args) => args.run(&socket),
            Verb::Log(args) => args.run(&Daemon(socket)),
            Verb::Lab(args) => Ok(lab::cli::run(args)),
            Verb::Recorder(args) => args.run(&Daemon(socket)),
            Verb::Extcap(args) => args.run(&Daemon(socket)),
            Verb::Completions(args) => args.run(),
            Verb::Man(args) => args.run(),
        }
    }
}

/// The option, else the variable unless it is empty, else the usual place.
fn socket(option: Option<PathBuf>, variable: Option<OsString>) -> PathBuf {
    let variable = variable.filter(|value| !value.is_empty());
    option
        .or(variable.map(PathBuf::from))
        .unwrap_or_else(|| DEFAULT_SOCKET.into())
}

/// The reader of our output has seen enough: `vswitchctl show drops | head -1`.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes to standard output, newline included.
fn say(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Writes a remark to standard error.
fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The daemon behind a socket.
struct Daemon(PathBuf);

impl Daemon {
    /// One question; a refusal is an error.
    fn ask(&self, request: &Request) -> anyhow::Result<Response> {
        Ok(self.ask_and_keep(request)?.0)
    }

    /// The same; the connection stays.
    fn ask_and_keep(&self, request: &Request) -> anyhow::Result<(Response, Client)> {
        let path = self.0.display();
        let mut client = Client::connect(&self.0).map_err(|error| self.absent(error))?;
        match client.call(request)? {
            Response::Error {
                message, details, ..
            } if details.is_empty() => bail!("vswitchd at {path} refuses: {message}"),
            Response::Error {
                message, details, ..
            } => bail!("vswitchd at {path} refuses: {message} ({details})"),
            response => Ok((response, client)),
        }
    }

    /// One sentence: the socket, the reason, what to do.
    fn absent(&self, error: ClientError) -> anyhow::Error {
        let path = self.0.display();
        let reason = match &error {
            ClientError::Connect { source, .. } => source.kind(),
            _ => return error.into(),
        };
        let advice = match reason {
            io::ErrorKind::PermissionDenied => "run vswitchctl as root or as the daemon's user",
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "start it with `vswitchd --config FILE`, or name its socket with --socket or \
                 VSWITCHD_SOCKET"
            }
            _ => "`vswitchctl doctor` may know more",
        };
        let error = match error {
            ClientError::Connect { source, .. } => source.to_string(),
            error => error.to_string(),
        };
        anyhow::anyhow!("vswitchd does not answer at {path} ({error}): {advice}")
    }
}

/// Pretty JSON of anything.
fn to_json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    serde_json::to_string_pretty(value).context("writing JSON")
}

#[cfg(test)]
mod tests;
