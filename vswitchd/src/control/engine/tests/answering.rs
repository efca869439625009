//! Who has an answer may look: what it says is to be seen by then.

use std::{
    pin::Pin,
    task::{Context, Wake, Waker},
};

use super::*;

/// Notes which workloads the view has when the answer arrives.
struct Looker {
    view: Arc<ArcSwap<View>>,
    seen: Mutex<Option<Vec<Ipv4Addr>>>,
}

impl Wake for Looker {
    fn wake(self: Arc<Self>) {
        let workloads = &self.view.load().desired.workloads;
        let addresses = workloads.values().map(|held| held.address).collect();
        *self.seen.lock().unwrap() = Some(addresses);
    }
}

/// What is seen in the moment in which this request is answered.
fn seen_at_the_answer(node: &mut Node, request: Request) -> Vec<Ipv4Addr> {
    let looker = Arc::new(Looker {
        view: node.engine.view(),
        seen: Mutex::default(),
    });
    let mut answer = node.send(request);
    let waker = Waker::from(looker.clone());
    let now = Pin::new(&mut answer).poll(&mut Context::from_waker(&waker));
    assert!(now.is_pending(), "{now:?}");
    node.engine.settle();
    assert!(answer.try_recv().is_ok());
    let seen = looker.seen.lock().unwrap().take();
    seen.expect("woken by the answer")
}

#[test]
fn who_is_told_that_a_pod_is_attached_or_detached_sees_it() {
    let mut node = Node::new();
    let address = node.allocate("a");
    node.kernel.add("calia", 7);
    assert_eq!(
        seen_at_the_answer(&mut node, attach("a", 7, address)),
        [address]
    );
    assert!(seen_at_the_answer(&mut node, detach("a")).is_empty());
}
