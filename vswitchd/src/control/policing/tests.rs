//! Which workloads are isolated, and what the others are judged by.

use std::{path::Path, sync::Arc};

use packet::ethernet::MacAddr;

use super::*;
use crate::control::{Seed, Update, Uplink};

fn state(policies: &str) -> DesiredState {
    let text =
        "node = 'n'\naddress = '172.16.30.7/24'\n[[pool]]\nname = 'p'\ncidr = '10.244.0.0/16'";
    let config = crate::config::parse(Path::new("t.toml"), text).unwrap();
    let seed = Seed {
        address: "172.16.30.7/24".parse().unwrap(),
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2; 6]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    let mut state = DesiredState::new(&config, seed).unwrap();
    state.apply(Update::Policies(Arc::new(cluster(policies))));
    state
}

fn cluster(yaml: &str) -> Cluster {
    let mut cluster = Cluster::new();
    for object in objects(yaml) {
        cluster.apply(object);
    }
    cluster
}

fn objects(yaml: &str) -> Vec<Object> {
    policy::parse("t.yaml", yaml).unwrap()
}

fn web(namespace: &str) -> Workload {
    Workload {
        id: Attachment {
            container_id: "c1".into(),
            ifname: "eth0".into(),
        },
        namespace: namespace.into(),
        pod: "web".into(),
        address: Ipv4Addr::new(10, 244, 205, 193),
        mac: MacAddr([2; 6]),
        host_interface: "cali1".into(),
        host_index: 7,
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: vec![],
        slot: 0,
    }
}

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, \
                   spec: {nodeName: n, containers: []}}\n";
const SHOP: &str = "---\n{apiVersion: v1, kind: Namespace, metadata: {name: shop}}\n";

fn deny(namespace: &str, pods: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
         metadata: {{name: deny, namespace: {namespace}}}, spec: {{podSelector: {pods}}}}}\n"
    )
}

const BY_LABEL: &str = "{matchLabels: {app: web}}";

#[test]
fn a_pod_is_isolated_while_a_policy_looks_at_labels_nobody_knows() {
    for (policies, isolated) in [
        (String::new(), false),
        (deny("shop", "{}"), false),
        (deny("other", BY_LABEL), false),
        (deny("shop", BY_LABEL), true),
    ] {
        let mut state = state(&policies);
        state.apply(Update::Attached(Box::new(web("shop"))));
        assert_eq!(state.is_isolated(&web("shop")), isolated, "{policies}");
        assert_eq!(state.policed().is_empty(), isolated, "{policies}");
        assert_eq!(state.cluster().workloads().is_empty(), isolated);
    }
    let containers = state(&deny("shop", BY_LABEL));
    assert!(!containers.is_isolated(&web("")), "a container is no pod");
}

#[test]
fn its_objects_end_the_isolation_also_when_they_are_read_ahead() {
    let policies = deny("shop", BY_LABEL);
    let known = state(&(POD.to_owned() + SHOP + &policies));
    assert!(!known.is_isolated(&web("shop")));

    let mut state = state(&policies);
    state.apply(Update::Attached(Box::new(web("shop"))));
    assert!(state.apply(Update::Newcomers(objects(&(POD.to_owned() + SHOP)))));
    assert!(
        !state.apply(Update::Newcomers(objects(POD))),
        "the same again"
    );
    assert_eq!(state.policed().len(), 1);
    let cluster = state.cluster();
    assert_eq!((cluster.pods().len(), cluster.workloads().len()), (1, 1));
}

#[test]
fn a_reading_that_began_earlier_does_not_forget_the_newcomer_and_a_later_one_has_the_last_word() {
    let policies = deny("shop", BY_LABEL);
    let mut state = state(&policies);
    state.apply(Update::Attached(Box::new(web("shop"))));
    state.apply(Update::Newcomers(objects(&(POD.to_owned() + SHOP))));
    let read = |yaml: &str| Update::Policies(Arc::new(cluster(yaml)));
    state.apply(read(&(policies.clone() + &deny("other", "{}"))));
    assert!(!state.is_isolated(&web("shop")));
    state.apply(read(&(POD.to_owned() + SHOP + &policies)));
    assert!(state.ahead.is_empty());
    assert!(state.apply(read(&policies)), "the objects are gone");
    assert!(state.is_isolated(&web("shop")));
    // A pod that is not here needs none.
    state.apply(Update::Newcomers(objects(POD)));
    state.apply(Update::Detached(web("shop").id));
    assert!(state.apply(read(&policies)));
    assert!(state.ahead.is_empty());
}

#[test]
fn what_is_known_changes_only_with_the_whole() {
    let mut state = state(&(POD.to_owned() + SHOP));
    state.apply(Update::Attached(Box::new(web("shop"))));
    let ids = state.workloads.keys().cloned().collect();
    assert!(state.unknown_to_policy(&ids).is_empty());
    let relabeled = objects(&POD.replace("app: web", "app: db"));
    assert!(!state.apply(Update::Newcomers(relabeled)));
    let relabeled = objects(&SHOP.replace("name: shop", "name: shop, labels: {team: a}"));
    assert!(!state.apply(Update::Newcomers(relabeled)));
    assert_eq!(state.cluster().pods(), state.policy.pods());
    assert_eq!(state.cluster().namespaces(), state.policy.namespaces());
}

