//! Interfaces with a queueing discipline of their own. What it drops, only who sends can count: nothing is relayed to them.

use std::sync::Arc;
use std::thread;

use dashmap::DashSet;
use netlink::{Event, Group, Handle, Monitor};

/// What a veth has by itself: none, and until it is up the one that drops.
const NONE: [&str; 2] = ["noqueue", "noop"];

/// Which they are now, by number. Clones are the same set.
#[derive(Clone, Debug, Default)]
pub(super) struct Queued(Arc<DashSet<u32>>);

impl Queued {
    /// Whether this interface is one of them.
    pub(super) fn has(&self, interface: u32) -> bool {
        self.0.contains(&interface)
    }

    /// Asks the kernel about an interface of the thread's network namespace.
    pub(super) fn look(&self, interface: u32) {
        if let Ok(handle) = Handle::open() {
            self.ask(&handle, interface);
        }
    }

    /// Leaves a thread behind that hears of changes in this network namespace.
    pub(super) fn watch(&self) -> anyhow::Result<()> {
        let mut monitor = Monitor::open(&[Group::Qdisc])?;
        let handle = Handle::open()?;
        let queued = self.clone();
        let listen = move || {
            loop {
                match monitor.next_event() {
                    Ok(Event::Qdisc(interface)) => queued.ask(&handle, interface),
                    Ok(Event::Lost) => queued.ask_all(&handle),
                    Ok(_) => {}
                    Err(error) => {
                        return tracing::warn!(%error, "the kernel's reports of queueing disciplines have ended");
                    }
                }
            }
        };
        thread::Builder::new().name("qdiscs".into()).spawn(listen)?;
        Ok(())
    }

    fn ask(&self, handle: &Handle, interface: u32) {
        match handle.link_at(interface) {
            Ok(Some(link)) => self.set(interface, link.qdisc.as_deref()),
            // Gone, and its number is not given again.
            Ok(None) => self.set(interface, None),
            Err(error) => {
                tracing::debug!(interface, %error, "its queueing discipline is not known");
            }
        }
    }

    fn ask_all(&self, handle: &Handle) {
        let links = handle.links().unwrap_or_default();
        for link in links {
            self.set(link.index, link.qdisc.as_deref());
        }
    }

    fn set(&self, interface: u32, qdisc: Option<&str>) {
        match qdisc {
            Some(name) if !NONE.contains(&name) => self.0.insert(interface),
            _ => self.0.remove(&interface).is_some(),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_discipline_that_comes_and_goes_is_heard_of() {
        netlink::testing::isolated(|| {
            let run = |line: &str| {
                let mut words = line.split(' ');
                let status = std::process::Command::new(words.next().unwrap())
                    .args(words)
                    .status();
                assert!(status.unwrap().success(), "{line}");
            };
            run("ip link add here type veth peer name there");
            let index = nix::net::if_::if_nametoindex("here").unwrap();
            let queued = Queued::default();
            queued.watch().unwrap();
            queued.look(index);
            assert!(!queued.has(index));
            let soon = |wanted| {
                let start = Instant::now();
                while queued.has(index) != wanted {
                    assert!(start.elapsed() < Duration::from_secs(10), "not {wanted}");
                    thread::sleep(Duration::from_millis(1));
                }
            };
            run("tc qdisc add dev here root tbf rate 1mbit burst 3000 limit 9000");
            soon(true);
            let late = Queued::default();
            late.look(index);
            assert!(late.has(index), "also by asking");
            run("tc qdisc del dev here root");
            soon(false);
        });
    }
}
