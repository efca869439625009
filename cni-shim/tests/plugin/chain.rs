//! With Debian's plugins: `host-local` as delegated IPAM, `tuning` behind us in a chain.

use std::path::{Path, PathBuf};

use netlink::testing::isolated;
use serde_json::{Value, json};

use crate::support::{Node, Plugin, Pod, with_previous};

/// The plugin's path; without it the test fails, because a chain that was not tried does not work.
fn debian(name: &str) -> PathBuf {
    let path = Path::new("/usr/lib/cni").join(name);
    assert!(
        path.exists(),
        "this test needs {} (package containernetworking-plugins)",
        path.display()
    );
    path
}

/// `host-local` handing out 10.99.0.0/24, its state in the node's folder.
fn with_host_local(node: &Node, version: &str) -> Value {
    debian("host-local");
    let mut config = node.config(version);
    config["ipam"] = json!({
        "type": "host-local",
        "dataDir": node.folder().join("host-local"),
        "ranges": [[{"subnet": "10.99.0.0/24", "rangeStart": "10.99.0.10"}]],
    });
    config
}

fn leases(node: &Node) -> Vec<String> {
    let folder = node.folder().join("host-local/k8s-pod-network");
    let names = std::fs::read_dir(folder).map(|entries| {
        entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect()
    });
    let names: Vec<String> = names.unwrap_or_default();
    names
        .into_iter()
        .filter(|name| name.starts_with("10.99."))
        .collect()
}

#[test]
fn a_delegated_ipam_plugin_gives_and_takes_back_the_address() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        // 1.1.0 is younger than Debian's host-local: the versions are negotiated.
        for version in ["0.3.1", "1.0.0", "1.1.0"] {
            let config = with_host_local(&node, version);
            let result = Plugin::call("ADD", &pod, &config).run().ok();
            assert_eq!(result["cniVersion"], version);
            let address = result["ips"][0]["address"].as_str().unwrap();
            assert!(
                address.starts_with("10.99.0.") && address.ends_with("/32"),
                "{address}"
            );
            assert_eq!(leases(&node).len(), 1);
            if version != "0.3.1" {
                let checked = with_previous(&config, &result);
                Plugin::call("CHECK", &pod, &checked).run().ok();
            }
            Plugin::call("DEL", &pod, &config).run().ok();
            assert_eq!(leases(&node), Vec::<String>::new());
            node.assert_clean(version);
        }
    });
}

#[test]
fn a_delegated_address_is_given_back_when_the_daemon_refuses() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = with_host_local(&node, "1.0.0");
        node.refuse("attach", 999);
        assert_eq!(Plugin::call("ADD", &pod, &config).run().error().0, 999);
        assert_eq!(leases(&node), Vec::<String>::new());
        node.assert_clean("after the refused ADD");
    });
}

#[test]
fn an_ipam_plugins_own_error_reaches_the_runtime() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = with_host_local(&node, "1.0.0");
        config["ipam"]["ranges"] = json!([[{"subnet": "10.99.0.0/33"}]]);
        let (_, message) = Plugin::call("ADD", &pod, &config).run().error();
        assert!(
            message.contains("IPAM plugin /usr/lib/cni/host-local, ADD: "),
            "{message}"
        );
        config["ipam"]["type"] = json!("no-such-ipam");
        let (code, message) = Plugin::call("ADD", &pod, &config).run().error();
        assert_eq!(code, 7);
        assert!(
            message.contains("\"no-such-ipam\" is not in CNI_PATH"),
            "{message}"
        );
        node.assert_clean("after refused ADDs");
    });
}

#[test]
fn tuning_works_behind_us_and_check_still_passes() {
    isolated(|| {
        let tuning = debian("tuning").display().to_string();
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        let result = Plugin::call("ADD", &pod, &config).run().ok();
        let chained = json!({
            "cniVersion": "1.0.0",
            "name": "k8s-pod-network",
            "type": "tuning",
            "dataDir": node.folder().join("tuning"),
            "sysctl": {"net.ipv4.conf.eth0.arp_notify": "1"},
            "mac": "02:00:00:00:00:42",
            "prevResult": result,
        });
        let tuned = Plugin::program(&tuning, "ADD", &chained)
            .about(&pod)
            .run()
            .ok();
        assert_eq!(tuned["interfaces"][1]["mac"], "02:00:00:00:00:42");
        assert_eq!(tuned["ips"], result["ips"]);

        let final_result = with_previous(&config, &tuned);
        Plugin::call("CHECK", &pod, &final_result).run().ok();
        let chained = with_previous(&chained, &tuned);
        Plugin::program(&tuning, "DEL", &chained)
            .about(&pod)
            .run()
            .ok();
        Plugin::call("DEL", &pod, &final_result).run().ok();
        node.assert_clean("after both DELs");
    });
}