#[test]
fn an_add_wants_its_pod_and_its_namespace_and_a_container_wants_nothing() {
    let mut state = state(SHOP);
    state.apply(Update::Attached(Box::new(web("shop"))));
    let ids = state.workloads.keys().cloned().collect();
    let wanted = |state: &DesiredState| -> Vec<String> {
        let wanted = state.unknown_to_policy(&ids);
        wanted.iter().map(ToString::to_string).collect()
    };
    assert_eq!(wanted(&state), ["Pod shop/web"]);
    state.apply(Update::Attached(Box::new(web("book"))));
    assert_eq!(wanted(&state), ["Namespace book", "Pod book/web"]);
    state.apply(Update::Attached(Box::new(web(""))));
    assert!(wanted(&state).is_empty());
}

/// A policy of the namespace `db` whose ingress rule is this.
fn of_db(rule: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
         metadata: {{name: db, namespace: db}}, spec: {{podSelector: {{}}, ingress: [{{from: [{rule}]}}]}}}}\n"
    )
}

/// A policy for everyone, with this in its spec.
fn global(rules: &str) -> String {
    format!(
        "---\n{{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, \
         metadata: {{name: all}}, spec: {{{rules}}}}}\n"
    )
}

#[test]
fn a_pod_is_isolated_while_a_policy_would_read_labels_nobody_knows_of_a_peer() {
    const TRUSTED: &str =
        "podSelector: {matchExpressions: [{key: untrusted, operator: DoesNotExist}]}";
    const DENY: &str =
        "{action: Deny, source: {selector: \"quarantine == 'true'\"}}, {action: Allow}";
    for (policies, isolated) in [
        (
            of_db(&format!("{{namespaceSelector: {{}}, {TRUSTED}}}")),
            true,
        ),
        (of_db(&format!("{{{TRUSTED}}}")), false),
        (of_db("{namespaceSelector: {}}"), false),
        (
            of_db("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}"),
            false,
        ),
        (of_db("{ipBlock: {cidr: 10.0.0.0/8}}"), false),
        (global(&format!("ingress: [{DENY}]")), true),
        (
            global("egress: [{action: Allow, destination: {notSelector: has(untrusted)}}]"),
            true,
        ),
        (
            global("ingress: [{action: Allow, destination: {selector: '!has(closed)'}}]"),
            true,
        ),
        (
            global(
                "ingress: [{action: Deny, source: {selector: \"projectcalico.org/namespace == 'shop' || app == 'a'\"}}]",
            ),
            false,
        ),
        (
            global(
                "ingress: [{action: Deny, source: {selector: \"projectcalico.org/namespace == 'db' && app == 'a'\"}}]",
            ),
            false,
        ),
    ] {
        let mut unread = state(&(SHOP.to_owned() + &policies));
        unread.apply(Update::Attached(Box::new(web("shop"))));
        assert_eq!(unread.is_isolated(&web("shop")), isolated, "{policies}");
        assert_eq!(unread.policed().is_empty(), isolated, "{policies}");
        let read = state(&(POD.to_owned() + SHOP + &policies));
        assert!(!read.is_isolated(&web("shop")), "{policies}");
    }
}

#[test]
fn a_pod_is_isolated_while_a_policy_would_read_labels_nobody_knows_of_its_namespace() {
    let not_in = |pods: &str| {
        of_db(&format!(
            "{{namespaceSelector: {{matchExpressions: [{{key: team, operator: NotIn, values: [x]}}]}}, \
             podSelector: {{matchLabels: {{{pods}}}}}}}"
        ))
    };
    for (policies, isolated) in [
        (not_in(""), true),
        (not_in("app: web"), true),
        (not_in("app: other"), false),
        (
            of_db("{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}"),
            false,
        ),
        (deny("shop", BY_LABEL), false),
    ] {
        let state = state(&(POD.to_owned() + &policies));
        assert_eq!(state.is_isolated(&web("shop")), isolated, "{policies}");
    }
}

#[test]
fn of_a_pod_with_several_interfaces_policy_knows_the_last_and_says_which_it_does_not() {
    let interface = |name: &str, last: u8| {
        let mut workload = web("shop");
        workload.id.ifname = name.into();
        workload.address = Ipv4Addr::new(10, 244, 205, last);
        Update::Attached(Box::new(workload))
    };
    let mut state = state(&(POD.to_owned() + SHOP + &deny("shop", BY_LABEL)));
    state.apply(interface("eth0", 193));
    assert!(state.half_policed().is_empty());
    state.apply(interface("net1", 194));
    let pod = PodKey::new("shop", "web");
    let denied = Ipv4Addr::new(10, 244, 205, 193);
    assert_eq!(state.half_policed(), [(pod.clone(), vec![denied])].into());
    assert_eq!(
        state.policed(),
        [(pod, Ipv4Addr::new(10, 244, 205, 194))].into()
    );
    state.apply(Update::Policies(Arc::new(cluster(&deny("shop", BY_LABEL)))));
    assert!(
        state.half_policed().is_empty(),
        "isolated, which is said elsewhere"
    );
}
