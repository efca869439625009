//! `vswitchctl recorder`: what passed before anybody looked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
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
        let ready = Ready::open(&write)?;
        let session = Session::begin(daemon, &Request::Recorded { seconds })
            .inspect_err(|_| ready.withdraw())?;
        let sink = Sink::file(&write, WHOLE_FRAME, "")?;
        let (frames, _) = pump(session, sink, None)?;
        remark(&format!("{frames} frames"));
        Ok(ExitCode::SUCCESS)
    }
}

/// A file that can be written: asked for first, as the daemon forgets what it gives away.
struct Ready<'a> {
    path: &'a Path,
    is_new: bool,
    /// Kept open, or whoever reads a pipe would see its end.
    _file: File,
}

impl<'a> Ready<'a> {
    /// What is in it stays until there is something to write.
    fn open(path: &'a Path) -> anyhow::Result<Self> {
        let is_new = !path.exists();
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(false).open(path);
        let file = file.with_context(|| format!("making {}", path.display()))?;
        Ok(Self {
            path,
            is_new,
            _file: file,
        })
    }

    /// There is nothing to write.
    fn withdraw(&self) {
        if self.is_new {
            // An empty file does no harm, and the first error is the one to tell.
            let _ = fs::remove_file(self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dump(write: PathBuf, socket: &Path) -> String {
        let verb = Verb::Dump {
            write,
            seconds: None,
        };
        let dumped = Args { verb }.run(&Daemon(socket.to_owned()));
        format!("{:#}", dumped.unwrap_err())
    }

    #[test]
    fn the_file_comes_before_the_question() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("none/before.pcapng");
        let error = dump(file, &folder.path().join("s.sock"));
        assert!(error.contains("none/before.pcapng"), "{error}");
        assert!(!error.contains("s.sock"), "the daemon was asked: {error}");
    }

    #[test]
    fn without_a_record_the_file_is_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s.sock");
        let [new, old] = ["new", "old"].map(|name| folder.path().join(name));
        fs::write(&old, "precious").unwrap();
        for file in [&new, &old] {
            let error = dump(file.clone(), &socket);
            assert!(error.contains("s.sock"), "{error}");
        }
        assert!(!new.exists());
        assert_eq!(fs::read_to_string(&old).unwrap(), "precious");
    }
}
