//! Properties over random clusters: the compiled table says what the oracle says, verdict and
//! reason; compiling event by event comes to the same as compiling the outcome.

mod explains;
mod lints;
mod universe;

use std::collections::BTreeMap;

use policy::model::{Established, PolicyKey, Reply};
use policy::oracle::Oracle;
use policy::{
    Cluster, Compiler, Denial, Direction, Flow, Object, RuleDescription, Settings, Subjects, Table,
    compile,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use universe::{Event, clusters, events, flows};

const DIRECTIONS: [Direction; 2] = [Direction::Ingress, Direction::Egress];

/// Asks table and oracle the same questions.
fn agree(table: &Table, cluster: &Cluster, flows: &[Flow]) -> Result<(), TestCaseError> {
    let oracle = Oracle::new(cluster);
    for (flow, direction) in flows.iter().flat_map(|flow| DIRECTIONS.map(|d| (flow, d))) {
        let verdict = table.verdict(direction, flow);
        let judgement = oracle.judge(direction, flow);
        prop_assert_eq!(
            verdict.allowed,
            judgement.allowed,
            "{} {:?}",
            direction,
            flow
        );
        let described = table.describe(verdict.rule);
        prop_assert_eq!(&described, &judgement.reason);
        if !verdict.allowed {
            prop_assert_eq!(verdict.denial, denial(cluster, &described));
        }
    }
    Ok(())
}

/// How a deny is carried out, worked out from the model.
fn denial(cluster: &Cluster, reason: &RuleDescription) -> Denial {
    let by: Vec<&PolicyKey> = match reason {
        RuleDescription::Rule { policy, .. } => vec![policy],
        RuleDescription::EndOfTier { selected_by, .. } => selected_by.iter().collect(),
        _ => return Denial::default(),
    };
    let policies = || by.iter().map(|key| &cluster.policies()[*key]);
    let says = |reply| policies().any(|policy| policy.deny == Some(reply));
    let keeps = policies().all(|policy| policy.established == Some(Established::Keep));
    Denial {
        reply: match says(Reply::Reject) && !says(Reply::Drop) {
            true => Reply::Reject,
            false => Reply::Drop,
        },
        established: match keeps {
            true => Established::Keep,
            false => Established::Recheck,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_the_oracle_says(cluster in clusters(), flows in vec(flows(), 1..40)) {
        agree(&compile(&cluster), &cluster, &flows)?;
    }

    #[test]
    fn event_by_event_comes_to_the_same_as_all_at_once(
        events in vec(events(), 1..60),
        flows in vec(flows(), 1..40),
    ) {
        let mut compiler = Compiler::new(Subjects::All, Settings::default());
        for event in events {
            if matches!(event, Event::Publish) {
                let table = compiler.table();
                agree(&table, compiler.cluster(), &flows)?;
            }
            event.happen(&mut compiler);
        }
        let cluster = compiler.cluster().clone();
        agree(&compiler.table(), &cluster, &flows)?;
        agree(&compile(&cluster), &cluster, &flows)?;
    }

    #[test]
    fn a_table_does_not_change_after_it_was_given_out(
        before in vec(events(), 1..30),
        after in vec(events(), 1..30),
        flows in vec(flows(), 1..40),
    ) {
        let mut compiler = Compiler::new(Subjects::All, Settings::default());
        before.into_iter().for_each(|event| event.happen(&mut compiler));
        let (table, cluster) = (compiler.table(), compiler.cluster().clone());
        after.into_iter().for_each(|event| event.happen(&mut compiler));
        drop(compiler.table());
        agree(&table, &cluster, &flows)?;
    }

    #[test]
    fn on_a_node_attached_pods_are_judged_and_nobody_else(
        events in vec(events(), 1..60),
        flows in vec(flows(), 1..40),
    ) {
        let mut compiler = Compiler::new(Subjects::Attached, Settings::default());
        events.into_iter().for_each(|event| event.happen(&mut compiler));
        let (table, cluster) = (compiler.table(), compiler.cluster().clone());
        let owners = cluster.address_owners();
        let attached = |flow: &Flow| {
            let owner = owners.get(&flow.subject);
            owner.is_some_and(|pod| cluster.workloads().contains_key(pod.key))
        };
        let (own, others): (Vec<Flow>, Vec<Flow>) = flows.into_iter().partition(attached);
        agree(&table, &cluster, &own)?;
        for flow in others.iter().filter(|flow| !owners.contains_key(&flow.subject)) {
            let verdict = table.verdict(Direction::Ingress, flow);
            prop_assert_eq!(table.describe(verdict.rule), RuleDescription::UnknownEndpoint);
            prop_assert!(!verdict.allowed);
        }
    }

    #[test]
    fn replacing_a_cluster_comes_to_the_same_as_starting_with_it(
        before in vec(events(), 1..40),
        cluster in clusters(),
        flows in vec(flows(), 1..40),
    ) {
        let mut compiler = Compiler::new(Subjects::All, Settings::default());
        before.into_iter().for_each(|event| event.happen(&mut compiler));
        drop(compiler.table());
        compiler.replace(&cluster);
        prop_assert_eq!(compiler.cluster(), &cluster);
        agree(&compiler.table(), &cluster, &flows)?;
    }

    #[test]
    fn the_order_in_which_objects_arrive_does_not_matter(
        cluster in clusters(),
        flows in vec(flows(), 1..20),
    ) {
        let mut reversed = Cluster::new();
        for policy in cluster.policies().values().rev() {
            reversed.apply(Object::Policy(policy.clone()));
        }
        for (key, address) in cluster.workloads().iter().rev() {
            reversed.set_workload(&key.namespace, &key.name, *address);
        }
        for pod in cluster.pods().values().rev() {
            reversed.apply(Object::Pod(pod.clone()));
        }
        for ((namespace, name), labels) in cluster.accounts().iter().rev() {
            let (namespace, name, labels) = (namespace.clone(), name.clone(), labels.clone());
            reversed.apply(Object::ServiceAccount { namespace, name, labels });
        }
        for set in cluster.sets().values().rev() {
            reversed.apply(Object::NetworkSet(set.clone()));
        }
        for node in cluster.nodes().values().rev() {
            reversed.apply(Object::Node(node.clone()));
        }
        for (name, labels) in cluster.namespaces().iter().rev() {
            reversed.apply(Object::Namespace { name: name.clone(), labels: labels.clone() });
        }
        for tier in cluster.tiers().values() {
            reversed.apply(Object::Tier(tier.clone()));
        }
        let (one, other) = (compile(&cluster), compile(&reversed));
        for (flow, direction) in flows.iter().flat_map(|flow| DIRECTIONS.map(|d| (flow, d))) {
            let (a, b) = (one.verdict(direction, flow), other.verdict(direction, flow));
            prop_assert_eq!(one.describe(a.rule), other.describe(b.rule));
            prop_assert_eq!(a.allowed, b.allowed);
        }
    }
}

#[test]
fn the_universe_decides_flows_in_every_way() {
    // Guards the properties above against becoming trivial.
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for _ in 0..300 {
        let cluster = clusters()
            .new_tree(&mut runner)
            .expect("a cluster")
            .current();
        let flows = vec(flows(), 40)
            .new_tree(&mut runner)
            .expect("flows")
            .current();
        let table = compile(&cluster);
        for (flow, direction) in flows.iter().flat_map(|flow| DIRECTIONS.map(|d| (flow, d))) {
            let verdict = table.verdict(direction, flow);
            let way = match table.describe(verdict.rule) {
                RuleDescription::Rule { .. } => "rule",
                RuleDescription::EndOfTier { .. } => "end of tier",
                RuleDescription::NoPolicySelects => "no policy",
                RuleDescription::NoPolicyDecides => "all pass",
                RuleDescription::UnknownEndpoint => "unknown",
                RuleDescription::OwnTraffic => "own",
                RuleDescription::NeighbourDiscovery => "discovery",
            };
            *counts.entry((way, verdict.allowed)).or_default() += 1;
        }
    }
    for way in [
        ("rule", true),
        ("rule", false),
        ("end of tier", false),
        ("no policy", true),
        ("all pass", true),
    ] {
        let enough = counts.get(&way).is_some_and(|count| *count > 100);
        assert!(enough, "{way:?} in {counts:?}");
    }
}
