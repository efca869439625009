//! The engine with a publisher that records and a kernel made of a map.

use std::{collections::BTreeMap, net::Ipv4Addr, path::Path, sync::Mutex};

use packet::ethernet::MacAddr;
use tempfile::TempDir;

use super::*;
use crate::control::{Seed, Uplink};

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
fn an_add_is_answered_with_the_generation_every_worker_waited_for() {
    let mut node = Node::new();
    assert_eq!(node.allocate("a"), FIRST);
    node.kernel.add("calia", 7);
    let answer = node.ask(attach("a", 7, FIRST));
    assert_eq!(answer, Response::Attached { generation: 2 });
    assert_eq!(node.recorder.0.lock().unwrap().waited, 2);
    assert_eq!(node.live(), [FIRST]);
}

#[test]
fn a_burst_of_adds_is_published_once() {
    let mut node = Node::new();
    let addresses: Vec<_> = ["a", "b", "c"].map(|c| node.allocate(c)).into();
    let before = node.recorder.0.lock().unwrap().published.len();
    let mut answers = Vec::new();
    for (container, address) in ["a", "b", "c"].iter().zip(&addresses) {
        answers.push(node.send(attach(container, 7, *address)));
    }
    node.engine.settle();
    for mut answer in answers {
        assert!(matches!(answer.try_recv(), Ok(Response::Attached { .. })));
    }
    assert_eq!(node.recorder.0.lock().unwrap().published.len(), before + 1);
}

#[test]
fn one_broken_interface_fails_only_its_own_add() {
    let mut node = Node::new();
    let addresses: Vec<_> = ["a", "b"].map(|c| node.allocate(c)).into();
    node.recorder
        .0
        .lock()
        .unwrap()
        .broken
        .insert("calib".into());
    let mut good = node.send(attach("a", 7, addresses[0]));
    let mut bad = node.send(attach("b", 8, addresses[1]));
    node.engine.settle();
    assert!(matches!(good.try_recv(), Ok(Response::Attached { .. })));
    assert_eq!(
        code(&bad.try_recv().unwrap()),
        error_code::INTERFACE_FAILURE
    );
    node.engine.settle();
    assert_eq!(node.live(), [addresses[0]]);
    assert_eq!(node.engine.attachments.iter().count(), 1);
}

#[test]
fn an_address_is_given_again_only_after_its_port_is_gone() {
    let mut node = Node::new();
    node.add("a", 7);
    assert_eq!(node.ask(detach("a")), Response::Detached {});
    assert!(node.live().is_empty());
    assert_eq!(node.free(), 63);
    assert_eq!(
        node.engine.links.index_of("calia").unwrap(),
        None,
        "host end removed"
    );
    assert_eq!(
        node.ask(detach("a")),
        Response::Detached {},
        "twice is no error"
    );
    assert_eq!(node.ask(detach("never-seen")), Response::Detached {});
}

#[test]
fn a_restart_brings_every_pod_back_without_cni() {
    let mut node = Node::new();
    let (a, b) = (node.add("a", 7), node.add("b", 8));
    node.restart();
    assert_eq!(node.live(), [a, b]);
    assert_eq!(node.allocate("a"), a);
}

#[test]
fn a_pod_that_died_with_the_daemon_is_dropped_and_its_address_freed() {
    let mut node = Node::new();
    node.add("a", 7);
    let b = node.add("b", 8);
    node.kernel.remove("calia").unwrap();
    node.restart();
    assert_eq!(node.live(), [b]);
    assert_eq!(node.free(), 62);
}

