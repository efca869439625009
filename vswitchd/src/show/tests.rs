//! The tables of minikube-m02 of the walk-through.

use std::{
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cni_shim::capture::{Capture, Scope, Stage, Stats};
use cni_shim::protocol::{Attachment, Bandwidth, PortMapping};
use dataplane::{Counters, DropReason};
use packet::ethernet::MacAddr;
use serde_json::json;

use super::*;
use crate::control::{
    BlockUse, ConntrackRow, DesiredState, DropRow, PortCounters, PortDropRow, Seed, Segmentation,
    Update, Uplink, WorkerLoad, WorkerReport, Workload,
};
use crate::tap::TapRow;

const MINIKUBE_M02: &str = r#"
node = "minikube-m02"
[[pool]]
name = "default-ipv4-ippool"
cidr = "10.244.0.0/16"
block_size = 26
ipip = "Always"
nat_outgoing = true
[[peer]]
name = "minikube"
address = "172.16.30.6/24"
[[peer]]
name = "minikube-m03"
address = "172.16.30.8/24"
"#;

fn nginx() -> Workload {
    Workload {
        id: Attachment {
            container_id: "3f1a".into(),
            ifname: "eth0".into(),
        },
        namespace: "default".into(),
        pod: "nginx".into(),
        address: Ipv4Addr::new(10, 244, 205, 193),
        mac: MacAddr([0x0e, 0, 0, 0, 0, 1]),
        host_interface: "calic440f455693".into(),
        host_index: 8,
        mtu_bytes: 1480,
        bandwidth: Some(Bandwidth {
            egress_rate_bits: 1_000_000,
            ..Bandwidth::default()
        }),
        port_mappings: vec![PortMapping {
            host_port: 8080,
            container_port: 80,
            protocol: "tcp".into(),
            host_ip: None,
        }],
        slot: 0,
    }
}

/// What minikube-m02 knows; `edit` changes its file.
fn view_of(edit: impl Fn(&str) -> String) -> View {
    let config = crate::config::parse(Path::new("node.toml"), &edit(MINIKUBE_M02)).unwrap();
    let seed = Seed {
        address: "172.16.30.7/24".parse().unwrap(),
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2, 0, 0, 0, 0, 7]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    let mut desired = DesiredState::new(&config, seed).unwrap();
    desired.apply(Update::Attached(Box::new(nginx())));
    let mac = MacAddr([2, 0, 0, 0, 0, 6]);
    desired.apply(Update::Neighbour(Ipv4Addr::new(172, 16, 30, 6), Some(mac)));
    View {
        desired,
        generation: 4,
        blocks: vec![BlockUse {
            cidr: "10.244.205.192/26".parse().unwrap(),
            used: 2,
            free: 62,
        }],
        unattached: 0,
        publish_error: None,
        started: SystemTime::now(),
    }
}

fn view() -> View {
    view_of(str::to_owned)
}

/// Workers that count what is written here.
struct Recorded;

impl Live for Recorded {
    fn drops(&self) -> Vec<DropRow> {
        let row = |label: &str, count| DropRow {
            reason: label.to_uppercase(),
            label: label.into(),
            count,
            sentence: format!("About {label}."),
        };
        vec![
            row("truncated", 0),
            row("vlan", 2),
            row("policy_ingress", 7),
            row("no_route", 2),
        ]
    }

    fn conntrack(&self, limit: usize) -> Vec<ConntrackRow> {
        let flow = |src_port| ConntrackRow {
            worker: 1,
            protocol: "tcp".into(),
            src: Ipv4Addr::new(10, 244, 151, 1),
            dst: Ipv4Addr::new(10, 244, 205, 193),
            src_port,
            dst_port: 80,
            state: "ESTABLISHED".into(),
            expires_seconds: 86_399,
            packets: 12,
        };
        (40_000..).map(flow).take(limit.min(5_000)).collect()
    }

    fn taps(&self) -> Vec<TapRow> {
        let capture = Capture {
            scope: Scope::Pod("shop/web".into()),
            stages: vec![Stage::Rx, Stage::Drop],
            reasons: Vec::new(),
            direction: None,
            filter: Vec::new(),
            expression: "tcp".into(),
            snap_len: 128,
        };
        let stats = Stats {
            matched: 7,
            lost: 1,
        };
        vec![TapRow {
            id: 1,
            capture,
            stats,
        }]
    }

    fn port_counters(&self) -> Vec<PortCounters> {
        vec![PortCounters {
            interface: "calic440f455693".into(),
            rx_frames: 3,
            rx_bytes: 294,
            drops: 1,
            ..PortCounters::default()
        }]
    }

    fn flows(&self, _: &mut dyn FnMut(usize, u32, &dataplane::conntrack::Flow)) {}

    fn now(&self) -> dataplane::Time {
        dataplane::Time::default()
    }

    fn port_drops(&self) -> Vec<PortDropRow> {
        let row = |interface: &str, toward, reason, count| PortDropRow {
            interface: interface.into(),
            toward,
            reason,
            count,
        };
        vec![
            row("eth0", false, DropReason::PolicyIngress, 7),
            row("calic440f455693", false, DropReason::Vlan, 2),
            row("calic440f455693", true, DropReason::PolicyIngress, 7),
        ]
    }

    fn workers(&self) -> Vec<WorkerReport> {
        let workers: [Arc<Counters>; 2] = Default::default();
        workers[0].flows_created.add(3);
        workers[1].flows_created.add(4);
        workers[1].flows.set(1);
        let loads = [(25, 75), (0, 100)];
        let report = |(counters, (awake, asleep))| WorkerReport {
            generation: 4,
            counters,
            load: WorkerLoad {
                awake: Duration::from_secs(awake),
                asleep: Duration::from_secs(asleep),
            },
        };
        workers.into_iter().zip(loads).map(report).collect()
    }

    fn segmentation(&self) -> Segmentation {
        Segmentation::Kernel
    }
}

fn gateway() -> Option<DefaultRoute> {
    Some(DefaultRoute {
        via: Some(Ipv4Addr::new(172, 16, 30, 1)),
        dev: "eth0".into(),
    })
}

fn rows_of(what: &str, view: &View) -> Vec<Row> {
    table_with(what, view, &Recorded, None, &gateway).unwrap()
}

fn rows(what: &str) -> Vec<Row> {
    rows_of(what, &view())
}

fn lines(view: &View) -> Vec<String> {
    let Form::Lines(line) = routes::TABLE.form else {
        panic!("routes are lines");
    };
    rows_of("routes", view).iter().map(line).collect()
}

/// The cells of some columns, row by row.
fn cells<const N: usize>(rows: &[Row], keys: [&str; N]) -> Vec<[Value; N]> {
    let of = |row: &Row| keys.map(|key| row[key].clone());
    rows.iter().map(of).collect()
}

#[test]
fn routes_read_as_the_walk_through_prints_them() {
    assert_eq!(
        lines(&view()),
        [
            "default via 172.16.30.1 dev eth0",
            "10.244.120.64/26 via 172.16.30.6 dev tunl0 onlink",
            "10.244.151.0/26 via 172.16.30.8 dev tunl0 onlink",
            "blackhole 10.244.205.192/26",
            "10.244.205.193 dev calic440f455693 scope link",
            "172.16.30.0/24 dev eth0 scope link src 172.16.30.7",
        ]
    );
}

#[test]
fn a_route_as_json_has_every_part_of_its_line() {
    let rows = rows("routes");
    let expected = json!({
        "dst": "10.244.120.64/26", "via": "172.16.30.6", "dev": "tunl0", "type": "unicast",
        "scope": "global", "onlink": true, "src": null, "owner": "minikube",
    });
    assert_eq!(Value::Object(rows[1].clone()), expected);
    assert_eq!(rows[3]["type"], "blackhole");
    assert_eq!(rows[4]["owner"], "default/nginx");
}

#[test]
fn without_encapsulation_a_block_is_routed_by_the_uplink() {
    let view = view_of(|text| text.replace("Always", "CrossSubnet"));
    assert_eq!(lines(&view)[1], "10.244.120.64/26 via 172.16.30.6 dev eth0");
}

#[test]
fn a_host_without_a_default_route_has_none_in_the_table() {
    let rows = table_with("routes", &view(), &Recorded, None, &|| None).unwrap();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0]["dst"], "10.244.120.64/26");
}

