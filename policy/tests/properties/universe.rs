//! Random clusters, events and flows. The universe is small on purpose, so that things collide.

use std::net::IpAddr;

use ipnet::IpNet;
use policy::model::{
    Action, End, EndOfTier, Established, Icmp, Labels, Members, NamedPort, Namespaces, NetworkSet,
    Node, Order, Peers, Phase, Pod, Policy, PolicyKind, PortCondition, PortMatch, Reply, Rule,
    Scope, Selector, Tier, Traffic, TrafficSet,
};
use policy::{Cluster, Compiler, Flow, Object, protocol};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const NAMESPACES: [&str; 3] = ["x", "y", "z"];
const KEYS: [&str; 2] = ["app", "tier"];
const VALUES: [&str; 3] = ["a", "b", "ab"];
const PORT_NAMES: [&str; 2] = ["http", "dns"];
const PORTS: [u16; 5] = [0, 53, 80, 81, 65535];
const PROTOCOLS: [u8; 4] = [protocol::TCP, protocol::UDP, protocol::SCTP, protocol::ICMP];

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
        let net = IpNet::new(address, length.min(longest));
        net.expect("a length that fits").trunc()
    })
}

fn namespace() -> impl Strategy<Value = String> {
    select(&NAMESPACES[..]).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = Labels> {
    let pair = (select(&KEYS[..]), select(&VALUES[..]));
    vec(pair, 0..3).prop_map(|pairs| {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        pairs.into_iter().map(owned).collect()
    })
}

fn selectors() -> impl Strategy<Value = Selector> {
    let key = || {
        prop_oneof![
            6 => select(&KEYS[..]).prop_map(str::to_owned),
            1 => Just("projectcalico.org/namespace".to_owned()),
            1 => Just("pcsa.app".to_owned()),
        ]
    };
    let value = || select(&VALUES[..]).prop_map(str::to_owned);
    let leaf = prop_oneof![
        2 => Just(Selector::everything()),
        4 => (key(), btree_set(value(), 1..3)).prop_map(|(key, values)| Selector::In(key, values)),
        2 => key().prop_map(Selector::Has),
        1 => (key(), value()).prop_map(|(key, value)| Selector::StartsWith(key, value)),
        1 => (key(), value()).prop_map(|(key, value)| Selector::EndsWith(key, value)),
        1 => (key(), value()).prop_map(|(key, value)| Selector::Contains(key, value)),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|s| Selector::Not(Box::new(s))),
            vec(inner.clone(), 0..3).prop_map(Selector::All),
            vec(inner, 0..3).prop_map(Selector::Any),
        ]
    })
}

fn scopes(members: Vec<Members>) -> impl Strategy<Value = Scope> {
    let namespaces = prop_oneof![
        namespace().prop_map(Namespaces::Named),
        selectors().prop_map(Namespaces::Matching),
        Just(Namespaces::Everywhere),
    ];
    (select(members), namespaces, selectors()).prop_map(|(members, namespaces, labels)| Scope {
        members,
        namespaces,
        labels,
    })
}

fn ends() -> impl Strategy<Value = End> {
    let all = vec![Members::Pods, Members::PodsAndSets, Members::Nodes];
    let members = scopes(all.clone()).prop_map(End::members);
    let block =
        (networks(), vec(networks(), 0..3)).prop_map(|(cidr, holes)| End::block(cidr, holes));
    let mixed = (
        option::of(scopes(all.clone())),
        option::of(scopes(all)),
        option::of(vec(networks(), 0..3)),
        vec(networks(), 0..2),
    )
        .prop_map(|(scope, not_scope, nets, not_nets)| End {
            scope,
            not_scope,
            nets,
            not_nets,
        });
    prop_oneof![4 => members, 3 => block, 2 => mixed]
}

fn port_conditions() -> impl Strategy<Value = PortCondition> {
    let number = || select(&PORTS[..]);
    let name = select(&PORT_NAMES[..]).prop_map(|name| PortMatch::Named(name.to_owned()));
    let port = prop_oneof![
        3 => (number(), number()).prop_map(|(first, last)| PortMatch::Range(first..=last)),
        2 => name,
    ];
    let none_of = prop_oneof![3 => Just(vec![]), 1 => vec(port.clone(), 0..2)];
    (vec(port, 0..3), none_of).prop_map(|(one_of, none_of)| PortCondition { one_of, none_of })
}

