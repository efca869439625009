//! What lint calls without effect never decides anything.

use policy::lint::{Finding, lint};
use policy::oracle::Oracle;
use policy::source::yaml::Loaded;
use policy::{Cluster, Direction, Flow, RuleDescription};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::universe::{clusters, flows};

fn findings(cluster: &Cluster) -> Vec<Finding> {
    let loaded = Loaded {
        cluster: cluster.clone(),
        ..Loaded::default()
    };
    lint(&loaded, &[])
}

/// The rule a finding says to be without effect, as object and field.
fn dead_rule(finding: &Finding) -> Option<(&str, &str)> {
    let dead = finding.what.starts_with("never decides");
    dead.then_some((finding.object.as_str(), finding.field.as_str()))
}

/// Asks about the flows; returns how many rules are said to be dead.
fn stays_dead(cluster: &Cluster, flows: &[Flow]) -> Result<usize, TestCaseError> {
    let findings = findings(cluster);
    let dead: Vec<_> = findings.iter().filter_map(dead_rule).collect();
    let oracle = Oracle::new(cluster);
    for flow in flows {
        for direction in [Direction::Ingress, Direction::Egress] {
            let reason = oracle.judge(direction, flow).reason;
            let RuleDescription::Rule { policy, index, .. } = reason else {
                continue;
            };
            let rule = (policy.to_string(), format!("spec.{direction}[{index}]"));
            let said = dead.contains(&(rule.0.as_str(), rule.1.as_str()));
            prop_assert!(!said, "{rule:?} decides {flow:?}");
        }
    }
    Ok(dead.len())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_said_to_be_shadowed_never_decides(
        cluster in clusters(),
        flows in vec(flows(), 1..100),
    ) {
        stays_dead(&cluster, &flows)?;
    }
}

#[test]
fn random_clusters_have_shadowed_rules() {
    // Guards the property above against becoming trivial.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut dead = 0;
    for _ in 0..100 {
        let cluster = clusters().new_tree(&mut runner).expect("a cluster");
        dead += stays_dead(&cluster.current(), &[]).expect("no flows");
    }
    assert!(dead > 30, "{dead} in 100 clusters");
}
