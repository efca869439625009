//! `/metrics`, `/livez` and `/readyz` of a running daemon, and the dashboard that is made of them.

#![forbid(unsafe_code)]

mod netns_common;

use std::{fs, path::Path};

use lab::Lab;
use netns_common::{
    M02, MANUAL, NGINX, PYTHON,
    exposition::{Exposition, promtool},
    minikube, ok, pings, shell, show, soon,
};
use serde_json::Value;

const PORT: u16 = 10244;

/// The walk-through's cluster with metrics at every node's own loopback.
fn measured(name: &str) -> Lab {
    let mut config = minikube(name);
    let listen = format!("listen = \"127.0.0.1:{PORT}\"");
    let keys: toml::Table = toml::from_str(&listen).unwrap();
    config.daemon.insert("metrics".into(), keys.into());
    let lab = Lab::up(config).unwrap();
    soon("the address is listened at", || {
        get(&lab, M02, "/livez").0 == 200
    });
    lab
}

/// Status (0 = no connection) and body, asked inside the node by Python's HTTP client.
fn get(lab: &Lab, node: &str, path: &str) -> (u16, String) {
    let script = format!(
        "import http.client\ntry:\n c = http.client.HTTPConnection('127.0.0.1', {PORT}, timeout=5)\n \
         c.request('GET', '{path}')\n r = c.getresponse()\n print(r.status)\n print(r.read().decode(), end='')\n\
         except OSError as error:\n print(0)\n print(error)"
    );
    let output = lab.exec(node, &[PYTHON, "-c", &script]).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let (status, body) = said.split_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn scrape(lab: &Lab, node: &str) -> (String, Exposition) {
    let (status, text) = get(lab, node, "/metrics");
    assert_eq!(status, 200, "{text}");
    let read = Exposition::read(&text);
    (text, read)
}

#[test]
fn metrics_agree_with_what_the_tables_show() {
    let lab = measured("metrics-agree");
    ok(&lab, "nginx", &format!("ping -n -c 20 -i 0.01 {MANUAL}"));
    let (text, before) = scrape(&lab, M02);
    assert_eq!(promtool(&text), "", "{text}");
    let ports = show(&lab, M02, "ports");
    let (_, after) = scrape(&lab, M02);
    for (column, metric) in [
        ("rx_frames", "vswitchd_port_rx_frames_total"),
        ("tx_bytes", "vswitchd_port_tx_bytes_total"),
        ("drops", "vswitchd_port_dropped_frames_total"),
    ] {
        for port in &ports {
            let labels = [("interface", port["interface"].as_str().unwrap())];
            let shown = port[column].as_f64().unwrap();
            let (low, high) = (before.sum(metric, &labels), after.sum(metric, &labels));
            assert!((low..=high).contains(&shown), "{metric} of {port:?}");
        }
    }
    let of_nginx = [("namespace", "default"), ("pod", "nginx")];
    let sent = before.sum("vswitchd_port_rx_frames_total", &of_nginx);
    assert!(sent >= 20.0, "{sent}");
    assert!(before.sum("vswitchd_conntrack_entries", &[]) >= 1.0);
    let busy = |scrape: &Exposition| scrape.sum("vswitchd_worker_busy_seconds_total", &[]);
    assert!(busy(&before) > 0.0 && busy(&after) >= busy(&before));
    let attached = [("verb", "attach"), ("result", "success")];
    let count = "vswitchd_cni_request_duration_seconds_count";
    assert_eq!(before.sum(count, &attached), 1.0, "nginx was attached");
    let shows = [("request", "show"), ("result", "success")];
    let asked = |scrape: &Exposition| scrape.sum("vswitchd_admin_requests_total", &shows);
    assert_eq!(asked(&after), 1.0);
    assert_eq!(
        before.sum("vswitchd_ipam_addresses_used", &[]),
        2.0,
        "tunl0's and nginx's"
    );
}

#[test]
fn a_dropped_packet_is_found_under_its_reason() {
    let lab = measured("metrics-drops");
    let denied = |scrape: &Exposition| scrape.sum("vswitchd_drops_total", &[("stage", "policy")]);
    assert_eq!(denied(&scrape(&lab, M02).1), 0.0, "there before the first");
    let epoch = |scrape: &Exposition| scrape.sum("vswitchd_policy_epoch", &[]);
    let first = epoch(&scrape(&lab, M02).1);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    lab.apply(root.join("configs/policy/default-deny-ingress.yaml"))
        .unwrap();
    soon("the policy is in force", || {
        !pings(&lab, "nginx-manual", NGINX)
    });
    let (_, now) = scrape(&lab, M02);
    assert!(denied(&now) >= 1.0);
    assert!(epoch(&now) > first, "a new policy is a new epoch");
    assert_eq!(now.sum("vswitchd_policies", &[]), 1.0);
    let compiled = now.sum("vswitchd_policy_compile_seconds_count", &[]);
    assert_eq!(compiled, epoch(&now), "each epoch was timed");
    assert_eq!(now.sum("vswitchd_worker_generation_lag", &[]), 0.0);
}

#[test]
fn readiness_names_what_is_broken_until_it_is_mended() {
    let lab = measured("metrics-ready");
    assert_eq!(get(&lab, M02, "/readyz"), (200, "ok\n".into()));
    let not_ready = |because: &str| {
        soon(because, || {
            let (status, body) = get(&lab, M02, "/readyz");
            status == 503 && body.contains(because)
        });
        assert_eq!(get(&lab, M02, "/livez").0, 200, "alive all the same");
    };
    let ready = || soon("ready again", || get(&lab, M02, "/readyz").0 == 200);

    ok(&lab, M02, "ip link set eth0 down");
    not_ready("[-] uplink: eth0 is down");
    ok(&lab, M02, "ip link set eth0 up");
    ready();

    let policy = "/run/lab/manifests/policy.yaml";
    lab.sandbox()
        .write(policy, "kind: NetworkPolicy\n")
        .unwrap();
    not_ready("policy.yaml");
    fs::remove_file(lab.sandbox().path(policy)).unwrap();
    ready();

    let socket = lab::node::socket(M02);
    shell(&lab, M02, &format!("mv {socket} {socket}.away"));
    not_ready("[-] socket: ");
    shell(&lab, M02, &format!("mv {socket}.away {socket}"));
    ready();
}

#[test]
fn an_address_that_is_taken_does_not_keep_pods_from_their_network() {
    let mut config = minikube("metrics-taken");
    let keys: toml::Table = toml::from_str("listen = \"192.0.2.77:10244\"").unwrap();
    config.daemon.insert("metrics".into(), keys.into());
    let lab = Lab::up(config).unwrap();
    assert!(pings(&lab, "nginx", MANUAL));
    let log = lab.daemon(M02).unwrap().read_log().unwrap();
    assert!(log.contains("no metrics and no probes yet"), "{log}");
    // A probe of a node, later: the address comes with an interface that is slow to come up.
    ok(&lab, M02, "ip address add 192.0.2.77/32 dev lo");
    soon("it is listened at once it can be", || {
        let log = lab.daemon(M02).unwrap().read_log().unwrap();
        log.contains("metrics and probes address=192.0.2.77:10244")
    });
}

/// Metric names and the labels asked of each, of one PromQL expression.
fn metrics_of(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = rest.find(is_word) {
        let word = &rest[at..];
        let end = word.find(|c| !is_word(c)).unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        rest = after;
        if !name.starts_with("vswitchd_") && !name.starts_with("process_") {
            continue;
        }
        let mut labels = Vec::new();
        if let Some(inside) = after.strip_prefix('{') {
            let (matchers, after) = inside.split_once('}').expect(expression);
            let label = |matcher: &str| matcher.split(['=', '!']).next().unwrap().trim().to_owned();
            labels = matchers.split(',').map(label).collect();
            rest = after;
        }
        found.push((name.to_owned(), labels));
    }
    found
}

/// Labels an expression groups by.
fn groups_of(expression: &str) -> Vec<String> {
    let mut groups = Vec::new();
    for part in expression.split("by (").skip(1) {
        let (inside, _) = part.split_once(')').expect(expression);
        groups.extend(inside.split(',').map(|label| label.trim().to_owned()));
    }
    groups
}

/// Every query of every panel, and every variable's.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let of_panels = targets.flatten().map(|target| target["expr"].as_str());
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let of_variables = variables.filter_map(|variable| variable["query"]["query"].as_str());
    let of_panels = of_panels.map(Option::unwrap);
    of_panels.chain(of_variables).map(str::to_owned).collect()
}

