//! Many ports of which none does anything.

#![forbid(unsafe_code)]

mod netns_common;

use std::{collections::BTreeMap, fs, thread, time::Duration};

use cni_shim::{Request, Response};
use lab::Lab;
use netns_common::{M03, minikube, ok, show};
use serde_json::Value;

/// As many pods as a large node has.
const PODS: usize = 250;
/// Resident memory that an idle port may cost in KiB, all workers together.
const KIB_PER_PORT: u64 = 512;
/// Where all their ends are: it is the node's side that is looked at.
const NETNS: &str = "idle";

/// Makes the pairs, host ends `idle0`, `idle1`, ... on the node, all in a few processes.
fn wire(lab: &Lab) {
    let sandbox = lab.sandbox();
    let netns = [format!("netns add {NETNS}")];
    sandbox
        .ip_batch("making a namespace", None, &netns)
        .unwrap();
    let pairs = (0..PODS).map(|n| {
        format!("link add idle{n} mtu 1480 up type veth peer name pod{n} mtu 1480 netns {NETNS}")
    });
    let pairs: Vec<String> = pairs.collect();
    sandbox
        .ip_batch("making the pairs", Some(M03), &pairs)
        .unwrap();
    // Without IPv6 the ends say nothing when they come up.
    let quiet = "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done";
    for netns in [M03, NETNS] {
        sandbox
            .run("switching IPv6 off", Some(netns), &["sh", "-c", quiet])
            .unwrap();
    }
    let up: Vec<String> = (0..PODS).map(|n| format!("link set pod{n} up")).collect();
    sandbox
        .ip_batch("raising the pods' ends", Some(NETNS), &up)
        .unwrap();
}

/// Interface index and MAC address of every interface of a namespace, by name.
fn links(lab: &Lab, netns: &str) -> BTreeMap<String, (u32, String)> {
    let output = lab
        .sandbox()
        .run("listing interfaces", Some(netns), &["ip", "-j", "link"]);
    let links: Vec<Value> = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    let named = links.iter().map(|link| {
        let index = link["ifindex"].as_u64().unwrap() as u32;
        let mac = link["address"].as_str().unwrap_or_default().to_owned();
        (link["ifname"].as_str().unwrap().to_owned(), (index, mac))
    });
    named.collect()
}

/// What the plugin asks of the daemon for one pod.
fn attach(lab: &Lab, number: usize, host_index: u32, pod_mac: &str) {
    let (container_id, ifname) = (format!("{number:064x}"), "eth0".to_owned());
    let netns = format!("/run/netns/{NETNS}");
    let (namespace, pod) = (Some("default".to_owned()), Some(format!("idle-{number}")));
    let request = Request::Allocate {
        container_id: container_id.clone(),
        ifname: ifname.clone(),
        netns: netns.clone(),
        namespace: namespace.clone(),
        pod: pod.clone(),
        pod_uid: None,
        requested: None,
    };
    let Response::Allocated { address, mtu, .. } = lab.ask(M03, &request).unwrap() else {
        panic!("no address for pod {number}");
    };
    let request = Request::Attach {
        container_id,
        ifname,
        netns,
        namespace,
        pod,
        host_interface: format!("idle{number}"),
        host_index,
        pod_mac: pod_mac.into(),
        address,
        mtu,
        bandwidth: None,
        port_mappings: Vec::new(),
    };
    let answer = lab.ask(M03, &request).unwrap();
    assert!(matches!(answer, Response::Attached { .. }), "{answer:?}");
}

/// A file of the daemon's in `/proc`.
fn of_daemon(lab: &Lab, file: &str) -> String {
    let pid = lab.daemon(M03).unwrap().pid().unwrap();
    fs::read_to_string(lab.sandbox().path(format!("/proc/{pid}/{file}"))).unwrap()
}

/// Ticks of CPU (10 ms each) all threads of the daemon have used, as user and as kernel.
fn ticks(lab: &Lab) -> u64 {
    let stat = of_daemon(lab, "stat");
    // Fields 14 and 15 of proc_pid_stat(5); the first behind the name is field 3.
    let fields = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .skip(11)
        .take(2);
    fields.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

fn rss_kib(lab: &Lab) -> u64 {
    let status = of_daemon(lab, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let word = line.unwrap().split_whitespace().next();
    word.unwrap().parse().unwrap()
}

#[test]
fn two_hundred_and_fifty_idle_ports_cost_no_cpu_and_little_memory() {
    let mut config = minikube("idle-ports");
    config.pods.clear();
    config.pools[0].block_size = 24;
    let lab = Lab::up(config).unwrap();
    wire(&lab);
    let (hosts, pods) = (links(&lab, M03), links(&lab, NETNS));
    let before_kib = rss_kib(&lab);
    for number in 0..PODS {
        let (index, _) = &hosts[&format!("idle{number}")];
        let (_, mac) = &pods[&format!("pod{number}")];
        attach(&lab, number, *index, mac);
    }
    let open = show(&lab, M03, "ports");
    let is_open = |row: &&serde_json::Map<String, Value>| {
        row["kind"] == "workload" && row["rx_frames"].is_u64()
    };
    assert_eq!(open.iter().filter(is_open).count(), PODS);
    let per_port_kib = rss_kib(&lab)
        .saturating_sub(before_kib)
        .div_ceil(PODS as u64);
    assert!(
        per_port_kib <= KIB_PER_PORT,
        "{per_port_kib} KiB of resident memory a port"
    );
    assert!(ok(&lab, M03, "ip -br link show idle249").contains("UP"));

    thread::sleep(Duration::from_secs(1));
    let before = ticks(&lab);
    thread::sleep(Duration::from_secs(3));
    let used = ticks(&lab) - before;
    assert!(used <= 2, "{used} ticks of 300 with {PODS} idle ports");
}
