//! Network namespaces for tests: made by the test, gone with it.

use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;
use std::{env, fs, thread};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, Uid, gettid};

const INSIDE: &str = "PORT_TEST_INSIDE_ITS_NAMESPACE";

/// Runs `body` in a network namespace of its own, as its root: the test binary runs itself again, only this test,
/// through unshare(1), in a user namespace when it is not root.
///
/// # Panics
/// When the body does, or when no namespace can be made, saying what is missing.
pub(crate) fn alone(test: &str, body: impl FnOnce()) {
    unshared(test, !Uid::effective().is_root(), body);
}

/// [`alone`], in a user namespace in any case: its root may do with its network what it likes, but load no BPF programs.
///
/// # Panics
/// As [`alone`].
pub(crate) fn alone_without_bpf(test: &str, body: impl FnOnce()) {
    unshared(test, true, body);
}

fn unshared(test: &str, user_namespace: bool, body: impl FnOnce()) {
    if env::var_os(INSIDE).is_some() {
        quiet_ipv6();
        return body();
    }
    let mut command = Command::new("unshare");
    command.arg("--net");
    if user_namespace {
        command.args(["--user", "--map-root-user"]);
    }
    let this = env::current_exe().expect("the test binary's path");
    let output = command
        .arg(this)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("this test needs unshare(1) of util-linux");
    let text = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    assert!(
        !text.contains("unshare failed"),
        "this test needs root, or permission to make user namespaces (sysctl kernel.unprivileged_userns_clone=1, \
         kernel.apparmor_restrict_unprivileged_userns=0): {text}"
    );
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

/// No neighbour discovery among the frames: interfaces made from now on do without IPv6.
fn quiet_ipv6() {
    for which in ["all", "default"] {
        // Missing where the kernel has no IPv6, which is as good.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1");
    }
}

/// Whether the root we are is not the machine's.
pub(crate) fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").expect("/proc/self/uid_map");
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether a program may be attached to an interface's egress: CAP_BPF and CAP_NET_ADMIN outside any user namespace, and
/// Linux 6.6.
pub(crate) fn may_attach_bpf() -> bool {
    const CAPABILITIES: u64 = 1 << 39 | 1 << 12;
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let effective = u64::from_str_radix(effective.expect("CapEff").trim(), 16).expect("bits");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's release");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>());
    let mut number = || numbers.next().and_then(Result::ok).expect("a number");
    effective & CAPABILITIES == CAPABILITIES
        && !in_user_namespace()
        && (number(), number()) >= (6, 6)
}

/// Runs a command, split at spaces, in the calling thread's namespace.
///
/// # Panics
/// When it fails, with what it said.
pub(crate) fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program)
        .args(words)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A veth pair in the calling thread's namespace, both ends up.
pub(crate) fn veth(left: &str, right: &str) {
    run(&format!("ip link add {left} type veth peer name {right}"));
    run(&format!("ip link set {left} up"));
    run(&format!("ip link set {right} up"));
    running(left);
    running(right);
}

/// Waits until a veth end sends what it is given. The kernel learns of the carrier in a work queue (linkwatch), and
/// until then the end has a `noop` queueing discipline, which drops without a word.
pub(crate) fn running(interface: &str) {
    for _ in 0..1000 {
        let text = run(&format!("ip -o link show {interface}"));
        if text.contains("state UP") && !text.contains("qdisc noop ") {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("{interface} does not come up");
}

/// Sets a sysctl of the calling thread's namespace.
pub(crate) fn sysctl(path: &str, value: &str) {
    fs::write(format!("/proc/sys/{path}"), value)
        .unwrap_or_else(|error| panic!("sysctl {path}: {error}"));
}

/// A counter of /proc/net/snmp in the calling thread's namespace: `("Ip", "InReceives")`.
pub(crate) fn snmp(protocol: &str, counter: &str) -> u64 {
    let text =
        fs::read_to_string("/proc/thread-self/net/snmp").expect("/proc/thread-self/net/snmp");
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{protocol}:")));
    let names = lines.next().expect("the line of names").split(' ');
    let values = lines.next().expect("the line of values").split(' ');
    let (_, value) = names
        .zip(values)
        .find(|(name, _)| *name == counter)
        .expect("the counter");
    value.parse().expect("a number")
}

type Job = Box<dyn FnOnce() + Send>;

/// Another network namespace: that of a thread which runs what it is given.
pub(crate) struct Namespace {
    jobs: mpsc::Sender<Job>,
    thread: Pid,
}

impl Namespace {
    pub(crate) fn new() -> Self {
        let (jobs, todo) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a second network namespace");
            quiet_ipv6();
            tell.send(gettid()).expect("the test waits");
            todo.into_iter().for_each(|job| job());
        });
        Self {
            jobs,
            thread: told.recv().expect("the thread starts"),
        }
    }

    /// What `ip link set DEVICE netns` calls it.
    pub(crate) fn pid(&self) -> Pid {
        self.thread
    }

    /// Runs `work` in the namespace and waits for what it returns.
    pub(crate) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, answered) = mpsc::channel();
        let job = move || drop(answer.send(work()));
        self.jobs.send(Box::new(job)).expect("the thread lives");
        answered.recv().expect("the work in the namespace panicked")
    }
}
