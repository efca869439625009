//! The table in a real kernel: put in place, put back, taken away.

use std::time::Instant;

use super::*;

fn rules() -> Rules {
    let pool: ipnet::Ipv4Net = "10.244.0.0/16".parse().unwrap();
    Rules {
        nat_pools: vec![pool],
        pools: vec![pool],
        own_blocks: vec!["10.244.205.192/26".parse().unwrap()],
        tunnel_address: Ipv4Addr::new(10, 244, 205, 192),
        local_addresses: [Ipv4Addr::new(172, 16, 30, 7)].into(),
    }
}

/// What the kernel lists within two seconds, once it contains `expected`.
fn eventually(expected: &str) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        if nft::list(rules::TABLE).is_ok_and(|listed| listed.contains(expected)) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

#[test]
fn a_flushed_table_is_back_within_two_seconds() {
    netlink::testing::isolated(|| {
        let nat = Nat::start(rules()).unwrap();
        assert_eq!(nat.trouble(), None);
        assert!(eventually("ip saddr @nat_pools ip daddr != @pools"));
        nft::load("flush ruleset").unwrap();
        assert!(eventually("masquerade"), "after flush ruleset");
        nft::load("flush chain ip vswitchd postrouting").unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(eventually("masquerade"), "after flush chain");
        nat.remove();
        assert!(nft::list(rules::TABLE).is_err(), "removed at the end");
    });
}

#[test]
fn a_new_address_of_the_host_is_in_the_table() {
    netlink::testing::isolated(|| {
        let nat = Nat::start(rules()).unwrap();
        nat.set_local_addresses([Ipv4Addr::new(192, 168, 49, 3)].into());
        assert!(eventually("elements = { 192.168.49.3 }"));
        nat.remove();
    });
}

#[test]
fn a_listing_with_something_taken_out_is_not_what_later_ones_are_compared_with() {
    let script = rules().script();
    let whole = "set pools { elements = { a } } set nat_pools { elements = { a } } \
                 set own_blocks { elements = { a } } set local { elements = { a } } \
                 masquerade masquerade";
    assert!(is_whole(&script, whole));
    assert!(!is_whole(
        &script,
        &whole.replacen("elements = { a }", "", 1)
    ));
    assert!(!is_whole(&script, &whole.replace("masquerade", "")));
}

#[test]
fn a_table_that_could_not_be_put_in_place_is_tried_again() {
    netlink::testing::isolated(|| {
        let mut keeper = Keeper {
            rules: rules(),
            installed: None,
            trouble: Arc::new(Mutex::new(Some("nft says: busy".into()))),
        };
        assert_eq!(keeper.pause(true), RETRY);
        assert_eq!(keeper.pause(false), RETRY);
        keeper.repair();
        assert!(eventually("ip saddr @nat_pools ip daddr != @pools"));
        assert_eq!(*keeper.trouble.lock().unwrap(), None);
        assert_eq!(keeper.pause(false), LOOK);
        keeper.remove();
    });
}

#[test]
fn a_foreign_table_is_left_alone() {
    netlink::testing::isolated(|| {
        nft::load("add table ip other").unwrap();
        let nat = Nat::start(rules()).unwrap();
        nat.remove();
        assert!(nft::list("ip other").is_ok());
    });
}
