//! Policies put in force, and what pods find when they try to talk.

use std::{
    io::Read,
    thread,
    time::{Duration, Instant},
};

use lab::{Lab, config::Pod};

use super::{PYTHON, Running, drops::Drops, soon};

/// Where the tests' policies are, for every daemon of a lab.
const POLICY: &str = "/run/lab/manifests/policy.yaml";
/// A daemon has published what it says to have loaded by then.
const PUBLISHED: Duration = Duration::from_millis(50);

/// Replaces the tests' policies and waits until every daemon has them in force.
pub(crate) fn put(lab: &Lab, yaml: &str) {
    let before = readings(lab);
    lab.sandbox().write(POLICY, yaml).unwrap();
    soon("the policies are loaded", || {
        let now = readings(lab);
        now.iter().zip(&before).all(|(now, before)| now > before)
    });
    thread::sleep(PUBLISHED);
}

/// How often each daemon has loaded the policies since it started.
fn readings(lab: &Lab) -> Vec<usize> {
    let nodes = lab.config().nodes.iter();
    nodes
        .map(|node| {
            let log = lab.daemon(&node.name).unwrap().read_log().unwrap();
            log.matches("policies loaded").count()
        })
        .collect()
}

/// A NetworkPolicy of the namespace `default`; `spec` in flow style, without its braces.
pub(crate) fn policy(name: &str, annotations: &str, spec: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
         metadata: {{name: {name}, namespace: default, annotations: {{{annotations}}}}}, spec: {{{spec}}}}}\n"
    )
}

/// A pod with one label, `app`.
pub(crate) fn pod(name: &str, node: &str, app: &str) -> Pod {
    Pod::new("default", name, node, [("app".into(), app.into())])
}

/// How an attempt to connect ended, within a second: `open`, or Python's name of the error; and after how long.
pub(crate) fn connect(lab: &Lab, from: &str, to: &str, port: u16) -> (String, Duration) {
    let script = format!(
        "
import socket, time
began = time.monotonic()
try:
    socket.create_connection(('{to}', {port}), 1).close()
    how = 'open'
except OSError as error:
    how = type(error).__name__
print(how, int((time.monotonic() - began) * 1e6))"
    );
    let output = lab.exec(from, &[PYTHON, "-c", &script]).unwrap();
    let said = super::text(&output);
    let (how, micros) = said.trim().split_once(' ').unwrap_or((&said, "0"));
    let micros = micros.parse().unwrap_or_else(|_| panic!("{from}: {said}"));
    (how.into(), Duration::from_micros(micros))
}

/// How it ended, when it does not matter how fast.
pub(crate) fn connects(lab: &Lab, from: &str, to: &str, port: u16) -> String {
    connect(lab, from, to, port).0
}

/// A server that sends every byte back, for each connection at each of these ports.
pub(crate) fn echo(lab: &Lab, target: &str, ports: &[u16]) -> Running {
    let script = format!(
        "
import socket, threading
def echo(connection):
    try:
        while data := connection.recv(99):
            connection.sendall(data)
    except OSError:
        pass
def serve(server):
    while True:
        threading.Thread(target=echo, args=server.accept()[:1], daemon=True).start()
servers = [socket.create_server(('', port)) for port in {ports:?}]
for server in servers:
    threading.Thread(target=serve, args=(server,), daemon=True).start()
threading.Event().wait()"
    );
    let server = Running::python(lab, target, &script);
    ports
        .iter()
        .for_each(|port| super::listens(lab, target, *port));
    server
}

/// A connection to an [`echo`] server that is never silent for longer than it takes to answer.
pub(crate) struct Talk(Running);

impl Talk {
    /// Connects; returns when the first byte has come back.
    pub(crate) fn start(lab: &Lab, from: &str, to: &str, port: u16) -> Self {
        let script = format!(
            "
import select, socket, sys
connection = socket.create_connection(('{to}', {port}), 5)
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
connection.settimeout(1.5)
count = 0
try:
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        connection.sendall(b'x')
        if connection.recv(1) != b'x':
            raise EOFError
        count += 1
        if count == 1:
            print('!', end='', flush=True)
    print('alive')
except Exception as error:
    print(type(error).__name__)"
        );
        let mut running = Running::python(lab, from, &script);
        let mut first = [0];
        let stdout = running.0.stdout.as_mut().unwrap();
        stdout
            .read_exact(&mut first)
            .unwrap_or_else(|error| panic!("{from} to {to}:{port}: {error}"));
        assert_eq!(&first, b"!");
        Self(running)
    }

    /// Ends it: `alive`, or Python's name of the error that had ended it.
    pub(crate) fn end(self) -> String {
        self.0.finish().trim().into()
    }

    /// The error that ends it, waited for up to four seconds.
    pub(crate) fn breaks(mut self) -> String {
        let start = Instant::now();
        while self.0.0.try_wait().unwrap().is_none() {
            if start.elapsed() > Duration::from_secs(4) {
                return self.end();
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.end()
    }
}

/// Of the drops since, only those of policy.
pub(crate) fn only_policy_drops(drops: &Drops<'_>) {
    let risen = drops.risen();
    let is_policy = |reason: &String| reason.starts_with("policy_");
    assert!(risen.keys().all(is_policy), "{risen:?}");
}
