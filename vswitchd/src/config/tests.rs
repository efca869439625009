//! What a file may say, and what is said about one that is wrong.

use super::*;

const GOOD: &str = r#"
node = "minikube-m02"
address = "172.16.30.7/24"
uplink = "eth0"
workers = 2
policy_dir = "/etc/vswitchd/policy"

[log]
format = "json"
level = "info,vswitchd=debug"

[[pool]]
name = "default-ipv4-ippool"
cidr = "10.244.0.0/16"

[[peer]]
name = "minikube"
address = "172.16.30.6/24"
blocks = ["10.244.120.64/26"]

[[peer]]
name = "minikube-m03"
address = "172.16.30.8/24"

[timeouts]
udp_replied_seconds = 90
"#;

fn errors(text: &str) -> Vec<String> {
    let ConfigErrors(errors) = parse(Path::new("node.toml"), text).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

/// `GOOD` with one line replaced.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old} is not in the example");
    GOOD.replacen(old, new, 1)
}

#[test]
fn a_full_file_is_read_with_calicos_defaults() {
    let config = parse(Path::new("node.toml"), GOOD).unwrap();
    assert_eq!(config.node, "minikube-m02");
    assert_eq!(config.pools[0].block_size, 26);
    assert_eq!(config.blocks_per_node, 1);
    assert_eq!(config.pools[0].ipip, IpipMode::Always);
    assert!(config.pools[0].nat_outgoing);
    assert_eq!(config.mtu_bytes, None);
    assert_eq!(config.socket, Path::new("/run/vswitchd/vswitchd.sock"));
    assert_eq!(config.peers[0].blocks[0].to_string(), "10.244.120.64/26");
    assert!(config.peers[1].blocks.is_empty());
    assert_eq!(config.timeouts.udp_replied, Duration::from_secs(90));
    assert_eq!(config.timeouts.icmp, Timeouts::default().icmp);
}

#[test]
fn an_unknown_key_is_named_with_its_place() {
    let errors = errors(&with("uplink =", "upling ="));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(
        errors[0].starts_with("node.toml:4:1: upling: expected one of the keys address, blocks,"),
        "{errors:?}"
    );
    assert!(errors[0].ends_with("found an unknown key"), "{errors:?}");
}

#[test]
fn every_mistake_of_a_file_is_reported_at_once() {
    let text = with("workers = 2", "workers = 0")
        .replace("\"json\"", "\"xml\"")
        .replace("172.16.30.8/24", "172.16.30.8");
    let errors = errors(&text);
    assert_eq!(
        errors,
        [
            "node.toml:5:11: workers: expected a number of threads from 1 to 64, found the number 0",
            "node.toml:9:10: log.format: expected \"text\" or \"json\", found \"xml\"",
            "node.toml:23:11: peer[1].address: expected an IPv4 address with its prefix, such as \
             \"172.16.30.7/24\", found \"172.16.30.8\"",
        ]
    );
}

#[test]
fn the_time_to_spin_is_bounded_and_may_be_none() {
    let spin = |text: &str| parse(Path::new("n"), text).map(|config| config.spin.as_micros());
    assert_eq!(spin(GOOD).unwrap(), 50);
    let of = |value: &str| with("workers = 2", &format!("spin_us = {value}"));
    assert_eq!(spin(&of("0")).unwrap(), 0);
    assert_eq!(spin(&of("1000")).unwrap(), 1000);
    for wrong in ["1001", "-1", "\"50us\""] {
        let error = errors(&of(wrong)).remove(0);
        let what =
            "node.toml:5:11: spin_us: expected a number of microseconds from 0 to 1000, found";
        assert!(error.starts_with(what), "{error}");
    }
}

#[test]
fn the_number_of_tracked_connections_is_bounded_both_ways() {
    let of = |value: &str| format!("{GOOD}\n[conntrack]\nmax_flows = {value}\n");
    let flows = |text: &str| parse(Path::new("n"), text).map(|config| config.max_flows);
    assert_eq!(flows(GOOD).unwrap(), 131_072);
    assert_eq!(flows(&of("1024")).unwrap(), 1024);
    assert_eq!(flows(&of("16_777_216")).unwrap(), 16_777_216);
    for wrong in ["1023", "16777217", "-1", "\"many\""] {
        let errors = errors(&of(wrong));
        let expected =
            "conntrack.max_flows: expected a number of connections from 1024 to 16777216";
        assert!(errors[0].contains(expected), "{errors:?}");
    }
}

