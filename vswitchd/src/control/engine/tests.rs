//! The engine with a publisher that records and a kernel made of a map.

mod adding;
mod answering;
mod ending;
mod restarting;

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, sync::Mutex};

use cni_shim::protocol::error_code;
use packet::ethernet::MacAddr;
use tempfile::TempDir;

use super::*;
use crate::{
    control::{PublishError, Seed, Uplink},
    ipam::{Owner, handle},
};

/// What reached the workers, and which ports break.
#[derive(Default)]
struct Record {
    published: Vec<Vec<Ipv4Addr>>,
    waited: u64,
    broken: BTreeSet<String>,
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Record>>);

impl Publisher for Recorder {
    fn publish(&mut self, state: &DesiredState) -> Result<u64, PublishError> {
        let mut record = self.0.lock().unwrap();
        for workload in state.workloads.values() {
            if record.broken.contains(&workload.host_interface) {
                return Err(PublishError::Port {
                    interface: workload.host_interface.clone(),
                    reason: "no such device".into(),
                });
            }
        }
        let addresses = state.workloads.values().map(|w| w.address).collect();
        record.published.push(addresses);
        Ok(record.published.len() as u64)
    }

    fn wait(&mut self, generation: u64) -> Result<(), PublishError> {
        self.0.lock().unwrap().waited = generation;
        Ok(())
    }
}

/// Its interfaces; a name with index 0 is one it refuses to speak of.
#[derive(Clone, Default)]
struct Kernel(Arc<Mutex<BTreeMap<String, u32>>>);

impl Kernel {
    fn add(&self, name: &str, index: u32) {
        self.0.lock().unwrap().insert(name.into(), index);
    }
}

impl HostLinks for Kernel {
    fn index_of(&self, name: &str) -> io::Result<Option<u32>> {
        match self.0.lock().unwrap().get(name) {
            Some(0) => Err(io::Error::other("no buffer space available")),
            index => Ok(index.copied()),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    fn netns_exists(&self, path: &str) -> bool {
        !path.contains("gone")
    }
}

/// A node in memory, its state in a directory.
struct Node {
    directory: TempDir,
    recorder: Recorder,
    kernel: Kernel,
    engine: Engine<Recorder>,
}

fn engine(
    directory: &Path,
    recorder: &Recorder,
    kernel: &Kernel,
) -> anyhow::Result<Engine<Recorder>> {
    let text = r#"
        node = "minikube-m02"
        address = "172.16.30.7/24"
        [[pool]]
        name = "p"
        cidr = "10.244.0.0/16"
        [[peer]]
        name = "minikube"
        address = "172.16.30.6/24"
    "#;
    let config = crate::config::parse(Path::new("t.toml"), text).unwrap();
    let owners = crate::control::block_owners(&config).unwrap();
    let path = directory.join("ipam.json");
    let book = AddressBook::open(&path, "minikube-m02", &owners["minikube-m02"]).unwrap();
    let uplink = Uplink {
        name: "eth0".into(),
        index: 2,
        mac: MacAddr([2; 6]),
        mtu_bytes: 1500,
        up: true,
    };
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: book.tunnel_address(),
        uplink,
    };
    Engine::start(Parts {
        desired: DesiredState::new(&config, seed).unwrap(),
        book,
        attachments: Attachments::open(&directory.join("attachments.json")).unwrap(),
        publisher: recorder.clone(),
        links: Box::new(kernel.clone()),
        pods: None,
        pod_mtu_bytes: 1480,
    })
}

impl Node {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (recorder, kernel) = (Recorder::default(), Kernel::default());
        let engine = engine(directory.path(), &recorder, &kernel).unwrap();
        Self {
            directory,
            recorder,
            kernel,
            engine,
        }
    }

    /// What kill -9 and a new start do.
    fn restart(&mut self) {
        self.engine = self.start().unwrap();
    }

    fn start(&self) -> anyhow::Result<Engine<Recorder>> {
        engine(self.directory.path(), &self.recorder, &self.kernel)
    }

    fn send(&mut self, request: Request) -> oneshot::Receiver<Response> {
        let (reply, answer) = oneshot::channel();
        assert!(self.engine.take(Message::Request(Box::new(request), reply)));
        answer
    }

    fn ask(&mut self, request: Request) -> Response {
        let mut answer = self.send(request);
        self.engine.settle();
        answer.try_recv().expect("an answer")
    }

    fn allocate(&mut self, container: &str) -> Ipv4Addr {
        match self.ask(allocate(container, "/run/netns/x")) {
            Response::Allocated {
                address, mtu: 1480, ..
            } => address.addr(),
            other => panic!("{other:?}"),
        }
    }

    /// A whole ADD.
    fn add(&mut self, container: &str, index: u32) -> Ipv4Addr {
        let address = self.allocate(container);
        self.kernel.add(&format!("cali{container}"), index);
        let response = self.ask(attach(container, index, address));
        assert!(
            matches!(response, Response::Attached { .. }),
            "{response:?}"
        );
        address
    }

