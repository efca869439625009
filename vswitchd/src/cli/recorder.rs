//! `vswitchctl recorder`: what passed before anybody looked.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use cni_shim::Request;

use super::capture::{Session, Sink, WHOLE_FRAME, pump};
use super::{Daemon, remark};

/// Arguments of `vswitchctl recorder`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The recorder is off unless the daemon's file has `[recorder] enabled = true`. What is written out is recorded no
more: the next file begins where this one ends.

Examples:
  vswitchctl recorder dump -w before.pcapng
  vswitchctl recorder dump -w before.pcapng --seconds 10")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write what the recorder holds as pcapng.
    Dump {
        /// The file.
        #[arg(short, long, value_name = "FILE")]
        write: PathBuf,
        /// Only the last so many seconds.
        #[arg(long, value_name = "N")]
        seconds: Option<u64>,
    },
}

impl Args {
    pub(super) fn run(self, daemon: &Daemon) -> anyhow::Result<ExitCode> {
        let Verb::Dump { write, seconds } = self.verb;
        let session = Session::begin(daemon, &Request::Recorded { seconds })?;
        let sink = Sink::file(&write, WHOLE_FRAME, "")?;
        let (frames, _) = pump(session, sink, None)?;
        remark(&format!("{frames} frames"));
        Ok(ExitCode::SUCCESS)
    }
}
