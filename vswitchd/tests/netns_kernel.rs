//! What the kernel beside the switch does, and must not do: forward copies, complain about IPIP, lose the first packet.

#![forbid(unsafe_code)]

mod netns_common;

use std::{fs, thread, time::Duration};

use lab::{Kill, Lab, config::Pod};
use netns_common::{
    M02, M02_ADDRESS, M02_TUNNEL, M03, MANUAL, NGINX, OUTSIDE, capture::Capture, mac, minikube, ok,
    pings, scapy::Scapy, shell, soon, within, without_ipv6,
};

/// A second pod of `minikube-m02`, and its address.
const SECOND: &str = "10.244.205.194";

fn with_second_pod(name: &str) -> Lab {
    let mut config = minikube(name);
    config.pods.push(Pod::new("default", "second", M02, []));
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    lab
}

/// How many packets the node's kernel has forwarded.
fn forwarded(lab: &Lab, node: &str) -> u64 {
    let snmp = shell(lab, node, "grep ^Ip: /proc/net/snmp");
    let [names, values] = snmp.lines().collect::<Vec<_>>()[..] else {
        panic!("{snmp}");
    };
    let mut columns = names.split(' ').zip(values.split(' '));
    let (_, count) = columns.find(|(name, _)| *name == "ForwDatagrams").unwrap();
    count.parse().unwrap()
}

#[test]
fn the_kernel_forwards_no_second_copy() {
    let lab = with_second_pod("kernel-copies");
    let nodes = [M02, M03];
    for node in nodes {
        assert_eq!(
            shell(&lab, node, "cat /proc/sys/net/ipv4/ip_forward").trim(),
            "1"
        );
    }
    let at_nginx = Capture::start(&lab, "nginx", "eth0", &format!("icmp and dst {NGINX}"));
    let before = nodes.map(|node| forwarded(&lab, node));
    for from in ["second", "nginx-manual"] {
        let said = ok(&lab, from, &format!("ping -n -c 50 -i 0.01 -W 1 {NGINX}"));
        assert!(
            said.contains("50 received") && !said.contains("duplicates"),
            "{said}"
        );
    }
    assert_eq!(
        nodes.map(|node| forwarded(&lab, node)),
        before,
        "forwarded by the kernels"
    );
    assert_eq!(at_nginx.frames().len(), 100, "requests that arrived");
    // That the counter counts: what goes outside is forwarded by the kernel, and its answer is.
    ok(&lab, "nginx", &format!("ping -n -c 1 -W 2 {OUTSIDE}"));
    assert_eq!(
        forwarded(&lab, M02) - before[0],
        2,
        "to the outside and back"
    );
}

#[test]
fn a_pod_gets_nothing_past_the_switch_by_the_host_ends_real_mac() {
    let lab = with_second_pod("kernel-mac");
    let host_end = cni_shim::host_interface_name("cali", "default", "nginx");
    let mut scapy = Scapy::start(&lab, "nginx");
    scapy.define(
        "E",
        &format!("Ether(src=me, dst='{}')", mac(&lab, M02, &host_end)),
    );
    // The underlay's bridge reports its multicast groups now and then, which is nobody's frame here.
    let arrived = ["second", "nginx-manual", OUTSIDE, "gateway"]
        .map(|target| Capture::start(&lab, target, "eth0", "ip and not igmp"));
    let answers = Capture::start(&lab, "nginx", "eth0", &format!("dst {NGINX}"));
    let before = forwarded(&lab, M02);
    let destinations = [
        SECOND,
        MANUAL,
        OUTSIDE,
        "172.16.30.1",
        M02_ADDRESS,
        M02_TUNNEL,
    ];
    for to in destinations {
        scapy.send(&format!("[E/IP(src='{NGINX}', dst='{to}')/ICMP(id=1), E/IP(src='{NGINX}', dst='{to}')/TCP(dport=80), E/IP(src='172.16.30.99', dst='{to}')/ICMP(id=1)]"));
    }
    thread::sleep(Duration::from_millis(200));
    assert_eq!(forwarded(&lab, M02), before, "forwarded by the kernel");
    for capture in &arrived {
        assert_eq!(capture.frames(), [""; 0], "somewhere else");
    }
    assert_eq!(answers.frames(), [""; 0], "at the sender");
    // What holds it back is the reverse path filter, and without it the counter would tell.
    let filter = format!("/proc/sys/net/ipv4/conf/{host_end}/rp_filter");
    shell(&lab, M02, &format!("echo 0 >{filter}"));
    scapy.send(&format!(
        "[E/IP(src='{NGINX}', dst='{OUTSIDE}')/ICMP(id=2)]"
    ));
    soon("the kernel forwards", || forwarded(&lab, M02) > before);
    shell(&lab, M02, &format!("echo 1 >{filter}"));
    // The honest way was open all the while.
    for to in destinations {
        assert!(pings(&lab, "nginx", to), "{to}");
    }
}

