//! A lab of the walk-through's cluster, and the few words its tests need: run, capture, inject, count.

#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod capture;
pub(crate) mod drops;
pub(crate) mod exposition;
pub(crate) mod policing;
pub(crate) mod scapy;
pub(crate) mod tap;
pub(crate) mod transfer;

use std::{
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use cni_shim::{Request, Response};
use lab::{Config, Lab};
use serde_json::{Map, Value};

/// The node without pods, that of `nginx`, that of `nginx-manual`, and their addresses.
pub(crate) const M01: &str = "minikube";
pub(crate) const M01_ADDRESS: &str = "172.16.30.6";
pub(crate) const M02: &str = "minikube-m02";
pub(crate) const M02_ADDRESS: &str = "172.16.30.7";
pub(crate) const M03: &str = "minikube-m03";
pub(crate) const M03_ADDRESS: &str = "172.16.30.8";
/// Address of pod `nginx`, on `minikube-m02`.
pub(crate) const NGINX: &str = "10.244.205.193";
/// Address of pod `nginx-manual`, on `minikube-m03`.
pub(crate) const MANUAL: &str = "10.244.151.1";
/// Addresses of the three `tunl0`.
pub(crate) const M01_TUNNEL: &str = "10.244.120.64";
pub(crate) const M02_TUNNEL: &str = "10.244.205.192";
pub(crate) const M03_TUNNEL: &str = "10.244.151.0";
/// The host behind the gateway.
pub(crate) const OUTSIDE: &str = "8.8.8.8";
/// Debian's Python, which has scapy; the first in PATH may be another.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The walk-through's cluster, under a lab name of its own.
pub(crate) fn minikube(name: &str) -> Config {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut config = Config::load(&root.join("configs/lab/minikube.toml")).unwrap();
    config.name = name.into();
    config.cni.version = "1.1.0".into();
    config
}

pub(crate) fn text(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

/// Runs a command line, split at blanks.
pub(crate) fn run(lab: &Lab, target: &str, line: &str) -> Output {
    let argv: Vec<&str> = line.split_whitespace().collect();
    lab.exec(target, &argv).unwrap()
}

/// Runs a command line that must succeed, and returns what it said.
pub(crate) fn ok(lab: &Lab, target: &str, line: &str) -> String {
    succeeded(run(lab, target, line), &format!("{target}: {line}"))
}

/// Runs a shell script that must succeed, and returns what it said.
pub(crate) fn shell(lab: &Lab, target: &str, script: &str) -> String {
    let output = lab.exec(target, &["sh", "-c", script]).unwrap();
    succeeded(output, &format!("{target}: {script}"))
}

/// Runs a Python script that must succeed, and returns what it said.
pub(crate) fn python(lab: &Lab, target: &str, script: &str) -> String {
    let output = lab.exec(target, &[PYTHON, "-c", script]).unwrap();
    succeeded(output, &format!("{target}: {script}"))
}

fn succeeded(output: Output, what: &str) -> String {
    let said = text(&output);
    assert!(output.status.success(), "{what}\n{said}");
    said
}

/// Whether one ping is answered within half a second.
pub(crate) fn pings(lab: &Lab, from: &str, to: &str) -> bool {
    run(lab, from, &format!("ping -n -c 1 -W 0.5 {to}"))
        .status
        .success()
}

/// Waits until it holds, at most 10 s.
pub(crate) fn soon(what: &str, holds: impl FnMut() -> bool) {
    within(Duration::from_secs(10), what, holds);
}

/// Waits until it holds, at most so long.
pub(crate) fn within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A program inside that is killed when this value is dropped.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Starts a command line, split at blanks; its output is kept.
    pub(crate) fn start(lab: &Lab, target: &str, line: &str) -> Self {
        let argv: Vec<&str> = line.split_whitespace().collect();
        Self::spawn(lab.command(target, &argv).unwrap())
    }

    /// Starts a Python script; its output is kept.
    pub(crate) fn python(lab: &Lab, target: &str, script: &str) -> Self {
        Self::spawn(lab.command(target, &[PYTHON, "-c", script]).unwrap())
    }

    /// Starts any command; its output is kept.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Waits for its end and returns what it said.
    pub(crate) fn finish(mut self) -> String {
        use std::io::Read;
        drop(self.0.stdin.take());
        let mut said = String::new();
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.0.wait().unwrap();
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a TCP port of the target is listened at.
pub(crate) fn listens(lab: &Lab, target: &str, port: u16) {
    soon(&format!("{target} listens at {port}"), || {
        ok(lab, target, "ss -Hltn").contains(&format!(":{port} "))
    });
}

/// A table of a node's daemon.
pub(crate) fn show(lab: &Lab, node: &str, what: &str) -> Vec<Map<String, Value>> {
    let request = Request::Show {
        what: what.into(),
        limit: None,
    };
    match lab.ask(node, &request).unwrap() {
        Response::Table { rows } => rows,
        other => panic!("show {what} on {node}: {other:?}"),
    }
}

/// The MAC address of an interface.
pub(crate) fn mac(lab: &Lab, target: &str, interface: &str) -> String {
    shell(
        lab,
        target,
        &format!("cat /sys/class/net/{interface}/address"),
    )
    .trim()
    .into()
}

/// Switches IPv6 off wherever the daemons look, so that its neighbour discovery is no noise in the counters.
pub(crate) fn without_ipv6(lab: &Lab) {
    let pods = lab.pod_list().into_iter().map(|pod| pod.pod.key());
    let nodes = lab.config().nodes.iter().map(|node| node.name.clone());
    for target in pods.chain(nodes) {
        shell(
            lab,
            &target,
            "for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 >$f; done",
        );
    }
    // Frames that were on their way are counted by now.
    thread::sleep(Duration::from_millis(100));
}