#[test]
fn the_kernel_helps_to_encapsulate_unless_it_is_told_not_to() {
    let of = |line: &str| {
        let text = with("workers = 2", line);
        parse(Path::new("n"), &text).map(|config| config.kernel_encapsulation)
    };
    assert_eq!(of("workers = 2").unwrap(), KernelEncapsulation::Auto);
    assert_eq!(
        of("kernel_encapsulation = \"auto\"").unwrap(),
        KernelEncapsulation::Auto
    );
    assert_eq!(
        of("kernel_encapsulation = \"off\"").unwrap(),
        KernelEncapsulation::Off
    );
    let errors = errors(&with("workers = 2", "kernel_encapsulation = true"));
    let expected = "node.toml:5:24: kernel_encapsulation: expected \"auto\" or \"off\", found";
    assert!(errors[0].starts_with(expected), "{errors:?}");
}

#[test]
fn the_kernel_relays_settled_flows_unless_it_is_told_not_to() {
    let of = |line: &str| {
        let text = with("workers = 2", line);
        parse(Path::new("n"), &text).map(|config| config.kernel_relay)
    };
    assert_eq!(of("workers = 2").unwrap(), KernelRelay::Auto);
    assert_eq!(of("kernel_relay = \"auto\"").unwrap(), KernelRelay::Auto);
    assert_eq!(of("kernel_relay = \"off\"").unwrap(), KernelRelay::Off);
    let errors = errors(&with("workers = 2", "kernel_relay = \"on\""));
    let expected = "node.toml:5:16: kernel_relay: expected \"auto\" or \"off\", found";
    assert!(errors[0].starts_with(expected), "{errors:?}");
}

#[test]
fn a_denial_is_silent_and_cuts_unless_the_file_says_otherwise() {
    use policy::{
        Settings,
        model::{Established, Reply},
    };
    let of = |keys: &str| {
        let text = format!("{GOOD}\n[policy]\n{keys}\n");
        parse(Path::new("node.toml"), &text).map(|config| config.policy)
    };
    let default = parse(Path::new("n"), GOOD).unwrap().policy;
    let silent = Settings {
        reply: Reply::Drop,
        established: Established::Recheck,
    };
    assert_eq!(default, silent);
    assert_eq!(
        of("deny = \"drop\"\nestablished = \"recheck\"").unwrap(),
        silent
    );
    assert_eq!(of("deny = \"reject\"").unwrap().reply, Reply::Reject);
    let keep = of("established = \"keep\"").unwrap();
    assert_eq!(
        (keep.established, keep.reply),
        (Established::Keep, Reply::Drop)
    );
    let wrong = of("deny = \"refuse\"\nestablished = true\nestablish = 1").unwrap_err();
    let lines: Vec<String> = wrong.0.iter().map(ToString::to_string).collect();
    let line = GOOD.lines().count() + 3;
    assert_eq!(
        lines,
        [
            format!(
                "node.toml:{line}:8: policy.deny: expected \"drop\" or \"reject\", found \"refuse\""
            ),
            format!(
                "node.toml:{}:15: policy.established: expected \"recheck\" or \"keep\", found true",
                line + 1
            ),
            format!(
                "node.toml:{}:1: policy.establish: expected one of the keys deny, established, found an unknown key",
                line + 2
            ),
        ]
    );
}

#[test]
fn a_missing_node_name_is_an_error() {
    let errors = errors(&with("node = \"minikube-m02\"", ""));
    assert!(errors[0].starts_with("node.toml:1:1: node: expected a node name"));
    assert!(errors[0].ends_with("found no such key"));
}

#[test]
fn broken_syntax_is_reported_with_line_and_column() {
    let errors = errors(&with("workers = 2", "workers = = 2"));
    assert_eq!(errors.len(), 1);
    assert!(errors[0].starts_with("node.toml:5:"), "{errors:?}");
    assert!(errors[0].contains("expected valid TOML"), "{errors:?}");
}

#[test]
fn a_node_is_not_its_own_peer() {
    let errors = errors(&with("name = \"minikube\"", "name = \"minikube-m02\""));
    assert!(errors[0].contains("peer[0].name: expected another node's name"));
}

