//! Thresholds: `same-node/kernel/tcp1>=0.95` asks that vswitchd's median ratio to that peer be so.

use std::{fmt, fs, path::Path, str::FromStr};

use super::{
    contender::{Contender, Topology},
    error::{Error, Result, io_error},
    metric,
    report::Report,
};

/// A condition on one ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    topology: String,
    peer: String,
    metric: String,
    at_least: bool,
    bound: f64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The condition.
    pub threshold: Threshold,
    /// The median ratio; none when it was not measured, which is a failure.
    pub ratio: Option<f64>,
}

impl Outcome {
    /// Whether the condition holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        let Threshold {
            at_least, bound, ..
        } = self.threshold;
        self.ratio.is_some_and(|ratio| {
            if at_least {
                ratio >= bound
            } else {
                ratio <= bound
            }
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.holds() { "ok  " } else { "MISS" };
        match self.ratio {
            Some(ratio) => write!(f, "{word} {}: {ratio:.3}", self.threshold),
            None => write!(f, "{word} {}: not measured", self.threshold),
        }
    }
}

impl Threshold {
    /// Asks a report.
    #[must_use]
    pub fn judge(&self, report: &Report) -> Outcome {
        let chapter = report.chapter(&self.topology);
        let ratio = chapter.and_then(|chapter| chapter.ratio(&self.metric, &self.peer));
        Outcome {
            threshold: self.clone(),
            ratio: ratio.map(|ratio| ratio.median),
        }
    }

    /// Reads a file of them, one a line; `#` begins a comment.
    ///
    /// # Errors
    /// It cannot be read, or a line is no threshold.
    pub fn load(path: &Path) -> Result<Vec<Self>> {
        let shown = path.display();
        let text = fs::read_to_string(path).map_err(io_error(format!("cannot read {shown}")))?;
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim());
        lines
            .filter(|line| !line.is_empty())
            .map(str::parse)
            .collect()
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.at_least { ">=" } else { "<=" };
        write!(
            f,
            "{}/{}/{}{sign}{}",
            self.topology, self.peer, self.metric, self.bound
        )
    }
}

impl FromStr for Threshold {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |expected: &str| Error::Unexpected {
            place: "threshold".into(),
            expected: expected.into(),
            found: text.into(),
        };
        let shape =
            || wrong("TOPOLOGY/PEER/METRIC>=RATIO or <=RATIO, such as same-node/kernel/tcp1>=0.95");
        let (at_least, (path, bound)) = match (text.split_once(">="), text.split_once("<=")) {
            (Some(parts), None) => (true, parts),
            (None, Some(parts)) => (false, parts),
            _ => return Err(shape()),
        };
        let parts: Vec<&str> = path.split('/').map(str::trim).collect();
        let &[topology, peer, metric] = parts.as_slice() else {
            return Err(shape());
        };
        let bound: f64 = bound.trim().parse().map_err(|_| shape())?;
        if !Topology::ALL.iter().any(|known| known.name() == topology) {
            return Err(wrong("a topology: same-node, two-node or two-node-wire"));
        }
        if !PEERS.iter().any(|known| known.name() == peer) {
            return Err(wrong(
                "a peer: kernel, vxlan, ovs, ovs-tso, naive or baseline",
            ));
        }
        let compared = || metric::METRICS.iter().filter(|metric| metric.compared);
        if !compared().any(|known| known.id == metric) {
            let known: Vec<&str> = compared().map(|metric| metric.id).collect();
            return Err(wrong(&format!("a metric: {}", known.join(", "))));
        }
        Ok(Self {
            topology: topology.into(),
            peer: peer.into(),
            metric: metric.into(),
            at_least,
            bound,
        })
    }
}

const PEERS: [Contender; 9] = [
    Contender::Kernel,
    Contender::Vxlan,
    Contender::Ovs,
    Contender::OvsTso,
    Contender::Naive,
    Contender::Pump,
    Contender::Baseline,
    Contender::VswitchdWorkers,
    Contender::VswitchdCut,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{
        machine::Machine,
        report::{Chapter, Entry, VERSION},
    };

    fn report(ours: f64, theirs: f64) -> Report {
        let entry = |name: &str| Entry {
            name: name.into(),
            about: String::new(),
            absent: None,
        };
        let mut chapter = Chapter {
            topology: "same-node".into(),
            contenders: vec![entry("vswitchd"), entry("kernel")],
            ..Chapter::default()
        };
        chapter.record("tcp1", "vswitchd", 0, ours);
        chapter.record("tcp1", "kernel", 0, theirs);
        Report {
            version: VERSION,
            machine: Machine::this(),
            rounds: 1,
            seconds: 1.0,
            chapters: vec![chapter],
        }
    }

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    #[test]
    fn a_threshold_is_written_as_it_is_read() {
        for text in [
            "same-node/kernel/tcp1>=0.95",
            "two-node/ovs/udp-rr-two-cores-p99<=0.6",
        ] {
            assert_eq!(threshold(text).to_string(), text);
        }
        assert_eq!(
            threshold("same-node/ovs-tso/tcp4 >= 1.5").to_string(),
            "same-node/ovs-tso/tcp4>=1.5"
        );
    }

    #[test]
    fn the_goals_are_thresholds() {
        let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/goals.txt"));
        assert_eq!(Threshold::load(file).unwrap().len(), 26);
    }

    #[test]
    fn a_word_that_is_none_is_named_with_those_there_are() {
        let refused = |text: &str| text.parse::<Threshold>().unwrap_err().to_string();
        assert!(refused("tcp1>=1").contains("TOPOLOGY/PEER/METRIC>=RATIO"));
        assert!(refused("moon/kernel/tcp1>=1").contains("a topology: same-node"));
        assert!(refused("same-node/linux/tcp1>=1").contains("a peer: kernel"));
        assert!(refused("same-node/kernel/tpc1>=1").contains("udp64-zero-loss"));
        assert!(
            refused("same-node/kernel/tcp1>=fast").contains("such as same-node/kernel/tcp1>=0.95")
        );
    }

    #[test]
    fn a_bound_holds_when_it_is_met_exactly() {
        assert!(
            threshold("same-node/kernel/tcp1>=0.5")
                .judge(&report(5.0, 10.0))
                .holds()
        );
        assert!(
            threshold("same-node/kernel/tcp1<=0.5")
                .judge(&report(5.0, 10.0))
                .holds()
        );
        assert!(
            !threshold("same-node/kernel/tcp1>=0.51")
                .judge(&report(5.0, 10.0))
                .holds()
        );
    }

    #[test]
    fn what_was_not_measured_is_a_miss() {
        let outcome = threshold("two-node/vxlan/tcp1>=0.1").judge(&report(1.0, 1.0));
        assert!(!outcome.holds());
        assert_eq!(
            outcome.to_string(),
            "MISS two-node/vxlan/tcp1>=0.1: not measured"
        );
    }
}
