//! The flow log on real interfaces: who is named, how flows end, what happens under load and when the daemon is killed.

#![forbid(unsafe_code)]

mod netns_common;

use std::{collections::BTreeMap, fs, path::PathBuf, thread, time::Duration};

use cni_shim::{Request, Response};
use lab::{Config, Kill, Lab};
use netns_common::{
    M02, MANUAL, NGINX, Running,
    drops::Drops,
    listens, minikube, ok,
    policing::{Talk, connects, echo, pod, policy, put},
    python, run, soon, text, without_ipv6,
};
use serde_json::{Map, Value};

type Row = Map<String, Value>;

/// The walk-through's cluster and a client beside nginx, with a flow log at every node.
fn logged(name: &str, keys: &str) -> Config {
    let mut config = minikube(name);
    config.pods.push(pod("client", M02, "client"));
    let section: toml::Table = keys.parse().unwrap();
    config.daemon.insert("flow_log".into(), section.into());
    config
}

fn flows(lab: &Lab, pod: &str, verdict: Option<&str>) -> Vec<Row> {
    let request = Request::Flows {
        after: Some(0),
        limit: None,
        pod: Some(pod.into()),
        verdict: verdict.map(Into::into),
        labels: false,
    };
    match lab.ask(M02, &request).unwrap() {
        Response::Flows { rows, .. } => rows,
        other => panic!("{other:?}"),
    }
}

/// Waits for a record with these cells.
fn awaits(lab: &Lab, pod: &str, cells: &[(&str, Value)]) -> Row {
    let is_it = |row: &Row| {
        cells
            .iter()
            .all(|(key, value)| row.get(*key) == Some(value))
    };
    let mut found = None;
    let what = format!("{cells:?}, there are {:#?}", flows(lab, pod, None));
    soon(&what, || {
        found = flows(lab, pod, None).into_iter().find(is_it);
        found.is_some()
    });
    found.unwrap()
}

fn vswitchctl(lab: &Lab, arguments: &str) -> String {
    let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_vswitchctl"));
    ok(lab, M02, &line)
}

const BY_LABEL: &str = "podSelector: {matchLabels: {run: nginx}}, ingress: \
                        [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 80}]}]";

#[test]
fn flows_are_told_with_the_pods_and_the_policy_that_decided() {
    let lab = Lab::up(logged("flows-names", "aggregate_seconds = 1")).unwrap();
    without_ipv6(&lab);
    put(&lab, &policy("clients", "", BY_LABEL));
    let _server = echo(&lab, "nginx", &[80, 81]);
    assert_eq!(connects(&lab, "client", NGINX, 80), "open");
    assert_eq!(connects(&lab, "client", NGINX, 81), "TimeoutError");
    assert_eq!(connects(&lab, "nginx-manual", NGINX, 80), "TimeoutError");

    let port = |port: u16| ("dst_port", Value::from(port));
    let event = |name: &str| ("event", Value::from(name));
    let begin = awaits(&lab, "client", &[event("begin"), port(80)]);
    assert_eq!(begin["src_pod"], "default/client");
    assert_eq!(begin["dst_pod"], "default/nginx");
    assert_eq!(begin["src_node"], M02);
    assert_eq!(begin["policy"], "default/clients#0");
    assert_eq!(begin["egress"], "no policy selects");
    assert_eq!(
        begin["ingress"],
        "NetworkPolicy default/clients ingress rule 0 (allow, tier default)"
    );
    let end = awaits(&lab, "client", &[event("end"), port(80)]);
    assert_eq!(end["reason"], "fin");
    assert_eq!(end["src_port"], begin["src_port"]);
    assert!(end["packets"].as_u64().unwrap() >= 3, "{end:?}");
    assert!(end["reply_packets"].as_u64().unwrap() >= 2, "{end:?}");

    let deny = awaits(&lab, "client", &[event("deny"), port(81)]);
    assert_eq!(deny["policy"], "default/clients (no rule)");
    let remote = awaits(&lab, MANUAL, &[event("deny"), port(80)]);
    assert_eq!(remote["src_pod"], "default/nginx-manual");
    assert_eq!(remote["src_node"], "minikube-m03");
    assert!(
        flows(&lab, "client", Some("deny"))
            .iter()
            .all(|row| row["event"] == "deny")
    );

    let table = vswitchctl(&lab, "flows --pod client");
    let line = table.lines().find(|line| line.contains(" deny ")).unwrap();
    assert!(line.contains("> default/nginx:81 "), "{line}");
    assert!(line.contains("default/clients (no rule)"), "{line}");
    assert!(table.lines().all(|line| line.len() <= 100), "{table}");
    let labels = vswitchctl(&lab, "flows --pod client --labels -o json");
    let rows: Vec<Row> = serde_json::from_str(&labels).unwrap();
    assert_eq!(rows[0]["src_labels"]["app"], "client");
}

