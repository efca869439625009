//! Under load: nothing is dropped, nothing is changed.

#![forbid(unsafe_code)]

mod netns_common;

use lab::{Lab, config::Pod};
use netns_common::{
    M01, M02, M03, NGINX, Running, drops::Drops, listens, minikube, ok, transfer::arrives,
    without_ipv6,
};
use serde_json::Value;

fn with_second_pod(name: &str) -> Lab {
    let mut config = minikube(name);
    config.pods.push(Pod::new("default", "second", M02, []));
    let lab = Lab::up(config).unwrap();
    without_ipv6(&lab);
    lab
}

#[test]
fn tcp_at_full_speed_loses_nothing_in_the_switch() {
    let lab = with_second_pod("speed-drops");
    let _server = Running::start(&lab, "nginx", "iperf3 -s");
    listens(&lab, "nginx", 5201);
    let drops = [M01, M02, M03].map(|node| Drops::of(&lab, node));
    for from in ["second", "nginx-manual"] {
        for more in ["", "-R", "-P 4"] {
            let line = format!("iperf3 -J -t 2 --connect-timeout 3000 -c {NGINX} {more}");
            let report: Value = serde_json::from_str(&ok(&lab, from, &line)).unwrap();
            let rate = report["end"]["sum_received"]["bits_per_second"]
                .as_f64()
                .unwrap();
            assert!(rate > 100e6, "{from} {more}: {rate:.0} bit/s");
        }
    }
    for drops in drops {
        drops.rose_by("of TCP at full speed", &[]);
    }
}

#[test]
fn fifty_megabytes_arrive_as_they_were_sent() {
    let lab = with_second_pod("speed-intact");
    for from in ["second", "nginx-manual"] {
        arrives(&lab, from, 50_000_000);
    }
}
