//! What a daemon holds (memory, descriptors, threads, flows) and what it counts, seen from outside.

use std::{collections::BTreeMap, fs};

use cni_shim::{Request, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::world::World;
use crate::run::{
    error::{Error, Result, io_error},
    place::Place,
};

/// Rows asked for at most.
const EVERY_FLOW: usize = 10_000_000;

/// What a daemon holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Resident memory, in KiB.
    pub rss_kib: u64,
    /// What the allocator holds as its heap, touched or not, in KiB.
    pub heap_kib: u64,
    /// How much of that has been touched, in KiB; part of `rss_kib`.
    pub touched_kib: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

impl Held {
    /// What it has touched besides its heap, in KiB.
    #[must_use]
    pub fn outside_heap_kib(&self) -> u64 {
        self.rss_kib.saturating_sub(self.touched_kib)
    }
}

/// What a daemon has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Dropped frames by the reason's label.
    pub drops: BTreeMap<String, u64>,
    /// Ports by interface.
    pub ports: BTreeMap<String, Port>,
}

/// The counters of one port, as `show ports` gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Frames taken in.
    pub rx_frames: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Frames that came in here and were dropped.
    pub drops: u64,
    /// Frames the kernel dropped because they were not read in time.
    pub missed: u64,
}

impl World {
    /// What the daemon of a node holds now.
    ///
    /// # Errors
    /// It does not run.
    pub fn held(&self, node: &str) -> Result<Held> {
        let gone = || Error::Unexpected {
            place: format!("vswitchd on {node}"),
            expected: "a process".into(),
            found: "none: it has ended".into(),
        };
        let pid = self.lab.daemon(node)?.pid().ok_or_else(gone)?;
        let folder = self.lab.sandbox().path(format!("/proc/{pid}"));
        let status = fs::read_to_string(folder.join("status"))
            .map_err(io_error("cannot read a daemon's status"))?;
        let maps = fs::read_to_string(folder.join("smaps"))
            .map_err(io_error("cannot read a daemon's memory map"))?;
        let heap = heap_of(&maps);
        let descriptors = fs::read_dir(folder.join("fd"))
            .map_err(io_error("cannot count a daemon's descriptors"))?;
        Ok(Held {
            rss_kib: status_number(&status, "VmRSS:"),
            heap_kib: status_number(heap, "Size:"),
            touched_kib: status_number(heap, "Rss:"),
            descriptors: descriptors.count() as u64,
            threads: status_number(&status, "Threads:"),
        })
    }

    /// What the daemon of a node has counted so far.
    ///
    /// # Errors
    /// It does not answer.
    pub fn counted(&self, node: &str) -> Result<Counted> {
        let ports = self.show(node, "ports", None)?;
        let port = |row: &Map<String, Value>| Port {
            rx_frames: number(row, "rx_frames"),
            tx_frames: number(row, "tx_frames"),
            drops: number(row, "drops"),
            missed: number(row, "missed"),
        };
        Ok(Counted {
            drops: self.drops(node)?,
            ports: ports
                .iter()
                .map(|row| (word(row, "interface"), port(row)))
                .collect(),
        })
    }

    /// What the daemon of a node has dropped so far, by the reason's label.
    ///
    /// # Errors
    /// It does not answer.
    pub fn drops(&self, node: &str) -> Result<BTreeMap<String, u64>> {
        let rows = self.show(node, "drops", None)?;
        let pairs = rows
            .iter()
            .map(|row| (word(row, "reason"), number(row, "count")));
        Ok(pairs.collect())
    }

    /// The flows a node tracks now, each in words: first those with an end at one of these pods of elsewhere, then all others.
    /// Not those that policy has cut, which are remembered for minutes so that they stay cut.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub fn flows(&self, node: &str, elsewhere: &[String]) -> Result<(Vec<String>, Vec<String>)> {
        let rows = self.show(node, "conntrack", Some(EVERY_FLOW))?;
        let cells = |row: &Map<String, Value>| {
            let cells = row.iter().map(|(key, value)| format!("{key}={value}"));
            cells.collect::<Vec<_>>().join(" ")
        };
        let is_elsewhere = |row: &&Map<String, Value>| {
            let ends = [word(row, "src"), word(row, "dst")];
            ends.iter().any(|end| elsewhere.contains(end))
        };
        let uncut = rows.iter().filter(|row| row["state"] != "CUT");
        let (away, left): (Vec<_>, Vec<_>) = uncut.partition(is_elsewhere);
        let words = |rows: Vec<&Map<String, Value>>| rows.into_iter().map(cells).collect();
        Ok((words(away), words(left)))
    }

    fn show(
        &self,
        node: &str,
        what: &str,
        limit: Option<usize>,
    ) -> Result<Vec<Map<String, Value>>> {
        let request = Request::Show {
            what: what.into(),
            limit,
        };
        match self.lab.ask(node, &request)? {
            Response::Table { rows } => Ok(rows),
            other => Err(Error::Unexpected {
                place: format!("show {what} on {node}"),
                expected: "a table".into(),
                found: format!("{other:?}"),
            }),
        }
    }

    /// The interface on its node of a lasting pod or a guest.
    #[must_use]
    pub fn host_interface(&self, pod: &str) -> String {
        let pods = self.lab.pod_list().into_iter();
        let mut named = pods.filter(|attachment| attachment.pod.name == pod);
        named
            .next()
            .map_or_else(String::new, |attachment| attachment.host_interface().into())
    }
}

