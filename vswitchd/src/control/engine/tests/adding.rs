//! How an ADD ends.

use super::*;

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