fn messages() -> impl Strategy<Value = Icmp> {
    let kind = select(vec![8u8, 3, 128]);
    (kind, option::of(0..2u8)).prop_map(|(kind, code)| Icmp { kind, code })
}

fn kinds_of_traffic() -> impl Strategy<Value = Traffic> {
    let protocol = || option::weighted(0.8, select(&PROTOCOLS[..]));
    let seldom = |condition| option::weighted(0.15, condition);
    (
        protocol(),
        seldom(select(&PROTOCOLS[..]).boxed()),
        option::weighted(0.1, messages()),
        option::weighted(0.1, messages()),
        option::weighted(0.1, port_conditions()),
        option::weighted(0.7, port_conditions()),
    )
        .prop_map(
            |(protocol, not_protocol, icmp, not_icmp, source, destination)| Traffic {
                protocol,
                not_protocol,
                icmp,
                not_icmp,
                source: source.unwrap_or_default(),
                destination: destination.unwrap_or_default(),
            },
        )
}

fn rules() -> impl Strategy<Value = Option<Vec<Rule>>> {
    let action = prop_oneof![
        5 => Just(Action::Allow),
        3 => Just(Action::Deny),
        2 => Just(Action::Pass),
        1 => Just(Action::Log),
    ];
    let peers = prop_oneof![1 => Just(Peers::Any), 4 => vec(ends(), 0..4).prop_map(Peers::OneOf)];
    let traffic = prop_oneof![
        1 => Just(TrafficSet::Any),
        3 => vec(kinds_of_traffic(), 0..4).prop_map(TrafficSet::OneOf),
    ];
    let subject = option::weighted(0.1, ends());
    let rule =
        (action, subject, peers, traffic).prop_map(|(action, subject, peers, traffic)| Rule {
            name: None,
            action,
            subject,
            peers,
            traffic,
        });
    option::weighted(0.7, vec(rule, 0..4))
}

fn policies() -> impl Strategy<Value = Policy> {
    let tier = select(
        &[
            "default",
            "kube-admin",
            "kube-baseline",
            "own",
            "nobody-made-it",
        ][..],
    );
    let subject = scopes(vec![Members::Pods, Members::PodsAndSets]);
    let deny = option::of(select(vec![Reply::Drop, Reply::Reject]));
    let established = option::of(select(vec![Established::Recheck, Established::Keep]));
    let place = (0..12u8, tier, 0..3u8);
    (place, subject, rules(), rules(), deny, established).prop_map(
        |((number, tier, order), subject, ingress, egress, deny, established)| {
            let mut policy = Policy::kubernetes("x", &format!("p{number}"), Selector::everything());
            if number % 3 == 0 {
                policy.key.kind = PolicyKind::GlobalNetworkPolicy;
                policy.key.namespace = None;
            }
            policy.tier = tier.to_owned();
            policy.order = Order(f64::from(order));
            policy.subject = subject;
            (policy.ingress, policy.egress) = (ingress, egress);
            (policy.deny, policy.established) = (deny, established);
            policy
        },
    )
}

fn pods() -> impl Strategy<Value = Pod> {
    let port = (
        select(&PORT_NAMES[..]),
        select(&PROTOCOLS[..3]),
        select(&PORTS[..]),
    )
        .prop_map(|(name, protocol, port)| NamedPort {
            name: name.to_owned(),
            protocol,
            port,
        });
    let seldom = || proptest::bool::weighted(0.1);
    let fate = (seldom(), seldom(), any::<bool>(), seldom());
    let account = option::of(select(vec!["default", "robot"]));
    (
        (namespace(), 0..6u8),
        labels(),
        vec(addresses(), 0..3),
        btree_set(port, 0..3),
        fate,
        account,
    )
        .prop_map(
            |((namespace, number), labels, addresses, named_ports, fate, account)| {
                let (finished, host_network, terminating, noted) = fate;
                Pod {
                    namespace,
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
                    terminating,
                    noted,
                    service_account: account.map(str::to_owned),
                    ..Pod::default()
                }
            },
        )
}

