//! The calls against the real kernel, each test in namespaces of its own.

use std::{
    net::Ipv4Addr,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use ipnet::Ipv4Net;
use packet::ethernet::MacAddr;

use crate::{
    Change, Event, Group, Handle, Link, Monitor, NeighbourState, NetNs, Route, RouteScope,
    RouteType, Veth, sysctl, testing::isolated,
};

fn net(text: &str) -> Ipv4Net {
    text.parse().unwrap()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

/// A veth pair `eth0` (in a new namespace) and `cali0` (here), both up.
struct Pair {
    pod: NetNs,
    inside: Handle,
    here: Handle,
    eth0: Link,
    cali0: Link,
}

impl Pair {
    fn new() -> Self {
        let home = NetNs::current().unwrap();
        let pod = NetNs::create().unwrap();
        let inside = Handle::open_in(&pod).unwrap();
        let here = Handle::open().unwrap();
        let mac = Some(MacAddr([2, 0, 0, 0, 0, 7]));
        let veth = Veth {
            name: "eth0",
            mtu: 1480,
            queues: 2,
            peer_name: "cali0",
            peer_netns: &home,
            mac,
        };
        inside.create_veth(&veth).unwrap();
        let link = |handle: &Handle, name| {
            let index = handle.link(name).unwrap().unwrap().index;
            handle.set_up(index).unwrap();
            index
        };
        let (eth0, cali0) = (link(&inside, "eth0"), link(&here, "cali0"));
        let eth0 = inside.link_at(eth0).unwrap().unwrap();
        let cali0 = here.link_at(cali0).unwrap().unwrap();
        Self {
            pod,
            inside,
            here,
            eth0,
            cali0,
        }
    }
}

#[test]
fn a_veth_pair_spans_two_namespaces() {
    isolated(|| {
        let Pair {
            inside,
            here,
            eth0,
            cali0,
            ..
        } = Pair::new();
        assert_eq!(eth0.mac, Some(MacAddr([2, 0, 0, 0, 0, 7])));
        assert_eq!((eth0.mtu, cali0.mtu), (1480, 1480));
        assert_eq!(
            (eth0.kind.as_deref(), eth0.up, eth0.loopback),
            (Some("veth"), true, false)
        );
        assert_eq!(eth0.peer_index, Some(cali0.index));
        assert_eq!(cali0.peer_index, Some(eth0.index));
        assert!(here.link("eth0").unwrap().is_none());

        here.delete_link(cali0.index).unwrap();
        assert!(inside.link("eth0").unwrap().is_none());
        assert!(here.delete_link(cali0.index).unwrap_err().is_not_found());
    });
}

#[test]
fn a_taken_name_is_an_error_that_names_both_ends() {
    isolated(|| {
        let Pair { here, pod, .. } = Pair::new();
        let veth = Veth {
            name: "cali0",
            mtu: 1480,
            queues: 1,
            peer_name: "other",
            peer_netns: &pod,
            mac: None,
        };
        let error = here.create_veth(&veth).unwrap_err();
        assert!(error.already_exists());
        assert!(
            error
                .to_string()
                .starts_with("create link cali0 with peer other: "),
            "{error}"
        );
    });
}

#[test]
fn links_are_listed_renamed_resized_and_moved() {
    isolated(|| {
        let Pair {
            pod,
            inside,
            here,
            cali0,
            ..
        } = Pair::new();
        here.create_bridge("underlay").unwrap();
        let bridge = here.link("underlay").unwrap().unwrap();
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        here.set_controller(cali0.index, bridge.index).unwrap();
        here.set_mtu(cali0.index, 1300).unwrap();
        here.set_mac(cali0.index, MacAddr([2, 0, 0, 0, 0, 9]))
            .unwrap();
        here.set_down(cali0.index).unwrap();
        here.rename_link(cali0.index, "cali1").unwrap();
        let link = here
            .links()
            .unwrap()
            .into_iter()
            .find(|l| l.index == cali0.index)
            .unwrap();
        assert_eq!(
            (link.name.as_str(), link.mtu, link.up),
            ("cali1", 1300, false)
        );
        assert_eq!(link.controller, Some(bridge.index));
        assert_eq!(link.mac, Some(MacAddr([2, 0, 0, 0, 0, 9])));

        here.move_link(cali0.index, &pod).unwrap();
        assert!(here.link("cali1").unwrap().is_none());
        assert!(inside.link("cali1").unwrap().is_some());
    });
}

#[test]
fn an_address_keeps_its_prefix_and_broadcast() {
    isolated(|| {
        let Pair { inside, eth0, .. } = Pair::new();
        let address = net("10.244.205.193/32");
        inside
            .add_address(eth0.index, address, Some(address.addr()))
            .unwrap();
        let found = inside.addresses(Some(eth0.index)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].address, found[0].broadcast),
            (address, Some(address.addr()))
        );
        assert!(found[0].global);
        assert!(
            inside
                .add_address(eth0.index, address, None)
                .unwrap_err()
                .already_exists()
        );

        inside.delete_address(eth0.index, address).unwrap();
        assert!(inside.addresses(None).unwrap().is_empty());
        assert!(
            inside
                .delete_address(eth0.index, address)
                .unwrap_err()
                .is_not_found()
        );
    });
}

