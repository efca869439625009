//! A small world to ask questions of.
//!
//! Namespaces x (`env: prod`) and y (`env: test`). Pods x/web 10.0.1.1, x/db 10.0.1.2, y/web
//! 10.0.2.1 and y/job 10.0.2.2 have the label `app` with their name; both `web` run as the service
//! account `web`, which in x has the label `role: front`; the others as `default`. The pods named
//! `web` call their TCP port 80 `http`, the others their TCP port 8080. All have an IPv6 address
//! as well: fd00::1:1 and so on.

use std::net::IpAddr;

use policy::oracle::Oracle;
use policy::{Cluster, Direction, Flow, compile, parse, protocol};

const WORLD: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: x, labels: {env: prod}}}
- {apiVersion: v1, kind: Namespace, metadata: {name: y, labels: {env: test}}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: x, labels: {role: front}}}
- {apiVersion: v1, kind: ServiceAccount, metadata: {name: web, namespace: y}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: x, labels: {app: web}}
  spec: {serviceAccountName: web, containers: [{ports: [{name: http, containerPort: 80}]}]}
  status: {podIPs: [{ip: 10.0.1.1}, {ip: 'fd00::1:1'}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: x, labels: {app: db}}
  spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}
  status: {podIPs: [{ip: 10.0.1.2}, {ip: 'fd00::1:2'}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: y, labels: {app: web}}
  spec: {serviceAccountName: web, containers: [{ports: [{name: http, containerPort: 80}]}]}
  status: {podIPs: [{ip: 10.0.2.1}, {ip: 'fd00::2:1'}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: job, namespace: y, labels: {app: job}}
  spec: {containers: [{ports: [{name: http, containerPort: 8080}]}]}
  status: {podIPs: [{ip: 10.0.2.2}, {ip: 'fd00::2:2'}]}
";

/// Addresses of no pod.
pub(crate) const OUTSIDE: &str = "192.0.2.9";
pub(crate) const OUTSIDE_V6: &str = "2001:db8::9";

/// Everybody who may try.
const EVERYBODY: [&str; 5] = ["x/web", "x/db", "y/web", "y/job", OUTSIDE];

/// A cluster under test.
pub(crate) struct World {
    cluster: Cluster,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            cluster: Cluster::new(),
        };
        world.apply(WORLD);
        world
    }

    /// The world with one GlobalNetworkPolicy.
    pub(crate) fn global(spec: &str) -> Self {
        Self::new().and_global("g", spec)
    }

    /// The world with one Calico NetworkPolicy in namespace x.
    pub(crate) fn namespaced(spec: &str) -> Self {
        Self::new().and("NetworkPolicy", "name: p, namespace: x", spec)
    }

    /// One more GlobalNetworkPolicy.
    pub(crate) fn and_global(self, name: &str, spec: &str) -> Self {
        self.and("GlobalNetworkPolicy", &format!("name: {name}"), spec)
    }

    /// One more object of Calico's, its metadata and spec in flow style.
    pub(crate) fn and(mut self, kind: &str, metadata: &str, spec: &str) -> Self {
        self.apply(&format!(
            "apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{{metadata}}}\n\
             spec: {{{spec}}}\n"
        ));
        self
    }

    /// One more Kubernetes NetworkPolicy in namespace x.
    pub(crate) fn and_kubernetes(mut self, spec: &str) -> Self {
        self.apply(&format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n\
             metadata: {{name: k, namespace: x}}\nspec: {{{spec}}}\n"
        ));
        self
    }

    fn apply(&mut self, text: &str) {
        match parse("world.yaml", text) {
            Ok(objects) => objects.into_iter().for_each(|o| self.cluster.apply(o)),
            Err(errors) => panic!("{}\n{text}", errors[0]),
        }
    }

    /// May `from` open a flow to `to`? Traffic as in [`flow`]. Table and oracle must agree.
    pub(crate) fn allows(&self, from: &str, to: &str, traffic: &str) -> bool {
        let six = traffic.ends_with('6');
        let (from, to) = (address(from, six), address(to, six));
        let (oracle, table) = (Oracle::new(&self.cluster), compile(&self.cluster));
        let passes = |direction, subject, peer| {
            let flow = flow(subject, peer, traffic);
            let judgement = oracle.judge(direction, &flow);
            let verdict = table.verdict(direction, &flow);
            assert_eq!(verdict.allowed, judgement.allowed, "{direction} {flow:?}");
            assert_eq!(table.describe(verdict.rule), judgement.reason);
            !table.knows(subject) || judgement.allowed
        };
        passes(Direction::Egress, from, to) && passes(Direction::Ingress, to, from)
    }

    /// Exactly these may reach `to` with this traffic.
    #[track_caller]
    pub(crate) fn only_from(&self, to: &str, traffic: &str, expected: &[&str]) {
        let mut from = EVERYBODY.to_vec();
        from.retain(|from| *from != to && self.allows(from, to, traffic));
        assert_eq!(from, expected, "to {to} {traffic}");
    }

    /// `from` may reach exactly these with this traffic.
    #[track_caller]
    pub(crate) fn only_to(&self, from: &str, traffic: &str, expected: &[&str]) {
        let mut to = EVERYBODY.to_vec();
        to.retain(|to| *to != from && self.allows(from, to, traffic));
        assert_eq!(to, expected, "from {from} {traffic}");
    }
}

/// A pod's address of either family, or an address as written.
fn address(end: &str, six: bool) -> IpAddr {
    let index = |pod: &str| EVERYBODY.iter().position(|known| *known == pod);
    let addresses = match six {
        true => [
            "fd00::1:1",
            "fd00::1:2",
            "fd00::2:1",
            "fd00::2:2",
            OUTSIDE_V6,
        ],
        false => ["10.0.1.1", "10.0.1.2", "10.0.2.1", "10.0.2.2", OUTSIDE],
    };
    let text = index(end).map_or(end, |index| addresses[index]);
    text.parse().expect("an address")
}

/// `80/tcp`, `53/udp`, `9/sctp`, `gre`, `icmp 8`, `icmp 3.4`; from port 40000, or `1024>80/tcp`.
/// With a 6 at the end (`80/tcp6`, `icmp 128.0 v6`), between the IPv6 addresses.
fn flow(subject: IpAddr, peer: IpAddr, traffic: &str) -> Flow {
    let mut flow = Flow {
        subject,
        peer,
        protocol: 47,
        src_port: 40000,
        dst_port: 0,
        icmp: None,
    };
    if let Some(message) = traffic.strip_prefix("icmp ") {
        let (message, v6) = message
            .strip_suffix(" v6")
            .map_or((message, false), |message| (message, true));
        let (kind, code) = message.split_once('.').unwrap_or((message, "0"));
        let number = |text: &str| text.parse::<u8>().expect("a number");
        flow.icmp = Some((number(kind), number(code)));
        flow.protocol = if v6 { protocol::ICMPV6 } else { protocol::ICMP };
    } else if let Some((ports, name)) = traffic.split_once('/') {
        let number = |text: &str| text.parse::<u16>().expect("a port");
        let (source, destination) = ports.split_once('>').unwrap_or(("40000", ports));
        (flow.src_port, flow.dst_port) = (number(source), number(destination));
        flow.protocol = match name.trim_end_matches('6') {
            "tcp" => protocol::TCP,
            "udp" => protocol::UDP,
            "sctp" => protocol::SCTP,
            other => panic!("no such protocol: {other}"),
        };
    }
    flow
}
