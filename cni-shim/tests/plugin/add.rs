//! ADD: the pod looks as in the walk-through, the host end as the daemon needs it.

use cni_shim::{Bandwidth, PortMapping, Request};
use netlink::{Handle, sysctl, testing::isolated};
use serde_json::json;

use crate::support::{Node, Plugin, Pod, with_previous};

const HOST: &str = "calic440f455693";

#[test]
fn the_pod_sees_the_addresses_and_routes_of_the_walk_through() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        Plugin::call("ADD", &pod, &node.config("0.3.1")).run().ok();

        let addresses = pod.ip("-4 address show dev eth0");
        assert!(
            addresses.contains("inet 10.244.205.193/32 brd 10.244.205.193 scope global eth0"),
            "{addresses}"
        );
        assert_eq!(addresses.matches("inet ").count(), 1);
        let link = pod.ip("link show dev eth0");
        assert!(
            link.contains("eth0@if") && link.contains(" mtu 1480 "),
            "{link}"
        );
        assert!(link.contains("UP,LOWER_UP"), "{link}");
        let routes: Vec<String> = pod
            .ip("route")
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        assert_eq!(
            routes,
            [
                "default via 169.254.1.1 dev eth0",
                "169.254.1.1 dev eth0 scope link"
            ]
        );
        let forward = || sysctl::read("net.ipv4.ip_forward").unwrap();
        assert_eq!(pod.netns.run(forward).unwrap(), "0");
    });
}

#[test]
fn the_host_end_is_quiet_and_keeps_its_own_mac() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        sysctl::write("net.ipv4.conf.all.rp_filter", "0").unwrap();
        Plugin::call("ADD", &pod, &node.config("1.1.0")).run().ok();

        let handle = Handle::open().unwrap();
        let link = handle
            .link(HOST)
            .unwrap()
            .expect("the host end has Calico's name");
        assert!(link.up);
        assert_eq!(link.mtu, 1480);
        assert_ne!(link.mac.unwrap().0, [0xee; 6]);
        assert!(
            handle.routes().unwrap().is_empty(),
            "the daemon's FIB is the route"
        );
        let conf = |key: &str| sysctl::read(&format!("net/ipv4/conf/{HOST}/{key}")).unwrap();
        assert_eq!(
            (conf("arp_ignore"), conf("rp_filter")),
            ("8".into(), "1".into())
        );
        assert_eq!(conf("proxy_arp"), "0");
        if let Ok(value) = sysctl::read(&format!("net/ipv6/conf/{HOST}/disable_ipv6")) {
            assert_eq!(value, "1");
        }
    });
}

#[test]
fn each_version_gets_the_result_in_its_own_shape() {
    isolated(|| {
        let node = Node::new();
        for (version, family, mtu) in [
            ("0.3.0", true, false),
            ("0.3.1", true, false),
            ("0.4.0", true, false),
            ("1.0.0", false, false),
            ("1.1.0", false, true),
        ] {
            let pod = Pod::nginx();
            let config = node.config(version);
            let result = Plugin::call("ADD", &pod, &config).run().ok();
            assert_eq!(result["cniVersion"], version);
            assert_eq!(result["interfaces"][0], json!({"name": HOST}));
            let container = &result["interfaces"][1];
            assert_eq!(container["name"], "eth0");
            assert_eq!(container["sandbox"], pod.path());
            let mac = Handle::open_in(&pod.netns)
                .unwrap()
                .link("eth0")
                .unwrap()
                .unwrap()
                .mac;
            assert_eq!(container["mac"], mac.unwrap().to_string());
            assert_eq!(container.get("mtu").is_some(), mtu, "{version}");
            let ip = &result["ips"][0];
            assert_eq!(ip["interface"], 1);
            assert_eq!(ip.get("version").is_some(), family, "{version}");
            assert_eq!(ip.get("gateway"), None);
            Plugin::call("DEL", &pod, &config).run().ok();
        }
        node.assert_clean("after the last DEL");
    });
}

