//! Taps beside full load, with slow clients and with clients that are killed: only copies are ever lost.

#![forbid(unsafe_code)]

mod netns_common;

use std::time::Duration;

use lab::Lab;
use netns_common::{
    M02, NGINX, Running,
    drops::Drops,
    listens, minikube, ok, pings,
    policing::pod,
    show, soon,
    tap::{Tap, vswitchctl},
    text, within, without_ipv6,
};
use nix::sys::signal::{Signal, kill};

/// `minikube-m02` with the pods `nginx`, `near` and `quiet`, and an iperf3 server in `nginx`.
fn up(name: &str) -> (Lab, Running) {
    let lab = Lab::up(minikube(name)).unwrap();
    for name in ["near", "quiet"] {
        lab.pod_add(&pod(name, M02, name)).unwrap();
    }
    without_ipv6(&lab);
    let server = Running::start(&lab, "nginx", "iperf3 -s");
    listens(&lab, "nginx", 5201);
    (lab, server)
}

/// As fast as it can from `near` to `nginx`; what iperf3 says.
fn load(lab: &Lab, seconds: u32) -> Running {
    let line = format!("iperf3 -J -t {seconds} --connect-timeout 3000 -c {NGINX}");
    Running::start(lab, "near", &line)
}

/// Bits a second that were received, as iperf3 says.
fn speed(said: &str) -> f64 {
    let report: serde_json::Value = serde_json::from_str(said).unwrap();
    let speed = report["end"]["sum_received"]["bits_per_second"].as_f64();
    speed.unwrap_or_else(|| panic!("{said}"))
}

/// Matched and lost of the only tap.
fn counted(lab: &Lab) -> (u64, u64) {
    let rows = show(lab, M02, "taps");
    let count = |key: &str| rows[0][key].as_u64().unwrap();
    (count("matched"), count("lost"))
}

#[test]
fn a_tap_on_a_quiet_pod_misses_nothing_beside_full_load() {
    let (lab, _server) = up("tap-load");
    let drops = Drops::of(&lab, M02);
    let tap = Tap::start(&lab, M02, "quiet --stage rx,post-policy,tx,drop");
    let running = load(&lab, 4);
    let peer = lab.address("near").unwrap();
    let said = ok(
        &lab,
        "quiet",
        &format!("ping -n -c 150 -i 0.02 -W 2 {peer}"),
    );
    assert!(said.contains(" 150 received"), "{said}");
    assert!(speed(&running.finish()) > 1e8, "that was no load");
    let (recorded, summary) = tap.finish();
    assert!(summary.contains(" 0 lost by the tap"), "{summary}");
    let seen = recorded.fields(&["frame.interface_name", "icmp.type"]);
    for stage in [
        "default/quiet:rx|8",
        "default/quiet:post-policy|8",
        "default/near:tx|8",
        "default/near:rx|0",
        "default/near:post-policy|0",
        "default/quiet:tx|0",
    ] {
        let count = seen.iter().filter(|line| *line == stage).count();
        assert_eq!(count, 150, "{stage}");
    }
    assert_eq!(drops.risen(), [].into(), "the data plane dropped nothing");
}

#[test]
fn a_client_that_does_not_read_loses_copies_and_no_frame() {
    let (lab, _server) = up("tap-slow");
    let drops = Drops::of(&lab, M02);
    let tap = Tap::start(&lab, M02, "near --stage rx,tx");
    kill(tap.pid(), Signal::SIGSTOP).unwrap();
    let said = load(&lab, 3).finish();
    assert!(speed(&said) > 1e8, "{said}");
    assert!(pings(&lab, "near", NGINX));
    let (matched, lost) = counted(&lab);
    assert!(lost > 0 && lost < matched, "{lost} of {matched}");
    assert_eq!(drops.risen(), [].into(), "the data plane dropped nothing");
    kill(tap.pid(), Signal::SIGCONT).unwrap();
    let (recorded, summary) = tap.finish();
    let lost_in_all: u64 = summary
        .split(" lost by the tap")
        .next()
        .and_then(|text| text.rsplit(' ').next()?.parse().ok())
        .unwrap();
    assert!(lost_in_all >= lost, "{summary}");
    // What was not lost is in order, and whole.
    let seen = recorded.fields(&["frame.time_epoch"]);
    assert!(
        seen.len() > 100 && seen.is_sorted(),
        "{} packets",
        seen.len()
    );
}

#[test]
fn a_tap_ends_with_its_client_however_that_ends() {
    let (lab, _server) = up("tap-killed");
    let tap = Tap::start(&lab, M02, "--all");
    let stopped = Tap::start(&lab, M02, "near");
    let running = load(&lab, 2);
    kill(tap.pid(), Signal::SIGKILL).unwrap();
    kill(stopped.pid(), Signal::SIGSTOP).unwrap();
    within(Duration::from_secs(3), "the killed one is gone", || {
        show(&lab, M02, "taps").len() == 1
    });
    // It does not even read, and the daemon may be writing to it.
    kill(stopped.pid(), Signal::SIGKILL).unwrap();
    within(Duration::from_secs(3), "and the other", || {
        show(&lab, M02, "taps").is_empty()
    });
    assert!(speed(&running.finish()) > 1e8);
    drop((tap, stopped));
}

#[test]
fn seventeen_taps_are_too_many() {
    let (lab, _server) = up("tap-many");
    let taps: Vec<Tap> = (0..16)
        .map(|_| Tap::start(&lab, M02, "quiet -s 64"))
        .collect();
    let output = vswitchctl(&lab, M02)
        .args(["capture", "--all"])
        .output()
        .unwrap();
    assert!(
        text(&output).contains("16 captures run already"),
        "{}",
        text(&output)
    );
    assert!(pings(&lab, "quiet", NGINX));
    for tap in taps {
        let (recorded, _) = tap.finish();
        assert!(recorded.fields(&["frame.number"]).len() >= 4);
    }
    soon("none is left", || show(&lab, M02, "taps").is_empty());
}
