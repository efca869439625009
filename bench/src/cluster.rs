//! A cluster of any size as policy sees it: what its users write, in the proportions they write it.
//!
//! Pods are spread evenly over namespaces, ten applications in each; one pod in ten belongs to a
//! StatefulSet and so has labels no other pod has. Policies are spread over namespaces in ten
//! kinds (isolation with DNS, application to application, by namespace, to the outside with
//! exceptions, from lists of blocks, monitoring); one in a hundred is a GlobalNetworkPolicy in a
//! tier of its own. The first [`LOCAL_PODS`] pods are attached to this node, in as many namespaces
//! as there are.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use policy::model::{
    Action, End, EndOfTier, Labels, NamedPort, Namespaces, Node, Order, Peers, Pod, Policy,
    PolicyKind, Rule, Scope, Selector, Tier, Traffic, TrafficSet,
};
use policy::protocol::{TCP, UDP};
use policy::{Compiler, Direction, Flow, Object, Settings, Subjects};

/// Pods of this node.
pub const LOCAL_PODS: u32 = 110;
/// Nodes of the cluster; their pods' addresses are in blocks of 64.
pub const NODES: u32 = 5_000;
/// The tier of the GlobalNetworkPolicies.
const PLATFORM: &str = "platform";
/// Applications in a namespace.
const APPS: u32 = 10;

/// How large a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Pods, this node's included.
    pub pods: u32,
    /// Policies.
    pub policies: u32,
}

impl Size {
    /// Namespaces: one for a hundred pods, ten at least and a thousand at most.
    #[must_use]
    pub fn namespaces(self) -> u32 {
        (self.pods / 100).clamp(10, 1_000)
    }

    /// Every object of the cluster.
    #[must_use]
    pub fn objects(self) -> Vec<Object> {
        let mut objects = vec![Object::Tier(Tier {
            name: PLATFORM.to_owned(),
            order: Order(500_000.0),
            end: EndOfTier::Pass,
        })];
        let pairs = |pairs: [(&str, String); 2]| -> Labels {
            pairs.map(|(key, value)| (key.to_owned(), value)).into()
        };
        objects.extend((0..self.namespaces()).map(|n| Object::Namespace {
            name: namespace(n),
            labels: pairs([
                ("team", format!("team-{}", n % 20)),
                ("env", ["prod", "dev"][n as usize % 2].to_owned()),
            ]),
        }));
        objects.extend((0..NODES.min(self.pods)).map(|n| {
            Object::Node(Node {
                name: format!("node-{n}"),
                addresses: vec![Ipv4Addr::from(0xac10_0000 + n).into()],
                ..Node::default()
            })
        }));
        objects.extend((0..self.pods).map(|number| Object::Pod(self.pod(number))));
        objects.extend((0..self.policies).map(|number| Object::Policy(self.policy(number))));
        objects
    }

    /// A compiler of this node in that cluster, with everything told and nothing compiled.
    #[must_use]
    pub fn compiler(self) -> Compiler {
        let mut compiler = Compiler::new(Subjects::Attached, Settings::default());
        for object in self.objects() {
            compiler.apply(object);
        }
        for number in 0..LOCAL_PODS.min(self.pods) {
            let pod = self.pod(number);
            compiler.set_workload(&pod.namespace, &pod.name, pod.addresses[0]);
        }
        compiler
    }