fn objects() -> impl Strategy<Value = Object> {
    let named = |name: &str| name.to_owned();
    let set = (
        option::of(namespace()),
        0..2u8,
        labels(),
        vec(networks(), 0..3),
    )
        .prop_map(|(namespace, number, labels, nets)| {
            Object::NetworkSet(NetworkSet {
                namespace,
                name: format!("set{number}"),
                labels,
                nets,
            })
        });
    let node =
        (0..2u8, labels(), vec(addresses(), 0..2)).prop_map(|(number, labels, addresses)| {
            Object::Node(Node {
                name: format!("node{number}"),
                labels,
                addresses,
            })
        });
    let end = select(vec![EndOfTier::Deny, EndOfTier::Pass]);
    let tier =
        (select(vec!["own", "default"]), 0..3u32, end).prop_map(move |(name, order, end)| {
            Object::Tier(Tier {
                name: named(name),
                order: Order(f64::from(order) * 600_000.0),
                end,
            })
        });
    let account = (namespace(), labels()).prop_map(|(namespace, labels)| Object::ServiceAccount {
        namespace,
        name: "robot".to_owned(),
        labels,
    });
    prop_oneof![
        6 => pods().prop_map(Object::Pod),
        6 => policies().prop_map(Object::Policy),
        2 => (namespace(), labels()).prop_map(|(name, labels)| Object::Namespace { name, labels }),
        1 => set,
        1 => node,
        1 => tier,
        1 => account,
    ]
}

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Apply(Box<Object>),
    /// Takes away what has the key of this object.
    Remove(Box<Object>),
    Attach(String, String, IpAddr),
    Detach(String, String),
    /// A table is asked for.
    Publish,
}

impl Event {
    pub(crate) fn happen(self, compiler: &mut Compiler) {
        match self {
            Self::Apply(object) => compiler.apply(*object),
            Self::Remove(object) => drop(compiler.remove(&object.key())),
            Self::Attach(namespace, pod, address) => {
                compiler.set_workload(&namespace, &pod, address);
            }
            Self::Detach(namespace, pod) => drop(compiler.remove_workload(&namespace, &pod)),
            Self::Publish => drop(compiler.table()),
        }
    }
}

/// Namespaces of what CNI attaches; none for a container that is no pod.
fn attached_in() -> impl Strategy<Value = String> {
    prop_oneof![7 => namespace(), 1 => Just(String::new())]
}

/// Whatever can happen.
pub(crate) fn events() -> impl Strategy<Value = Event> {
    let pod = || {
        (
            attached_in(),
            (0..8u8).prop_map(|number| format!("pod{number}")),
        )
    };
    prop_oneof![
        8 => objects().prop_map(|object| Event::Apply(Box::new(object))),
        3 => objects().prop_map(|object| Event::Remove(Box::new(object))),
        3 => (pod(), addresses()).prop_map(|((ns, pod), at)| Event::Attach(ns, pod, at)),
        1 => pod().prop_map(|(ns, pod)| Event::Detach(ns, pod)),
        3 => Just(Event::Publish),
    ]
}

/// Clusters.
pub(crate) fn clusters() -> impl Strategy<Value = Cluster> {
    let pod = (attached_in(), 0..8u8, addresses());
    let more = vec(objects(), 0..12);
    (
        vec(pods(), 6..24),
        vec(pod, 0..4),
        vec(policies(), 0..10),
        more,
    )
        .prop_map(|(pods, workloads, policies, more)| {
            let mut cluster = Cluster::new();
            let pods = pods.into_iter().map(Object::Pod);
            let policies = policies.into_iter().map(Object::Policy);
            for object in pods.chain(policies).chain(more) {
                cluster.apply(object);
            }
            for (namespace, number, address) in workloads {
                cluster.set_workload(&namespace, &format!("pod{number}"), address);
            }
            cluster
        })
}

/// Flows.
pub(crate) fn flows() -> impl Strategy<Value = Flow> {
    let port = || select(&[0u16, 53, 79, 80, 81, 82, 65535][..]);
    let with_ports = (select(&PROTOCOLS[..3]), port(), port());
    let icmp = (select(vec![3u8, 8]), 0..3u8);
    let icmp = icmp.prop_map(|message| (protocol::ICMP, 0, 0, Some(message)));
    let icmpv6 = (128..138u8).prop_map(|kind| (protocol::ICMPV6, 0, 0, Some((kind, 0))));
    let traffic = prop_oneof![
        6 => with_ports.prop_map(|(protocol, from, to)| (protocol, from, to, None)),
        1 => icmp,
        1 => icmpv6,
        1 => select(vec![47u8, protocol::UDPLITE, protocol::ICMP]).prop_map(|other| (other, 0, 80, None)),
    ];
    (addresses(), addresses(), traffic).prop_map(
        |(subject, peer, (protocol, src_port, dst_port, icmp))| Flow {
            subject,
            peer,
            protocol,
            src_port,
            dst_port,
            icmp,
        },
    )
}