#[test]
fn a_denied_flow_is_told_of_at_once_and_then_its_packets_are_counted() {
    let lab = Lab::up(logged("flows-denied", "aggregate_seconds = 1")).unwrap();
    without_ipv6(&lab);
    let shut = "podSelector: {matchLabels: {run: nginx}}, policyTypes: [Ingress]";
    put(&lab, &policy("shut", "", shut));
    let drops = Drops::of(&lab, M02);
    let script = format!(
        "
import socket, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(('', 4000))
for _ in range(50):
    line.sendto(b'x', ('{NGINX}', 53))
    time.sleep(0.05)"
    );
    python(&lab, "client", &script);
    drops.rose_by("all of them", &[("policy_ingress", 50)]);
    let count = |rows: &[Row]| {
        rows.iter()
            .map(|row| row["packets"].as_u64().unwrap())
            .sum::<u64>()
    };
    soon("all packets are told of", || {
        count(&flows(&lab, "client", None)) == 50
    });
    let rows = flows(&lab, "client", None);
    assert!(rows.iter().all(|row| row["event"] == "deny"), "{rows:#?}");
    assert_eq!(rows[0]["packets"], 1, "the first at once");
    assert!((3..=6).contains(&rows.len()), "{rows:#?}");
}

#[test]
fn a_connection_that_a_new_policy_denies_ends_as_cut_by_it() {
    let lab = Lab::up(logged("flows-cut", "")).unwrap();
    without_ipv6(&lab);
    let _server = echo(&lab, "nginx", &[80]);
    let talk = Talk::start(&lab, "client", NGINX, 80);
    let shut = "podSelector: {matchLabels: {run: nginx}}, policyTypes: [Ingress]";
    put(&lab, &policy("shut", "", shut));
    let end = awaits(&lab, "client", &[("reason", "cut".into())]);
    assert_eq!(end["verdict"], "deny");
    assert_eq!(end["policy"], "default/shut (no rule)");
    let deny = awaits(&lab, "client", &[("event", "deny".into())]);
    assert_eq!(deny["policy"], "default/shut (no rule)");
    put(&lab, "");
    let begins = || {
        let rows = flows(&lab, "client", None);
        rows.iter().filter(|row| row["event"] == "begin").count()
    };
    soon("it goes on as another flow", || begins() == 2);
    drop(talk);
}

#[test]
fn the_flows_of_this_moment_are_shown_also_without_a_log() {
    let mut config = minikube("flows-active");
    config.pods.push(pod("client", M02, "client"));
    let lab = Lab::up(config).unwrap();
    let _server = echo(&lab, "nginx", &[80]);
    let _talk = Talk::start(&lab, "client", NGINX, 80);
    let table = vswitchctl(&lab, "flows --active --pod nginx");
    assert!(
        table.contains("> default/nginx:80") || table.contains("default/nginx:80"),
        "{table}"
    );
    assert!(table.contains("default/client:"), "{table}");
    let refused = run(
        &lab,
        M02,
        &format!("{} flows", env!("CARGO_BIN_EXE_vswitchctl")),
    );
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused).contains("[flow_log]"), "{}", text(&refused));
}

/// Makes and ends short connections for so long, and says how many.
const CHURN: &str = "
import socket, time
until, count = time.monotonic() + 5, 0
while time.monotonic() < until:
    try:
        socket.create_connection(('VICTIM', 80), 2).close()
        count += 1
    except OSError:
        time.sleep(0.01)
print(count)
";

/// Begins 6000 flows of one datagram each within a second.
const SCAN: &str = "
import socket, time
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
line.bind(('', 4000))
for port in range(10000, 16000):
    line.sendto(b'x', ('VICTIM', port))
    if port % 50 == 0:
        time.sleep(0.005)
";

/// The files of the sink, the newest first.
fn files(lab: &Lab) -> Vec<PathBuf> {
    let path = lab.sandbox().path("/run/lab/flows-of-m02.jsonl");
    let numbered = (1..20).map(|number| PathBuf::from(format!("{}.{number}", path.display())));
    let all = [path.clone()].into_iter().chain(numbered);
    all.filter(|path| path.exists()).collect()
}

