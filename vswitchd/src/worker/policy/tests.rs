//! Whatever happens in whatever order, the table is that of the whole.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
};

use cni_shim::protocol::Attachment;
use packet::ethernet::MacAddr;
use policy::{Direction, Flow};
use proptest::prelude::*;

use super::*;
use crate::control::{Seed, Update, Uplink, Workload};

fn state() -> DesiredState {
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
    DesiredState::new(&config, seed).unwrap()
}

fn id(number: u8) -> Attachment {
    Attachment {
        container_id: format!("c{number}"),
        ifname: "eth0".into(),
    }
}

/// Pod `pod{number}`, whose address depends on the incarnation.
fn workload(number: u8, incarnation: u8) -> Box<Workload> {
    Box::new(Workload {
        id: id(number),
        namespace: "default".into(),
        pod: format!("pod{number}"),
        address: Ipv4Addr::new(10, 244, incarnation, number),
        mac: MacAddr([2; 6]),
        host_interface: format!("cali{number}"),
        host_index: number.into(),
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: vec![],
        slot: 0,
    })
}

fn pod(number: u8, label: u8) -> Object {
    let yaml = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: pod{number}, namespace: default, \
         labels: {{app: a{label}}}}}, spec: {{nodeName: n, containers: []}}}}"
    );
    policy::parse("pod.yaml", &yaml).unwrap().remove(0)
}

/// Pods with these labels, and a policy that lets `a1` talk to `a0` only.
fn source(labels: &[u8]) -> Arc<Cluster> {
    const POLICY: &str = "
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: default},
 spec: {podSelector: {matchLabels: {app: a0}}, ingress: [{from: [{podSelector: {matchLabels: {app: a1}}}]}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: default}}
";
    let mut cluster = Cluster::new();
    let policies = policy::parse("policy.yaml", POLICY).unwrap();
    let pods = labels
        .iter()
        .zip(1..)
        .map(|(label, number)| pod(number, *label));
    policies
        .into_iter()
        .chain(pods)
        .for_each(|object| cluster.apply(object));
    Arc::new(cluster)
}

/// Every verdict between the pods, in both incarnations.
fn verdicts(table: &Table) -> Vec<bool> {
    let addresses: Vec<IpAddr> = (0..2)
        .flat_map(|incarnation| (1..4).map(move |n| Ipv4Addr::new(10, 244, incarnation, n).into()))
        .collect();
    let mut all = Vec::new();
    for subject in &addresses {
        for peer in &addresses {
            for direction in [Direction::Ingress, Direction::Egress] {
                let flow = Flow {
                    subject: *subject,
                    peer: *peer,
                    protocol: 6,
                    src_port: 4000,
                    dst_port: 80,
                    icmp: None,
                };
                all.push(table.verdict(direction, &flow).allowed);
            }
        }
    }
    all
}

fn any_update() -> impl Strategy<Value = Update> {
    prop_oneof![
        (1..4u8, 0..2u8).prop_map(|(number, life)| Update::Attached(workload(number, life))),
        (1..4u8).prop_map(|number| Update::Detached(id(number))),
        (1..4u8, 0..2u8).prop_map(|(number, label)| Update::Newcomers(vec![pod(number, label)])),
        prop::collection::vec(0..2u8, 0..4).prop_map(|labels| Update::Policies(source(&labels))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_table_told_of_differences_is_the_table_of_the_whole(
        updates in prop::collection::vec((any_update(), any::<bool>()), 1..20),
    ) {
        let mut state = state();
        let mut policy = PolicyInForce::new(Settings::default());
        for (update, publish) in updates {
            state.apply(update);
            if publish {
                let mut whole = Compiler::new(Subjects::Attached, Settings::default());
                whole.replace(&state.cluster());
                prop_assert_eq!(verdicts(&policy.of(&state)), verdicts(&whole.table()));
            }
        }
    }
}

#[test]
fn nothing_new_is_the_same_table() {
    let mut state = state();
    let mut policy = PolicyInForce::new(Settings::default());
    state.apply(Update::Policies(source(&[0, 1])));
    state.apply(Update::Attached(workload(1, 0)));
    let table = policy.of(&state);
    assert!(Arc::ptr_eq(&table, &policy.of(&state)));
    state.apply(Update::Detached(id(1)));
    assert!(!Arc::ptr_eq(&table, &policy.of(&state)));
}

#[test]
fn a_workload_is_denied_until_policy_knows_it() {
    let mut state = state();
    let mut policy = PolicyInForce::new(Settings::default());
    state.apply(Update::Attached(workload(1, 0)));
    let before = verdicts(&policy.table());
    assert!(before.iter().all(|allowed| !allowed));
    assert!(verdicts(&policy.of(&state)).iter().any(|allowed| *allowed));
}
