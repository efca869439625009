//! Sizes: what is too big is told to its sender, cut where it may be, and learned where the underlay is narrow.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{
    M02, M02_ADDRESS, M03, M03_ADDRESS, MANUAL, NGINX, Running, capture::Capture, drops::Drops,
    mac, minikube, ok, python, run, scapy::Scapy, shell, show, soon, text, transfer::arrives,
    without_ipv6,
};

/// Puts a router between node m03 and the bridge, whose way to the bridge takes `mtu` bytes, and which says so.
///
/// The node keeps its address and its neighbours; the router answers ARP for both sides.
fn narrow_way_to_m03(lab: &Lab, mtu: u32) {
    let port = lab
        .config()
        .nodes
        .iter()
        .position(|node| node.name == M03)
        .unwrap();
    let script = format!(
        "set -e
        ip netns add router
        ip link set uplink{port} nomaster down
        ip link set uplink{port} netns router
        ip link add narrow type veth peer name bridge netns router
        ip link set narrow master underlay up mtu {mtu}
        ip -n router link set lo up
        ip -n router link set uplink{port} up
        ip -n router link set bridge up mtu {mtu}
        ip -n router address add 172.16.30.253/32 dev lo
        ip -n router route add 172.16.30.8/32 dev uplink{port}
        ip -n router route add 172.16.30.0/24 dev bridge
        ip netns exec router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
        for i in bridge uplink{port}; do
            ip netns exec router sh -c \"echo 1 >/proc/sys/net/ipv4/conf/$i/proxy_arp; echo 0 >/proc/sys/net/ipv4/conf/$i/send_redirects\"
        done"
    );
    lab.sandbox()
        .run("putting a router in", None, &["sh", "-c", &script])
        .unwrap();
    for node in &lab.config().nodes {
        ok(lab, &node.name, "ip neigh flush dev eth0");
    }
}

/// A lab whose pods' interfaces have 1500 bytes, though the way to other nodes has 1480: as a user may configure it.
fn pods_of_1500(name: &str) -> Lab {
    let mut config = minikube(name);
    config.cni.vswitch.insert("mtu".into(), 1500.into());
    let lab = Lab::up(config).unwrap();
    assert!(ok(&lab, "nginx", "ip link show eth0").contains("mtu 1500"));
    lab
}

fn path_mtu(lab: &Lab, node: &str, peer: &str) -> u64 {
    let rows = show(lab, node, "nodes");
    let row = rows.iter().find(|row| row["name"] == *peer).unwrap();
    row["path_mtu"].as_u64().unwrap()
}

#[test]
fn a_transfer_recovers_from_a_pod_interface_of_1500_and_an_underlay_of_1400() {
    let lab = pods_of_1500("mtu-underlay");
    narrow_way_to_m03(&lab, 1400);
    soon("the way is open again", || {
        netns_common::pings(&lab, "nginx-manual", NGINX)
    });
    assert_eq!(path_mtu(&lab, M03, "minikube-m02"), 1500);
    arrives(&lab, "nginx-manual", 20_000_000);
    assert_eq!(
        path_mtu(&lab, M03, "minikube-m02"),
        1400,
        "learned from the router"
    );
    let route = ok(&lab, "nginx-manual", &format!("ip route get {NGINX}"));
    assert!(route.contains("mtu 1380"), "the pod was told: {route}");
    assert_eq!(path_mtu(&lab, M03, "minikube"), 1500, "of this peer only");
}

#[test]
fn a_transfer_recovers_from_a_pod_interface_of_1500() {
    let lab = pods_of_1500("mtu-pod");
    arrives(&lab, "nginx-manual", 20_000_000);
}

#[test]
fn a_pod_is_told_the_mtu_when_it_may_not_fragment() {
    let lab = pods_of_1500("mtu-told");
    let ping = format!("ping -n -M do -c 1 -W 1 -s 1472 {NGINX}");
    let told = text(&run(&lab, "nginx-manual", &ping));
    assert!(
        told.contains("Frag needed and DF set (mtu = 1480)"),
        "{told}"
    );
    assert!(
        told.contains("From 10.244.151.0 "),
        "from the node's tunl0 address: {told}"
    );
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -M do -c 1 -W 1 -s 1452 {NGINX}"),
    );
}

