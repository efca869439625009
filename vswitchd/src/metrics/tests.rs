//! What a scrape says, of a node made up.

use std::{net::Ipv4Addr, time::Duration};

use cni_shim::{Response, protocol::Attachment};
use dataplane::{Counters, DropReason};
use packet::ethernet::MacAddr;

use super::*;
use crate::{
    control::{
        BlockUse, ConntrackRow, DesiredState, DropRow, PortCounters, Seed, Segmentation, Update,
        Uplink, WorkerReport, Workload,
    },
    host::TUNNEL,
};

#[allow(dead_code, reason = "the tests on real interfaces use the rest")]
#[path = "../../tests/netns_common/exposition.rs"]
mod exposition;
use exposition::{Exposition, promtool};

/// Two workers and as many ports as there are pods.
struct Made {
    pods: usize,
    workers: Vec<Arc<Counters>>,
}

impl Live for Made {
    fn drops(&self) -> Vec<DropRow> {
        let rows = DropReason::TABLE.iter().map(|row| DropRow {
            reason: format!("{:?}", row.reason),
            label: row.label.to_owned(),
            count: self.workers.iter().map(|c| c.dropped(row.reason)).sum(),
            sentence: String::new(),
        });
        rows.collect()
    }
    fn conntrack(&self, _: usize) -> Vec<ConntrackRow> {
        panic!("a scrape must not ask the workers: they would stop for it");
    }
    fn port_counters(&self) -> Vec<PortCounters> {
        let names = (0..self.pods).map(interface);
        let ends = [TUNNEL.to_owned(), "eth0".to_owned()];
        let mut ports: Vec<PortCounters> = names
            .chain(ends)
            .map(|interface| PortCounters {
                rx_frames: 7,
                rx_bytes: 1 << 40,
                interface,
                ..PortCounters::default()
            })
            .collect();
        ports.sort_by(|a, b| a.interface.cmp(&b.interface));
        ports
    }
    fn flows(&self, _: &mut dyn FnMut(usize, u32, &dataplane::conntrack::Flow)) {}

    fn now(&self) -> dataplane::Time {
        dataplane::Time::default()
    }

    fn port_drops(&self) -> Vec<crate::control::PortDropRow> {
        Vec::new()
    }

    fn workers(&self) -> Vec<WorkerReport> {
        let report = |counters: &Arc<Counters>| WorkerReport {
            generation: 8,
            counters: Arc::clone(counters),
            load: Default::default(),
        };
        self.workers.iter().map(report).collect()
    }
    fn segmentation(&self) -> Segmentation {
        Segmentation::Kernel
    }
}

/// As long as Calico's names are.
fn interface(pod: usize) -> String {
    format!("cali{pod:011}")
}

fn workload(pod: usize) -> Workload {
    Workload {
        id: Attachment {
            container_id: format!("{pod:064}"),
            ifname: "eth0".into(),
        },
        namespace: "a-namespace-of-usual-length".into(),
        pod: format!("a-deployment-7d4b9c6f5d-{pod:05}"),
        address: Ipv4Addr::from(0x0a09_0001 + u32::try_from(pod).unwrap()),
        mac: MacAddr([4; 6]),
        host_interface: interface(pod),
        host_index: 7,
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: Vec::new(),
        slot: 0,
    }
}

fn view(pods: usize) -> View {
    let text =
        "node = \"n\"\naddress = \"10.0.0.1/24\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"";
    let config = crate::config::parse(std::path::Path::new("t"), text).unwrap();
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: "10.9.0.0".parse().unwrap(),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2; 6]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    let mut desired = DesiredState::new(&config, seed).unwrap();
    for pod in 0..pods {
        desired.apply(Update::Attached(Box::new(workload(pod))));
    }
    View {
        desired,
        generation: 9,
        blocks: vec![BlockUse {
            cidr: "10.9.0.0/26".parse().unwrap(),
            used: 3,
            free: 61,
        }],
        unattached: 0,
        publish_error: None,
        started: std::time::SystemTime::now(),
    }
}

fn exporter(pods: usize) -> (Exporter, Vec<Arc<Counters>>) {
    let workers: Vec<Arc<Counters>> = vec![Arc::default(), Arc::default()];
    let meters = Arc::new(Meters::new().unwrap());
    meters.answered("attach", &Response::Ready {}, Duration::from_millis(2));
    meters.compiled(4, Duration::from_micros(250));
    let exporter = Exporter {
        view: Arc::new(ArcSwap::from_pointee(view(pods))),
        live: Arc::new(Made {
            pods,
            workers: workers.clone(),
        }),
        meters,
        max_flows: 131_072,
        flow_log_lost: Arc::new(|| Some(3)),
    };
    (exporter, workers)
}

