//! The flight recorder: what passed in the seconds before somebody asked, or before a drop.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use cni_shim::capture::{Packet, Record, Stats};
use crossbeam_channel::{Receiver, bounded};
use dataplane::{DropReason, Time};

use super::directory;
use super::flight_folder::Folder;
use super::flight_ring::FlightRing;
use super::hub::Hub;
use super::recorder::Recorder;
use super::sight::Sight;
use super::taps::Order;
use crate::config;
use crate::control::View;
use crate::recording::{Book, Files};

/// Drops write one file in this time at most.
const PAUSE: Duration = Duration::from_secs(60);
/// A file ends so long after the drop that it is about.
const AFTERMATH: Duration = Duration::from_millis(100);
/// A worker gives its ring between two batches.
const PATIENCE: Duration = Duration::from_secs(2);

/// The recorder, as the control plane holds it.
pub struct Flight {
    hub: Arc<Hub>,
    view: Arc<ArcSwap<View>>,
    config: config::Recorder,
    folder: Folder,
}

impl Flight {
    /// Every worker records from now on; files of drops go to `directory`.
    ///
    /// # Errors
    /// The directory cannot be made, or the kernel gives no thread.
    pub fn start(
        hub: &Arc<Hub>,
        view: &Arc<ArcSwap<View>>,
        config: &config::Recorder,
        directory: PathBuf,
    ) -> anyhow::Result<Arc<Self>> {
        let folder = Folder::make(directory)?;
        let flight = Arc::new(Self {
            hub: Arc::clone(hub),
            view: Arc::clone(view),
            config: config.clone(),
            folder,
        });
        let (alarm, alarms) = bounded(1);
        for worker in 0..hub.workers.count() {
            let recorder = Recorder::new(flight.ring(), &config.dump_on, alarm.clone());
            hub.workers.tell(worker, Order::Record(Box::new(recorder)));
        }
        let awaiting = Arc::clone(&flight);
        let thread = std::thread::Builder::new().name("recorder".into());
        thread.spawn(move || awaiting.await_drops(&alarms))?;
        Ok(flight)
    }

    fn ring(&self) -> FlightRing {
        let (mib, snap_len) = (self.config.mib_per_worker, self.config.snap_len);
        FlightRing::new(mib, snap_len)
    }

    /// Takes what the workers have recorded; they begin anew.
    fn take(&self) -> Vec<FlightRing> {
        let count = self.hub.workers.count();
        let (back, rings) = bounded(count);
        for worker in 0..count {
            let order = Order::Exchange(self.ring(), back.clone());
            self.hub.workers.tell(worker, order);
        }
        drop(back);
        std::iter::from_fn(|| rings.recv_timeout(PATIENCE).ok()).collect()
    }

    /// Writes records of the last seconds to a client, and ends the connection.
    ///
    /// # Errors
    /// The client has gone.
    pub fn dump_to(&self, mut client: UnixStream, seconds: Option<u64>) -> std::io::Result<()> {
        let mut out = Vec::new();
        Record::Directory(directory::of(&self.view.load().desired)).write(&mut out)?;
        let before = seconds.map_or(Duration::MAX, Duration::from_secs);
        let mut stats = Stats::default();
        self.replay(before, |packet| {
            stats.matched += 1;
            // Writing to memory does not fail.
            let _ = Record::Packet(*packet).write(&mut out);
        });
        Record::Stats(stats).write(&mut out)?;
        client.write_all(&out)
    }

    /// Shows the frames of the last seconds, of all workers, in the order of time.
    fn replay(&self, before: Duration, mut show: impl FnMut(&Packet<'_>)) {
        let rings = self.take();
        let now = self.hub.workers.now();
        let recent = rings.iter().flat_map(|ring| ring.since(now, before));
        let mut recent: Vec<(&Sight, &[u8])> = recent.collect();
        recent.sort_by_key(|(sight, _)| sight.time);
        let epoch = epoch(now);
        for (sight, bytes) in recent {
            show(&Packet {
                time: epoch + sight.time.as_nanos(),
                wire_len: sight.wire_len,
                port: sight.port.0,
                stage: sight.stage,
                reason: sight.reason.map(|reason| reason as u8),
                gso_size: sight.gso_size,
                note: "",
                bytes,
            });
        }
    }

    /// Writes a file for a drop, and then none for a while.
    fn await_drops(&self, alarms: &Receiver<DropReason>) {
        let mut free_from = Instant::now();
        while let Ok(reason) = alarms.recv() {
            if Instant::now() < free_from {
                continue;
            }
            free_from = Instant::now() + PAUSE;
            std::thread::sleep(AFTERMATH);
            match self.write_file(reason) {
                Ok(path) => tracing::info!(%reason, file = %path.display(), "recorded a drop"),
                Err(error) => tracing::warn!(%reason, "the recorder's file: {error:#}"),
            }
        }
    }

    fn write_file(&self, reason: DropReason) -> anyhow::Result<PathBuf> {
        // Room first: the disk may be full of them.
        self.folder.keep_newest(self.config.files - 1)?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let name = format!("drop-{seconds}-{}.pcapng", label(reason));
        self.folder.file(&name, |file| self.write_to(file))
    }

    fn write_to(&self, file: File) -> anyhow::Result<()> {
        let mut files = Files::onto(file, self.config.snap_len as u32)?;
        let mut book = Book::default();
        book.learn(directory::of(&self.view.load().desired));
        let (mut stats, mut result) = (Stats::default(), Ok(()));
        self.replay(self.config.before + AFTERMATH, |packet| {
            stats.matched += 1;
            if result.is_ok() {
                result = files.packet(&book, packet);
            }
        });
        result?;
        Ok(files.finish(stats)?)
    }
}

fn label(reason: DropReason) -> &'static str {
    let row = DropReason::TABLE.iter().find(|row| row.reason == reason);
    row.map_or("drop", |row| row.label)
}

/// Nanoseconds since 1970 at the zero of the workers' clock.
pub(super) fn epoch(now: Time) -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let since_1970 = since_1970.unwrap_or_default().as_nanos() as u64;
    since_1970.saturating_sub(now.as_nanos())
}
