//! Interfaces to which nothing is relayed: with a queueing discipline of their own, for what it drops only who sends can
//! count; and where the kernel sums what leaves, for a pod chooses where (see `port::Relay`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;

use dashmap::DashMap;
use netlink::{Change, Event, Group, Handle, Link, Monitor};
use port::Relay;

/// What a veth has by itself: none, and until it is up the one that drops.
const NONE: [&str; 2] = ["noqueue", "noop"];

/// The interfaces that were asked about, by number, and whether they are unfit now. One that nobody has looked at is: what is
/// relayed there no worker checks. Clones are the same map.
#[derive(Clone, Debug, Default)]
pub(super) struct Unfit(Arc<DashMap<u32, bool>>);

impl Unfit {
    /// Whether this interface is one of them.
    pub(super) fn has(&self, interface: u32) -> bool {
        self.0.get(&interface).is_none_or(|unfit| *unfit)
    }

    /// Asks the kernel about an interface of the thread's network namespace, and whenever it changes from now on.
    pub(super) fn look(&self, interface: u32) {
        self.0.insert(interface, true);
        if let Ok(handle) = Handle::open() {
            self.ask(&handle, interface);
        }
    }

    /// Leaves a thread behind that hears of changes in this network namespace.
    pub(super) fn watch(&self) -> anyhow::Result<()> {
        let mut monitor = Monitor::open(&[Group::Qdisc, Group::Link])?;
        let handle = Handle::open()?;
        let unfit = self.clone();
        let listen = move || {
            loop {
                match monitor.next_event() {
                    Ok(Event::Qdisc(interface)) => unfit.ask(&handle, interface),
                    Ok(Event::Link(Change::New(link))) => unfit.judge(&link),
                    Ok(Event::Link(Change::Gone(link))) => unfit.forget(link.index),
                    Ok(Event::Lost) => unfit.ask_all(&handle),
                    Ok(_) => {}
                    Err(error) => {
                        return tracing::warn!(%error, "the kernel's reports of devices have ended: one that becomes unfit for relaying is no longer noticed");
                    }
                }
            }
        };
        thread::Builder::new().name("unfit".into()).spawn(listen)?;
        Ok(())
    }

    /// As if these had been looked at and found fit.
    #[cfg(test)]
    pub(super) fn none_of(interfaces: impl IntoIterator<Item = u32>) -> Self {
        Self(Arc::new(
            interfaces.into_iter().map(|index| (index, false)).collect(),
        ))
    }

    /// Others than these are no longer of interest.
    pub(super) fn keep(&self, interfaces: &BTreeSet<u32>) {
        self.0.retain(|interface, _| interfaces.contains(interface));
    }

    fn forget(&self, interface: u32) {
        self.0.remove(&interface);
    }

    fn ask(&self, handle: &Handle, interface: u32) {
        if !self.0.contains_key(&interface) {
            return;
        }
        match handle.link_at(interface) {
            Ok(Some(link)) => self.judge(&link),
            Ok(None) => self.forget(interface),
            Err(error) => {
                tracing::debug!(interface, %error, "whether frames may be relayed to it is not known");
            }
        }
    }

    fn ask_all(&self, handle: &Handle) {
        for link in handle.links().unwrap_or_default() {
            self.judge(&link);
        }
    }

    /// Nobody asks the kernel about interfaces that nobody asked about: pods come and go, and each answer takes its lock.
    fn judge(&self, link: &Link) {
        if !self.0.contains_key(&link.index) {
            return;
        }
        let qdisc = link.qdisc.as_deref().unwrap_or(NONE[0]);
        // One that is gone by now has no frames.
        let leaves_sums = Relay::leaves_checksums(&link.name).unwrap_or(true);
        if let Some(mut unfit) = self.0.get_mut(&link.index) {
            *unfit = !NONE.contains(&qdisc) || !leaves_sums;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_makes_an_interface_unfit_is_heard_of() {
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
            let unfit = Unfit::default();
            unfit.watch().unwrap();
            assert!(unfit.has(index), "nobody has looked");
            unfit.look(index);
            assert!(!unfit.has(index));
            let soon = |wanted| {
                let start = Instant::now();
                while unfit.has(index) != wanted {
                    assert!(start.elapsed() < Duration::from_secs(10), "not {wanted}");
                    thread::sleep(Duration::from_millis(1));
                }
            };
            run("tc qdisc add dev here root tbf rate 1mbit burst 3000 limit 9000");
            soon(true);
            let late = Unfit::default();
            late.look(index);
            assert!(late.has(index), "also by asking");
            run("tc qdisc del dev here root");
            soon(false);
            run("ip link add other type veth peer name another");
            run("ethtool -K here tx off");
            soon(true);
            run("ethtool -K here tx on");
            soon(false);
            let other = nix::net::if_::if_nametoindex("other").unwrap();
            assert!(unfit.has(other), "of which nobody asked");
            unfit.look(other);
            assert!(!unfit.has(other));
            unfit.keep(&BTreeSet::from([index]));
            assert!(unfit.has(other));
            assert!(!unfit.has(index));
        });
    }
}