#[test]
fn promtool_has_no_complaint() {
    let text = exporter(3).0.text().unwrap();
    assert_eq!(promtool(&text), "", "{text}");
}

#[test]
fn what_workers_count_is_added_up() {
    let (exporter, workers) = exporter(1);
    for counters in &workers {
        counters.drop_many(DropReason::TtlExceeded, 1);
        counters.flows.set(5);
        counters.flows_evicted.add(2);
    }
    let scrape = Exposition::read(&exporter.text().unwrap());
    let label = DropReason::TtlExceeded.row().label;
    let drops = |reason| scrape.sum("vswitchd_drops_total", &[("reason", reason)]);
    assert_eq!(drops(label), 2.0);
    assert_eq!(drops(DropReason::NoRoute.row().label), 0.0);
    assert_eq!(
        scrape.samples("vswitchd_drops_total").len(),
        DropReason::COUNT,
        "every reason is there"
    );
    assert_eq!(scrape.sum("vswitchd_conntrack_entries", &[]), 10.0);
    assert_eq!(scrape.sum("vswitchd_conntrack_evicted_total", &[]), 4.0);
    assert_eq!(
        scrape.sum("vswitchd_conntrack_entries_limit", &[]),
        131_072.0
    );
    assert_eq!(scrape.sum("vswitchd_policy_epoch", &[]), 4.0);
    let lag = |worker| scrape.sum("vswitchd_worker_generation_lag", &[("worker", worker)]);
    assert_eq!((lag("0"), lag("1")), (1.0, 1.0));
}

#[test]
fn a_port_has_its_pod_and_large_counts_are_whole() {
    let scrape = Exposition::read(&exporter(2).0.text().unwrap());
    let of_pod = [
        ("pod", "a-deployment-7d4b9c6f5d-00001"),
        ("kind", "workload"),
    ];
    let bytes = scrape.sum("vswitchd_port_rx_bytes_total", &of_pod);
    assert_eq!(bytes, 1_099_511_627_776.0);
    let uplink = [("interface", "eth0"), ("kind", "uplink"), ("pod", "")];
    assert_eq!(scrape.sum("vswitchd_port_rx_frames_total", &uplink), 7.0);
}

#[test]
fn a_scrape_is_bounded_however_many_pods_there_are() {
    let at_most = exporter(MAX_WORKLOADS).0.text().unwrap();
    assert!(at_most.len() < 400 << 10, "{} bytes", at_most.len());
    let scrape = Exposition::read(&at_most);
    assert_eq!(scrape.sum("vswitchd_ports_unlisted", &[]), 0.0);
    assert_eq!(promtool(&at_most), "");

    let beyond = Exposition::read(&exporter(MAX_WORKLOADS + 50).0.text().unwrap());
    assert_eq!(beyond.sum("vswitchd_ports_unlisted", &[]), 50.0);
    assert_eq!(beyond.sum("vswitchd_workloads", &[]), 300.0);
    let listed = |scrape: &Exposition| scrape.samples("vswitchd_port_rx_bytes_total").len();
    assert_eq!((listed(&scrape), listed(&beyond)), (252, 252));
}

#[test]
fn the_process_is_described_by_the_kernels_figures() {
    let scrape = Exposition::read(&exporter(0).0.text().unwrap());
    let value = |name: &str| scrape.sum(name, &[]);
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: f64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    let ratio = value("process_resident_memory_bytes") / (resident * 4096.0);
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_threads") >= 1.0);
    assert!(value("process_cpu_seconds_total") < 3600.0);
}

/// A family as the table in `docs/operate.md` has it.
fn row(name: &str, family: &exposition::Family) -> String {
    let own = |label: &&String| *label != "le";
    let labels = family.samples[0].labels.keys().filter(own);
    let labels: Vec<&str> = labels.map(String::as_str).collect();
    format!(
        "| `{name}` | {} | {} | {} |",
        family.kind,
        labels.join(", "),
        family.help
    )
}

#[test]
fn the_documentation_has_every_metric_with_its_labels_and_its_help() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operate.md");
    let text = std::fs::read_to_string(file).unwrap();
    let written: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `vswitchd_") || line.starts_with("| `process_"))
        .collect();
    let scrape = Exposition::read(&exporter(1).0.text().unwrap());
    let families = scrape.families.iter();
    let mut expected: Vec<String> = families.map(|(name, family)| row(name, family)).collect();
    expected.sort();
    let rows = expected.join("\n");
    assert!(written == expected, "docs/operate.md is to have:\n{rows}");
}
