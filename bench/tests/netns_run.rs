//! `vswitch-bench` for real, as short as it goes: worlds, measurements, files, exit codes, and nothing left behind.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Output, Stdio},
};

use lab::state::StateDir;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use vswitch_bench::run::report::Report;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vswitch-bench");
/// Every measurement, in the order of the report.
const METRICS: [&str; 24] = [
    "tcp1",
    "tcp4",
    "tcp1-cpu",
    "tcp4-cpu",
    "tcp1-retransmits",
    "tcp4-retransmits",
    "udp64",
    "udp64-cpu",
    "udp64-zero-loss",
    "imix",
    "connections",
    "tcp-rr-one-core-p50",
    "tcp-rr-one-core-p99",
    "tcp-rr-one-core-p999",
    "tcp-rr-two-cores-p50",
    "tcp-rr-two-cores-p99",
    "tcp-rr-two-cores-p999",
    "udp-rr-one-core-p50",
    "udp-rr-one-core-p99",
    "udp-rr-one-core-p999",
    "udp-rr-two-cores-p50",
    "udp-rr-two-cores-p99",
    "udp-rr-two-cores-p999",
    "cni-add",
];

fn bench(words: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(words.split_whitespace());
    command
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Folders of worlds that this process's child made.
fn left_by(child: u32) -> Vec<String> {
    let own = format!("bench-{child}-");
    let names = StateDir::all()
        .unwrap()
        .into_iter()
        .map(|state| state.name().to_owned());
    names.filter(|name| name.starts_with(&own)).collect()
}

#[test]
fn a_run_measures_everything_of_both_and_writes_it_down() {
    let folder = tempfile::tempdir().unwrap();
    let (json, html) = (folder.path().join("r.json"), folder.path().join("r.html"));
    let words = "run --quick --rounds 1 --seconds 0.05 --topology same-node --against kernel --threshold same-node/kernel/tcp1>=0.001";
    let child = bench(words)
        .args([
            "--json".as_ref(),
            json.as_os_str(),
            "--html".as_ref(),
            html.as_os_str(),
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(
        text(&output).contains("ok   same-node/kernel/tcp1>=0.001: "),
        "{}",
        text(&output)
    );
    assert_eq!(left_by(id), Vec::<String>::new());

    let report = Report::load(&json).unwrap();
    let chapter = report.chapter("same-node").unwrap();
    assert_eq!(chapter.failures, []);
    let metrics: Vec<&str> = chapter.rows.iter().map(|row| row.metric.as_str()).collect();
    assert_eq!(metrics, METRICS);
    for metric in METRICS {
        let ours = chapter.summary(metric, "vswitchd").unwrap().median;
        assert!(ours >= 0.0, "{metric}: {ours}");
        let theirs = chapter.summary(metric, "kernel");
        assert_eq!(theirs.is_some(), metric != "cni-add", "{metric}");
    }
    for metric in [
        "tcp1",
        "udp64",
        "connections",
        "tcp-rr-one-core-p50",
        "cni-add",
    ] {
        assert!(
            chapter.summary(metric, "vswitchd").unwrap().median > 0.0,
            "{metric}"
        );
    }
    let page = std::fs::read_to_string(html).unwrap();
    assert!(page.matches("<svg").count() >= METRICS.len(), "{page}");
}

#[test]
fn a_missed_threshold_is_the_exit_status() {
    let words = "run --rounds 1 --seconds 0.05 --topology same-node --against kernel --measure udp64 --threshold same-node/kernel/udp64>=1000";
    let output = bench(words).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(
        text(&output).contains("MISS same-node/kernel/udp64>=1000"),
        "{}",
        text(&output)
    );
}

#[test]
fn interrupted_it_unmakes_what_it_made() {
    let mut child = bench("run --topology two-node --against kernel,vxlan")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("two-node: "), "{line}");
    assert_eq!(left_by(child.id()).len(), 3);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    let status = child.wait().unwrap();
    said.read_to_string(&mut line).unwrap();
    assert_eq!(
        (status.code(), left_by(child.id())),
        (Some(2), Vec::new()),
        "{line}"
    );
    assert!(line.contains("vswitch-bench: interrupted"), "{line}");
}

#[test]
fn a_pair_of_the_users_is_measured_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("pair.json");
    let script = r#"
        set -e
        mount -t tmpfs tmpfs /run
        mkdir /run/netns
        ip netns add one
        ip netns add two
        ip link add eth0 netns one type veth peer name eth0 netns two
        ip -n one address add 10.9.0.1/24 dev eth0
        ip -n two address add 10.9.0.2/24 dev eth0
        ip -n one link set eth0 up
        ip -n two link set eth0 up
        exec "$0" pair --netns one --netns two --rounds 2 --seconds 0.05 --measure udp64,tcp-rr-one-core --json "$1"
    "#;
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let output = command
        .args(["--mount", "--net", "--", "sh", "-c", script, PROGRAM])
        .arg(&json)
        .env("PATH", lab::binaries::system_path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let report = Report::load(Path::new(&json)).unwrap();
    let values = report.chapters[0].values("udp64", "pair");
    assert!(
        values.len() == 2 && values.iter().flatten().all(|value| *value > 0.0),
        "{values:?}"
    );
}