/// The dashboard's queries, and the alerts of the documentation, as Prometheus would be asked.
fn queries() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let dashboard: Value = serde_json::from_str(&read("../configs/grafana/vswitchd.json")).unwrap();
    let queries = expressions(&dashboard).into_iter();
    let queries = queries.filter(|query| !query.starts_with("label_values("));
    let text = read("docs/operate.md");
    let (_, alerts) = text.split_once("```promql\n").unwrap();
    let (alerts, _) = alerts.split_once("```").unwrap();
    let alerts = alerts.lines().map(str::to_owned);
    queries.chain(alerts).collect()
}

#[test]
fn promtool_understands_every_query_and_every_alert() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.yaml");
    let mut rules = "groups:\n- name: all\n  rules:\n".to_owned();
    let queries = queries();
    for (number, query) in queries.iter().enumerate() {
        let query = query.replace("$__rate_interval", "5m");
        rules += &format!("  - record: query_{number}\n    expr: |\n      {query}\n");
    }
    fs::write(&file, rules).unwrap();
    let output = std::process::Command::new("promtool")
        .args(["check", "rules"])
        .arg(&file)
        .output()
        .expect("promtool: apt-get install prometheus (it need not run)");
    let said = netns_common::text(&output);
    assert!(output.status.success(), "{said}");
    let found = format!("{} rules found", queries.len());
    assert!(said.contains(&found), "{said}");
}