#[test]
fn no_protocol_unreachable_leaves_a_node_while_its_daemon_lives() {
    let lab = Lab::up(minikube("kernel-unreachable")).unwrap();
    let complaints = Capture::start(&lab, M03, "eth0", "icmp[0] = 3 and icmp[1] = 2");
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 30 -i 0.01 -W 1 {NGINX}"),
    );
    assert_eq!(complaints.frames(), [""; 0]);

    lab.stop(M02, Kill::Gently).unwrap();
    assert!(!pings(&lab, "nginx-manual", NGINX));
    soon("the kernel alone complains", || {
        !complaints.frames().is_empty()
    });

    lab.start(M02).unwrap();
    let so_far = complaints.frames().len();
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 30 -i 0.01 -W 1 {NGINX}"),
    );
    assert_eq!(complaints.frames().len(), so_far);
}

#[test]
fn the_first_ping_is_not_lost_although_the_neighbour_is_unknown() {
    let lab = Lab::up(minikube("kernel-neighbour")).unwrap();
    for _ in 0..5 {
        for node in [M02, M03] {
            ok(&lab, node, "ip neigh flush dev eth0");
        }
        let said = ok(
            &lab,
            "nginx-manual",
            &format!("ping -n -c 3 -i 0.2 -W 1 {NGINX}"),
        );
        assert!(said.contains("3 received"), "{said}");
    }
}

#[test]
fn a_peers_new_mac_address_is_learned_within_a_second() {
    let lab = Lab::up(minikube("kernel-new-mac")).unwrap();
    assert!(pings(&lab, "nginx-manual", NGINX));
    ok(&lab, M02, "ip link set eth0 address 02:00:00:00:00:77");
    // The node tells its neighbours, as drivers do that move between machines.
    Scapy::start(&lab, M02).send(&format!(
        "[Ether(src=me, dst='ff:ff:ff:ff:ff:ff')/ARP(hwsrc=me, psrc='{M02_ADDRESS}', pdst='{M02_ADDRESS}')]"
    ));
    within(Duration::from_secs(1), "the way to the new address", || {
        pings(&lab, "nginx-manual", NGINX)
    });
    let said = ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 5 -i 0.1 -W 1 {NGINX}"),
    );
    assert!(said.contains("5 received"), "{said}");
    let said = ok(&lab, "nginx", &format!("ping -n -c 5 -i 0.1 -W 1 {MANUAL}"));
    assert!(said.contains("5 received"), "{said}");
}

/// Ticks of CPU (10 ms each) all threads of a node's daemon have used, as user and as kernel.
fn ticks(lab: &Lab, node: &str) -> u64 {
    let pid = lab.daemon(node).unwrap().pid().unwrap();
    let stat = fs::read_to_string(lab.sandbox().path(format!("/proc/{pid}/stat"))).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // Fields 14 and 15 of proc_pid_stat(5); the first behind the name is field 3.
    fields[11..13]
        .iter()
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum()
}

#[test]
fn an_idle_daemon_uses_no_measurable_cpu() {
    let lab = Lab::up(minikube("kernel-idle")).unwrap();
    without_ipv6(&lab);
    thread::sleep(Duration::from_millis(500));
    let before = [M02, M03].map(|node| ticks(&lab, node));
    thread::sleep(Duration::from_secs(3));
    let after = [M02, M03].map(|node| ticks(&lab, node));
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before <= 2, "{} ticks of 300", after - before);
    }
}
