//! Narrow paths: what workers learn from the underlay's ICMP, told to the engine and forgotten again.
//!
//! A path may become wider; RFC 1191 section 6.3 has a learned value lapse after ten minutes. Until
//! then reports may only make it narrower: section 3 forbids to raise an estimate in response to
//! ICMP, which anybody on the way can send. One change per peer and second is believed, so that a
//! stream of reports does not become a stream of publications.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use dataplane::Event;
use tracing::info;

use super::{Message, Update, View};

/// How long a learned value holds.
const LIFETIME: Duration = Duration::from_secs(600);
/// A peer's value changes at most so often.
const PACE: Duration = Duration::from_secs(1);
/// No path is believed to be narrower (Linux: `net.ipv4.route.min_pmtu`).
const NARROWEST: u32 = 552;

/// Starts the thread that passes on what workers notice. It ends when they do.
///
/// # Errors
/// No thread can be started.
pub fn forward(
    noticed: Receiver<Event>,
    view: Arc<ArcSwap<View>>,
    engine: Sender<Message>,
) -> io::Result<()> {
    let mut paths = Paths::default();
    let run = move || {
        loop {
            let now = Instant::now();
            let wait = paths.next_lapse(now).unwrap_or(LIFETIME);
            match noticed.recv_timeout(wait) {
                Ok(Event::PathMtu {
                    address, mtu_bytes, ..
                }) => {
                    let view = view.load();
                    let mut peers = view.desired.peers.values();
                    if peers.any(|peer| peer.address.addr() == address)
                        && let Some(bytes) = paths.learn(
                            address,
                            mtu_bytes.into(),
                            view.desired.uplink.mtu_bytes,
                            Instant::now(),
                        )
                    {
                        tell(&view, address, bytes, &engine);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            for address in paths.lapse(Instant::now()) {
                let view = view.load();
                tell(&view, address, view.desired.uplink.mtu_bytes, &engine);
            }
        }
    };
    thread::Builder::new().name("path-mtu".into()).spawn(run)?;
    Ok(())
}

fn tell(view: &View, address: Ipv4Addr, bytes: u32, engine: &Sender<Message>) {
    let mut peers = view.desired.peers.values();
    let Some(peer) = peers.find(|peer| peer.address.addr() == address) else {
        return;
    };
    let bytes = bytes.min(view.desired.uplink.mtu_bytes);
    if peer.path_mtu_bytes != bytes {
        info!(peer = %peer.name, mtu = bytes, "the path takes packets of this size");
        let peer = peer.name.clone();
        // The engine is gone only when the daemon ends.
        let _ = engine.send(Message::Update(Update::PathMtu { peer, bytes }));
    }
}

/// What is believed of one path.
struct Learned {
    bytes: u32,
    changed: Instant,
    lapses: Instant,
}

/// Learned values by the peer's address.
#[derive(Default)]
struct Paths {
    learned: BTreeMap<Ipv4Addr, Learned>,
}

impl Paths {
    /// Notes a report about a path that would otherwise take `widest` bytes; returns the new value
    /// if the report changes it.
    fn learn(&mut self, address: Ipv4Addr, bytes: u32, widest: u32, now: Instant) -> Option<u32> {
        let bytes = bytes.max(NARROWEST);
        let held = self.learned.get(&address);
        let believed = held.map_or(widest, |held| held.bytes.min(widest));
        if bytes > believed || (bytes == believed && held.is_none()) {
            return None;
        }
        let changes = bytes < believed;
        let changed = held.map(|held| held.changed).filter(|_| !changes);
        if changes && held.is_some_and(|held| now.saturating_duration_since(held.changed) < PACE) {
            return None; // if it is true, the router will say so again
        }
        let learned = Learned {
            bytes,
            changed: changed.unwrap_or(now),
            lapses: now + LIFETIME,
        };
        self.learned.insert(address, learned);
        changes.then_some(bytes)
    }

    fn next_lapse(&self, now: Instant) -> Option<Duration> {
        let next = self.learned.values().map(|held| held.lapses).min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Takes out what has lapsed.
    fn lapse(&mut self, now: Instant) -> Vec<Ipv4Addr> {
        let over = self.learned.extract_if(.., |_, held| held.lapses <= now);
        over.map(|(address, _)| address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);

    #[test]
    fn a_learned_value_lapses_after_ten_minutes_from_the_last_report() {
        let (mut paths, start) = (Paths::default(), Instant::now());
        assert_eq!(paths.learn(PEER, 1400, 1500, start), Some(1400));
        let again = start + Duration::from_secs(300);
        assert_eq!(paths.learn(PEER, 1400, 1500, again), None, "known");
        assert!(paths.lapse(start + LIFETIME).is_empty());
        assert_eq!(paths.next_lapse(again), Some(LIFETIME));
        assert_eq!(paths.lapse(again + LIFETIME), [PEER]);
        assert_eq!(paths.next_lapse(again), None);
    }

    #[test]
    fn a_report_never_raises_a_value_nor_keeps_it_from_lapsing() {
        let (mut paths, start) = (Paths::default(), Instant::now());
        assert_eq!(paths.learn(PEER, 1500, 1500, start), None, "no news");
        assert_eq!(paths.learn(PEER, 1300, 1500, start), Some(1300));
        let later = start + Duration::from_secs(60);
        assert_eq!(paths.learn(PEER, 1400, 1500, later), None);
        assert_eq!(paths.learn(PEER, 9000, 1500, later), None);
        assert_eq!(paths.learn(PEER, 1200, 1500, later), Some(1200));
        assert_eq!(paths.learn(PEER, 1400, 1500, later + PACE), None);
        assert_eq!(paths.lapse(later + LIFETIME), [PEER]);
        let after = later + LIFETIME;
        assert_eq!(paths.learn(PEER, 1400, 1500, after), Some(1400));
    }

    #[test]
    fn a_stream_of_reports_changes_a_path_once_a_second() {
        let (mut paths, start) = (Paths::default(), Instant::now());
        let reports = (0..3000).map(|number| (number, start + Duration::from_millis(number)));
        let changes = reports.filter_map(|(number, now)| {
            let bytes = 1499 - u32::try_from(number / 10).unwrap();
            paths.learn(PEER, bytes, 1500, now)
        });
        assert_eq!(changes.collect::<Vec<_>>(), [1499, 1399, 1299]);
    }

    #[test]
    fn an_absurdly_narrow_path_is_not_believed() {
        let mut paths = Paths::default();
        let learned = paths.learn(PEER, 68, 1500, Instant::now());
        assert_eq!(learned, Some(NARROWEST));
    }
}
