//! Between pods, nodes and the world outside: the ways through `tunl0` and the host's NAT.

#![forbid(unsafe_code)]

mod netns_common;

use std::{path::Path, time::Duration};

use lab::{Kill, Lab};
use netns_common::{
    M01, M01_ADDRESS, M01_TUNNEL, M02, M02_ADDRESS, M02_TUNNEL, M03, M03_ADDRESS, M03_TUNNEL,
    MANUAL, NGINX, OUTSIDE, PYTHON, Running, capture::Capture, listens, minikube, ok, pings, run,
    shell, soon, within,
};

/// A server that answers each connection with the address it came from.
const WHO_ARE_YOU: &str = r#"
import socket
server = socket.create_server(("", 8000))
while True:
    connection, (address, port) = server.accept()
    connection.sendall(address.encode())
    connection.close()
"#;

fn server(lab: &Lab, target: &str) -> Running {
    let server = Running::python(lab, target, WHO_ARE_YOU);
    listens(lab, target, 8000);
    server
}

/// The address under which `to` sees a connection from `from`; none if there is none within half a second.
fn seen_as(lab: &Lab, from: &str, to: &str) -> Option<String> {
    let script = format!(
        "import socket; c = socket.create_connection(('{to}', 8000), 0.5); print(c.recv(99).decode())"
    );
    let output = lab.exec(from, &[PYTHON, "-c", &script]).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    output.status.success().then(|| said.trim().into())
}

#[test]
fn a_host_reaches_pods_everywhere_under_its_tunnel_address() {
    let lab = Lab::up(minikube("host-to-pod")).unwrap();
    let _servers = ["nginx", "nginx-manual"].map(|pod| server(&lab, pod));
    for (node, tunnel) in [(M01, M01_TUNNEL), (M02, M02_TUNNEL), (M03, M03_TUNNEL)] {
        for pod in [NGINX, MANUAL] {
            ok(&lab, node, &format!("ping -n -c 1 -W 2 {pod}"));
            assert_eq!(
                seen_as(&lab, node, pod).as_deref(),
                Some(tunnel),
                "{node} to {pod}"
            );
        }
    }
}

#[test]
fn a_pod_reaches_its_own_host_as_itself_and_other_hosts_as_its_node() {
    let lab = Lab::up(minikube("host-from-pod")).unwrap();
    let _servers = [M01, M02, M03].map(|node| server(&lab, node));
    for own in [M02_ADDRESS, M02_TUNNEL] {
        ok(&lab, "nginx", &format!("ping -n -c 1 -W 2 {own}"));
        assert_eq!(seen_as(&lab, "nginx", own).as_deref(), Some(NGINX), "{own}");
    }
    // Other nodes' addresses lie outside the pools, their tunnel addresses inside.
    for (other, seen) in [
        (M01_ADDRESS, M02_ADDRESS),
        (M03_ADDRESS, M02_ADDRESS),
        (M01_TUNNEL, NGINX),
        (M03_TUNNEL, NGINX),
    ] {
        ok(&lab, "nginx", &format!("ping -n -c 1 -W 2 {other}"));
        assert_eq!(
            seen_as(&lab, "nginx", other).as_deref(),
            Some(seen),
            "{other}"
        );
    }
}

#[test]
fn a_probe_of_the_own_node_passes_where_others_are_denied() {
    let lab = Lab::up(minikube("host-probe")).unwrap();
    let _server = server(&lab, "nginx");
    let route = format!("ip route add {NGINX}/32 via {M02_ADDRESS}");
    ok(&lab, "gateway", &route);
    for (other, seen) in [
        (M01, M01_TUNNEL),
        (M03, M03_TUNNEL),
        ("nginx-manual", MANUAL),
        (OUTSIDE, OUTSIDE),
    ] {
        assert_eq!(
            seen_as(&lab, other, NGINX).as_deref(),
            Some(seen),
            "{other}, undenied"
        );
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    lab.apply(root.join("configs/policy/default-deny-ingress.yaml"))
        .unwrap();
    soon("the policy is in force", || {
        seen_as(&lab, "nginx-manual", NGINX).is_none()
    });
    for _ in 0..3 {
        assert_eq!(seen_as(&lab, M02, NGINX).as_deref(), Some(M02_TUNNEL));
    }
    for other in [M01, M03, "nginx-manual"] {
        assert_eq!(seen_as(&lab, other, NGINX), None, "{other}");
    }
    // What the node forwards for others is not its own.
    assert_eq!(
        seen_as(&lab, OUTSIDE, NGINX),
        None,
        "routed in from outside"
    );
    assert!(
        pings(&lab, "nginx", OUTSIDE),
        "answers to the pod's own questions are no ingress"
    );
}

#[test]
fn outside_hosts_see_the_nodes_address() {
    let lab = Lab::up(minikube("host-nat")).unwrap();
    let _server = server(&lab, OUTSIDE);
    let at_gateway = Capture::start(&lab, "gateway", "eth0", "net 10.244.0.0/16");
    for (pod, node) in [("nginx", M02_ADDRESS), ("nginx-manual", M03_ADDRESS)] {
        assert_eq!(seen_as(&lab, pod, OUTSIDE).as_deref(), Some(node));
        let trace = ok(&lab, pod, &format!("ping -n -c 1 -W 2 {OUTSIDE}"));
        assert!(
            trace.contains("ttl=62"),
            "node and gateway take a hop each: {trace}"
        );
    }
    assert_eq!(
        at_gateway.frames(),
        [""; 0],
        "pod addresses on the underlay"
    );
}

/// Whether the node's kernel has the daemon's table, with a rule in it.
fn masquerades(lab: &Lab, node: &str) -> bool {
    let listed = run(lab, node, "nft list table ip vswitchd");
    listed.status.success() && String::from_utf8_lossy(&listed.stdout).contains("masquerade")
}

#[test]
fn nat_is_put_back_when_flushed_and_taken_away_with_the_daemon() {
    let lab = Lab::up(minikube("host-nat-life")).unwrap();
    assert!(masquerades(&lab, M02));
    for harm in [
        "nft flush ruleset",
        "nft flush table ip vswitchd",
        "nft delete table ip vswitchd",
    ] {
        ok(&lab, M02, harm);
        within(Duration::from_secs(3), harm, || masquerades(&lab, M02));
        assert!(pings(&lab, "nginx", OUTSIDE), "after {harm}");
    }
    shell(&lab, M02, "nft add table ip somebody-elses");
    lab.stop(M02, Kill::Gently).unwrap();
    let left = ok(&lab, M02, "nft list ruleset");
    assert_eq!(left.trim(), "table ip somebody-elses {\n}");
    lab.start(M02).unwrap();
    assert!(pings(&lab, "nginx", OUTSIDE));
}
