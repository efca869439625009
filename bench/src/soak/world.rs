//! Two nodes, their pods and policies.

use std::{net::Ipv4Addr, net::SocketAddrV4};

use lab::{Config, Lab, binaries::Binaries, config::Pod, manifest};

use crate::run::{error::Result, job::Job, place::Place};

/// The nodes.
pub const NODES: [&str; 2] = ["node-a", "node-b"];
/// TCP port of verified streams and exchanges between the lasting pods, and UDP port of their sinks.
pub const VERIFIED: u16 = 5000;
/// TCP port that guests may talk to.
pub const GUESTS: u16 = 5900;
/// UDP port behind the door, and of the drain.
pub const DOOR: u16 = 6000;

/// The lasting pods and their nodes. Verified traffic is between the first three.
const PODS: [(&str, &str, &str); 7] = [
    ("left", NODES[0], "verified"),
    ("near", NODES[0], "verified"),
    ("far", NODES[1], "verified"),
    ("asker", NODES[0], "asker"),
    ("asked", NODES[1], "asked"),
    ("flood", NODES[1], "flood"),
    ("drain", NODES[1], "drain"),
];

/// What stays in force. Everyone is isolated both ways; nobody may do more than the soak asks for.
const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: verified, namespace: default }
spec:
  podSelector: { matchLabels: { role: verified } }
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{ podSelector: { matchLabels: { role: verified } } }]
    ports: [{ protocol: TCP, port: 5000 }, { protocol: UDP, port: 5000 }]
  - from: [{ ipBlock: { cidr: 10.244.0.0/16 } }]
    ports: [{ protocol: TCP, port: 5900 }]
  egress:
  - to: [{ podSelector: { matchLabels: { role: verified } } }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: guests, namespace: default }
spec:
  podSelector: { matchLabels: { role: guest } }
  policyTypes: [Ingress, Egress]
  egress:
  - to: [{ podSelector: { matchLabels: { role: verified } } }]
    ports: [{ protocol: TCP, port: 5900 }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: drain, namespace: default }
spec:
  podSelector: { matchLabels: { role: drain } }
  policyTypes: [Ingress]
  ingress:
  - from: [{ podSelector: { matchLabels: { role: flood } } }]
    ports: [{ protocol: UDP, port: 6000 }]
";

/// Time-outs short enough that the flow table is seen to empty.
const TIMEOUTS: &str = "tcp_handshake_seconds = 5, tcp_closing_seconds = 3, udp_unreplied_seconds = 4, udp_replied_seconds = 4, icmp_seconds = 3";
/// Within this all of them have passed, and that of a connection whose last ACK was lost, which cannot be set (30 s). Flows of
/// pods that are gone do not time out for hours: a daemon has forgotten them by then because nobody is there.
pub const EMPTY_WITHIN_SECONDS: u64 = 36;

/// The lab of a soak.
#[derive(Debug)]
pub struct World {
    /// The lab itself.
    pub lab: Lab,
}

impl World {
    /// Brings it up; the policies are on their way.
    ///
    /// # Errors
    /// A step failed; nothing is left.
    pub fn up(programs: &Binaries, workers: Option<usize>) -> Result<Self> {
        let lab = Lab::up_using(config(workers)?, programs, |_| {})?;
        lab.sandbox()
            .write(&format!("{}/soak.yaml", manifest::FOLDER), POLICIES)?;
        // Its ARP would drown in its own flood, and its kernel would drop where no counter of a namespace shows it. A pod's kernel
        // does so on any network; it is no loss of the switch.
        let next_hop =
            ["neigh replace 169.254.1.1 dev eth0 lladdr ee:ee:ee:ee:ee:ee nud permanent"];
        lab.sandbox().ip_batch(
            "fixing the next hop of the flood",
            Some("default.flood"),
            &next_hop.map(str::to_owned),
        )?;
        Ok(Self { lab })
    }

    /// Inside a pod.
    #[must_use]
    pub fn pod(&self, name: &str) -> Place {
        Place::inside(self.lab.sandbox(), &format!("default.{name}"))
    }

    /// A pod's address and a port.
    ///
    /// # Errors
    /// No such pod.
    pub fn at(&self, pod: &str, port: u16) -> Result<SocketAddrV4> {
        Ok(SocketAddrV4::new(self.lab.address(pod)?, port))
    }

    /// Starts an agent that serves in a pod, and waits until it does; its arguments are split at blanks.
    ///
    /// # Errors
    /// It does not.
    pub fn server(&self, pod: &str, arguments: &str) -> Result<Job> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        Job::server(&self.pod(pod), &arguments)
    }

    /// Starts an agent that works for a bounded time in a pod.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn client(&self, pod: &str, arguments: &str) -> Result<Job> {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        Job::agent(&self.pod(pod), &arguments)
    }

    /// The network namespaces of the lasting pods and the nodes.
    #[must_use]
    pub fn namespaces(&self) -> Vec<(String, Place)> {
        let nodes = NODES.map(|node| (node.to_owned(), Place::inside(self.lab.sandbox(), node)));
        let pods = PODS.map(|(name, ..)| (name.to_owned(), self.pod(name)));
        nodes.into_iter().chain(pods).collect()
    }
}

fn config(workers: Option<usize>) -> Result<Config> {
    let node = |i: usize| {
        let address = Ipv4Addr::new(172, 16, 30, 6 + i as u8);
        format!("{{ name = '{}', address = '{address}' }}", NODES[i])
    };
    let workers = workers.map_or_else(String::new, |count| format!("workers = {count}, "));
    let text = format!(
        "name = 'bench-{pid}-soak'\nunderlay = {{ gateway = '172.16.30.1/24' }}\nnode = [{}, {}]\n\
         pool = [{{ name = 'pods', cidr = '10.244.0.0/16' }}]\n\
         daemon = {{ {workers}timeouts = {{ {TIMEOUTS} }} }}\n",
        node(0),
        node(1),
        pid = std::process::id(),
    );
    let mut config = Config::parse("the soak's own lab", &text)?;
    config.pods = PODS
        .map(|(name, node, role)| Pod::new("default", name, node, [("role".into(), role.into())]))
        .into();
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_and_the_policies_are_sound() {
        assert_eq!(config(Some(2)).unwrap().pods.len(), PODS.len());
        assert_eq!(config(None).unwrap().nodes.len(), 2);
        assert_eq!(policy::parse("soak.yaml", POLICIES).unwrap().len(), 3);
    }
}