impl Counted {
    /// What was counted since an earlier moment; ports that were not there then are left out.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let drops = self.drops.iter().map(|(reason, count)| {
            let before = before.drops.get(reason).copied().unwrap_or(0);
            (reason.clone(), count.saturating_sub(before))
        });
        let ports = self.ports.iter().filter_map(|(interface, now)| {
            let before = before.ports.get(interface)?;
            let rose = Port {
                rx_frames: now.rx_frames.saturating_sub(before.rx_frames),
                tx_frames: now.tx_frames.saturating_sub(before.tx_frames),
                drops: now.drops.saturating_sub(before.drops),
                missed: now.missed.saturating_sub(before.missed),
            };
            Some((interface.clone(), rose))
        });
        Self {
            drops: drops.filter(|(_, count)| *count > 0).collect(),
            ports: ports.collect(),
        }
    }

    /// The sum of one counter over all ports.
    #[must_use]
    pub fn all(&self, pick: fn(&Port) -> u64) -> u64 {
        self.ports.values().map(pick).sum()
    }
}

fn number(row: &Map<String, Value>, key: &str) -> u64 {
    row[key].as_u64().unwrap_or(0)
}

fn word(row: &Map<String, Value>, key: &str) -> String {
    row[key].as_str().unwrap_or("").to_owned()
}

/// The lines about the heap; none where the allocator has not asked for one.
fn heap_of(maps: &str) -> &str {
    maps.split_once("[heap]").map_or("", |(_, heap)| heap)
}

fn status_number(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Packets the kernel's devices of a namespace have dropped, received and sent, by interface.
///
/// # Errors
/// `ip` cannot be run there.
pub fn device_drops(place: &Place) -> Result<BTreeMap<String, u64>> {
    let links: Value =
        serde_json::from_str(&said(place, &["ip", "-s", "-j", "link"])?).unwrap_or_default();
    let dropped = |link: &Value| {
        let stats = &link["stats64"];
        let count = |way: &str| stats[way]["dropped"].as_u64().unwrap_or(0);
        count("rx") + count("tx")
    };
    let links = links.as_array().into_iter().flatten();
    let named = links.filter_map(|link| Some((link["ifname"].as_str()?.to_owned(), dropped(link))));
    Ok(named.collect())
}

/// Packets a pod's device has sent, dropped ones not among them.
///
/// # Errors
/// `ip` cannot be run there.
pub fn device_sent(place: &Place) -> Result<u64> {
    let links: Value =
        serde_json::from_str(&said(place, &["ip", "-s", "-j", "link", "show", "eth0"])?)
            .unwrap_or_default();
    Ok(links[0]["stats64"]["tx"]["packets"].as_u64().unwrap_or(0))
}

/// TCP segments a namespace has sent, and those it has sent again.
///
/// # Errors
/// `/proc/net/snmp` cannot be read there.
pub fn tcp_segments(place: &Place) -> Result<(u64, u64)> {
    let table = said(place, &["cat", "/proc/net/snmp"])?;
    Ok((snmp(&table, "OutSegs"), snmp(&table, "RetransSegs")))
}

/// A number of the lines `Tcp:`, the first of which names what the second counts (proc_net(5)).
fn snmp(table: &str, name: &str) -> u64 {
    let mut lines = table.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else {
        return 0;
    };
    let mut pairs = names.split(' ').zip(values.split(' '));
    let value = pairs.find(|(found, _)| *found == name);
    value.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

fn said(place: &Place, argv: &[&str]) -> Result<String> {
    let output = place.command(argv).output();
    let output = output.map_err(io_error(format!("cannot run `{}`", argv.join(" "))))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_by_their_names() {
        let status = "Name:\tvswitchd\nVmRSS:\t   12345 kB\nThreads:\t7\n";
        assert_eq!(status_number(status, "VmRSS:"), 12345);
        assert_eq!(status_number(status, "Threads:"), 7);
        let table = "Ip: A B\nIp: 1 2\nTcp: InSegs OutSegs RetransSegs\nTcp: 10 20 3\n";
        assert_eq!(snmp(table, "RetransSegs"), 3);
        assert_eq!(snmp(table, "OutSegs"), 20);
    }

    #[test]
    fn a_port_that_came_since_counts_nothing_and_reasons_that_did_not_rise_are_absent() {
        let port = |rx_frames| Port {
            rx_frames,
            ..Port::default()
        };
        let before = Counted {
            drops: [("ipv6".into(), 3)].into(),
            ports: [("eth0".into(), port(10))].into(),
        };
        let now = Counted {
            drops: [("ipv6".into(), 3), ("ttl_exceeded".into(), 1)].into(),
            ports: [("eth0".into(), port(15)), ("cali1".into(), port(7))].into(),
        };
        let rose = now.since(&before);
        assert_eq!(rose.drops, [("ttl_exceeded".to_owned(), 1)].into());
        assert_eq!(rose.all(|port| port.rx_frames), 5);
    }

    #[test]
    fn the_heap_is_found_in_a_memory_map() {
        let maps = "5555-5556 r-xp 0 0:0 1 /bin/x\nSize: 4 kB\nRss: 4 kB\n\
                    6000-7000 rw-p 0 0:0 0    [heap]\nSize:    132 kB\nRss:   24 kB\n\
                    8000-9000 rw-p 0 0:0 0    [stack]\nSize: 8 kB\nRss: 8 kB\n";
        assert_eq!(status_number(heap_of(maps), "Size:"), 132);
        assert_eq!(status_number(heap_of(maps), "Rss:"), 24);
        assert_eq!(status_number(heap_of("no such line"), "Size:"), 0);
    }
}