    /// An ADD of a new sandbox of the same pod up to its second half: the host interface has the
    /// same name, since that follows from the pod.
    fn rewire(&mut self, container: &str, index: u32, pod: &str) -> Request {
        let address = self.allocate(container);
        self.kernel.add(&format!("cali{pod}"), index);
        let mut request = attach(container, index, address);
        if let Request::Attach { host_interface, .. } = &mut request {
            *host_interface = format!("cali{pod}");
        }
        request
    }

    fn live(&self) -> Vec<Ipv4Addr> {
        self.recorder
            .0
            .lock()
            .unwrap()
            .published
            .last()
            .unwrap()
            .clone()
    }

    fn free(&self) -> usize {
        self.engine.book.ipam().blocks()[0].free()
    }
}

fn allocate(container: &str, netns: &str) -> Request {
    Request::Allocate {
        container_id: container.into(),
        ifname: "eth0".into(),
        netns: netns.into(),
        namespace: Some("default".into()),
        pod: Some(format!("pod-{container}")),
        pod_uid: None,
        requested: None,
    }
}

fn attach(container: &str, host_index: u32, address: Ipv4Addr) -> Request {
    Request::Attach {
        container_id: container.into(),
        ifname: "eth0".into(),
        netns: "/run/netns/x".into(),
        namespace: Some("default".into()),
        pod: Some(format!("pod-{container}")),
        host_interface: format!("cali{container}"),
        host_index,
        pod_mac: "0a:58:0a:f4:cd:c1".into(),
        address: address.into(),
        mtu: 1480,
        bandwidth: None,
        port_mappings: Vec::new(),
    }
}

fn detach(container: &str) -> Request {
    Request::Detach {
        container_id: container.into(),
        ifname: "eth0".into(),
    }
}

fn code(response: &Response) -> u32 {
    match response {
        Response::Error { code, .. } => *code,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

const FIRST: Ipv4Addr = Ipv4Addr::new(10, 244, 205, 193);

#[test]
fn check_finds_each_difference() {
    let mut node = Node::new();
    let address = node.add("a", 7);
    let check = |container: &str, interface: &str, address: Ipv4Addr| Request::Check {
        container_id: container.into(),
        ifname: "eth0".into(),
        host_interface: interface.into(),
        address: address.into(),
    };
    assert_eq!(node.ask(check("a", "calia", address)), Response::Checked {});
    assert_eq!(
        code(&node.ask(check("b", "calib", address))),
        error_code::UNKNOWN_CONTAINER
    );
    assert_eq!(
        code(&node.ask(check("a", "calix", address))),
        error_code::CHECK_FAILED
    );
    let other = Ipv4Addr::new(10, 244, 205, 200);
    assert_eq!(
        code(&node.ask(check("a", "calia", other))),
        error_code::CHECK_FAILED
    );
    node.kernel.add("calia", 9);
    assert_eq!(
        code(&node.ask(check("a", "calia", address))),
        error_code::CHECK_FAILED
    );
    node.engine.take(Message::Update(Update::LinkGone(7)));
    assert_eq!(
        code(&node.ask(check("a", "calia", address))),
        error_code::CHECK_FAILED
    );
}

#[test]
fn an_unchanged_state_is_not_published_again() {
    let mut node = Node::new();
    let before = node.recorder.0.lock().unwrap().published.len();
    node.engine.take(Message::Update(Update::LinkGone(99)));
    node.engine.settle();
    assert_eq!(node.recorder.0.lock().unwrap().published.len(), before);
}

#[test]
fn the_loop_serves_its_inbox_and_ends_when_told() {
    let node = Node::new();
    let (outbox, inbox) = crossbeam_channel::unbounded();
    let (reply, answer) = oneshot::channel();
    outbox
        .send(Message::Request(Box::new(Request::Status {}), reply))
        .unwrap();
    outbox.send(Message::Stop).unwrap();
    node.engine.run(&inbox);
    assert_eq!(answer.blocking_recv(), Ok(Response::Ready {}));
}

#[test]
fn a_pod_with_interfaces_policy_does_not_know_is_told_of_once() {
    let log = tempfile::NamedTempFile::new().unwrap();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(Arc::new(log.reopen().unwrap()))
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let mut node = Node::new();
        for (container, index) in [("c1", 1), ("c2", 2), ("c3", 3)] {
            let mut request = attach(container, index, node.allocate(container));
            if let Request::Attach { pod, .. } = &mut request {
                *pod = Some("web".into());
            }
            let response = node.ask(request);
            assert!(
                matches!(response, Response::Attached { .. }),
                "{response:?}"
            );
        }
    });
    let log = std::fs::read_to_string(log.path()).unwrap();
    assert_eq!(log.matches("has several interfaces").count(), 1, "{log}");
}