#[test]
fn every_metric_and_label_of_the_dashboard_is_in_a_running_daemons_scrape() {
    let lab = measured("metrics-dashboard");
    assert!(pings(&lab, "nginx", MANUAL));
    show(&lab, M02, "status");
    let (_, scrape) = scrape(&lab, M02);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/grafana/vswitchd.json");
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let expressions = [expressions(&dashboard), queries()].concat();
    assert!(expressions.len() >= 20, "{expressions:#?}");
    for expression in &expressions {
        let metrics = metrics_of(expression);
        assert!(!metrics.is_empty(), "{expression}");
        for (name, labels) in &metrics {
            let samples = scrape.samples(name);
            assert!(!samples.is_empty(), "{expression}: there is no {name}");
            // Prometheus adds `instance` and `job` to each.
            let own = |label: &&String| !matches!(label.as_str(), "instance" | "job");
            let groups = groups_of(expression);
            for label in labels.iter().chain(&groups).filter(own) {
                let has = samples[0].labels.contains_key(label);
                assert!(has, "{expression}: {name} has no label {label}");
            }
        }
    }
}

#[test]
fn the_reader_of_queries_finds_names_labels_and_groups() {
    let expression = "sum by (reason, stage) (rate(vswitchd_drops_total{instance=~\"$node\", \
                      reason!=\"x\"}[5m])) / vswitchd_peers";
    assert_eq!(
        metrics_of(expression),
        [
            (
                "vswitchd_drops_total".to_owned(),
                vec!["instance".to_owned(), "reason".to_owned()]
            ),
            ("vswitchd_peers".to_owned(), vec![])
        ]
    );
    assert_eq!(groups_of(expression), ["reason", "stage"]);
}
