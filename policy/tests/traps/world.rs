//! A small world to ask questions of: namespaces x, y, z, each with pods a, b, c.
//!
//! Namespace N has the label `ns: N`, pod P the label `pod: P`. Pod addresses are 10.244.1.1 (x/a)
//! to 10.244.3.3 (z/c). Every pod names its TCP port 80 `http` and its UDP port 53 `dns`.

use std::net::IpAddr;

use policy::model::{NamedPort, Pod};
use policy::oracle::Oracle;
use policy::{Cluster, Direction, Flow, Object, compile, parse, protocol};

/// A cluster under test.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    policies: usize,
}

/// An address that belongs to no pod.
pub(crate) const OUTSIDE: &str = "192.0.2.9";

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            cluster: Cluster::new(),
            policies: 0,
        };
        for (namespace, third) in [("x", 1), ("y", 2), ("z", 3)] {
            let labels = [("ns".to_owned(), namespace.to_owned())].into();
            world.cluster.apply(Object::Namespace {
                name: namespace.to_owned(),
                labels,
            });
            for (name, fourth) in [("a", 1), ("b", 2), ("c", 3)] {
                let pod = pod(namespace, name, &format!("10.244.{third}.{fourth}"));
                world.cluster.apply(Object::Pod(pod));
            }
        }
        world
    }

    /// Adds a NetworkPolicy in namespace x with this spec.
    pub(crate) fn policy(mut self, spec: &str) -> Self {
        self.policies += 1;
        let text = policy_text(&format!("p{}", self.policies), spec);
        self.apply(&text);
        self
    }

    /// Applies manifests.
    pub(crate) fn apply(&mut self, text: &str) {
        for object in parse("test.yaml", text).expect("the manifest is good") {
            self.cluster.apply(object);
        }
    }

    /// Changes a pod.
    pub(crate) fn change(&mut self, pod: &str, change: impl FnOnce(&mut Pod)) {
        let (namespace, name) = pod.split_once('/').expect("namespace/name");
        let pods = self.cluster.pods();
        let mut pod = pods[&policy::model::PodKey::new(namespace, name)].clone();
        change(&mut pod);
        self.cluster.apply(Object::Pod(pod));
    }

    /// May `from` open a flow to `to`? Both directions are asked of whichever end is a pod.
    pub(crate) fn allows(&self, from: &str, to: &str, traffic: &str) -> bool {
        let (from, to) = (address(from), address(to));
        let ends = |subject, peer| Flow {
            subject,
            peer,
            ..flow(traffic)
        };
        let oracle = Oracle::new(&self.cluster);
        let table = compile(&self.cluster);
        let passes = |direction, flow: &Flow| {
            let verdict = table.verdict(direction, flow);
            let judgement = oracle.judge(direction, flow);
            assert_eq!(verdict.allowed, judgement.allowed, "{direction} {flow:?}");
            assert_eq!(table.describe(verdict.rule), judgement.reason);
            !table.knows(flow.subject) || verdict.allowed
        };
        passes(Direction::Egress, &ends(from, to)) && passes(Direction::Ingress, &ends(to, from))
    }

    /// Asserts who may reach `to` with this traffic: exactly these of the nine pods.
    #[track_caller]
    pub(crate) fn only_from(&self, to: &str, traffic: &str, expected: &[&str]) {
        let from = everyone().filter(|from| from != to && self.allows(from, to, traffic));
        assert_eq!(from.collect::<Vec<_>>(), expected, "to {to} {traffic}");
    }

    /// Asserts whom `from` may reach with this traffic: exactly these of the nine pods.
    #[track_caller]
    pub(crate) fn only_to(&self, from: &str, traffic: &str, expected: &[&str]) {
        let to = everyone().filter(|to| to != from && self.allows(from, to, traffic));
        assert_eq!(to.collect::<Vec<_>>(), expected, "from {from} {traffic}");
    }
}

/// A pod of the world.
pub(crate) fn pod(namespace: &str, name: &str, ip: &str) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: [("pod".to_owned(), name.to_owned())].into(),
        addresses: vec![address(ip)],
        named_ports: [
            named("http", protocol::TCP, 80),
            named("dns", protocol::UDP, 53),
        ]
        .into(),
        ..Pod::default()
    }
}

/// A named port.
pub(crate) fn named(name: &str, protocol: u8, port: u16) -> NamedPort {
    NamedPort {
        name: name.to_owned(),
        protocol,
        port,
    }
}

/// The text of a NetworkPolicy in namespace x.
pub(crate) fn policy_text(name: &str, spec: &str) -> String {
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
         metadata: {{name: {name}, namespace: x}}\nspec:\n  {spec}\n"
    )
}

/// An address as written, or that of a pod as it was at the world's beginning.
pub(crate) fn address(end: &str) -> IpAddr {
    let Some((namespace, name)) = end.split_once('/') else {
        return end.parse().expect("an address");
    };
    let number = |text: &str, first| text.as_bytes()[0] - first + 1;
    IpAddr::from([10, 244, number(namespace, b'x'), number(name, b'a')])
}

fn everyone() -> impl Iterator<Item = String> {
    ["x", "y", "z"]
        .into_iter()
        .flat_map(|ns| ["a", "b", "c"].map(|pod| format!("{ns}/{pod}")))
}

/// `80/tcp`, `53/udp`, `9003/sctp`, `icmp`, `icmp:3/1`, `icmpv6:128/0`, `gre`; `8080->80/tcp` from
/// port 8080, the others from 40000.
fn flow(traffic: &str) -> Flow {
    let nowhere = address("0.0.0.0");
    let (src_port, traffic) = match traffic.split_once("->") {
        Some((port, traffic)) => (port.parse().expect("a port"), traffic),
        None => (40_000, traffic),
    };
    let empty = Flow {
        subject: nowhere,
        peer: nowhere,
        protocol: 0,
        src_port: 0,
        dst_port: 0,
        icmp: None,
    };
    let icmp = |protocol, message: Option<&str>| Flow {
        protocol,
        icmp: Some(message.map_or((8, 0), type_and_code)),
        ..empty
    };
    let to = |protocol, port: &str| Flow {
        protocol,
        src_port,
        dst_port: port.parse().expect("a port"),
        ..empty
    };
    let name_and_message = traffic
        .split_once(':')
        .map_or((traffic, None), |(a, b)| (a, Some(b)));
    match (name_and_message, traffic.split_once('/')) {
        (("icmp", message), _) => icmp(protocol::ICMP, message),
        (("icmpv6", message), _) => icmp(protocol::ICMPV6, message),
        (("gre", None), _) => Flow {
            protocol: 47,
            ..empty
        },
        (_, Some((port, "tcp"))) => to(protocol::TCP, port),
        (_, Some((port, "udp"))) => to(protocol::UDP, port),
        (_, Some((port, "sctp"))) => to(protocol::SCTP, port),
        _ => panic!("no such traffic: {traffic}"),
    }
}

fn type_and_code(message: &str) -> (u8, u8) {
    let (kind, code) = message.split_once('/').expect("type/code");
    (kind.parse().expect("a type"), code.parse().expect("a code"))
}
