//! Manifests as people write them, against tables written by hand from what the APIs promise.
//!
//! A case is `tests/cases/NN-name.yaml`, its policies and what else it needs, in the cluster of
//! `world.yaml` and `houses.yaml`; and `NN-name.table`, one question a line:
//!
//! ```text
//! from  to  traffic  verdict  [what egress says]  [what ingress says]
//! ```
//!
//! An end is `namespace/pod` or an address, the traffic as [`FlowKind`] reads it. `verdict` is
//! `allow` when both directions allow. What a direction says, if the line has it:
//!
//! | word | meaning |
//! |---|---|
//! | `ns/policy[2]`, `policy[2]` | rule 2 (from 0) of that policy decides |
//! | `end:TIER` | policies of the tier select the pod, none of their rules matches: denied |
//! | `passed` | policies select the pod, every tier passes: allowed |
//! | `none` | no policy selects the pod: allowed |
//! | `itself` | a pod always reaches itself |
//! | `discovery` | IPv6 neighbour discovery is never denied |
//! | `outside` | the end is no pod that policy applies to: an outsider, a node, a host-network pod, a finished pod |
//! | `host` | the pod's own node, or a host-network pod on it, always reaches it (trap 31) |
//!
//! The last two are not the table's to say. `host` is known in a data plane by the port a packet
//! comes by; here, as in `policy eval`, by the address: one of the node that the pod's
//! `spec.nodeName` names. Every other node's address is outside, and so are those of its
//! host-network pods. Every line is put to the oracle, to the compiled table and to the
//! [`Judge`] of `policy eval`: all three must say what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use policy::ask::{FlowKind, Half, Judge, Party};
use policy::oracle::Oracle;
use policy::{Cluster, Direction, RuleDescription, Table, compile, parse};

/// What every case's cluster is made of.
const WORLD: [&str; 2] = ["world.yaml", "houses.yaml"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn read(name: &str) -> String {
    let path = directory().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of all files with this extension, without it.
fn names(extension: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory()).expect("the directory of cases");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into())
        .filter(|name| !WORLD.contains(&format!("{name}.{extension}").as_str()))
        .collect()
}

fn cluster(case: &str) -> Cluster {
    let mut cluster = Cluster::new();
    let mut defined = BTreeMap::new();
    let case = format!("{case}.yaml");
    for file in WORLD.into_iter().chain([case.as_str()]) {
        let objects = parse(file, &read(file)).unwrap_or_else(|errors| panic!("{errors:#?}"));
        for object in objects {
            let key = object.key().to_string();
            if let Some(first) = defined.insert(key.clone(), file) {
                panic!("{file}: {key} is already in {first}");
            }
            cluster.apply(object);
        }
    }
    cluster
}

/// A line of a table.
#[derive(Debug)]
struct Line<'a> {
    from: &'a str,
    to: &'a str,
    kind: FlowKind,
    allowed: bool,
    egress: Option<&'a str>,
    ingress: Option<&'a str>,
}

impl<'a> Line<'a> {
    /// `None` for a line with nothing but a comment.
    fn parse(text: &'a str) -> Result<Option<Self>, String> {
        let columns = text.split('#').next().unwrap_or_default();
        let columns: Vec<&str> = columns.split_whitespace().collect();
        let (head, deciders) = match columns.as_slice() {
            [] => return Ok(None),
            [from, to, traffic, verdict, deciders @ ..] if deciders.len() <= 2 => {
                ((*from, *to, *traffic, *verdict), deciders)
            }
            _ => return Err(format!("expected 4 to 6 columns, found {}", columns.len())),
        };
        let (from, to, traffic, verdict) = head;
        let allowed = match verdict {
            "allow" => true,
            "deny" => false,
            _ => return Err(format!("expected allow or deny, found {verdict}")),
        };
        Ok(Some(Self {
            from,
            to,
            kind: traffic.parse().map_err(|error| format!("{error}"))?,
            allowed,
            egress: deciders.first().copied(),
            ingress: deciders.get(1).copied(),
        }))
    }
}

/// What one judge says of a line.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    allowed: bool,
    egress: String,
    ingress: String,
}

/// The three judges of one cluster.
struct Court {
    cluster: Cluster,
    table: Table,
    judge: Judge,
}

impl Court {
    fn of(case: &str) -> Self {
        let cluster = cluster(case);
        Self {
            table: compile(&cluster),
            judge: Judge::new(cluster.clone()),
            cluster,
        }
    }

    /// The answers of the oracle, the table and the judge of `policy eval`.
    fn answers(&self, oracle: &Oracle<'_>, line: &Line<'_>) -> Result<[Answer; 3], String> {
        let party = |text| self.judge.roster().party(text);
        let from = party(line.from).map_err(|error| error.to_string())?;
        let to = party(line.to).map_err(|error| error.to_string())?;
        let by_oracle = self.both(&from, &to, line, |direction, flow| {
            let judgement = oracle.judge(direction, flow);
            (judgement.allowed, judgement.reason)
        })?;
        let by_table = self.both(&from, &to, line, |direction, flow| {
            let verdict = self.table.verdict(direction, flow);
            (verdict.allowed, self.table.describe(verdict.rule))
        })?;
        let ruling = self.judge.rule(&from, &to, &line.kind);
        let ruling = ruling.map_err(|error| error.to_string())?;
        let by_judge = Answer {
            allowed: ruling.allowed(),
            egress: self.shown(ruling.egress),
            ingress: self.shown(ruling.ingress),
        };
        Ok([by_oracle, by_table, by_judge])
    }

