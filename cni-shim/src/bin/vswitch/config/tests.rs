//! The keys of the walk-through's conflist, and the values that are refused.

use super::*;

/// The `calico` entry of the walk-through's 10-calico.conflist, as libcni hands it over.
const WALK_THROUGH: &str = r#"{
    "cniVersion": "0.3.1", "name": "k8s-pod-network", "type": "vswitch", "log_level": "info",
    "log_file_path": "/var/log/calico/cni/cni.log", "datastore_type": "kubernetes",
    "nodename": "minikube-m02", "mtu": 0, "ipam": {"type": "calico-ipam"},
    "policy": {"type": "k8s"}, "kubernetes": {"kubeconfig": "/etc/cni/net.d/calico-kubeconfig"}
}"#;

fn with(extra: &str) -> Result<Config, Failure> {
    read(&format!(
        r#"{{"cniVersion":"1.1.0","name":"n","type":"vswitch",{extra}}}"#
    ))
}

#[test]
fn the_walk_throughs_configuration_is_accepted_without_a_remark() {
    let config = read(WALK_THROUGH).unwrap();
    assert_eq!(config.remarks(), Vec::<String>::new());
    assert_eq!(config.version(), Ok(Version::V0_3_1));
    assert_eq!(
        config.socket(),
        PathBuf::from("/run/vswitchd/vswitchd.sock")
    );
    assert_eq!(config.mtu, 0);
    assert_eq!(
        config.log_file(),
        Some(std::path::Path::new("/var/log/calico/cni/cni.log"))
    );
}

#[test]
fn every_key_of_calicos_plugin_is_accepted_without_a_remark() {
    let config = with(
        r#""num_queues":1,"nodename_file":"f","nodename_file_optional":true,"etcd_endpoints":"e",
           "log_file_max_size":100,"ipam_lock_file":"l","feature_control":{"floating_ips":true},
           "container_settings":{"allow_ip_forwarding":true},"include_default_routes":false,
           "dataplane_options":null,"device_type":"veth","readiness_gates":["g"],"qps":1,"burst":2,
           "policy_setup_timeout_seconds":0,"endpoint_status_dir":"d","calico_api_group":"",
           "windows_use_single_network":true,"vxlan_vni":4096,"mode":"","hostname":"h""#,
    )
    .unwrap();
    assert_eq!(config.remarks(), Vec::<String>::new());
    assert!(config.container_settings.allow_ip_forwarding);
}

#[test]
fn an_unknown_key_is_remarked_upon() {
    let remarks = with(r#""sokcet":"/x""#).unwrap().remarks();
    assert_eq!(remarks, ["unknown configuration key \"sokcet\" is ignored"]);
}

#[test]
fn broken_json_and_wrong_types_are_code_6() {
    assert_eq!(read("{").unwrap_err().code, 6);
    assert_eq!(read("[]").unwrap_err().code, 6);
    assert_eq!(with(r#""mtu":"big""#).unwrap_err().code, 6);
    assert_eq!(with(r#""mtu":-1"#).unwrap_err().code, 6);
}

#[test]
fn a_missing_or_malformed_name_is_code_7() {
    assert_eq!(read(r#"{"cniVersion":"1.1.0"}"#).unwrap_err().code, 7);
    assert_eq!(
        read(r#"{"cniVersion":"1.1.0","name":"a b"}"#)
            .unwrap_err()
            .code,
        7
    );
}

#[test]
fn values_we_cannot_serve_are_code_2_and_named() {
    for (extra, named) in [
        (r#""device_type":"netkit""#, "device_type = \"netkit\""),
        (
            r#""dataplane_options":{"type":"grpc"}"#,
            "dataplane_options.type = \"grpc\"",
        ),
        (
            r#""ipam":{"assign_ipv6":"true"}"#,
            "ipam.assign_ipv6 = \"true\"",
        ),
        (
            r#""ipam":{"assign_ipv4":false}"#,
            "ipam.assign_ipv4 = \"false\"",
        ),
        (
            r#""ipam":{"subnet":"usePodCidr"}"#,
            "ipam.subnet = \"usePodCidr\"",
        ),
    ] {
        let failure = with(extra).unwrap_err();
        assert_eq!(failure.code, 2);
        assert!(failure.message.ends_with(named), "{}", failure.message);
    }
}

#[test]
fn capabilities_are_read_in_the_runtimes_spelling() {
    let config = with(
        r#""runtimeConfig":{
            "bandwidth":{"ingressRate":1000000,"ingressBurst":8000,"egressRate":0},
            "portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"TCP","hostIP":""},
                            {"hostPort":0,"containerPort":81}],
            "ips":["fd00::1/64","10.244.205.200/32"],"mac":"02:00:00:00:00:01"}"#,
    )
    .unwrap();
    let bandwidth = config.bandwidth().unwrap();
    assert_eq!(
        (bandwidth.ingress_rate_bits, bandwidth.ingress_burst_bits),
        (1_000_000, 8000)
    );
    let ports = config.port_mappings();
    assert_eq!(ports.len(), 1);
    assert_eq!(
        (ports[0].host_port, ports[0].protocol.as_str()),
        (8080, "tcp")
    );
    assert_eq!(ports[0].host_ip, None);
    assert_eq!(
        config.requested_ip(),
        Some(Ipv4Addr::new(10, 244, 205, 200))
    );
    assert_eq!(
        config.requested_mac(),
        Ok(Some(MacAddr([2, 0, 0, 0, 0, 1])))
    );
}

#[test]
fn no_limit_in_either_direction_is_no_bandwidth() {
    let config = with(r#""runtimeConfig":{"bandwidth":{"ingressRate":0,"egressRate":0}}"#).unwrap();
    assert_eq!(config.bandwidth(), None);
}

#[test]
fn an_absent_list_of_attachments_is_not_an_empty_one() {
    assert_eq!(
        with(r#""mtu":0"#)
            .unwrap()
            .valid_attachments()
            .unwrap_err()
            .code,
        7
    );
    let empty = with(r#""cni.dev/valid-attachments":null"#).unwrap();
    assert_eq!(empty.valid_attachments(), Ok(vec![]));
    let one = with(r#""cni.dev/valid-attachments":[{"containerID":"c","ifname":"eth0"}]"#).unwrap();
    assert_eq!(one.valid_attachments().unwrap()[0].container_id, "c");
    let bad = with(r#""cni.dev/valid-attachments":[{}]"#).unwrap();
    assert_eq!(bad.valid_attachments().unwrap_err().code, 6);
}
