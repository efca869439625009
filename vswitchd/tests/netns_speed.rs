//! Under load: nothing is dropped, nothing is changed.

#![forbid(unsafe_code)]

mod netns_common;

use lab::{Lab, config::Pod};
use netns_common::{
    M01, M02, M03, NGINX, Running, drops::Drops, listens, minikube, ok, python, without_ipv6,
};
use serde_json::Value;

/// Receives a connection's bytes, then says how many and their SHA-256.
const SINK: &str = r#"
import hashlib, socket
server = socket.create_server(("", 7000))
connection, _ = server.accept()
digest, size = hashlib.sha256(), 0
while data := connection.recv(1 << 20):
    digest.update(data)
    size += len(data)
print(size, digest.hexdigest())
"#;

/// Sends 50 MB in writes of all sizes, then says their SHA-256.
const SOURCE: &str = r#"
import hashlib, random, socket
chance = random.Random(7)
data = chance.randbytes(50_000_000)
connection = socket.create_connection(("VICTIM", 7000), 5)
connection.settimeout(30)
at = 0
while at < len(data):
    size = chance.choice((1, 100, 1400, 1428, 1429, 5000, 65536, 1 << 20))
    connection.sendall(data[at:at + size])
    at += size
connection.close()
print(len(data), hashlib.sha256(data).hexdigest())
"#;

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
        let sink = Running::python(&lab, "nginx", SINK);
        listens(&lab, "nginx", 7000);
        let sent = python(&lab, from, &SOURCE.replace("VICTIM", NGINX));
        assert_eq!(sink.finish(), sent, "from {from}");
    }
}
