//! `vswitchctl top` in a terminal of 80 by 24, which script(1) makes: it draws, draws again, and leaves nothing behind.

#![forbid(unsafe_code)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cni_shim::{
    Request, Response,
    protocol::{from_line, to_line},
};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// What leaves the screen that programs draw on (xterm, "DECSET 1049").
const ALTERNATE_SCREEN_OFF: &str = "\x1b[?1049l";

/// A daemon whose only pod receives a thousand frames more each time it is asked.
fn daemon() -> (TempDir, PathBuf, Arc<AtomicU64>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), &count);
        }
    });
    (directory, path, asked)
}

fn answer(stream: UnixStream, asked: &AtomicU64) {
    let mut writing = stream.try_clone().unwrap();
    let Some(Ok(line)) = BufReader::new(stream).lines().next() else {
        return;
    };
    let rows = match from_line(&line).unwrap() {
        Request::Show { what, .. } => match what.as_str() {
            "status" => json!([{"node": "minikube-m02", "uptime_seconds": 90, "generation": 4}]),
            "ports" => {
                let frames = 1_000 * asked.fetch_add(1, Ordering::Relaxed);
                json!([{"interface": "cali1", "owner": "shop/web", "rx_frames": frames, "rx_bytes": frames}])
            }
            "drops" => json!([{"reason": "policy_ingress", "count": 7, "sentence": "No."}]),
            _ => json!([{"worker": 0, "awake_seconds": 1.0, "asleep_seconds": 9.0}]),
        },
        Request::ActiveFlows { .. } => json!([{
            "protocol": "tcp", "src": "10.9.0.1", "src_port": 40_000, "src_pod": "shop/web",
            "dst": "10.9.0.2", "dst_port": 80, "bits_per_second": 5_000, "seconds": 3.0,
        }]),
        other => panic!("{other:?}"),
    };
    let rows = rows.as_array().unwrap().iter();
    let rows: Vec<Map<String, Value>> = rows.map(|row| row.as_object().unwrap().clone()).collect();
    let line = to_line(&Response::Table { rows }).unwrap();
    // A client that was ended has hung up.
    let _ = writing.write_all(line.as_bytes());
}

/// `vswitchctl top` in a terminal; killed when dropped.
struct Terminal {
    child: Child,
    drawn: Arc<std::sync::Mutex<String>>,
}

impl Terminal {
    fn start(socket: &Path) -> Self {
        let line = format!(
            "stty cols 80 rows 24; exec {} top --interval 1",
            env!("CARGO_BIN_EXE_vswitchctl")
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("VSWITCHD_SOCKET", socket)
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script(1) makes the terminal: install bsdutils");
        let drawn = Arc::<std::sync::Mutex<String>>::default();
        let (mut output, copy) = (child.stdout.take().unwrap(), drawn.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                copy.lock().unwrap().push_str(&text);
            }
        });
        Self { child, drawn }
    }

    fn drawn(&self) -> String {
        self.drawn.lock().unwrap().clone()
    }

    fn awaits(&self, what: &str) {
        let start = Instant::now();
        while !self.drawn().contains(what) {
            let drawn = self.drawn();
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "no {what:?} in {drawn:?}"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn types(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Its exit status; it ends by itself.
    fn ends(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_draws_and_draws_again_and_gives_the_terminal_back() {
    let (_directory, socket, asked) = daemon();
    let mut terminal = Terminal::start(&socket);
    terminal.awaits("minikube-m02");
    terminal.awaits("shop/web");
    terminal.awaits("policy_ingress");
    terminal.awaits("q quit");
    terminal.types("n");
    // Only what changes is drawn again.
    terminal.awaits("[2mname");
    let before = asked.load(Ordering::Relaxed);
    let start = Instant::now();
    while asked.load(Ordering::Relaxed) < before + 2 {
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "it does not measure again"
        );
        thread::sleep(Duration::from_millis(20));
    }
    terminal.types(" ");
    terminal.awaits("paused");
    terminal.types("q");
    assert_eq!(terminal.ends(), Some(0));
    terminal.awaits(ALTERNATE_SCREEN_OFF);
}

#[test]
fn a_daemon_that_goes_away_is_told_of_and_ctrl_c_ends_it() {
    let (directory, socket, _) = daemon();
    let mut terminal = Terminal::start(&socket);
    terminal.awaits("shop/web");
    drop(directory);
    terminal.awaits("does not answer");
    terminal.types("\x03");
    assert_eq!(terminal.ends(), Some(0));
    terminal.awaits(ALTERNATE_SCREEN_OFF);
}

#[test]
fn without_a_terminal_it_says_what_to_do_and_once_needs_none() {
    let (_directory, socket, _) = daemon();
    let run = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vswitchctl"));
        command
            .args(arguments.split(' '))
            .env("VSWITCHD_SOCKET", &socket);
        command.stdin(Stdio::null()).output().unwrap()
    };
    let refused = run("top");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--once"));
    let once = run("top --once --interval 1 -o json");
    let measured: Value = serde_json::from_slice(&once.stdout).unwrap();
    assert_eq!(measured["node"], "minikube-m02");
    let rate = measured["ports"][0]["rx_frames"].as_f64().unwrap();
    assert!((300.0..=1_000.0).contains(&rate), "{rate}");
    assert_eq!(measured["flows"][0]["from"], "shop/web:40000");
    let table = run("top --once --interval 1");
    assert!(String::from_utf8_lossy(&table.stdout).contains("shop/web:40000 > 10.9.0.2:80"));
}
