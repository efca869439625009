//! GC and STATUS.

use cni_shim::{Attachment, Request};
use netlink::testing::isolated;
use serde_json::{Value, json};

use crate::support::{Node, Plugin, Pod};

fn run(verb: &str, config: &Value) -> crate::support::Answer {
    Plugin::bare(verb, config)
        .env("CNI_PATH", "/usr/lib/cni")
        .run()
}

#[test]
fn gc_keeps_what_is_listed_and_removes_the_rest() {
    isolated(|| {
        let node = Node::new();
        let mut config = node.config("1.1.0");
        let kept = Pod::nginx();
        let lost = Pod {
            id: "dead",
            name: "nginx-manual",
            ..Pod::nginx()
        };
        Plugin::call("ADD", &kept, &config).run().ok();
        Plugin::call("ADD", &lost, &config).run().ok();

        config["cni.dev/valid-attachments"] = json!([{"containerID": kept.id, "ifname": "eth0"}]);
        let answer = run("GC", &config);
        answer.ok();
        assert_eq!(answer.stdout, "", "GC prints nothing");
        assert!(kept.has_eth0());
        assert!(!lost.has_eth0());
        let valid = vec![Attachment {
            container_id: kept.id.into(),
            ifname: "eth0".into(),
        }];
        assert_eq!(
            node.state.lock().unwrap().requests.last(),
            Some(&Request::Gc { valid })
        );
        assert_eq!(node.state.lock().unwrap().leases.len(), 1);
    });
}

#[test]
fn gc_without_a_list_removes_nothing() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        Plugin::call("ADD", &pod, &config).run().ok();
        assert_eq!(run("GC", &config).error().0, 7);
        assert!(pod.has_eth0());
    });
}

#[test]
fn status_follows_the_daemon() {
    isolated(|| {
        let node = Node::new();
        let mut config = node.config("1.1.0");
        let answer = run("STATUS", &config);
        answer.ok();
        assert_eq!(answer.stdout, "", "STATUS prints nothing");
        for (refused, expected) in [(51, 51), (50, 50), (100, 50), (11, 50)] {
            node.refuse("status", refused);
            assert_eq!(run("STATUS", &config).error().0, expected);
        }
        config["socket"] = json!("/nonexistent/vswitchd.sock");
        assert_eq!(run("STATUS", &config).error().0, 50);
    });
}