#[test]
fn nodes_are_listed_by_name_this_one_among_them() {
    let rows = rows("nodes");
    assert_eq!(
        cells(&rows, ["name", "asn", "ipv4"]),
        [
            [json!("minikube"), json!(64512), json!("172.16.30.6/24")],
            [json!("minikube-m02"), json!(64512), json!("172.16.30.7/24")],
            [json!("minikube-m03"), json!(64512), json!("172.16.30.8/24")],
        ]
    );
    assert_eq!(rows[0]["mac"], "02:00:00:00:00:06");
    assert_eq!(rows[0]["blocks"], json!(["10.244.120.64/26"]));
    assert_eq!(rows[2]["mac"], Value::Null);
    assert_eq!(rows[2]["path_mtu"], 1500);
}

#[test]
fn the_pool_is_shown_with_its_modes() {
    let rows = rows("pools");
    let keys = ["cidr", "block_size", "ipip", "nat_outgoing", "blocks"];
    assert_eq!(
        cells(&rows, keys),
        [[
            json!("10.244.0.0/16"),
            json!(26),
            json!("Always"),
            json!(true),
            json!(3)
        ]]
    );
}

#[test]
fn blocks_have_the_names_calico_gives_them_and_only_own_ones_are_counted() {
    let rows = rows("blocks");
    assert_eq!(
        cells(&rows, ["name", "node", "used", "free"]),
        [
            [
                json!("10-244-120-64-26"),
                json!("minikube"),
                json!(null),
                json!(null)
            ],
            [
                json!("10-244-151-0-26"),
                json!("minikube-m03"),
                json!(null),
                json!(null)
            ],
            [
                json!("10-244-205-192-26"),
                json!("minikube-m02"),
                json!(2),
                json!(62)
            ],
        ]
    );
}

