//! A small shop to ask about, and ways to ask.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const STATE: &str = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
";

pub(crate) const POLICY: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}]
    ports: [{port: sql}]
";

pub(crate) const PROBES: &str = r#"{"id":"p1","from":"shop/web","to":"shop/db","protocol":"TCP","port":5432}

{"id":2,"from":"203.0.113.7","to":"shop/db","protocol":"tcp","port":5432}
"#;

/// A directory with `state.yaml`, `policies/db.yaml` and `probes.jsonl`.
pub(crate) fn shop() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fs::write(path.join("state.yaml"), STATE).unwrap();
    fs::create_dir(path.join("policies")).unwrap();
    fs::write(path.join("policies/db.yaml"), POLICY).unwrap();
    fs::write(path.join("probes.jsonl"), PROBES).unwrap();
    directory
}

/// `vswitchctl policy` with these arguments, in this directory. No daemon is there.
pub(crate) fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
    command
        .arg("policy")
        .args(arguments)
        .current_dir(directory)
        .env("VSWITCHD_SOCKET", directory.join("nobody"));
    command
}

pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Output {
    command(directory, arguments).output().unwrap()
}

pub(crate) fn fed(directory: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = command(directory, arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

#[track_caller]
pub(crate) fn assert_status(output: &Output, status: i32) {
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{out}\n{error}");
}

pub(crate) fn answers(output: &Output) -> Vec<Value> {
    let lines = text(&output.stdout).lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}