#[test]
fn routes_are_added_replaced_and_removed() {
    isolated(|| {
        let Pair { inside, eth0, .. } = Pair::new();
        let gateway = ip("169.254.1.1");
        inside
            .add_route(&Route::on_link(net("169.254.1.1/32"), eth0.index))
            .unwrap();
        inside
            .add_route(&Route::via(net("0.0.0.0/0"), gateway, eth0.index))
            .unwrap();
        inside
            .add_route(&Route::blackhole(net("10.244.205.192/26")))
            .unwrap();
        let routes = inside.routes().unwrap();
        assert_eq!(routes.len(), 3);
        let default = routes.iter().find(|route| route.is_default()).unwrap();
        assert_eq!(
            (default.gateway, default.oif),
            (Some(gateway), Some(eth0.index))
        );
        let link = routes
            .iter()
            .find(|route| route.dst.addr() == gateway)
            .unwrap();
        assert_eq!((link.scope, link.gateway), (RouteScope::Link, None));
        assert!(
            routes
                .iter()
                .any(|route| route.kind == RouteType::BlackHole)
        );

        let again = Route {
            mtu: Some(1400),
            ..*default
        };
        assert!(inside.add_route(&again).unwrap_err().already_exists());
        inside.replace_route(&again).unwrap();
        assert!(
            inside
                .routes()
                .unwrap()
                .iter()
                .any(|route| route.mtu == Some(1400))
        );
        inside.delete_route(&again).unwrap();
        assert!(inside.delete_route(&again).unwrap_err().is_not_found());
    });
}

#[test]
fn the_kernel_says_how_it_would_send() {
    isolated(|| {
        let Pair { inside, eth0, .. } = Pair::new();
        assert_eq!(
            inside.route_to(ip("8.8.8.8")).unwrap_err().errno(),
            Some(101)
        ); // ENETUNREACH
        inside
            .add_address(eth0.index, net("172.16.30.7/24"), None)
            .unwrap();
        let gateway = ip("172.16.30.1");
        inside
            .add_route(&Route::via(net("0.0.0.0/0"), gateway, eth0.index))
            .unwrap();

        let far = inside.route_to(ip("8.8.8.8")).unwrap();
        assert_eq!((far.oif, far.gateway), (eth0.index, Some(gateway)));
        assert_eq!(far.prefsrc, Some(ip("172.16.30.7")));
        let near = inside.route_to(ip("172.16.30.6")).unwrap();
        assert_eq!((near.oif, near.gateway), (eth0.index, None));
        assert_eq!(
            inside.route_to(ip("172.16.30.7")).unwrap().kind,
            RouteType::Local
        );
    });
}

#[test]
fn a_refusal_carries_the_kernels_own_sentence() {
    isolated(|| {
        let Pair { inside, eth0, .. } = Pair::new();
        let route = Route::via(net("0.0.0.0/0"), ip("169.254.1.1"), eth0.index);
        let error = inside.add_route(&route).unwrap_err().to_string();
        assert!(
            error.starts_with("add route 0.0.0.0/0 via 169.254.1.1"),
            "{error}"
        );
        assert!(error.contains("Nexthop has invalid gateway"), "{error}");
    });
}

