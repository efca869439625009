//! `vswitch-soak` for real, as short as it goes: every rule holds, and nothing is left behind.

use std::process::{Command, Stdio};

use lab::state::StateDir;
use vswitch_bench::soak::summary::Summary;

const PROGRAM: &str = env!("CARGO_BIN_EXE_vswitch-soak");

#[test]
fn a_short_soak_accounts_for_every_packet() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("soak.json");
    let child = Command::new(PROGRAM)
        .args([
            "--seconds",
            "12",
            "--datagram-rate",
            "200",
            "--connection-rate",
            "20",
            "--burst",
            "10000",
            "--json",
        ])
        .arg(&json)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = format!("bench-{}-soak", child.id());
    let output = child.wait_with_output().unwrap();
    let [said, complaints] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{said}{complaints}");
    assert!(said.ends_with("all is well\n"), "{said}");

    let text = std::fs::read_to_string(json).unwrap();
    let summary: Summary = serde_json::from_str(&text).unwrap();
    assert_eq!(summary.violations, Vec::<String>::new());
    assert!(
        summary
            .streams
            .iter()
            .all(|stream| stream.sent.verified_bytes > 1 << 20)
    );
    assert!(summary.datagrams.iter().all(|way| way.received > 1000));
    assert!(summary.guests.exchanges >= 6 && summary.changes.count >= 2);
    let left = StateDir::all()
        .unwrap()
        .into_iter()
        .filter(|state| state.name() == own);
    assert_eq!(left.count(), 0);
}
