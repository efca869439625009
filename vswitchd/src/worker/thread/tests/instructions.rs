//! What a frame costs in instructions, whole turns of a worker on memory ports: without taps, and with taps that are not
//! concerned. Counted by callgrind, so that a busy machine makes no difference; only of an optimised build.

use std::process::Command;

use crate::tap::{Order, Reader};

use super::*;

/// Names the case and how often it is repeated.
const RUN: &str = "VSWITCHD_TEST_TURNS";
/// Turns of 64 frames. What the many cost more than the few is what the turns cost.
const FEW: u32 = 20;
const MANY: u32 = 420;

/// A pod that has no part in it.
const ELSEWHERE: PortId = PortId(9);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 9);

/// The taps that are set.
const CASES: [(&str, fn() -> Option<Order>); 3] = [
    ("none", || None),
    ("another port", || Some(Reader::tap(ELSEWHERE, None, 96).0)),
    ("another pod", || {
        Some(Reader::tap(ELSEWHERE, Some(OTHER), 96).0)
    }),
];

#[test]
fn a_tap_on_another_port_costs_nothing_and_one_on_another_pod_little() {
    netlink::testing::isolated(|| {
        if let Ok(run) = std::env::var(RUN) {
            let (case, turns) = run.split_once(':').unwrap();
            return take_turns(case, turns.parse().unwrap());
        }
        let [none, port, pod] = CASES.map(|(case, _)| of_a_frame(case));
        let said = format!(
            "a frame: {none:.1} instructions; with a tap on another port {port:.1}, on another pod {pod:.1}"
        );
        // For who asks what it is, not only whether it is well.
        std::fs::write(
            std::env::temp_dir().join("vswitchd-taps-instructions"),
            &said,
        )
        .unwrap();
        assert!(port <= none * 1.02 && pod <= none * 1.08, "{said}");
    });
}

/// Instructions of one frame.
fn of_a_frame(case: &str) -> f64 {
    let [few, many] = [FEW, MANY].map(|turns| counted(case, turns));
    (many - few) as f64 / f64::from((MANY - FEW) * BATCH as u32)
}

fn counted(case: &str, turns: u32) -> i64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--test-threads=1"])
        .arg("worker::thread::tests::instructions::a_tap_on_another_port_costs_nothing_and_one_on_another_pod_little")
        .env(RUN, format!("{case}:{turns}"))
        .output()
        .expect("valgrind, from the Debian package of that name");
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said
        .lines()
        .filter_map(|line| line.split_once("Collected :"));
    let counts = collected.filter_map(|(_, count)| count.trim().parse::<i64>().ok());
    counts.max().unwrap_or_else(|| panic!("{said}"))
}

fn take_turns(case: &str, turns: u32) {
    let set = CASES.iter().find(|(name, _)| *name == case).unwrap().1;
    let mut desk = Desk::new(world(None), 1, WIDE);
    if let Some(order) = set() {
        desk.worker.taps.obey(order);
    }
    let frames = vec![udp(1, 100); BATCH];
    let mut buffers = vec![Frame::new(); BATCH];
    for _ in 0..turns {
        desk.send(&frames);
        assert_eq!(desk.b.rx_batch(&mut buffers).unwrap(), BATCH);
    }
}
