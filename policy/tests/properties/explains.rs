//! Explanations come to what the oracle judges.

use policy::ask::{FlowKind, Party, Roster};
use policy::explain::{Ending, Story, explain};
use policy::oracle::{Judgement, Oracle};
use policy::{Cluster, Direction, Flow, RuleDescription, protocol};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::universe::{clusters, flows};

/// The traffic of a flow, if a person could ask about it.
fn kind(flow: &Flow) -> Option<FlowKind> {
    let message = flow.icmp;
    match flow.protocol {
        number if protocol::has_ports(number) => Some(FlowKind::Port {
            protocol: number,
            port: flow.dst_port,
            source: flow.src_port,
        }),
        protocol::ICMP => Some(FlowKind::Icmp {
            message: Some(message?),
        }),
        protocol::ICMPV6 => Some(FlowKind::IcmpV6 {
            message: Some(message?),
        }),
        number => Some(FlowKind::Other(number)),
    }
}

/// Checks a half of an explanation; `true` when the oracle had something to say.
fn check(story: &Story, end: &Party, judgement: &Judgement) -> Result<bool, TestCaseError> {
    if !end.is_policed() || matches!(story, Story::OwnNode(_)) {
        prop_assert!(story.allowed());
        return Ok(false);
    }
    prop_assert_eq!(story.allowed(), judgement.allowed, "{:?}", story);
    match (&judgement.reason, story) {
        (RuleDescription::Rule { policy, index, .. }, Story::Tiers(tiers)) => {
            let last = tiers.last().and_then(|tier| tier.deciding());
            let named = last.map(|(policy, rule, _)| (&policy.key, rule));
            prop_assert_eq!(named, Some((policy, *index)));
        }
        (
            RuleDescription::EndOfTier {
                selected_by, tier, ..
            },
            Story::Tiers(tiers),
        ) => {
            let last = tiers.last().expect("a tier that ended");
            prop_assert_eq!((&last.name, last.ending), (tier, Ending::Deny));
            let selecting: Vec<_> = last.policies.iter().map(|p| p.key.clone()).collect();
            prop_assert_eq!(&selecting, selected_by);
        }
        (RuleDescription::NoPolicySelects, Story::Tiers(tiers)) => prop_assert!(tiers.is_empty()),
        (RuleDescription::NoPolicyDecides, Story::Tiers(tiers)) => {
            prop_assert!(!tiers.is_empty() && tiers.iter().all(|tier| tier.passed()));
        }
        (RuleDescription::OwnTraffic, story) => prop_assert_eq!(story, &Story::OwnTraffic),
        (RuleDescription::NeighbourDiscovery, story) => {
            prop_assert_eq!(story, &Story::NeighbourDiscovery);
        }
        (reason, story) => prop_assert!(false, "{reason:?} is told as {story:?}"),
    }
    Ok(true)
}

fn explained(cluster: &Cluster, flows: &[Flow]) -> Result<usize, TestCaseError> {
    let roster = Roster::new(cluster.clone());
    let oracle = Oracle::new(roster.cluster());
    let mut judged = 0;
    for flow in flows {
        let (from, to) = (roster.at(flow.subject), roster.at(flow.peer));
        let Some(kind) = kind(flow) else { continue };
        let Some((source, destination)) = from.meet(&to, &kind) else {
            continue;
        };
        let story = explain(&roster, &from, &to, kind).expect("one family");
        let egress = oracle.judge(Direction::Egress, &kind.flow(source, destination));
        let ingress = oracle.judge(Direction::Ingress, &kind.flow(destination, source));
        judged += usize::from(check(&story.egress, &from, &egress)?);
        judged += usize::from(check(&story.ingress, &to, &ingress)?);
        prop_assert!(!story.to_string().is_empty());
    }
    Ok(judged)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_explanation_ends_as_the_oracle_judges(
        cluster in clusters(),
        flows in vec(flows(), 1..20),
    ) {
        explained(&cluster, &flows)?;
    }
}

#[test]
fn most_random_flows_have_something_to_explain() {
    // Guards the property above against becoming trivial.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut judged = 0;
    for _ in 0..50 {
        let cluster = clusters().new_tree(&mut runner).expect("a cluster");
        let flows = vec(flows(), 20).new_tree(&mut runner).expect("flows");
        judged += explained(&cluster.current(), &flows.current()).expect("agreement");
    }
    assert!(judged > 300, "{judged} halves of 2000");
}