#[test]
fn a_provoked_neighbour_resolves_and_the_monitor_sees_it() {
    isolated(|| {
        let Pair {
            inside,
            here,
            eth0,
            cali0,
            ..
        } = Pair::new();
        inside
            .add_address(eth0.index, net("172.16.30.7/24"), None)
            .unwrap();
        here.add_address(cali0.index, net("172.16.30.6/24"), None)
            .unwrap();
        let mut monitor = Monitor::open(&[Group::Neighbour]).unwrap();
        let target = ip("172.16.30.7");
        here.provoke(cali0.index, target).unwrap();

        let deadline = Instant::now() + Duration::from_secs(5);
        let seen = loop {
            assert!(Instant::now() < deadline, "no neighbour event within 5 s");
            match monitor.try_next().unwrap() {
                Some(Event::Neighbour(Change::New(n))) if n.usable_mac().is_some() => break n,
                Some(_) => {}
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert_eq!((seen.ip, seen.usable_mac()), (target, eth0.mac));
        let table = here.neighbours(cali0.index).unwrap();
        assert!(
            table
                .iter()
                .any(|n| n.ip == target && n.usable_mac() == eth0.mac),
            "{table:?}"
        );
    });
}

#[test]
fn a_permanent_neighbour_stays_as_set() {
    isolated(|| {
        let Pair { here, cali0, .. } = Pair::new();
        let mac = MacAddr([0xee; 6]);
        here.set_neighbour(cali0.index, ip("169.254.1.1"), mac)
            .unwrap();
        let table = here.neighbours(cali0.index).unwrap();
        assert_eq!(table.len(), 1);
        assert_eq!(
            (table[0].state, table[0].mac),
            (NeighbourState::Permanent, Some(mac))
        );
    });
}

#[test]
fn the_monitor_tells_links_addresses_and_routes_apart() {
    isolated(|| {
        let pair = Pair::new();
        let groups = [Group::Link, Group::Address, Group::Route];
        let mut monitor = Monitor::open_in(&pair.pod, &groups).unwrap();
        assert_eq!(monitor.try_next().unwrap(), None);
        let (inside, index) = (&pair.inside, pair.eth0.index);
        inside
            .add_address(index, net("172.16.30.7/24"), None)
            .unwrap();
        inside
            .add_route(&Route::via(net("10.0.0.0/8"), ip("172.16.30.1"), index))
            .unwrap();
        inside.delete_link(index).unwrap();

        let (mut addresses, mut routes) = (0, 0);
        loop {
            match monitor.next_event().unwrap() {
                Event::Address(Change::New(a)) => addresses += usize::from(a.index == index),
                Event::Route(Change::New(r)) => routes += usize::from(r.dst == net("10.0.0.0/8")),
                Event::Link(Change::Gone(link)) if link.name == "eth0" => break,
                _ => {}
            }
        }
        assert_eq!((addresses, routes), (1, 1));
    });
}

#[test]
fn work_in_a_namespace_comes_back_even_when_it_panics() {
    isolated(|| {
        let home = NetNs::current().unwrap();
        let other = NetNs::create().unwrap();
        assert_ne!(home, other);
        assert_ne!(home.inode(), other.inode());
        let inside = other.run(|| NetNs::current().unwrap()).unwrap();
        assert_eq!(inside, other);
        assert_eq!(NetNs::open(other.fd_path()).unwrap(), other);

        let panicked = catch_unwind(AssertUnwindSafe(|| other.run(|| panic!("on purpose"))));
        assert!(panicked.is_err());
        assert_eq!(NetNs::current().unwrap(), home);
    });
}

#[test]
fn sysctls_belong_to_the_namespace_they_are_written_in() {
    isolated(|| {
        let other = NetNs::create().unwrap();
        let name = "net.ipv4.ip_forward";
        sysctl::write(name, "1").unwrap();
        other.run(|| sysctl::write(name, "0").unwrap()).unwrap();
        assert_eq!(sysctl::read(name).unwrap(), "1");
        assert_eq!(other.run(|| sysctl::read(name).unwrap()).unwrap(), "0");
        sysctl::ensure(name, "1").unwrap();
    });
}

#[test]
fn a_file_that_is_no_namespace_is_refused() {
    let error = NetNs::open("/proc/self/status").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("open network namespace /proc/self/status: "),
        "{error}"
    );
    assert!(NetNs::open("/nonexistent").unwrap_err().is_not_found());
}
