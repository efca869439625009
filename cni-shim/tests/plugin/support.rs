//! A node with a daemon's double, pods, and the plugin to run in between.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use cni_shim::{
    Attachment, Request, Response, host_interface_name, host_interface_name_for_container, protocol,
};
use ipnet::Ipv4Net;
use netlink::{Handle, NetNs};
use serde_json::{Value, json};

/// What the double remembers of an attachment.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Net,
    host_interface: String,
    pub(crate) attached: bool,
}

/// The double's memory, and how it is told to misbehave.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) leases: BTreeMap<Attachment, Lease>,
    pub(crate) requests: Vec<Request>,
    /// Answer the request of this `op` with this error.
    pub(crate) refuse: Option<(&'static str, u32)>,
    next: u8,
}

/// A node: this process's network namespace, and a daemon's double on a socket.
pub(crate) struct Node {
    dir: tempfile::TempDir,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Node {
    pub(crate) fn new() -> Self {
        let node = Self {
            dir: tempfile::tempdir().unwrap(),
            state: Arc::default(),
        };
        let listener = UnixListener::bind(node.socket()).unwrap();
        let state = node.state.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = state.clone();
                thread::spawn(move || serve(stream.unwrap(), &state));
            }
        });
        node
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("vswitchd.sock")
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The walk-through's configuration in another version, with this node's socket.
    pub(crate) fn config(&self, version: &str) -> Value {
        json!({
            "cniVersion": version,
            "name": "k8s-pod-network",
            "type": "vswitch",
            "socket": self.socket(),
            "log_level": "debug",
            "datastore_type": "kubernetes",
            "nodename": "minikube-m02",
            "mtu": 0,
            "ipam": { "type": "calico-ipam" },
            "policy": { "type": "k8s" },
            "kubernetes": { "kubeconfig": "/etc/cni/net.d/calico-kubeconfig" },
        })
    }

    pub(crate) fn refuse(&self, op: &'static str, code: u32) {
        self.state.lock().unwrap().refuse = Some((op, code));
    }

    /// Nothing of any pod is left: no lease, no host interface.
    pub(crate) fn assert_clean(&self, when: &str) {
        let leases = self.state.lock().unwrap().leases.clone();
        assert!(leases.is_empty(), "{when}: leases left: {leases:?}");
        let links = Handle::open().unwrap().links().unwrap();
        let left: Vec<_> = links.into_iter().filter(|link| !link.loopback).collect();
        assert!(left.is_empty(), "{when}: links left: {left:?}");
    }
}

