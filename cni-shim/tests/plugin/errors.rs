//! Errors: their codes, their shape, and that nothing is left behind.

use std::time::{Duration, Instant};

use netlink::testing::isolated;
use serde_json::{Value, json};

use crate::support::{Node, Plugin, Pod};

#[test]
fn without_a_command_the_plugin_says_what_it_is() {
    let answer = Plugin::bare("", "").without("CNI_COMMAND").run();
    assert!(answer.status.success());
    assert_eq!(answer.stdout, "");
    assert!(
        answer
            .stderr
            .contains("CNI versions: 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0")
    );
}

#[test]
fn version_gives_back_the_given_version_and_all_supported_ones() {
    let answer = Plugin::bare("VERSION", r#"{"cniVersion":"1.0.0"}"#)
        .run()
        .ok();
    let supported = json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]);
    assert_eq!(
        answer,
        json!({"cniVersion": "1.0.0", "supportedVersions": supported})
    );
    assert_eq!(Plugin::bare("VERSION", "{").run().error().0, 6);
}

#[test]
fn each_bad_input_has_the_specified_code() {
    let good = json!({"cniVersion": "1.1.0", "name": "n", "type": "vswitch"});
    let with = |key: &str, value: Value| {
        let mut config = good.clone();
        config[key] = value;
        config.to_string()
    };
    let del = |input: &str| {
        Plugin::bare("DEL", input)
            .env("CNI_CONTAINERID", "c1")
            .env("CNI_IFNAME", "eth0")
    };
    assert_eq!(del(&with("cniVersion", json!("0.2.0"))).run().error().0, 1);
    assert_eq!(del(r#"{"name":"n"}"#).run().error().0, 1);
    assert_eq!(
        del(&with("device_type", json!("netkit"))).run().error().0,
        2
    );
    assert_eq!(
        del(&good.to_string()).without("CNI_IFNAME").run().error().0,
        4
    );
    assert_eq!(
        del(&good.to_string())
            .env("CNI_CONTAINERID", "/")
            .run()
            .error()
            .0,
        4
    );
    assert_eq!(del("no json").run().error().0, 6);
    assert_eq!(del("").run().error().0, 6);
    assert_eq!(del(&with("name", json!(""))).run().error().0, 7);
    assert_eq!(Plugin::bare("DANCE", &good).run().error().0, 4);
}

#[test]
fn verbs_younger_than_the_configurations_version_are_code_1() {
    let config = |version: &str| json!({"cniVersion": version, "name": "n"});
    let check = |version| {
        Plugin::bare("CHECK", config(version))
            .env("CNI_CONTAINERID", "c1")
            .env("CNI_NETNS", "/proc/self/ns/net")
            .env("CNI_IFNAME", "eth0")
            .run()
            .error()
    };
    assert_eq!(check("0.3.1").0, 1);
    assert_eq!(check("0.4.0").0, 7); // it exists, and wants prevResult
    for verb in ["GC", "STATUS"] {
        let (code, message) = Plugin::bare(verb, config("1.0.0"))
            .env("CNI_PATH", "/usr/lib/cni")
            .run()
            .error();
        assert_eq!(code, 1);
        assert_eq!(
            message,
            format!("{verb} exists since CNI 1.1.0, the configuration's cniVersion is 1.0.0")
        );
    }
}

#[test]
fn the_error_repeats_the_configurations_version() {
    let answer = Plugin::bare("DEL", r#"{"cniVersion":"0.4.0","name":"n"}"#).run();
    assert_eq!(answer.error().0, 4);
    assert!(
        answer
            .stdout
            .starts_with(r#"{"cniVersion":"0.4.0","code":4,"msg":""#)
    );
}

#[test]
fn add_without_a_daemon_is_code_11_at_once() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = node.config("1.1.0");
        config["socket"] = json!("/nonexistent/vswitchd.sock");
        let start = Instant::now();
        let (code, message) = Plugin::call("ADD", &pod, &config).run().error();
        assert!(start.elapsed() < Duration::from_secs(2));
        assert_eq!(code, 11);
        assert!(message.contains("/nonexistent/vswitchd.sock"), "{message}");
        assert!(message.contains("is the daemon running?"), "{message}");
        assert!(!pod.has_eth0());
    });
}

#[test]
fn an_unusable_or_own_namespace_is_code_8() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        for path in ["/nonexistent", "/proc/self/status", "/proc/self/ns/net"] {
            let answer = Plugin::call("ADD", &pod, &config)
                .env("CNI_NETNS", path)
                .run();
            assert_eq!(answer.error().0, 8, "{path}");
        }
        node.assert_clean("after refused ADDs");
    });
}

#[test]
fn a_refusing_daemon_is_quoted_and_everything_undone() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.1.0");
        for (op, code) in [("allocate", 100), ("attach", 999)] {
            node.refuse(op, code);
            let (found, message) = Plugin::call("ADD", &pod, &config).run().error();
            assert_eq!(
                (found, message),
                (u64::from(code), format!("{op} refused on purpose"))
            );
            node.assert_clean(op);
            assert!(!pod.has_eth0());
        }
    });
}

#[test]
fn a_failure_while_wiring_is_undone() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = node.config("1.1.0");
        config["mtu"] = json!(10); // below what the kernel takes
        let (code, message) = Plugin::call("ADD", &pod, &config).run().error();
        assert_eq!(code, 101);
        assert!(
            message.starts_with("create link eth0 with peer calic440f455693"),
            "{message}"
        );
        node.assert_clean("after the failed ADD");
    });
}

#[test]
fn remarks_and_errors_are_in_the_log_file_and_not_on_standard_output() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = node.config("1.1.0");
        let path = node.folder().join("log/cni.log");
        config["log_file_path"] = json!(path);
        config["sokcet"] = json!("typo");
        let answer = Plugin::call("ADD", &pod, &config).run();
        answer.ok();
        let log = std::fs::read_to_string(path).unwrap();
        assert!(
            log.contains("unknown configuration key \"sokcet\" is ignored"),
            "{log}"
        );
        assert!(answer.stderr.contains("sokcet"));
        assert!(!answer.stdout.contains("sokcet"));
    });
}
