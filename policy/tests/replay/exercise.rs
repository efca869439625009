//! What every input must survive. Shared by the replay test and the fuzz target.

use std::net::IpAddr;

use policy::oracle::Oracle;
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
            for (protocol, dst_port) in [(protocol::TCP, 80), (protocol::UDP, 53), (1, 0)] {
                let flow = Flow {
                    subject: *subject,
                    peer: *peer,
                    protocol,
                    dst_port,
                    icmp: None,
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
