//! Whom to ask: the daemon of a socket, the nodes of a lab, or nobody but a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use cni_shim::trace::Probe;
use cni_shim::{Request, Response};
use lab::Lab;
use serde_json::Value;

use crate::cli::Daemon;
use crate::offline::OfflineNode;
use crate::trace::{self, Hop};

/// Where to begin.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The node of a lab to begin at [default: FROM's, as far as it can be asked].
    #[arg(long, value_name = "NODE", conflicts_with = "file")]
    pub(super) node: Option<String>,
    /// The lab meant, where several are up.
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    lab: Option<String>,
}

/// The node that is asked next.
pub(super) enum Nodes {
    /// A daemon, by its socket.
    Socket(Daemon),
    /// A node of a lab that is up on this machine.
    Lab(Box<Lab>, String),
    /// A node as its files describe it.
    Offline(Box<OfflineNode>),
}

impl Nodes {
    /// A node as its configuration describes it.
    pub(super) fn offline(config: &Path, policies: Option<&Path>) -> anyhow::Result<Self> {
        let node = OfflineNode::load(config, policies)?;
        Ok(Self::Offline(Box::new(node)))
    }

    /// The node to begin at: the one named, else the socket's, else in a lab that of `from`.
    pub(super) fn first(socket: PathBuf, place: &Place, from: &str) -> anyhow::Result<Self> {
        if let Some(name) = &place.lab {
            let lab = Lab::find(Some(name))?;
            let node = place.node.clone().or_else(|| home(&lab, from));
            return Self::of_lab(lab, node);
        }
        if let Some(node) = &place.node {
            return Self::named(&socket, node);
        }
        if !socket.exists()
            && let Ok(lab) = Lab::find(None)
        {
            let node = home(&lab, from);
            return Self::of_lab(lab, node);
        }
        Ok(Self::Socket(Daemon(socket)))
    }

    fn of_lab(lab: Lab, node: Option<String>) -> anyhow::Result<Self> {
        let node = node.context("expected a lab with nodes, found none in it")?;
        lab.daemon(&node)?;
        Ok(Self::Lab(Box::new(lab), node))
    }

    fn named(socket: &Path, node: &str) -> anyhow::Result<Self> {
        if let Some(there) = beside(socket, node) {
            return Ok(Self::Socket(Daemon(there)));
        }
        let lab = Lab::find(None).with_context(|| {
            format!("expected a lab with a node {node}, or --socket with that node's daemon")
        })?;
        Self::of_lab(lab, Some(node.to_owned()))
    }

    /// The next node, if it can be asked.
    pub(super) fn go_to(&mut self, node: &str) -> bool {
        match self {
            Self::Socket(daemon) => match beside(&daemon.0, node) {
                Some(there) => {
                    daemon.0 = there;
                    true
                }
                None => false,
            },
            Self::Lab(lab, current) => {
                let is_there = lab.daemon(node).is_ok();
                if is_there {
                    node.clone_into(current);
                }
                is_there
            }
            Self::Offline(_) => false,
        }
    }

    /// This node's part of the trace.
    pub(super) fn ask(&self, probe: Probe) -> anyhow::Result<Hop> {
        let request = || Request::Trace {
            probe: probe.clone(),
        };
        let response = match self {
            Self::Offline(node) => {
                return Ok(trace::trace(&node.ground(), &node.desired, &probe)?);
            }
            Self::Socket(daemon) => daemon.ask(&request())?,
            Self::Lab(lab, node) => lab.ask(node, &request())?,
        };
        hop(response)
    }
}

fn hop(response: Response) -> anyhow::Result<Hop> {
    match response {
        Response::Table { mut rows } if rows.len() == 1 => {
            let row = Value::Object(rows.swap_remove(0));
            serde_json::from_value(row)
                .context("reading vswitchd's answer; is it of another version?")
        }
        Response::Error {
            message, details, ..
        } => bail!("{message} {details}"),
        other => bail!("expected a walk, vswitchd answered {other:?}; is it of another version?"),
    }
}

/// The socket of another node whose daemon runs in the same mount namespace: a lab's sockets are
/// `FOLDER/NODE/vswitchd.sock`.
fn beside(socket: &Path, node: &str) -> Option<PathBuf> {
    let folder = socket.parent()?.parent()?;
    let there = folder.join(node).join(socket.file_name()?);
    there.exists().then_some(there)
}

/// The node of a lab that a pod or a node's name is on; the first one for all others.
fn home(lab: &Lab, from: &str) -> Option<String> {
    let nodes = &lab.config().nodes;
    if nodes.iter().any(|node| node.name == from) {
        return Some(from.to_owned());
    }
    let pods = lab.pod_list();
    let is_it = |attachment: &&lab::cni::Attachment| {
        let pod = &attachment.pod;
        pod.key() == from
            || (pod.namespace == "default" && pod.name == from)
            || attachment.address() == from
    };
    let pod = pods.iter().find(is_it).map(|found| found.pod.node.clone());
    pod.or_else(|| Some(nodes.first()?.name.clone()))
}
