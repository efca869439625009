//! The watcher against a real kernel.

use std::path::Path;

use crossbeam_channel::{Receiver, unbounded};
use netlink::{NetNs, Route, Veth};

use super::*;
use crate::control::Seed;

const ROUTER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 1);
const PEER: Ipv4Addr = Ipv4Addr::new(172, 16, 30, 6);
const MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

/// Makes the uplink `up0` with this node's address.
fn wire(handle: &Handle) -> Link {
    handle
        .create_veth(&Veth {
            name: "up0",
            peer_name: "up1",
            mtu: 1500,
            queues: 1,
            peer_netns: &NetNs::current().unwrap(),
            mac: None,
        })
        .unwrap();
    for name in ["up0", "up1"] {
        let link = handle.link(name).unwrap().unwrap();
        handle.set_up(link.index).unwrap();
    }
    let link = handle.link("up0").unwrap().unwrap();
    let address = "172.16.30.7/24".parse().unwrap();
    handle.add_address(link.index, address, None).unwrap();
    link
}

fn state(link: &Link) -> DesiredState {
    let text = r#"
        node = "minikube-m02"
        address = "172.16.30.7/24"
        [[pool]]
        name = "p"
        cidr = "10.244.0.0/16"
        [[peer]]
        name = "minikube"
        address = "172.16.30.6/24"
    "#;
    let config = crate::config::parse(Path::new("t.toml"), text).unwrap();
    let seed = Seed {
        address: config.address.unwrap(),
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        uplink: Uplink {
            name: link.name.clone(),
            index: link.index,
            mac: link.mac.unwrap(),
            mtu_bytes: link.mtu,
            up: true,
        },
    };
    DesiredState::new(&config, seed).unwrap()
}

/// The first update that fits, within five seconds.
fn wait(inbox: &Receiver<Message>, fits: impl Fn(&Update) -> bool) -> Update {
    loop {
        match inbox.recv_timeout(Duration::from_secs(5)) {
            Ok(Message::Update(update)) if fits(&update) => return update,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_new_gateway_that_the_kernel_has_known_for_long_is_told_with_its_mac() {
    netlink::testing::isolated(|| {
        let handle = Handle::open().unwrap();
        let link = wire(&handle);
        handle.set_neighbour(link.index, ROUTER, MAC).unwrap();
        let (engine, inbox) = unbounded();
        Watch::new(&state(&link), engine, None).start().unwrap();
        let peer = ipnet::Ipv4Net::from(PEER);
        let route = Route::via(peer, ROUTER, link.index);
        handle.add_route(&route).unwrap();
        match wait(&inbox, |u| matches!(u, Update::Gateway { .. })) {
            Update::Gateway { address, mac, .. } => {
                assert_eq!((address, mac), (ROUTER, Some(MAC)));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn neighbours_are_those_of_the_uplink_that_is_there_now() {
    netlink::testing::isolated(|| {
        let handle = Handle::open().unwrap();
        let link = wire(&handle);
        handle.set_neighbour(link.index, PEER, MAC).unwrap();
        let (engine, inbox) = unbounded();
        let mut watch = Watch::new(&state(&link), engine, None);
        watch.resync(&handle).unwrap();
        let known = |mac| move |u: &Update| matches!(u, Update::Neighbour(PEER, m) if *m == mac);
        wait(&inbox, known(Some(MAC)));

        // Nothing of this is heard: only the new interface is, at the end.
        handle.delete_link(link.index).unwrap();
        let anew = wire(&handle);
        assert_ne!(anew.index, link.index);
        let other = MacAddr([2, 0, 0, 0, 0, 9]);
        handle.set_neighbour(anew.index, PEER, other).unwrap();
        watch.hear(&handle, Event::Link(Change::New(anew)));
        wait(&inbox, known(Some(other)));
    });
}