fn serve(stream: UnixStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|len| len > 0) {
        let request: Request = protocol::from_line(&line).unwrap();
        let response = state.lock().unwrap().answer(request);
        let answer = protocol::to_line(&response).unwrap();
        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

impl State {
    fn answer(&mut self, request: Request) -> Response {
        self.requests.push(request.clone());
        if let Some((op, code)) = self.refuse
            && serde_json::to_value(&request).unwrap()["op"] == op
        {
            let message = format!("{op} refused on purpose");
            return Response::Error {
                code,
                message,
                details: String::new(),
            };
        }
        match request {
            Request::Allocate {
                container_id,
                ifname,
                namespace,
                pod,
                ..
            } => self.allocate(
                Attachment {
                    container_id,
                    ifname,
                },
                namespace,
                pod,
            ),
            Request::Attach {
                container_id,
                ifname,
                host_interface,
                host_index,
                address,
                ..
            } => {
                let link = Handle::open()
                    .unwrap()
                    .link(&host_interface)
                    .unwrap()
                    .unwrap();
                assert_eq!(link.index, host_index);
                let lease = Lease {
                    address,
                    host_interface,
                    attached: true,
                };
                self.leases.insert(
                    Attachment {
                        container_id,
                        ifname,
                    },
                    lease,
                );
                Response::Attached { generation: 7 }
            }
            Request::Detach {
                container_id,
                ifname,
            } => {
                self.detach(&Attachment {
                    container_id,
                    ifname,
                });
                Response::Detached {}
            }
            Request::Check {
                container_id,
                ifname,
                address,
                ..
            } => self.check(
                &Attachment {
                    container_id,
                    ifname,
                },
                address,
            ),
            Request::Gc { valid } => self.collect(&valid),
            Request::Status {} => Response::Ready {},
            other => panic!("the plugin never asks {other:?}"),
        }
    }

    fn allocate(
        &mut self,
        attachment: Attachment,
        namespace: Option<String>,
        pod: Option<String>,
    ) -> Response {
        let host_interface = match (namespace, pod) {
            (Some(namespace), Some(pod)) => host_interface_name("cali", &namespace, &pod),
            _ => host_interface_name_for_container("cali", &attachment.container_id),
        };
        let lease = self.leases.entry(attachment).or_insert_with(|| {
            self.next += 1;
            let address = Ipv4Addr::new(10, 244, 205, 192 + self.next).into();
            Lease {
                address,
                host_interface,
                attached: false,
            }
        });
        Response::Allocated {
            address: lease.address,
            mtu: 1480,
            gateway: Ipv4Addr::new(169, 254, 1, 1),
            gateway_mac: "ee:ee:ee:ee:ee:ee".into(),
        }
    }

    fn detach(&mut self, attachment: &Attachment) {
        let Some(lease) = self.leases.remove(attachment) else {
            return;
        };
        let handle = Handle::open().unwrap();
        if let Some(link) = handle.link(&lease.host_interface).unwrap() {
            handle.delete_link(link.index).unwrap();
        }
    }

    fn check(&self, attachment: &Attachment, address: Ipv4Net) -> Response {
        match self.leases.get(attachment) {
            Some(lease) if lease.attached && lease.address == address => Response::Checked {},
            found => Response::Error {
                code: 3,
                message: format!("not attached: {found:?}"),
                details: String::new(),
            },
        }
    }

    fn collect(&mut self, valid: &[Attachment]) -> Response {
        let keys = self.leases.keys().cloned();
        let removed: Vec<Attachment> = keys.filter(|key| !valid.contains(key)).collect();
        for attachment in &removed {
            self.detach(attachment);
        }
        Response::Collected { removed }
    }
}

/// A pod: a namespace, a container id, Kubernetes' names.
pub(crate) struct Pod {
    pub(crate) netns: NetNs,
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
}

impl Pod {
    /// `default/nginx` of the walk-through.
    pub(crate) fn nginx() -> Self {
        Self {
            netns: NetNs::create().unwrap(),
            id: "c0ffee0123456789",
            name: "nginx",
        }
    }

    pub(crate) fn path(&self) -> String {
        self.netns.fd_path().display().to_string()
    }

    /// Runs `ip` in the pod and returns what it prints.
    pub(crate) fn ip(&self, args: &str) -> String {
        let run = || Command::new("ip").args(args.split(' ')).output();
        let output = self
            .netns
            .run(run)
            .unwrap()
            .expect("this test needs `ip` (package iproute2)");
        let text =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        text.into_owned()
    }

    pub(crate) fn has_eth0(&self) -> bool {
        Handle::open_in(&self.netns)
            .unwrap()
            .link("eth0")
            .unwrap()
            .is_some()
    }
}

/// What a plugin answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Answer {
    /// The result on standard output of a successful call; `null` if it printed nothing.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.success(), "{self:#?}");
        match self.stdout.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap(),
        }
    }

    /// The error's code and sentence on standard output of a failed call.
    pub(crate) fn error(&self) -> (u64, String) {
        assert!(!self.status.success(), "{self:#?}");
        let error: Value = serde_json::from_str(&self.stdout).unwrap_or_else(|_| {
            panic!("expected an error object on standard output: {self:#?}");
        });
        assert!(error["cniVersion"].is_string(), "{self:#?}");
        (
            error["code"].as_u64().unwrap(),
            error["msg"].as_str().unwrap().to_owned(),
        )
    }
}

/// A call under construction.
pub(crate) struct Plugin {
    command: Command,
    input: String,
}

impl Plugin {
    /// Our plugin with nothing in its environment but the verb.
    pub(crate) fn bare(verb: &str, input: impl ToString) -> Self {
        Self::program(env!("CARGO_BIN_EXE_vswitch"), verb, input)
    }

    pub(crate) fn program(program: &str, verb: &str, input: impl ToString) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("CNI_COMMAND", verb);
        Self {
            command,
            input: input.to_string(),
        }
    }

    /// Our plugin as a Kubernetes runtime starts it for a pod.
    pub(crate) fn call(verb: &str, pod: &Pod, config: &Value) -> Self {
        Self::bare(verb, config).about(pod)
    }

    pub(crate) fn about(self, pod: &Pod) -> Self {
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME={};\
             K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID=4e2c",
            pod.name, pod.id
        );
        self.env("CNI_CONTAINERID", pod.id)
            .env("CNI_NETNS", &pod.path())
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/opt/cni/bin:/usr/lib/cni")
            .env("CNI_ARGS", &args)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn run(mut self) -> Answer {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|error| {
            panic!("this test needs {:?}: {error}", self.command.get_program());
        });
        let _ = child.stdin.take().unwrap().write_all(self.input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Answer {
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// `config` with `prevResult`.
pub(crate) fn with_previous(config: &Value, previous: &Value) -> Value {
    let mut config = config.clone();
    config["prevResult"] = previous.clone();
    config
}
