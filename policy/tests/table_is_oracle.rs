//! Property: the compiled table says what the oracle says, verdict and reason, for random
//! clusters, policies and probes. Universes are small on purpose, so that things collide.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use policy::model::{
    Action, EndOfTier, NamedPort, NamespaceScope, Order, Peer, Peers, Phase, Pod, PodScope, Policy,
    PortMatch, Ports, Rule, Selector, Tier,
};
use policy::oracle::Oracle;
use policy::{Cluster, Direction, Flow, Object, RuleDescription, compile, protocol};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const KEYS: [&str; 2] = ["app", "tier"];
const VALUES: [&str; 2] = ["a", "b"];
const PORT_NAMES: [&str; 2] = ["http", "dns"];
const PORTS: [u16; 5] = [0, 53, 80, 81, 65535];
const PROTOCOLS: [u8; 3] = [protocol::TCP, protocol::UDP, protocol::SCTP];

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (0..2u8, 0..6u8).prop_map(|(third, last)| IpAddr::from([10, 0, third, last])),
        2 => (0..4u16).prop_map(|last| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, last])),
    ]
}

fn networks() -> impl Strategy<Value = IpNet> {
    let lengths = select(vec![0u8, 8, 23, 24, 29, 30, 31, 32, 127, 128]);
    (addresses(), lengths).prop_map(|(address, length)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(longest))
            .expect("a length that fits")
            .trunc()
    })
}

fn labels() -> impl Strategy<Value = policy::model::Labels> {
    let pair = (select(&KEYS[..]), select(&VALUES[..]));
    vec(pair, 0..3).prop_map(|pairs| {
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    })
}

fn selectors() -> impl Strategy<Value = Selector> {
    let key = || select(&KEYS[..]).prop_map(str::to_owned);
    let values = btree_set(select(&VALUES[..]).prop_map(str::to_owned), 1..3);
    let leaf = prop_oneof![
        Just(Selector::everything()),
        (key(), values).prop_map(|(key, values)| Selector::In(key, values)),
        key().prop_map(Selector::Has),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner
                .clone()
                .prop_map(|selector| Selector::Not(Box::new(selector))),
            vec(inner, 0..3).prop_map(Selector::All),
        ]
    })
}

fn scopes() -> impl Strategy<Value = PodScope> {
    let named = select(&NAMESPACES[..]).prop_map(|name| NamespaceScope::Named(name.to_owned()));
    let namespaces = prop_oneof![named, selectors().prop_map(NamespaceScope::Matching)];
    (namespaces, selectors()).prop_map(|(namespaces, pods)| PodScope { namespaces, pods })
}

fn peers() -> impl Strategy<Value = Peers> {
    let block = (networks(), vec(networks(), 0..3))
        .prop_map(|(cidr, except)| Peer::Network { cidr, except });
    let peer = prop_oneof![scopes().prop_map(Peer::Pods), block];
    prop_oneof![1 => Just(Peers::Any), 4 => vec(peer, 0..4).prop_map(Peers::OneOf)]
}

fn ports() -> impl Strategy<Value = Ports> {
    let number = || select(&PORTS[..]);
    let name = select(&PORT_NAMES[..]).prop_map(str::to_owned);
    let protocol = || select(&PROTOCOLS[..]);
    let port = prop_oneof![
        1 => protocol().prop_map(PortMatch::Protocol),
        3 => (protocol(), number(), number())
            .prop_map(|(protocol, first, last)| PortMatch::Range(protocol, first..=last)),
        2 => (protocol(), name).prop_map(|(protocol, name)| PortMatch::Named(protocol, name)),
    ];
    prop_oneof![1 => Just(Ports::Any), 3 => vec(port, 0..4).prop_map(Ports::OneOf)]
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let action =
        prop_oneof![5 => Just(Action::Allow), 3 => Just(Action::Deny), 2 => Just(Action::Pass)];
    let rule = (action, peers(), ports()).prop_map(|(action, peers, ports)| Rule {
        action,
        peers,
        ports,
    });
    option::weighted(0.7, vec(rule, 0..4))
}

fn policies() -> impl Strategy<Value = Policy> {
    let tier = select(&["default", "admin", "baseline", "nobody-made-it"][..]);
    (0..12u8, tier, 0..3u8, scopes(), rules(), rules()).prop_map(
        |(number, tier, order, subject, ingress, egress)| {
            let mut policy = Policy::kubernetes("x", &format!("p{number}"), Selector::everything());
            policy.tier = tier.to_owned();
            policy.order = Order(f64::from(order));
            policy.subject = subject;
            policy.ingress = ingress;
            policy.egress = egress;
            policy
        },
    )
}

