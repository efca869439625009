//! What a DEL and a GC take away, and what they leave.

use super::*;

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
