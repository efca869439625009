//! Killed at every step, the plugin leaves nothing that a retry, DEL or GC does not heal.

use std::os::unix::process::ExitStatusExt;

use cni_shim::steps::{DIE_AFTER, Step};
use netlink::testing::isolated;
use serde_json::{Value, json};

use crate::support::{Node, Plugin, Pod};

const SIGABRT: i32 = 6;

/// Runs a verb and sees it die after the step.
fn kill(verb: &str, step: Step, pod: &Pod, config: &Value) {
    let answer = Plugin::call(verb, pod, config)
        .env(DIE_AFTER, step.name())
        .run();
    assert_eq!(
        answer.status.signal(),
        Some(SIGABRT),
        "{verb} passed {step:?}: {answer:#?}"
    );
    assert_eq!(answer.stdout, "", "a killed plugin has not answered");
}

fn assert_wired(pod: &Pod, step: Step) {
    let addresses = pod.ip("-4 address show dev eth0");
    let expected = "inet 10.244.205.193/32 brd 10.244.205.193 scope global eth0";
    assert!(addresses.contains(expected), "after {step:?}: {addresses}");
    assert_eq!(pod.ip("route").lines().count(), 2, "after {step:?}");
}

#[test]
fn add_killed_at_any_step_is_healed_by_del() {
    isolated(|| {
        for step in Step::ADD {
            let (node, pod) = (Node::new(), Pod::nginx());
            let config = node.config("1.1.0");
            kill("ADD", step, &pod, &config);
            Plugin::call("DEL", &pod, &config).run().ok();
            node.assert_clean(step.name());
            assert!(!pod.has_eth0(), "after {step:?}");
        }
    });
}

#[test]
fn add_killed_at_any_step_is_healed_by_gc() {
    isolated(|| {
        for step in Step::ADD {
            let (node, pod) = (Node::new(), Pod::nginx());
            let mut config = node.config("1.1.0");
            kill("ADD", step, &pod, &config);
            config["cni.dev/valid-attachments"] = json!([]);
            Plugin::bare("GC", &config)
                .env("CNI_PATH", "/usr/lib/cni")
                .run()
                .ok();
            node.assert_clean(step.name());
            assert!(!pod.has_eth0(), "after {step:?}");
        }
    });
}

#[test]
fn add_killed_before_it_was_attached_is_healed_by_a_retry_with_the_same_address() {
    isolated(|| {
        for step in Step::ADD.into_iter().filter(|step| *step != Step::Attached) {
            let (node, pod) = (Node::new(), Pod::nginx());
            let config = node.config("1.1.0");
            kill("ADD", step, &pod, &config);
            let answer = Plugin::call("ADD", &pod, &config).run();
            assert_eq!(
                answer.ok()["ips"][0]["address"],
                "10.244.205.193/32",
                "after {step:?}"
            );
            assert_wired(&pod, step);
            assert_eq!(node.state.lock().unwrap().leases.len(), 1);
            Plugin::call("DEL", &pod, &config).run().ok();
            node.assert_clean(step.name());
        }
    });
}

/// The pod is live then, and a second ADD must not touch it (specification): the runtime sends DEL.
#[test]
fn add_killed_after_it_was_attached_is_healed_by_del_and_a_retry() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        kill("ADD", Step::Attached, &pod, &config);
        assert_eq!(Plugin::call("ADD", &pod, &config).run().error().0, 101);
        assert_wired(&pod, Step::Attached);
        Plugin::call("DEL", &pod, &config).run().ok();
        Plugin::call("ADD", &pod, &config).run().ok();
        assert!(pod.has_eth0());
    });
}

#[test]
fn del_killed_at_any_step_is_healed_by_a_retry() {
    isolated(|| {
        for step in Step::DEL {
            let (node, pod) = (Node::new(), Pod::nginx());
            let config = node.config("1.1.0");
            Plugin::call("ADD", &pod, &config).run().ok();
            kill("DEL", step, &pod, &config);
            Plugin::call("DEL", &pod, &config).run().ok();
            node.assert_clean(step.name());
        }
    });
}