#[test]
fn an_attachment_the_kernel_says_nothing_about_is_never_dropped() {
    let mut node = Node::new();
    let a = node.add("a", 7);
    node.kernel.add("calia", 0);
    let error = format!("{:#}", node.start().err().unwrap());
    for part in ["calia", &a.to_string(), "no buffer space", "second pod"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    node.kernel.add("calia", 7);
    node.restart();
    assert_eq!(node.live(), [a], "its record was still there");
    assert_eq!(node.free(), 62);
}

#[test]
fn an_attachment_whose_address_the_book_gave_to_another_is_not_dropped_silently() {
    let mut node = Node::new();
    let a = node.add("a", 7);
    node.engine.book.release(&handle("a", "eth0")).unwrap();
    let other = node.engine.book.allocate("b", Owner::default(), Some(a));
    assert_eq!(other.unwrap(), a, "the book and the records differ");
    let error = format!("{:#}", node.start().err().unwrap());
    assert!(
        error.contains("calia") && error.contains("second pod"),
        "{error}"
    );
    assert_eq!(node.engine.attachments.iter().count(), 1);
}

#[test]
fn the_late_del_of_an_older_sandbox_leaves_the_newer_ones_interface_alone() {
    let mut node = Node::new();
    node.add("a", 7);
    let newer = node.rewire("b", 8, "a");
    assert!(matches!(node.ask(newer), Response::Attached { .. }));
    let b = node.allocate("b");
    assert_eq!(node.live(), [b]);
    assert_eq!(node.free(), 62, "the older one's address is free");
    assert_eq!(node.ask(detach("a")), Response::Detached {});
    assert_eq!(node.engine.links.index_of("calia").unwrap(), Some(8));
    node.restart();
    assert_eq!(node.live(), [b]);
    assert_eq!(node.ask(detach("b")), Response::Detached {});
    assert_eq!(node.engine.links.index_of("calia").unwrap(), None);
    assert_eq!(node.free(), 63);
}

#[test]
fn a_del_and_the_next_sandboxs_add_in_one_batch_do_not_hurt_each_other() {
    for del_first in [true, false] {
        let mut node = Node::new();
        node.add("a", 7);
        let newer = node.rewire("b", 8, "a");
        let mut requests = vec![newer, detach("a")];
        if del_first {
            requests.reverse();
        }
        let answers: Vec<_> = requests.into_iter().map(|r| node.send(r)).collect();
        node.engine.settle();
        for mut answer in answers {
            let answer = answer.try_recv().unwrap();
            assert!(!matches!(answer, Response::Error { .. }), "{answer:?}");
        }
        assert_eq!(node.engine.links.index_of("calia").unwrap(), Some(8));
        assert_eq!(node.free(), 62);
    }
}

#[test]
fn a_del_does_not_remove_what_the_next_sandbox_has_wired_but_not_attached_yet() {
    let mut node = Node::new();
    node.add("a", 7);
    let newer = node.rewire("b", 8, "a");
    node.engine.take(Message::Update(Update::LinkGone(7)));
    assert_eq!(node.ask(detach("a")), Response::Detached {});
    assert_eq!(node.engine.links.index_of("calia").unwrap(), Some(8));
    assert!(matches!(node.ask(newer), Response::Attached { .. }));
}

#[test]
fn an_add_that_fails_does_not_take_over_the_older_ones_record() {
    let mut node = Node::new();
    let a = node.add("a", 7);
    let newer = node.rewire("b", 8, "a");
    let broken = BTreeSet::from(["calia".to_owned()]);
    node.recorder.0.lock().unwrap().broken = broken;
    assert_eq!(code(&node.ask(newer)), error_code::INTERFACE_FAILURE);
    let held: Vec<_> = node.engine.attachments.iter().map(|a| a.address).collect();
    assert_eq!(held, [a]);
}

#[test]
fn an_add_broken_off_between_its_halves_leaks_nothing() {
    let mut node = Node::new();
    let first = node.ask(allocate("a", "/run/netns/gone"));
    assert!(matches!(first, Response::Allocated { .. }));
    node.ask(allocate("b", "/run/netns/alive"));
    node.restart();
    assert_eq!(node.free(), 62, "the one whose namespace is gone is free");
    let valid = Vec::new();
    assert_eq!(
        node.ask(Request::Gc { valid }),
        Response::Collected { removed: vec![] }
    );
    assert_eq!(node.free(), 63);
}

#[test]
fn gc_keeps_what_is_valid_and_removes_the_rest() {
    let mut node = Node::new();
    node.add("a", 7);
    let b = node.add("b", 8);
    let id = |c: &str| Attachment {
        container_id: c.into(),
        ifname: "eth0".into(),
    };
    let removed = vec![id("a")];
    assert_eq!(
        node.ask(Request::Gc {
            valid: vec![id("b")]
        }),
        Response::Collected { removed }
    );
    assert_eq!(node.live(), [b]);
    assert_eq!(node.free(), 62);
}

#[test]
fn an_address_the_container_was_not_given_is_refused() {
    let mut node = Node::new();
    node.add("a", 7);
    assert_eq!(
        code(&node.ask(attach("b", 8, FIRST))),
        error_code::UNKNOWN_CONTAINER
    );
    let theirs = Ipv4Addr::new(10, 244, 120, 70);
    assert_eq!(
        code(&node.ask(attach("b", 8, theirs))),
        error_code::UNSUPPORTED_FIELD
    );
}

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
fn a_full_node_says_so_and_looks_for_abandoned_addresses_first() {
    let mut node = Node::new();
    for number in 0..62 {
        node.allocate(&format!("c{number}"));
    }
    node.ask(allocate("lost", "/run/netns/gone"));
    assert_eq!(
        code(&node.ask(Request::Status {})),
        error_code::NOT_AVAILABLE
    );
    node.allocate("next");
    let full = node.ask(allocate("one-more", "/run/netns/x"));
    assert_eq!(code(&full), error_code::ADDRESSES_EXHAUSTED);
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
