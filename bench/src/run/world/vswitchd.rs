//! This project's data plane: real daemons, real CNI plugin, and policies that every packet is judged by.

use std::{
    thread,
    time::{Duration, Instant},
};

use lab::{
    Lab,
    binaries::Binaries,
    cni::{Attachment, Runtime, conflist},
    config::Pod,
    manifest,
    node::Daemon,
};

use super::{CLIENT, SERVER, World, bare};
use crate::run::{
    contender::{Contender, Topology},
    error::{Error, Result},
    place::Place,
};

/// Both pods are isolated both ways; what the bench sends is allowed by label and port, ICMP is not.
const POLICIES: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: server-in, namespace: default }
spec:
  podSelector: { matchLabels: { role: server } }
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{ podSelector: { matchLabels: { role: client } } }]
    ports: [{ protocol: TCP, port: 5000, endPort: 5999 }, { protocol: UDP, port: 5000, endPort: 5999 }]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: client-out, namespace: default }
spec:
  podSelector: { matchLabels: { role: client } }
  policyTypes: [Ingress, Egress]
  egress:
  - to: [{ podSelector: { matchLabels: { role: server } } }]
    ports: [{ protocol: TCP, port: 5000, endPort: 5999 }, { protocol: UDP, port: 5000, endPort: 5999 }]
";
const LIVE_WITHIN: Duration = Duration::from_secs(10);

pub(super) fn build(
    contender: Contender,
    topology: Topology,
    programs: &Binaries,
) -> Result<World> {
    let mut config = bare::config(contender, topology)?;
    config.pods = bare::pods(topology)
        .map(|pod| {
            Pod::new(
                "default",
                pod.name,
                pod.node,
                [("role".to_owned(), pod.name.to_owned())],
            )
        })
        .into();
    let off: &[&str] = match contender {
        Contender::VswitchdWorkers => &["kernel_relay"],
        Contender::VswitchdCut => &["kernel_relay", "kernel_encapsulation"],
        _ => &[],
    };
    for key in off {
        config.daemon.insert((*key).to_owned(), "off".into());
    }
    let lab = Lab::up_using(config, programs, |_| {})?;
    let address = lab.address(SERVER)?;
    lab.sandbox()
        .write(&format!("{}/bench.yaml", manifest::FOLDER), POLICIES)?;
    wait_for_policy(&lab, &address.to_string())?;
    let forwarders = bare::NODES[..topology.nodes()]
        .iter()
        .map(|node| forwarder(&lab, node))
        .collect::<Result<Vec<_>>>()?;
    let tunnel = match topology.nodes() {
        1 => "one daemon",
        _ => "IPIP between two daemons",
    };
    let settings = match off {
        [] => "default configuration".to_owned(),
        off => format!(
            "{} = \"off\" and else the default configuration",
            off.join(" and ")
        ),
    };
    Ok(World {
        contender,
        about: format!(
            "{tunnel}, {settings}, two NetworkPolicies on both pods, connection tracking and every check on; pod MTU 1480. Its workers run on any core ({})",
            programs.vswitchd.display()
        ),
        client: Place::inside(lab.sandbox(), &format!("default.{CLIENT}")),
        server: Place::inside(lab.sandbox(), &format!("default.{SERVER}")),
        address,
        forwarders,
        lab: Some(lab),
        programs: Some(programs.clone()),
    })
}

/// Policy is in force when ping, which no policy allows, no longer gets through.
fn wait_for_policy(lab: &Lab, server: &str) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < LIVE_WITHIN {
        let ping = lab.exec(CLIENT, &["ping", "-c", "1", "-W", "0.3", server])?;
        if !ping.status.success() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(Error::Unexpected {
        place: "ping between the pods of vswitchd".into(),
        expected: format!("no answer within {LIVE_WITHIN:?} of a policy that forbids it"),
        found: "answers".into(),
    })
}

fn forwarder(lab: &Lab, node: &str) -> Result<String> {
    let pid = Daemon::of(lab.sandbox(), node)
        .pid()
        .map(|pid| pid.to_string());
    pid.ok_or_else(|| Error::Unexpected {
        place: format!("vswitchd on {node}"),
        expected: "a process".into(),
        found: "none: it has ended".into(),
    })
}

/// Starts pods as a container runtime does.
#[derive(Debug)]
pub struct PodStarts<'a> {
    lab: &'a Lab,
    programs: &'a Binaries,
}

impl<'a> PodStarts<'a> {
    pub(super) fn new(lab: &'a Lab, programs: &'a Binaries) -> Self {
        Self { lab, programs }
    }

    /// Time of one CNI ADD on the first node: from the start of the plugin's process to its result, without the making of
    /// the namespace. The pod is deleted again.
    ///
    /// # Errors
    /// The plugin failed.
    pub fn time_one(&self, number: usize) -> Result<Duration> {
        let sandbox = self.lab.sandbox();
        let node = bare::NODES[0];
        let runtime = Runtime::new(
            sandbox,
            self.programs,
            conflist(&self.lab.config().cni, node),
        );
        let mut attachment = Attachment {
            pod: Pod::new("default", &format!("start-{number}"), node, []),
            container_id: format!("{number:064x}"),
            uid: format!("{number:032x}"),
            result: serde_json::Value::Null,
        };
        let netns = attachment.pod.netns();
        manifest::write_pod(sandbox, &attachment.pod, &attachment.uid, None)?;
        sandbox.run("making a namespace", None, &["ip", "netns", "add", &netns])?;
        let start = Instant::now();
        let added = runtime.add(&mut attachment);
        let took = start.elapsed();
        let deleted = added.and_then(|()| runtime.del(&attachment));
        manifest::remove_pod(sandbox, &netns);
        sandbox.run(
            "removing a namespace",
            None,
            &["ip", "netns", "delete", &netns],
        )?;
        Ok(deleted.map(|()| took)?)
    }
}