fn pods() -> impl Strategy<Value = Pod> {
    let port = (
        select(&PORT_NAMES[..]),
        select(&PROTOCOLS[..]),
        select(&PORTS[..]),
    )
        .prop_map(|(name, protocol, port)| NamedPort {
            name: name.to_owned(),
            protocol,
            port,
        });
    let fate = (
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.1),
        any::<bool>(),
    );
    let named_ports = btree_set(port, 0..3);
    (
        select(&NAMESPACES[..]),
        0..6u8,
        labels(),
        vec(addresses(), 0..3),
        named_ports,
        fate,
    )
        .prop_map(
            |(
                namespace,
                number,
                labels,
                addresses,
                named_ports,
                (finished, host_network, leaving),
            )| {
                Pod {
                    namespace: namespace.to_owned(),
                    name: format!("pod{number}"),
                    labels,
                    addresses,
                    named_ports,
                    host_network,
                    phase: if finished {
                        Phase::Finished
                    } else {
                        Phase::Alive
                    },
                    terminating: leaving,
                    ..Pod::default()
                }
            },
        )
}

fn clusters() -> impl Strategy<Value = Cluster> {
    let namespaces = vec((select(&NAMESPACES[..]), labels()), 0..4);
    let workloads = vec((select(&NAMESPACES[..]), 0..8u8, addresses()), 0..4);
    (
        namespaces,
        vec(pods(), 6..24),
        workloads,
        vec(policies(), 0..10),
    )
        .prop_map(|(namespaces, pods, workloads, policies)| {
            let mut cluster = Cluster::new();
            for (name, order, end) in [
                ("admin", 1e3, EndOfTier::Pass),
                ("baseline", 1e7, EndOfTier::Pass),
            ] {
                cluster.set_tier(Tier {
                    name: name.to_owned(),
                    order: Order(order),
                    end,
                });
            }
            for (name, labels) in namespaces {
                cluster.apply(Object::Namespace {
                    name: name.to_owned(),
                    labels,
                });
            }
            pods.into_iter()
                .for_each(|pod| cluster.apply(Object::Pod(pod)));
            for (namespace, number, address) in workloads {
                cluster.set_workload(namespace, &format!("pod{number}"), address);
            }
            policies
                .into_iter()
                .for_each(|policy| cluster.apply(Object::Policy(policy)));
            cluster
        })
}

fn flows() -> impl Strategy<Value = Flow> {
    let traffic = prop_oneof![
        6 => (select(&PROTOCOLS[..]), select(&[53u16, 79, 80, 81, 82, 65535][..]))
            .prop_map(|(protocol, port)| (protocol, port, None)),
        1 => Just((protocol::ICMP, 0, Some((8, 0)))),
        1 => (128..138u8).prop_map(|kind| (protocol::ICMPV6, 0, Some((kind, 0)))),
    ];
    (addresses(), addresses(), traffic).prop_map(|(subject, peer, (protocol, dst_port, icmp))| {
        Flow {
            subject,
            peer,
            protocol,
            dst_port,
            icmp,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_says_what_the_oracle_says(cluster in clusters(), flows in vec(flows(), 1..40)) {
        let (table, oracle) = (compile(&cluster), Oracle::new(&cluster));
        for flow in flows {
            for direction in [Direction::Ingress, Direction::Egress] {
                let verdict = table.verdict(direction, &flow);
                let judgement = oracle.judge(direction, &flow);
                prop_assert_eq!(verdict.allowed, judgement.allowed, "{} {:?}", direction, flow);
                prop_assert_eq!(table.describe(verdict.rule), judgement.reason);
            }
        }
    }

    #[test]
    fn the_order_in_which_objects_arrive_does_not_matter(
        cluster in clusters(),
        flows in vec(flows(), 1..20),
    ) {
        let mut reversed = Cluster::new();
        for (tier, _) in cluster.tiers_in_order() {
            reversed.set_tier(tier);
        }
        for policy in cluster.policies().values().rev() {
            reversed.apply(Object::Policy(policy.clone()));
        }
        for (key, address) in cluster.workloads().iter().rev() {
            reversed.set_workload(&key.namespace, &key.name, *address);
        }
        for pod in cluster.pods().values().rev() {
            reversed.apply(Object::Pod(pod.clone()));
        }
        for (name, labels) in cluster.namespaces().iter().rev() {
            reversed.apply(Object::Namespace { name: name.clone(), labels: labels.clone() });
        }
        let (one, other) = (compile(&cluster), compile(&reversed));
        for flow in flows {
            for direction in [Direction::Ingress, Direction::Egress] {
                prop_assert_eq!(one.verdict(direction, &flow), other.verdict(direction, &flow));
            }
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
        for (flow, direction) in flows
            .iter()
            .flat_map(|flow| [(flow, Direction::Ingress), (flow, Direction::Egress)])
        {
            let verdict = table.verdict(direction, flow);
            let way = match table.describe(verdict.rule) {
                RuleDescription::Rule { .. } => "rule",
                RuleDescription::EndOfTier { .. } => "end of tier",
                RuleDescription::NoPolicySelects => "no policy",
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
    ] {
        assert!(
            counts.get(&way).is_some_and(|count| *count > 100),
            "{way:?} in {counts:?}"
        );
    }
}