#[test]
fn the_daemon_is_told_everything_about_the_pod() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = node.config("1.0.0");
        config["runtimeConfig"] = json!({
            "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 80_000,
                          "egressRate": 4_000_000, "egressBurst": 40_000},
            "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
            "mac": "02:00:00:00:00:07",
        });
        config["mtu"] = json!(1400);
        Plugin::call("ADD", &pod, &config).run().ok();

        let requests = node.state.lock().unwrap().requests.clone();
        let [Request::Allocate { pod_uid, netns, .. }, attach] = requests.as_slice() else {
            panic!("expected allocate and attach, found {requests:?}");
        };
        assert_eq!((pod_uid.as_deref(), netns), (Some("4e2c"), &pod.path()));
        let link = Handle::open().unwrap().link(HOST).unwrap().unwrap();
        let expected = Request::Attach {
            container_id: pod.id.into(),
            ifname: "eth0".into(),
            netns: pod.path(),
            namespace: Some("default".into()),
            pod: Some("nginx".into()),
            host_interface: HOST.into(),
            host_index: link.index,
            pod_mac: "02:00:00:00:00:07".into(),
            address: "10.244.205.193/32".parse().unwrap(),
            mtu: 1400,
            bandwidth: Some(Bandwidth {
                ingress_rate_bits: 8_000_000,
                ingress_burst_bits: 80_000,
                egress_rate_bits: 4_000_000,
                egress_burst_bits: 40_000,
            }),
            port_mappings: vec![PortMapping {
                host_port: 8080,
                container_port: 80,
                protocol: "tcp".into(),
                host_ip: None,
            }],
        };
        assert_eq!(*attach, expected);
        assert_eq!(link.mtu, 1400);
    });
}

#[test]
fn a_container_outside_kubernetes_is_named_by_its_id() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        let result = Plugin::call("ADD", &pod, &config)
            .without("CNI_ARGS")
            .run()
            .ok();
        assert_eq!(result["interfaces"][0]["name"], "calic0ffee01234");
        Plugin::call("DEL", &pod, &config)
            .without("CNI_ARGS")
            .run()
            .ok();
        node.assert_clean("after DEL");
    });
}

#[test]
fn forwarding_in_the_pod_is_on_only_where_the_configuration_says_so() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let mut config = node.config("1.0.0");
        config["container_settings"] = json!({"allow_ip_forwarding": true});
        Plugin::call("ADD", &pod, &config).run().ok();
        let forward = || sysctl::read("net.ipv4.ip_forward").unwrap();
        assert_eq!(pod.netns.run(forward).unwrap(), "1");
    });
}

#[test]
fn a_stale_host_interface_of_that_name_is_replaced() {
    isolated(|| {
        let (node, old) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        Plugin::call("ADD", &old, &config).run().ok();
        // The same pod in a new sandbox, before the old one's DEL.
        let new = Pod {
            id: "beef",
            ..Pod::nginx()
        };
        let result = Plugin::call("ADD", &new, &config).run().ok();
        assert_eq!(result["ips"][0]["address"], "10.244.205.194/32");
        assert!(new.has_eth0());
        assert!(!old.has_eth0());
    });
}

#[test]
fn an_interface_that_exists_already_is_an_error_and_stays_as_it_is() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let config = node.config("1.0.0");
        assert_eq!(pod.ip("link add eth0 type veth peer name foreign"), "");
        assert_eq!(pod.ip("address add 10.88.0.2/16 dev eth0"), "");
        let (code, message) = Plugin::call("ADD", &pod, &config).run().error();
        assert_eq!(code, 101);
        assert!(
            message.starts_with("interface eth0 exists already in "),
            "{message}"
        );
        Plugin::call("DEL", &pod, &config).run().ok();
        assert!(pod.ip("-4 address show dev eth0").contains("10.88.0.2/16"));
        pod.ip("link delete eth0");

        Plugin::call("ADD", &pod, &config).run().ok();
        let before = pod.ip("address show dev eth0");
        assert_eq!(Plugin::call("ADD", &pod, &config).run().error().0, 101);
        assert_eq!(
            pod.ip("address show dev eth0"),
            before,
            "a live pod was touched"
        );
        assert_eq!(node.state.lock().unwrap().leases.len(), 1);
    });
}

#[test]
fn a_previous_result_is_passed_on() {
    isolated(|| {
        let (node, pod) = (Node::new(), Pod::nginx());
        let previous = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "net1", "sandbox": pod.path()}],
            "ips": [{"address": "192.0.2.1/24", "interface": 0}],
        });
        let config = with_previous(&node.config("1.0.0"), &previous);
        let result = Plugin::call("ADD", &pod, &config).run().ok();
        assert_eq!(result["interfaces"][0], previous["interfaces"][0]);
        assert_eq!(result["ips"][0], previous["ips"][0]);
        assert_eq!(
            result["ips"][1],
            json!({"address": "10.244.205.193/32", "interface": 2})
        );
    });
}
