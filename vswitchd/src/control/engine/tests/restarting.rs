//! What a restart finds and keeps.

use super::*;

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
