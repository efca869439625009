//! Narrow paths: what workers learn from the underlay's ICMP, told to the engine and forgotten again.
//!
//! A path may become wider; RFC 1191 section 6.3 has a learned value lapse after ten minutes.

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
                    let now = Instant::now();
                    let bytes = paths.learn(address, mtu_bytes.into(), now);
                    tell(&view.load(), address, bytes, &engine);
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

/// Learned values by the peer's address, with the time they lapse.
#[derive(Default)]
struct Paths {
    lapses: BTreeMap<Ipv4Addr, Instant>,
}

impl Paths {
    /// Notes a value; returns what is believed of it.
    fn learn(&mut self, address: Ipv4Addr, bytes: u32, now: Instant) -> u32 {
        self.lapses.insert(address, now + LIFETIME);
        bytes.max(NARROWEST)
    }

    fn next_lapse(&self, now: Instant) -> Option<Duration> {
        let next = self.lapses.values().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Takes out what has lapsed.
    fn lapse(&mut self, now: Instant) -> Vec<Ipv4Addr> {
        let over = self.lapses.extract_if(.., |_, lapse| *lapse <= now);
        over.map(|(address, _)| address).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learned_value_lapses_after_ten_minutes_from_the_last_report() {
        let (mut paths, start) = (Paths::default(), Instant::now());
        let peer = Ipv4Addr::new(172, 16, 30, 6);
        assert_eq!(paths.learn(peer, 1400, start), 1400);
        let again = start + Duration::from_secs(300);
        paths.learn(peer, 1400, again);
        assert!(paths.lapse(start + LIFETIME).is_empty());
        assert_eq!(paths.next_lapse(again), Some(LIFETIME));
        assert_eq!(paths.lapse(again + LIFETIME), [peer]);
        assert_eq!(paths.next_lapse(again), None);
    }

    #[test]
    fn an_absurdly_narrow_path_is_not_believed() {
        let mut paths = Paths::default();
        let peer = Ipv4Addr::new(172, 16, 30, 6);
        assert_eq!(paths.learn(peer, 68, Instant::now()), NARROWEST);
    }
}
