//! What every input must survive. Shared by the replay test and the fuzz targets.
#![allow(dead_code, reason = "a fuzz target uses one function of it")]

use std::net::IpAddr;

use policy::model::{Labels, Selector};
use policy::oracle::Oracle;
use policy::source::selector::{self, SelectorProblem};
use policy::{Cluster, Direction, Flow, compile, parse, protocol};

/// Reads bytes as a manifest. Errors must have a place inside the text; objects must compile into
/// a table that says what the oracle says.
pub(crate) fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match parse("input.yaml", text) {
        Err(errors) => {
            assert!(!errors.is_empty());
            let lines = text
                .split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
                .count()
                + 1;
            for error in errors {
                assert!(error.line as usize <= lines, "{error}");
                assert!(error.to_string().starts_with("input.yaml"));
            }
        }
        Ok(objects) => {
            let mut cluster = Cluster::new();
            objects.into_iter().for_each(|object| cluster.apply(object));
            probe(&cluster);
        }
    }
}

fn probe(cluster: &Cluster) {
    let (table, oracle) = (compile(cluster), Oracle::new(cluster));
    let outside = IpAddr::from([192, 0, 2, 9]);
    let mut ends: Vec<IpAddr> = cluster.address_owners().into_keys().take(3).collect();
    ends.push(outside);
    for subject in &ends {
        for peer in &ends {
            for (number, dst_port) in [
                (protocol::TCP, 80),
                (protocol::UDP, 53),
                (protocol::ICMP, 0),
            ] {
                let flow = Flow {
                    subject: *subject,
                    peer: *peer,
                    protocol: number,
                    src_port: 40000,
                    dst_port,
                    icmp: (number == protocol::ICMP).then_some((8, 0)),
                };
                for direction in [Direction::Ingress, Direction::Egress] {
                    let verdict = table.verdict(direction, &flow);
                    let judgement = oracle.judge(direction, &flow);
                    assert_eq!(verdict.allowed, judgement.allowed, "{direction} {flow:?}");
                    assert_eq!(table.describe(verdict.rule), judgement.reason);
                }
            }
        }
    }
}

/// Reads bytes as a selector. Errors must point into the text; what is read must read the same
/// again when it is displayed.
pub(crate) fn selector(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for read in [selector::parse, selector::parse_namespace_selector] {
        match read(text) {
            Err(error) => {
                assert!(
                    (1..=text.chars().count() + 1).contains(&error.column),
                    "{error}"
                );
                assert_eq!(error.pointed().lines().count(), 3, "{error}");
            }
            Ok(selector) => displays_itself(&selector),
        }
    }
}

fn displays_itself(selector: &Selector) {
    let shown = selector.to_string();
    let back = match selector::parse(&shown) {
        Ok(back) => back,
        // Displayed, an expression may have more parentheses and blanks than it was written with.
        Err(error) => {
            let outgrown = [SelectorProblem::TooDeep, SelectorProblem::TooLong];
            assert!(outgrown.contains(&error.problem), "{}", error.pointed());
            return;
        }
    };
    assert_eq!(back.to_string(), shown);
    for (key, value) in [("a", "b"), ("app", "web"), ("in", "in"), ("", "")] {
        let labels = Labels::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(back.matches(&labels), selector.matches(&labels), "{shown}");
    }
}
