//! Promises of the desired state: order does not matter, repetition does not matter.

use std::path::Path;

use proptest::prelude::*;

use super::super::{Encapsulation, Seed};
use super::*;
use crate::control::desired::block_owners;

const M03: &str = "minikube-m03";

fn config(ipip: &str) -> crate::config::Config {
    let text = format!(
        r#"
        node = "minikube-m02"
        address = "172.16.30.7/24"
        [[pool]]
        name = "default-ipv4-ippool"
        cidr = "10.244.0.0/16"
        ipip = "{ipip}"
        [[peer]]
        name = "minikube"
        address = "172.16.30.6/24"
        [[peer]]
        name = "{M03}"
        address = "172.16.31.8/24"
        "#
    );
    crate::config::parse(Path::new("test.toml"), &text).unwrap()
}

fn uplink(mtu_bytes: u32) -> Uplink {
    Uplink {
        name: "eth0".into(),
        index: 2,
        mac: MacAddr([2, 0, 0, 0, 0, 7]),
        mtu_bytes,
        up: true,
    }
}

fn state(ipip: &str) -> DesiredState {
    let seed = Seed {
        address: "172.16.30.7/24".parse().unwrap(),
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        uplink: uplink(1500),
    };
    DesiredState::new(&config(ipip), seed).unwrap()
}

fn workload(number: u8) -> Box<Workload> {
    Box::new(Workload {
        id: Attachment {
            container_id: format!("c{number}"),
            ifname: "eth0".into(),
        },
        namespace: "default".into(),
        pod: format!("pod{number}"),
        address: Ipv4Addr::new(10, 244, 205, 193 + number),
        mac: MacAddr([2, 0, 0, 0, 1, number]),
        host_interface: format!("cali{number}"),
        host_index: 10 + u32::from(number),
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: Vec::new(),
        slot: 0,
    })
}

#[test]
fn the_walk_through_cluster_follows_from_its_names() {
    let state = state("Always");
    assert_eq!(state.blocks[0].to_string(), "10.244.205.192/26");
    let peer = &state.peers["minikube"];
    assert_eq!(peer.routes[0].block.to_string(), "10.244.120.64/26");
    assert_eq!(peer.tunnel_address, Ipv4Addr::new(10, 244, 120, 64));
    assert_eq!(peer.path_mtu_bytes, 1500);
    assert_eq!(block_owners(&config("Always")).unwrap().len(), 3);
}

#[test]
fn cross_subnet_encapsulates_only_towards_other_subnets() {
    let how = |mode, peer| state(mode).peers[peer].routes[0].encapsulation;
    assert_eq!(how("CrossSubnet", "minikube"), Encapsulation::Plain);
    assert_eq!(how("CrossSubnet", M03), Encapsulation::Ipip);
    assert_eq!(how("Never", M03), Encapsulation::Plain);
    assert_eq!(how("Always", "minikube"), Encapsulation::Ipip);
}

#[test]
fn a_slot_stays_with_its_workload_and_is_given_again_afterwards() {
    let mut state = state("Always");
    for number in 0..3 {
        assert!(state.apply(Update::Attached(workload(number))));
    }
    assert!(state.apply(Update::Detached(workload(1).id)));
    assert!(!state.apply(Update::Attached(workload(2))), "nothing new");
    assert_eq!(state.workloads[&workload(2).id].slot, 2);
    assert!(state.apply(Update::Attached(workload(3))));
    assert_eq!(state.workloads[&workload(3).id].slot, 1);
}

#[test]
fn a_vanished_link_takes_its_workload_with_it() {
    let mut state = state("Always");
    state.apply(Update::Attached(workload(1)));
    assert!(!state.apply(Update::LinkGone(99)));
    assert!(state.apply(Update::LinkGone(11)));
    assert!(state.workloads.is_empty());
}

#[test]
fn a_neighbour_is_known_to_every_peer_behind_it() {
    let mut state = state("Always");
    let router = Ipv4Addr::new(172, 16, 30, 1);
    let mac = Some(MacAddr([2, 0, 0, 0, 0, 1]));
    let (peer, address) = (M03.to_owned(), router);
    assert!(state.apply(Update::Gateway {
        peer,
        address,
        mac: None
    }));
    assert!(state.apply(Update::Neighbour(router, mac)));
    assert!(!state.apply(Update::Neighbour(router, mac)), "nothing new");
    assert_eq!(state.peers[M03].next_hop.mac, mac);
    assert_eq!(state.peers["minikube"].next_hop.mac, None);
}

#[test]
fn rejected_policies_leave_the_good_ones_in_force() {
    let mut state = state("Always");
    let mut cluster = policy::Cluster::new();
    cluster.set_workload("default", "remote", Ipv4Addr::new(10, 244, 151, 1).into());
    let good = Arc::new(cluster);
    assert!(state.apply(Update::Policies(good.clone())));
    assert!(!state.apply(Update::PoliciesRejected(vec!["a.yaml:3:1: ...".into()])));
    assert_eq!(state.policy, good);
    assert_eq!(state.policy_errors.len(), 1);
    assert!(
        !state.apply(Update::Policies(good)),
        "the same policies again"
    );
    assert!(state.policy_errors.is_empty());
}

#[test]
fn a_learned_path_mtu_survives_a_wider_uplink_and_not_a_narrower_one() {
    let mut state = state("Always");
    let peer = "minikube".to_owned();
    state.apply(Update::PathMtu { peer, bytes: 1400 });
    state.apply(Update::Uplink(uplink(9000)));
    assert_eq!(state.peers["minikube"].path_mtu_bytes, 1400);
    assert_eq!(state.peers[M03].path_mtu_bytes, 9000);
    state.apply(Update::Uplink(uplink(1300)));
    assert_eq!(state.peers["minikube"].path_mtu_bytes, 1300);
}

#[test]
fn workloads_are_part_of_the_cluster_policy_is_compiled_from() {
    let mut state = state("Always");
    state.apply(Update::Attached(workload(0)));
    assert_eq!(state.cluster().workloads().len(), 1);
    assert_eq!(state.policy.workloads().len(), 0);
}

/// Updates about different things: the final word on each.
fn independent() -> Vec<Update> {
    let mac = Some(MacAddr([2, 0, 0, 0, 0, 6]));
    vec![
        Update::Neighbour(Ipv4Addr::new(172, 16, 30, 6), mac),
        Update::PathMtu {
            peer: M03.into(),
            bytes: 1400,
        },
        Update::LocalAddresses([Ipv4Addr::new(172, 16, 30, 7)].into()),
        Update::Attached(workload(0)),
        Update::Detached(workload(1).id),
        Update::PoliciesRejected(vec!["bad".into()]),
        Update::LinkGone(77),
    ]
}

proptest! {
    #[test]
    fn the_state_does_not_depend_on_order_or_repetition(
        order in Just((0..7usize).collect::<Vec<_>>()).prop_shuffle(),
        repeat in 0..7usize,
    ) {
        let mut straight = state("Always");
        for update in independent() {
            straight.apply(update);
        }
        let mut shuffled = state("Always");
        for index in order.into_iter().chain([repeat]) {
            shuffled.apply(independent()[index].clone());
        }
        prop_assert_eq!(straight, shuffled);
    }
}