fn lines(path: &PathBuf) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    text.lines().map(line).collect()
}

#[test]
fn under_load_nothing_is_dropped_and_the_file_rotates_in_whole_lines() {
    let mut config = logged("flows-load", "");
    for node in &mut config.nodes {
        let keys = "file = \"/run/lab/flows-of-m02.jsonl\"\nmax_mib = 1\nfiles = 9";
        let section: toml::Table = keys.parse().unwrap();
        if node.name == M02 {
            node.daemon.insert("flow_log".into(), section.into());
        }
    }
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    let _server = echo(&lab, "nginx", &[80]);
    let iperf = Running::start(&lab, "nginx", "iperf3 -s -1 -p 5201");
    listens(&lab, "nginx", 5201);
    let drops = Drops::of(&lab, M02);
    let churn = CHURN.replace("VICTIM", NGINX);
    let churns: Vec<Running> = (0..3)
        .map(|_| Running::python(&lab, "client", &churn))
        .collect();
    let client = format!("iperf3 -c {NGINX} -p 5201 -P 8 -t 5");
    python(&lab, "client", &SCAN.replace("VICTIM", NGINX));
    ok(&lab, "client", &client);
    let made: u64 = churns
        .into_iter()
        .map(|churn| churn.finish().trim().parse::<u64>().unwrap())
        .sum();
    drop(iperf);
    assert!(made > 300, "{made} connections");
    drops.rose_by("nothing", &[]);
    let ended = || {
        let all = files(&lab).into_iter().flat_map(|path| lines(&path));
        all.filter(|row| row["event"] == "end" && row["dst_port"] == 80)
            .count() as u64
    };
    soon("every connection is in the file", || ended() >= made);
    let all = files(&lab).into_iter().flat_map(|path| lines(&path));
    let scanned = all.filter(|row| row["src_port"] == 4000).count();
    assert_eq!(scanned, 6_000, "none was lost");
    let mut open = BTreeMap::new();
    let mut seq = 0;
    for row in files(&lab).iter().rev().flat_map(lines) {
        assert!(row["seq"].as_u64().unwrap() > seq, "in order");
        seq = row["seq"].as_u64().unwrap();
        let flow = format!("{} {}", row["src_port"], row["dst_port"]);
        match row["event"].as_str().unwrap() {
            "begin" => assert!(open.insert(flow, seq).is_none(), "begun twice"),
            "end" => assert!(open.remove(&flow).is_some(), "ended without a beginning"),
            other => panic!("{other}: {row:?}"),
        }
    }
    assert!(files(&lab).len() > 1, "rotated");
    for path in files(&lab) {
        assert!(fs::metadata(path).unwrap().len() <= 1 << 20);
    }
}

#[test]
fn after_a_kill_the_file_goes_on_with_whole_lines() {
    let keys = "file = \"/run/lab/flows-of-m02.jsonl\"";
    let mut config = logged("flows-kill", "");
    for node in config.nodes.iter_mut().filter(|node| node.name == M02) {
        let section: toml::Table = keys.parse().unwrap();
        node.daemon.insert("flow_log".into(), section.into());
    }
    let lab = Lab::up(config).unwrap();
    let _server = echo(&lab, "nginx", &[80]);
    let churn = CHURN.replace("VICTIM", NGINX);
    let churning = Running::python(&lab, "client", &churn);
    soon("the file grows", || {
        files(&lab).iter().any(|path| lines_before(path) > 20)
    });
    lab.stop(M02, Kill::Hard).unwrap();
    // What a power cut leaves.
    let path = files(&lab).remove(0);
    let mut torn = fs::read(&path).unwrap();
    let whole = torn.iter().filter(|byte| **byte == b'\n').count();
    torn.extend(b"{\"seq\":77,\"ti");
    fs::write(&path, torn).unwrap();
    lab.start(M02).unwrap();
    soon("it goes on", || lines_before(&path) > whole + 5);
    drop(churning);
    thread::sleep(Duration::from_millis(700));
    let rows = lines(&path);
    assert!(rows.len() > whole + 5);
    assert!(rows[..whole].iter().all(|row| row.contains_key("time")));
}

/// How many whole lines there are.
fn lines_before(path: &PathBuf) -> usize {
    let bytes = fs::read(path).unwrap();
    bytes.iter().filter(|byte| **byte == b'\n').count()
}