    /// A pod.
    #[must_use]
    pub fn pod(self, number: u32) -> Pod {
        let namespaces = self.namespaces();
        let (home, replica) = (number % namespaces, number / namespaces);
        let app = replica % APPS;
        let mut labels: Labels = [
            ("app", format!("app-{app}")),
            ("version", format!("v{}", replica / APPS % 2)),
            ("pod-template-hash", format!("{:x}", app * 7919 + 1)),
            (
                "app.kubernetes.io/part-of",
                format!("product-{}", home % 50),
            ),
            ("app.kubernetes.io/managed-by", "helm".to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let name = format!("app-{app}-{number}");
        if number % 10 == 9 {
            labels.insert(
                "statefulset.kubernetes.io/pod-name".to_owned(),
                name.clone(),
            );
        }
        Pod {
            namespace: namespace(home),
            name,
            labels,
            addresses: vec![address(number)],
            named_ports: ports(app),
            node: Some(format!("node-{}", number % NODES)),
            ..Pod::default()
        }
    }

    /// A policy.
    #[must_use]
    pub fn policy(self, number: u32) -> Policy {
        if number % 100 == 99 {
            return self.global_policy(number);
        }
        let (home, kind) = (number % self.namespaces(), number / self.namespaces());
        let app = kind % APPS;
        let selected = match kind % 10 {
            0 => Selector::everything(),
            _ => selector("app", &format!("app-{app}")),
        };
        let mut policy =
            Policy::kubernetes(&namespace(home), &format!("policy-{number}"), selected);
        let own = Namespaces::Named(namespace(home));
        match kind % 10 {
            0 => {
                policy.ingress = Some(vec![allow(
                    members(own.clone(), Selector::everything()),
                    &[],
                )]);
                let dns = members(by_label("env", "prod"), selector("app", "app-0"));
                let dns_ports = [Traffic::range(UDP, 53..=53), Traffic::range(TCP, 53..=53)];
                policy.egress = Some(vec![
                    allow(members(own, Selector::everything()), &[]),
                    allow(dns, &dns_ports),
                ]);
            }
            1 | 6 => {
                let peer = selector("app", &format!("app-{}", (app + 1) % APPS));
                let ports = [
                    Traffic::range(TCP, 8080..=8080),
                    Traffic::named(TCP, "http"),
                ];
                policy.ingress = Some(vec![allow(members(own, peer), &ports)]);
            }
            2 | 7 => {
                let team = by_label("team", &format!("team-{}", (home + 1) % 20));
                let ports = [Traffic::range(TCP, 8000..=8100)];
                let peers = members(team, Selector::Has("version".to_owned()));
                policy.ingress = Some(vec![allow(peers, &ports)]);
            }
            3 | 8 => {
                let holes = ["10.0.0.0/8", "169.254.169.254/32", "172.16.0.0/12"]
                    .map(net)
                    .into();
                let outside = End::block(net("0.0.0.0/0"), holes);
                policy.egress = Some(vec![allow(
                    vec![outside],
                    &[Traffic::range(TCP, 443..=443)],
                )]);
            }
            4 | 9 => {
                let block =
                    |n: u32| End::block(net(&format!("198.{}.{n}.0/24", 18 + n % 2)), vec![]);
                policy.ingress = Some(vec![allow((0..20).map(block).collect(), &[])]);
            }
            _ => {
                let peers = members(by_label("team", "team-0"), selector("app", "app-9"));
                policy.ingress = Some(vec![allow(peers, &[Traffic::named(TCP, "metrics")])]);
            }
        }
        policy
    }

    /// A GlobalNetworkPolicy; the first of them selects every pod.
    #[must_use]
    pub fn global_policy(self, number: u32) -> Policy {
        let selected = if number == 99 {
            Selector::everything()
        } else {
            let product = format!("product-{}", number / 100 % 50);
            selector("app.kubernetes.io/part-of", &product)
        };
        let mut policy = Policy::kubernetes("", &format!("guard-{number}"), selected);
        policy.key.kind = PolicyKind::GlobalNetworkPolicy;
        policy.key.namespace = None;
        policy.tier = PLATFORM.to_owned();
        policy.subject.namespaces = Namespaces::Everywhere;
        let metadata = End::block(net("169.254.169.254/32"), vec![]);
        let deny = |end| Rule {
            peers: Peers::OneOf(vec![end]),
            ..Rule::any(Action::Deny)
        };
        let dev = End::members(Scope::pods(
            by_label("env", "dev"),
            selector("version", "v1"),
        ));
        policy.egress = Some(vec![deny(metadata)]);
        policy.ingress = Some(vec![Rule {
            traffic: TrafficSet::OneOf(vec![Traffic::range(TCP, 22..=22)]),
            ..deny(dev)
        }]);
        policy
    }

    /// New flows of the first local pod, which policies of every kind select: from its own
    /// namespace, from another, from outside; to its own namespace, to another, to the outside.
    #[must_use]
    pub fn flows(self) -> Vec<(Direction, Flow)> {
        let near = address(self.namespaces());
        let far = address(self.pods - 1);
        let outside = IpAddr::from([198, 18, 2, 9]);
        let mut flows = Vec::new();
        for peer in [near, far, outside] {
            for (direction, protocol, dst_port) in [
                (Direction::Ingress, TCP, 8080),
                (Direction::Ingress, TCP, 22),
                (Direction::Egress, TCP, 443),
                (Direction::Egress, UDP, 53),
            ] {
                let subject = address(0);
                flows.push((
                    direction,
                    Flow {
                        subject,
                        peer,
                        protocol,
                        src_port: 40_000,
                        dst_port,
                        icmp: None,
                    },
                ));
            }
        }
        flows
    }
}

/// The address of a pod.
#[must_use]
pub fn address(pod: u32) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + pod % NODES * 64 + pod / NODES).into()
}

fn namespace(number: u32) -> String {
    format!("namespace-{number}")
}

fn ports(app: u32) -> BTreeSet<NamedPort> {
    let port = |name: &str, port| NamedPort {
        name: name.to_owned(),
        protocol: TCP,
        port,
    };
    [
        port("http", if app.is_multiple_of(2) { 8080 } else { 80 }),
        port("metrics", 9090),
    ]
    .into()
}

fn selector(key: &str, value: &str) -> Selector {
    Selector::equals(key, value)
}

fn by_label(key: &str, value: &str) -> Namespaces {
    Namespaces::Matching(selector(key, value))
}

fn members(namespaces: Namespaces, labels: Selector) -> Vec<End> {
    vec![End::members(Scope::pods(namespaces, labels))]
}

fn allow(peers: Vec<End>, traffic: &[Traffic]) -> Rule {
    Rule {
        peers: Peers::OneOf(peers),
        traffic: if traffic.is_empty() {
            TrafficSet::Any
        } else {
            TrafficSet::OneOf(traffic.to_vec())
        },
        ..Rule::any(Action::Allow)
    }
}

fn net(text: &str) -> IpNet {
    text.parse().expect("a constant prefix")
}