#[test]
fn ports_are_host_uplink_and_workloads_and_one_that_is_not_open_counts_nothing() {
    let rows = rows("ports");
    assert_eq!(
        cells(&rows, ["interface", "kind", "rx_bytes", "drops"]),
        [
            [json!("tunl0"), json!("host"), json!(null), json!(null)],
            [json!("eth0"), json!("uplink"), json!(null), json!(null)],
            [
                json!("calic440f455693"),
                json!("workload"),
                json!(294),
                json!(1)
            ],
        ]
    );
}

#[test]
fn an_endpoint_is_shown_by_namespace_and_name() {
    let rows = rows("endpoints");
    assert_eq!(rows[0]["endpoint"], "default/nginx");
    assert_eq!(rows[0]["address"], "10.244.205.193");
    assert_eq!(rows[0]["ingress_bits"], Value::Null);
    assert_eq!(rows[0]["egress_bits"], 1_000_000);
    assert_eq!(rows[0]["published"], json!(["8080->80/tcp"]));
}

#[test]
fn connections_are_limited_unless_more_are_asked_for() {
    assert_eq!(rows("conntrack").len(), DEFAULT_CONNTRACK_LIMIT);
    let some = table_with("conntrack", &view(), &Recorded, Some(3), &gateway).unwrap();
    assert_eq!(some.len(), 3);
    assert_eq!(some[2]["src_port"], 40_002);
    assert_eq!(some[2]["state"], "ESTABLISHED");
}

#[test]
fn drops_come_most_frequent_first_and_those_that_never_happened_do_not_matter() {
    let rows = rows("drops");
    let labels: Vec<&Value> = rows.iter().map(|row| &row["reason"]).collect();
    assert_eq!(labels, ["policy_ingress", "vlan", "no_route", "truncated"]);
    let matters: Vec<bool> = rows.iter().map(drops::TABLE.matters).collect();
    assert_eq!(matters, [true, true, true, false]);
}

#[test]
fn drops_by_pod_name_whose_frames_and_on_whose_account() {
    assert_eq!(
        cells(&rows("pod-drops"), ["pod", "way", "reason", "count"]),
        [
            [
                json!("default/nginx"),
                json!("toward"),
                json!("policy_ingress"),
                json!(7)
            ],
            [
                json!("(uplink)"),
                json!("from"),
                json!("policy_ingress"),
                json!(7)
            ],
            [
                json!("default/nginx"),
                json!("from"),
                json!("vlan"),
                json!(2)
            ],
        ]
    );
}

#[test]
fn counters_are_added_up_and_times_are_not_among_them() {
    let rows = rows("counters");
    let created = rows.iter().find(|row| row["counter"] == "flows_created");
    assert_eq!(created.unwrap()["total"], 7);
    assert_eq!(created.unwrap()["by_worker"], json!([3, 4]));
    let mut names = rows.iter().map(|row| row["counter"].as_str().unwrap());
    assert!(names.all(|name| !name.starts_with("asleep")));
    assert_eq!(rows.last().unwrap()["counter"], "tx_coalesced");
}

#[test]
fn a_worker_is_busy_for_the_share_of_its_time_that_it_is_awake() {
    assert_eq!(
        cells(&rows("workers"), ["worker", "busy_percent", "flows"]),
        [
            [json!(0), json!(25.0), json!(0)],
            [json!(1), json!(0.0), json!(1)],
        ]
    );
}

#[test]
fn status_sums_up_and_repeats_what_is_wrong() {
    let mut view = view();
    view.publish_error = Some("port cali1: no such device".into());
    view.desired.policy_errors = vec!["deny.yaml:3:1: expected a mapping".into()];
    let rows = rows_of("status", &view);
    assert_eq!(rows.len(), 1);
    let keys = ["peers", "peers_unresolved", "addresses_free", "drops"];
    assert_eq!(
        cells(&rows, keys),
        [[json!(2), json!(1), json!(62), json!(11)]]
    );
    assert_eq!(rows[0]["publish_error"], "port cali1: no such device");
    assert_eq!(
        rows[0]["policy_errors"],
        json!(["deny.yaml:3:1: expected a mapping"])
    );
}

#[test]
fn every_row_has_the_columns_its_table_declares() {
    for table in TABLES {
        let rows = rows(table.name);
        assert!(!rows.is_empty(), "{}", table.name);
        for row in rows {
            let keys: Vec<&str> = row.keys().map(String::as_str).collect();
            assert_eq!(keys, table.columns, "{}", table.name);
        }
        assert!((1..=table.columns.len()).contains(&table.narrow));
    }
}

#[test]
fn an_unknown_table_is_an_error_that_names_the_known_ones() {
    let error = table("rutes", &view(), &Recorded, None).unwrap_err();
    assert_eq!(
        error,
        "there is no table \"rutes\"; there are nodes, pools, blocks, ports, endpoints, routes, \
         conntrack, drops, pod-drops, counters, workers, status, taps"
    );
}
