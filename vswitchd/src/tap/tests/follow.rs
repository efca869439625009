//! What a tap means is kept up with, whatever its client does.

use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use cni_shim::protocol::Attachment;
use packet::MacAddr;
use packet::bpf::Pieces;

use super::*;
use crate::control::{DesiredState, Seed, Update, Uplink, View, Workload};
use crate::tap::sight::Sight;
use crate::worker::workload_port;

/// A view of so many pods, all called `web`, each in a namespace of its own.
fn view(generation: u64, namespaces: &[&str]) -> View {
    let text =
        "node = \"n\"\naddress = \"10.0.0.1/24\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"";
    let config = crate::config::parse(std::path::Path::new("t"), text).unwrap();
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: "10.9.0.0".parse().unwrap(),
        uplink: Uplink {
            name: "eth0".into(),
            index: 2,
            mac: MacAddr([2; 6]),
            mtu_bytes: 1500,
            up: true,
        },
    };
    let mut desired = DesiredState::new(&config, seed).unwrap();
    for (pod, namespace) in namespaces.iter().enumerate() {
        desired.apply(Update::Attached(Box::new(web(namespace, pod as u32))));
    }
    View {
        desired,
        generation,
        blocks: Vec::new(),
        unattached: 0,
        publish_error: None,
        started: SystemTime::now(),
    }
}

fn web(namespace: &str, number: u32) -> Workload {
    Workload {
        id: Attachment {
            container_id: format!("{number:064}"),
            ifname: "eth0".into(),
        },
        namespace: namespace.into(),
        pod: "web".into(),
        address: Ipv4Addr::from(0x0a09_0001 + number),
        mac: MacAddr([4; 6]),
        host_interface: format!("cali{number:011}"),
        host_index: 7 + number,
        mtu_bytes: 1480,
        bandwidth: None,
        port_mappings: Vec::new(),
        slot: 0,
    }
}

/// A worker that sees very many frames at once, and remembers what taps are aimed at.
struct Busy {
    snapshot: Arc<Snapshot>,
    taps: Mutex<Vec<Tap>>,
    aims: Arc<Mutex<Vec<Aim>>>,
}

impl Workers for Busy {
    fn count(&self) -> usize {
        1
    }

    fn tell(&self, _: usize, order: Order) {
        match order {
            Order::Add(mut tap) => {
                let sight = Sight::new(Time::default(), Stage::Rx, PortId(2));
                for _ in 0..20_000 {
                    let (link, packet) = (&[0; 14], &[0x45; 400]);
                    tap.copy(sight, Pieces { link, packet });
                }
                self.taps.lock().unwrap().push(*tap);
            }
            Order::Aim(_, aim) => self.aims.lock().unwrap().push(aim),
            _ => {}
        }
    }

    fn now(&self) -> Time {
        Time::from_secs(1)
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
}

#[test]
fn a_tap_whose_client_does_not_read_follows_its_pod_all_the_same() {
    let before = view(1, &["shop"]);
    let snapshot =
        crate::worker::offline::snapshot(&before.desired, policy::Settings::default(), 1480);
    let aims = Arc::default();
    let hub = Arc::new(Hub::new(Box::new(Busy {
        snapshot: Arc::new(snapshot),
        taps: Mutex::default(),
        aims: Arc::clone(&aims),
    })));
    let views = Arc::new(ArcSwap::from_pointee(before));
    let web = Capture {
        scope: Scope::Pod("web".into()),
        ..capture(&[Stage::Rx], &[], 0)
    };
    let begun = hub.begin(web, &views).unwrap();
    assert_eq!(hub.rows()[0].capture.scope, Scope::Pod("shop/web".into()));
    let (daemon, client) = UnixStream::pair().unwrap();
    begun.serve(daemon).unwrap();
    // 8 MB wait by now for a client that reads nothing; then another `web` is there, and the port of this one another.
    std::thread::sleep(Duration::from_millis(300));
    views.store(Arc::new(view(2, &["other", "shop"])));
    let start = Instant::now();
    while aims.lock().unwrap().is_empty() && start.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let pod = Ipv4Addr::new(10, 9, 0, 2);
    assert_eq!(
        *aims.lock().unwrap(),
        [Aim::at(workload_port(1), Some(pod))]
    );
    drop(client);
}
