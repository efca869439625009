//! Taps on real interfaces: what is seen at each stage, as tshark and capinfos read it.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{M02, M03, MANUAL, NGINX, minikube, ok, run, tap::Tap, without_ipv6};

/// What a test asks tshark for.
const FIELDS: [&str; 4] = ["frame.interface_name", "ip.src", "ip.dst", "frame.comment"];

fn up(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    without_ipv6(&lab);
    lab
}

#[test]
fn rx_and_tx_of_a_pod_are_recorded_with_names_and_nanoseconds() {
    let lab = up("tap-rx-tx");
    let tap = Tap::start(&lab, M02, "nginx --stage rx,tx -f icmp");
    ok(
        &lab,
        "nginx-manual",
        &format!("ping -n -c 3 -i 0.2 {NGINX}"),
    );
    let (recorded, summary) = tap.finish();
    let seen = recorded.fields(&FIELDS);
    // Requests come in by the uplink inside IPIP, which `icmp` does not look into, and leave to the pod.
    let names = "default/nginx-manual > default/nginx";
    let [request, reply] = [
        format!("default/nginx:tx|{MANUAL}|{NGINX}|"),
        format!("default/nginx:rx|{NGINX}|{MANUAL}|"),
    ];
    for (at, pair) in seen.chunks(2).enumerate() {
        assert!(pair[0].starts_with(&request), "{at}: {pair:?}, {names}");
        assert!(pair[1].starts_with(&reply), "{at}: {pair:?}");
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    assert!(
        summary.contains("6 captured, 6 matched, 0 lost"),
        "{summary}"
    );
    let infos = recorded.capinfos();
    assert!(
        infos.contains("File timestamp precision:  nanoseconds (9)"),
        "{infos}"
    );
    let _ = run(&lab, M03, "true");
}