    fn shown(&self, half: Half) -> String {
        match (half, self.judge.describe(half)) {
            (Half::OwnNode, _) => "host".to_owned(),
            (_, Some(description)) => decider(&description),
            (_, None) => "outside".to_owned(),
        }
    }

    /// Asks both directions of whichever end is a pod.
    fn both(
        &self,
        from: &Party,
        to: &Party,
        line: &Line<'_>,
        ask: impl Fn(Direction, &policy::Flow) -> (bool, RuleDescription),
    ) -> Result<Answer, String> {
        let (source, destination) = from
            .meet(to, &line.kind)
            .ok_or("the ends have no address family in common")?;
        let outside = || (true, "outside".to_owned());
        let judged = |direction, subject, peer| {
            let (allowed, reason) = ask(direction, &line.kind.flow(subject, peer));
            (allowed, decider(&reason))
        };
        let egress = match from.is_policed() {
            true => judged(Direction::Egress, source, destination),
            false => outside(),
        };
        let ingress = match to.is_policed() {
            true if self.is_home(source, to) => (true, "host".to_owned()),
            true => judged(Direction::Ingress, destination, source),
            false => outside(),
        };
        Ok(Answer {
            allowed: egress.0 && ingress.0,
            egress: egress.1,
            ingress: ingress.1,
        })
    }

    /// Is this an address of the node the pod runs on?
    fn is_home(&self, address: std::net::IpAddr, pod: &Party) -> bool {
        let pod = pod.pod().and_then(|key| self.cluster.pods().get(key));
        let node = pod.and_then(|pod| self.cluster.nodes().get(pod.node.as_ref()?));
        node.is_some_and(|node| node.addresses.contains(&address))
    }
}

fn decider(description: &RuleDescription) -> String {
    match description {
        RuleDescription::UnknownEndpoint => "unknown".to_owned(),
        RuleDescription::NoPolicySelects => "none".to_owned(),
        RuleDescription::NoPolicyDecides => "passed".to_owned(),
        RuleDescription::OwnTraffic => "itself".to_owned(),
        RuleDescription::NeighbourDiscovery => "discovery".to_owned(),
        RuleDescription::EndOfTier { tier, .. } => format!("end:{tier}"),
        RuleDescription::Rule { policy, index, .. } => match &policy.namespace {
            Some(namespace) => format!("{namespace}/{}[{index}]", policy.name),
            None => format!("{}[{index}]", policy.name),
        },
    }
}

/// Appends what is wrong with a case to the report.
fn judge_case(case: &str, report: &mut String) {
    let court = Court::of(case);
    let oracle = Oracle::new(&court.cluster);
    let text = read(&format!("{case}.table"));
    for (number, text) in (1..).zip(text.lines()) {
        let mut wrong = |what: &str| {
            let _ = writeln!(report, "{case}.table:{number}: {what}\n    {text}");
        };
        let line = match Line::parse(text) {
            Ok(Some(line)) => line,
            Ok(None) => continue,
            Err(error) => {
                wrong(&error);
                continue;
            }
        };
        let answers = match court.answers(&oracle, &line) {
            Ok(answers) => answers,
            Err(error) => {
                wrong(&error);
                continue;
            }
        };
        for (name, found) in ["oracle", "table", "judge"].into_iter().zip(answers) {
            let expected = Answer {
                allowed: line.allowed,
                egress: line.egress.unwrap_or(&found.egress).to_owned(),
                ingress: line.ingress.unwrap_or(&found.ingress).to_owned(),
            };
            if found != expected {
                wrong(&format!("expected {expected:?}, {name} says {found:?}"));
            }
        }
    }
}

#[test]
fn every_case_is_judged_as_its_table_says() {
    let mut report = String::new();
    for case in names("table") {
        judge_case(&case, &mut report);
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn every_case_has_a_manifest_and_a_table_and_there_are_many() {
    let (manifests, tables) = (names("yaml"), names("table"));
    let alone: Vec<_> = manifests.symmetric_difference(&tables).collect();
    assert!(alone.is_empty(), "one half is missing of {alone:?}");
    assert!(manifests.len() >= 36, "{} cases", manifests.len());
    let mut numbers: Vec<&str> = manifests
        .iter()
        .map(|name| name.split_once('-').expect("NN-name").0)
        .collect();
    numbers.dedup();
    assert_eq!(numbers.len(), manifests.len(), "a number twice");
}

#[test]
fn every_table_has_allows_and_denies() {
    for case in names("table") {
        let text = read(&format!("{case}.table"));
        let lines = text.lines().map(Line::parse);
        let lines: Vec<_> = lines.filter_map(|line| line.expect("a line")).collect();
        let allowed = lines.iter().filter(|line| line.allowed).count();
        assert!(lines.len() >= 6, "{case}: {} lines", lines.len());
        assert!(0 < allowed && allowed < lines.len(), "{case}");
    }
}

#[test]
fn every_case_holds_a_policy_and_every_table_asks_about_one() {
    for case in names("table") {
        let cluster = cluster(&case);
        assert!(!cluster.policies().is_empty(), "{case} has no policy");
        let text = read(&format!("{case}.table"));
        for policy in cluster.policies().keys() {
            let decides = format!("{}[", policy.name);
            let kept_silent = text.contains("end:") || text.contains("passed");
            assert!(
                text.contains(&decides) || kept_silent,
                "{case}: {policy} is never heard"
            );
        }
    }
}
