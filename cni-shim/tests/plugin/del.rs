//! DEL and CHECK.

use netlink::testing::isolated;
use serde_json::json;

use crate::support::{Node, Plugin, Pod, with_previous};

#[test]
fn del_removes_everything_and_may_be_repeated() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        Plugin::call("ADD", &pod, &config).run().ok();
        for time in ["the first DEL", "the second DEL"] {
            let answer = Plugin::call("DEL", &pod, &config).run();
            answer.ok();
            assert_eq!(answer.stdout, "", "DEL prints nothing");
            node.assert_clean(time);
            assert!(!pod.has_eth0());
        }
    });
}

#[test]
fn del_succeeds_for_a_pod_that_never_was_and_without_a_namespace() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        Plugin::call("DEL", &pod, &config).run().ok();
        Plugin::call("DEL", &pod, &config)
            .without("CNI_NETNS")
            .run()
            .ok();
        Plugin::call("DEL", &pod, &config)
            .env("CNI_NETNS", "/run/netns/gone")
            .run()
            .ok();
        let file = node.folder().join("unmounted");
        std::fs::write(&file, "").unwrap();
        let file = file.display().to_string();
        Plugin::call("DEL", &pod, &config)
            .env("CNI_NETNS", &file)
            .run()
            .ok();
    });
}

#[test]
fn del_frees_the_address_of_a_pod_whose_namespace_is_gone() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        Plugin::call("ADD", &pod, &config).run().ok();
        Plugin::call("DEL", &pod, &config)
            .without("CNI_NETNS")
            .run()
            .ok();
        node.assert_clean("after DEL without a namespace");
    });
}

#[test]
fn del_without_a_daemon_removes_the_interface_and_asks_to_come_back() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        Plugin::call("ADD", &pod, &config).run().ok();
        let mut away = config.clone();
        away["socket"] = json!("/nonexistent/vswitchd.sock");
        assert_eq!(Plugin::call("DEL", &pod, &away).run().error().0, 11);
        assert!(!pod.has_eth0());
        Plugin::call("DEL", &pod, &config).run().ok();
        node.assert_clean("after the second DEL");
    });
}

#[test]
fn del_never_touches_the_hosts_own_interfaces() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let own = "/proc/self/ns/net";
        let config = node.config("1.0.0");
        assert_eq!(
            Plugin::call("DEL", &pod, &config)
                .env("CNI_NETNS", own)
                .run()
                .error()
                .0,
            8
        );
    });
}

#[test]
fn check_passes_while_the_pod_is_as_add_left_it() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        for version in ["0.4.0", "1.0.0", "1.1.0"] {
            let config = node.config(version);
            let result = Plugin::call("ADD", &pod, &config).run().ok();
            let config = with_previous(&config, &result);
            // What a later plugin of the chain adds is no difference.
            pod.ip("route add 198.51.100.0/24 via 169.254.1.1");
            pod.ip("link set eth0 mtu 1300");
            let answer = Plugin::call("CHECK", &pod, &config).run();
            answer.ok();
            assert_eq!(answer.stdout, "", "CHECK prints nothing");
            Plugin::call("DEL", &pod, &config).run().ok();
        }
    });
}

#[test]
fn check_names_what_is_missing() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        for (damage, sentence) in [
            ("route delete default", "no route default via 169.254.1.1"),
            (
                "route delete 169.254.1.1 dev eth0",
                "no route 169.254.1.1 scope link",
            ),
            (
                "address delete 10.244.205.193/32 dev eth0",
                "expected 10.244.205.193/32",
            ),
            (
                "link set eth0 down",
                "interface eth0 in the container: down",
            ),
            (
                "link set eth0 address 02:00:00:00:00:99",
                "MAC 02:00:00:00:00:99, expected",
            ),
            (
                "link delete eth0",
                "interface eth0 in the container: missing",
            ),
        ] {
            *node.state.lock().unwrap() = Default::default();
            let result = Plugin::call("ADD", &pod, &config).run().ok();
            let checked = with_previous(&config, &result);
            assert_eq!(pod.ip(damage), "");
            let (code, message) = Plugin::call("CHECK", &pod, &checked).run().error();
            assert_eq!(code, 102, "{damage}: {message}");
            assert!(message.contains(sentence), "{damage}: {message}");
            Plugin::call("DEL", &pod, &config).run().ok();
        }
    });
}

#[test]
fn check_asks_the_daemon_too() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        let result = Plugin::call("ADD", &pod, &config).run().ok();
        let config = with_previous(&config, &result);
        node.refuse("check", 3);
        let (code, message) = Plugin::call("CHECK", &pod, &config).run().error();
        assert_eq!((code, message.as_str()), (3, "check refused on purpose"));
    });
}

#[test]
fn check_needs_a_previous_result() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        assert_eq!(Plugin::call("CHECK", &pod, &config).run().error().0, 7);
    });
}