#[test]
fn what_may_be_fragmented_is_and_arrives_whole() {
    let lab = pods_of_1500("mtu-fragments");
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -M dont -c 3 -i 0.1 -W 1 -s 4000 {NGINX}"),
    );
    // 1472 bytes fit the pod's interface whole: the node has to cut.
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -M dont -c 3 -i 0.1 -W 1 -s 1472 {NGINX}"),
    );
    // And between the node's own address and the pod.
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -M dont -c 3 -i 0.1 -W 1 -s 4000 {M02_ADDRESS}"),
    );
    ok(
        &lab,
        M03,
        &format!("ping -n -M dont -c 3 -i 0.1 -W 1 -s 4000 {MANUAL}"),
    );
    ok(
        &lab,
        M03,
        &format!("ping -n -M dont -c 3 -i 0.1 -W 1 -s 4000 {NGINX}"),
    );
}

#[test]
fn datagrams_of_every_size_cross_intact() {
    let lab = Lab::up(minikube("mtu-datagrams")).unwrap();
    let echo = Running::python(
        &lab,
        "nginx",
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('', 7000))\nwhile True: s.sendto(*s.recvfrom(65536))",
    );
    soon("the echo listens", || {
        shell(&lab, "nginx", "ss -Hlnu").contains(":7000")
    });
    let script = r#"
import random, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("VICTIM", 7000))
s.settimeout(2)
bytes_of = random.Random(1).randbytes
sizes = [*range(1, 64), *range(64, 8001, 61), *range(1440, 1480), *range(2890, 2930), 8000]
for size in sizes:
    data = bytes_of(size)
    s.send(data)
    assert s.recv(65536) == data, size
print(len(sizes), "sizes")
"#;
    python(&lab, "nginx-manual", &script.replace("VICTIM", NGINX));
    drop(echo);
}

#[test]
fn fragments_of_a_tunnel_packet_are_put_together_or_nothing_comes_of_them() {
    let lab = Lab::up(minikube("mtu-outer")).unwrap();
    without_ipv6(&lab);
    let mut scapy = Scapy::start(&lab, "gateway");
    let eth = format!("Ether(src=me, dst='{}')", mac(&lab, M02, "eth0"));
    scapy.define("eth", &eth);
    scapy.define(
        "inner",
        &format!("IP(src='{MANUAL}', dst='{NGINX}')/ICMP()/Raw(bytes(1000))"),
    );
    scapy.define(
        "pieces",
        &format!("lambda n: [eth/f for f in fragment(IP(src='{M03_ADDRESS}', dst='{M02_ADDRESS}', proto=4, id=n)/inner, 400)]"),
    );
    let drops = Drops::of(&lab, M02);
    let requests = Capture::start(
        &lab,
        "nginx",
        "eth0",
        &format!("icmp[0] = 8 and dst {NGINX}"),
    );
    for order in [
        "pieces(1)",
        "pieces(2)[::-1]",
        "[pieces(3)[i] for i in (1, 0, 0, 2)]",
    ] {
        scapy.send(order);
    }
    let frames = requests.frames();
    assert_eq!(frames.len(), 3, "{frames:?}");
    for frame in &frames {
        assert!(
            frame.contains("echo request") && frame.contains("length 1008"),
            "{frame}"
        );
    }
    // Without the first, the middle or the last piece; with pieces of different packets; with overlaps.
    for order in [
        "pieces(4)[1:]",
        "pieces(5)[::2]",
        "pieces(6)[:2]",
        "pieces(7)[:1] + pieces(8)[1:]",
        "[pieces(9)[0], eth/IP(src='172.16.30.8', dst='172.16.30.7', proto=4, id=9, frag=49, flags='MF')/Raw(bytes(400)), pieces(9)[2]]",
    ] {
        scapy.send(order);
    }
    assert_eq!(requests.frames().len(), 3);
    drops.rose_by("whole packets and unfinished ones", &[]);
    ok(&lab, "nginx-manual", &format!("ping -n -c 1 -W 1 {NGINX}"));
}
