//! A running capture: the daemon's records, and what ends them.

use std::io::{self, BufReader, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cni_shim::capture::Records;
use cni_shim::{Request, Response};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::cli::Daemon;

/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// The daemon's records, until somebody has had enough.
pub(crate) struct Session {
    pub(super) records: Records<BufReader<UnixStream>>,
    connection: UnixStream,
    /// It goes on until it is ended.
    is_live: bool,
    /// Somebody has ended it.
    is_told: Arc<AtomicBool>,
}

impl Session {
    /// Begins a capture.
    ///
    /// # Errors
    /// The daemon does not answer, or refuses.
    pub(crate) fn begin(daemon: &Daemon, request: &Request) -> anyhow::Result<Self> {
        let (answer, client) = daemon.ask_and_keep(request)?;
        let Response::Capturing {} = answer else {
            bail!("expected a capture, vswitchd answered {answer:?}; is it of another version?");
        };
        let is_live = matches!(request, Request::Capture(_));
        Ok(Self::of(client.into_stream()?, is_live)?)
    }

    pub(super) fn of(reader: BufReader<UnixStream>, is_live: bool) -> io::Result<Self> {
        Ok(Self {
            connection: reader.get_ref().try_clone()?,
            records: Records::new(reader),
            is_live,
            is_told: Arc::default(),
        })
    }

    /// Ends it: what was captured until now still comes.
    pub(super) fn end(&self) {
        end(&self.connection, &self.is_told);
    }

    /// Whether the end, and the error it came with, is one that was asked for.
    ///
    /// # Errors
    /// It is not.
    pub(super) fn check_end(&self, broken: Option<io::Error>) -> anyhow::Result<()> {
        if self.is_live && !self.is_told.load(Ordering::SeqCst) {
            bail!("vswitchd ended the capture: it stopped, or could not go on (see its log)");
        }
        broken.map_or(Ok(()), |error| Err(error).context("reading from vswitchd"))
    }

    /// Ends it at Ctrl-C, at SIGTERM, after some time, and when nobody reads `output` any more. A second signal ends the
    /// process. Call it before any other thread is made.
    ///
    /// # Errors
    /// The system refuses a descriptor or a thread.
    pub(crate) fn end_when_told(
        &self,
        after: Option<Duration>,
        output: Option<OwnedFd>,
    ) -> anyhow::Result<()> {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.thread_block().context("holding back signals")?;
        let signals = SignalFd::new(&signals).context("waiting for signals")?;
        let (connection, is_told) = (self.connection.try_clone()?, Arc::clone(&self.is_told));
        let deadline = after.map(|after| Instant::now() + after);
        thread::Builder::new().spawn(move || {
            wait(&signals, deadline, output.as_ref());
            end(&connection, &is_told);
            wait_for_signal(&signals);
            process::exit(INTERRUPTED);
        })?;
        Ok(())
    }
}

fn end(connection: &UnixStream, is_told: &AtomicBool) {
    is_told.store(true, Ordering::SeqCst);
    // If the daemon is gone, it has ended.
    let _ = connection.shutdown(Shutdown::Write);
}

/// Returns when the first of them happens.
fn wait(signals: &SignalFd, deadline: Option<Instant>, output: Option<&OwnedFd>) {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let mut asked = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        // Asked for nothing, a pipe still says that its reader has gone.
        asked.extend(output.map(|output| PollFd::new(output.as_fd(), PollFlags::empty())));
        match poll(&mut asked, timeout(left)) {
            Err(nix::Error::EINTR) => {}
            Ok(0) if left.is_none_or(|left| left > MOST) => {}
            _ => break,
        }
    }
    let _ = ready(signals).then(|| signals.read_signal());
}

fn wait_for_signal(signals: &SignalFd) {
    while !matches!(signals.read_signal(), Ok(Some(_)) | Err(_)) {}
}

fn ready(signals: &SignalFd) -> bool {
    let mut asked = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut asked, PollTimeout::ZERO), Ok(1))
}

/// The longest that is waited at once.
const MOST: Duration = Duration::from_secs(3600);

fn timeout(left: Option<Duration>) -> PollTimeout {
    match left {
        None => PollTimeout::NONE,
        // Rounded up, or the last fraction would be a busy loop.
        Some(left) => PollTimeout::try_from(left.min(MOST) + Duration::from_millis(1))
            .unwrap_or(PollTimeout::MAX),
    }
}

/// Whether reading on would wait.
pub(super) fn is_drained<R: Read>(records: &Records<BufReader<R>>) -> bool {
    records.get_ref().buffer().is_empty()
}
