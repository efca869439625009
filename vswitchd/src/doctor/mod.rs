//! `vswitchctl doctor`: does this host have what a node needs, and what would trip it?
//!
//! Every check is a file of its own and answers with [`Finding`]s: what was looked at, what was
//! found, what to do. They run in the network namespace of the caller, with or without a daemon, and
//! change nothing. With a daemon, other nodes are asked: some ICMP echoes and three ARP requests, unless
//! [`Places::passive`].

mod clock;
mod cni;
mod daemon;
mod devices;
mod duplicates;
mod foreign_pods;
mod kernel_features;
mod kernel_parameters;
mod leaks;
mod nftables;
mod peers;
mod uplink;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::show::Row;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be, or of no consequence.
    Ok,
    /// Something will not work, or may not.
    Warn,
    /// Pods have no network.
    Broken,
}

impl Level {
    /// The word used in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Broken => "broken",
        }
    }

    /// Exit status of a report whose worst finding this is.
    #[must_use]
    pub fn exit_status(self) -> u8 {
        self as u8
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub subject: String,
    /// What was found there.
    pub found: String,
    /// What to do; empty = nothing.
    pub advice: String,
}

impl Finding {
    fn new(level: Level, subject: &str, found: impl Into<String>, advice: &str) -> Self {
        Self {
            level,
            subject: subject.to_owned(),
            found: found.into(),
            advice: advice.to_owned(),
        }
    }

    fn ok(subject: &str, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, subject, found, "")
    }

    fn warn(subject: &str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(Level::Warn, subject, found, advice)
    }

    fn broken(subject: &str, found: impl Into<String>, advice: &str) -> Self {
        Self::new(Level::Broken, subject, found, advice)
    }

    /// As a row of `Response::Table`.
    #[must_use]
    pub fn row(&self) -> Row {
        let cells = [
            ("level", self.level.as_str()),
            ("subject", &self.subject),
            ("found", &self.found),
            ("advice", &self.advice),
        ];
        let owned = cells.map(|(key, value)| (key.to_owned(), value.into()));
        owned.into_iter().collect()
    }
}

/// Where the checks look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The daemon's TOML, for its uplink; `None` = the uplink is detected.
    pub config: Option<PathBuf>,
    /// Where the runtime looks for network configurations.
    pub cni_dir: PathBuf,
    /// Where libcni remembers what it gave to whom.
    pub cni_cache: PathBuf,
    /// Send nothing: other nodes are not asked.
    pub passive: bool,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            config: None,
            cni_dir: "/etc/cni/net.d".into(),
            cni_cache: "/var/lib/cni/results".into(),
            passive: false,
        }
    }
}

/// Looks at everything. Takes some tens of milliseconds, mostly for running `nft`; with a daemon, half a
/// second more, and 1.2 s more if a node does not answer. `socket` is the daemon's; `None` leaves it out.
#[must_use]
pub fn report(socket: Option<&Path>, places: &Places) -> Vec<Finding> {
    let asked = socket.map(daemon::ask).unwrap_or_default();
    let uplink = asked.uplink();
    let mut findings = kernel_features::examine();
    findings.extend(devices::examine());
    findings.push(nftables::examine());
    findings.extend(kernel_parameters::examine(uplink.as_deref()));
    findings.push(uplink::examine(places.config.as_deref(), uplink.as_deref()));
    findings.push(clock::examine());
    findings.extend(asked.findings());
    let is_to_ask = asked.is_running() && !places.passive;
    let before = is_to_ask.then(leaks::Sample::take).flatten();
    findings.extend(tunnels(&asked, is_to_ask));
    if is_to_ask {
        let own = asked.own_address();
        let own = own.map(|(uplink, ip, mac)| duplicates::on_the_uplink(&uplink, ip, mac));
        findings.extend(own);
        findings.extend(before.and_then(leaks::Sample::examine));
    }
    findings.extend(cni::examine(&places.cni_dir, &places.cni_cache));
    findings
}

/// The other nodes are asked; where that cannot be, what the ports have counted says a little.
fn tunnels(asked: &daemon::Answers, is_to_ask: bool) -> Vec<Finding> {
    let peers = asked.peers();
    if !is_to_ask || peers.is_empty() {
        return vec![asked.protocol_4()];
    }
    match peers::examine(&peers) {
        Ok(findings) => findings,
        Err(unasked) => vec![unasked, asked.protocol_4()],
    }
}

/// The worst of them.
#[must_use]
pub fn worst(findings: &[Finding]) -> Level {
    let levels = findings.iter().map(|finding| finding.level);
    levels.max().unwrap_or(Level::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_the_exit_status() {
        let fine = Finding::ok("a", "b");
        let bad = Finding::warn("a", "b", "c");
        let worse = Finding::broken("a", "b", "c");
        assert_eq!(worst(&[]).exit_status(), 0);
        assert_eq!(worst(&[fine.clone(), bad.clone()]).exit_status(), 1);
        assert_eq!(worst(&[fine, worse, bad]).exit_status(), 2);
    }

    #[test]
    fn a_report_without_a_daemon_is_complete() {
        let nowhere = tempfile::tempdir().unwrap();
        let places = Places {
            config: None,
            cni_dir: nowhere.path().join("net.d"),
            cni_cache: nowhere.path().join("results"),
            passive: false,
        };
        let socket = nowhere.path().join("sock");
        let findings = report(Some(&socket), &places);
        for subject in [
            "kernel",
            "fan-out",
            "tcx",
            "XDP",
            "IPIP module",
            "clock",
            "/dev/net/tun",
            "packet sockets",
            "user namespaces",
            "nftables",
            "ip_forward",
            "rp_filter",
            "uplink",
            "daemon",
            "protocol 4",
            "CNI configuration",
        ] {
            let about = findings.iter().filter(|found| found.subject == subject);
            assert_ne!(about.count(), 0, "{subject}: {findings:#?}");
        }
        let advised = |finding: &Finding| finding.level == Level::Ok || !finding.advice.is_empty();
        assert!(findings.iter().all(advised), "{findings:#?}");
    }
}