#[test]
fn two_nodes_do_not_share_an_address() {
    assert!(
        errors(&with("172.16.30.8/24", "172.16.30.6/24"))[0].contains("other than \"minikube\"'s")
    );
    assert!(errors(&with("172.16.30.8/24", "172.16.30.7/24"))[0].contains("this node's own"));
}

#[test]
fn a_block_lies_inside_a_pool_and_has_its_size() {
    let outside = errors(&with("10.244.120.64/26", "10.245.120.64/26"));
    assert!(
        outside[0].contains("expected a block inside a pool (10.244.0.0/16)"),
        "{outside:?}"
    );
    let large = errors(&with("10.244.120.64/26", "10.244.120.0/25"));
    assert!(large[0].contains("expected a /26"), "{large:?}");
}

#[test]
fn two_peers_do_not_share_a_block() {
    let text = format!(
        "{GOOD}\n[[peer]]\nname = \"x\"\naddress = \"172.16.30.9/24\"\nblocks = [\"10.244.120.64/26\"]"
    );
    let errors = errors(&text);
    assert!(
        errors[0].contains(
            "peer[2].blocks[0]: expected a block apart from 10.244.120.64/26 of minikube"
        )
    );
}

#[test]
fn pools_do_not_overlap_and_have_no_host_bits() {
    let twice = format!("{GOOD}\n[[pool]]\nname = \"b\"\ncidr = \"10.244.128.0/17\"\n");
    assert!(errors(&twice)[0].contains("pool[1].cidr: expected a range apart from pool"));
    let bits = errors(&with("10.244.0.0/16", "10.244.1.0/16"));
    assert!(bits[0].contains("pool[0].cidr: expected an IPv4 range without host bits"));
}

#[test]
fn wrong_types_are_named() {
    let errors = errors(&with("uplink = \"eth0\"", "uplink = 3"));
    assert!(errors[0].ends_with("found the number 3"), "{errors:?}");
    let table = parse(Path::new("n"), &with("[[pool]]", "[pool]")).unwrap_err();
    assert!(
        table.to_string().contains("tables written as [[pool]]"),
        "{table}"
    );
}

#[test]
fn a_missing_file_is_one_sentence() {
    let error = load(Path::new("/nonexistent/node.toml")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nonexistent/node.toml: file: expected a readable TOML file"),
        "{error}"
    );
}

#[test]
fn metrics_are_off_unless_an_address_and_port_are_given() {
    let read = |text: &str| parse(Path::new("node.toml"), text).unwrap().metrics_listen;
    assert_eq!(read(GOOD), None);
    let on = with("[log]", "[metrics]\nlisten = \"[::1]:10244\"\n[log]");
    assert_eq!(read(&on), Some("[::1]:10244".parse().unwrap()));
    for wrong in ["127.0.0.1", ":10244", "localhost:10244", "127.0.0.1:0"] {
        let text = with("[log]", &format!("[metrics]\nlisten = \"{wrong}\"\n[log]"));
        let errors = errors(&text);
        assert!(errors[0].contains("metrics.listen"), "{errors:?}");
        assert!(errors[0].contains("127.0.0.1:10244"), "{errors:?}");
    }
}

#[test]
fn flows_are_logged_where_the_section_is_and_is_not_switched_off() {
    let read = |text: &str| parse(Path::new("node.toml"), text).unwrap().flow_log;
    let section = |keys: &str| with("[log]", &format!("[flow_log]\n{keys}\n[log]"));
    assert_eq!(read(GOOD), None);
    assert_eq!(read(&section("")), Some(FlowLog::default()));
    assert_eq!(read(&section("enabled = false\nsample = 9")), None);
    let written = read(&section(
        "file = \"/var/log/flows.jsonl\"\nmax_mib = 2\nfiles = 3\nsample = 10\naggregate_seconds = 60",
    ));
    let expected = FlowLog {
        file: Some("/var/log/flows.jsonl".into()),
        max_bytes: 2 << 20,
        files: 3,
        sample: 10,
        aggregate: Duration::from_secs(60),
    };
    assert_eq!(written, Some(expected));
    for (wrong, expected) in [
        ("file = \"flows\"", "an absolute path"),
        ("max_mib = 0", "from 1 to 65536"),
        ("sample = 0", "1 (every flow)"),
        ("files = 101", "from 1 to 100"),
        ("aggregate_seconds = 0", "from 1 to 3600"),
        ("keep = 1", "keep"),
    ] {
        let errors = errors(&section(wrong));
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].contains(expected), "{errors:?}");
    }
}
