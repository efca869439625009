//! The book against a model: random asking, releasing and crashing never gives an address twice
//! and never loses one.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

const NODE: &str = "minikube-m02";

fn blocks(cidrs: &[&str]) -> Vec<Ipv4Net> {
    cidrs.iter().map(|cidr| cidr.parse().unwrap()).collect()
}

fn owner(netns: &str) -> Owner {
    let netns = Some(netns.to_owned());
    Owner {
        netns,
        ..Owner::default()
    }
}

fn open(path: &std::path::Path, cidrs: &[&str]) -> Result<AddressBook, BookError> {
    AddressBook::open(path, NODE, &blocks(cidrs))
}

#[test]
fn the_tunnel_has_the_first_address_and_the_first_pod_the_second() {
    let directory = tempfile::tempdir().unwrap();
    let mut book = open(&directory.path().join("ipam.json"), &["10.244.205.192/26"]).unwrap();
    assert_eq!(book.tunnel_address(), Ipv4Addr::new(10, 244, 205, 192));
    let pod = book.allocate("c1", owner("/n"), None).unwrap();
    assert_eq!(pod, Ipv4Addr::new(10, 244, 205, 193));
    let holder = book.ipam().blocks()[0]
        .holder(book.tunnel_address())
        .unwrap();
    assert_eq!(holder.handle, "ipip-tunnel-addr-minikube-m02");
}

#[test]
fn the_same_container_asking_again_gets_the_same_address() {
    let mut ipam = Ipam::new(&blocks(&["10.0.0.0/26"]));
    let first = ipam.allocate("c1", owner("/n"), None).unwrap();
    ipam.allocate("c2", owner("/n"), None).unwrap();
    assert_eq!(ipam.allocate("c1", owner("/n"), None).unwrap(), first);
    assert_ne!(handle("c1", "eth0"), handle("c1", "net1"));
}

#[test]
fn a_full_block_is_followed_by_the_next_and_then_by_an_error() {
    let mut ipam = Ipam::new(&blocks(&["10.0.0.4/31", "10.0.1.0/31"]));
    let mut take = |handle: &str| ipam.allocate(handle, owner("/n"), None);
    take("a").unwrap();
    take("b").unwrap();
    assert_eq!(take("c").unwrap(), Ipv4Addr::new(10, 0, 1, 0));
    take("d").unwrap();
    let error = take("e").unwrap_err().to_string();
    assert!(
        error.contains("all 4 addresses") && error.contains("10.0.0.4/31, 10.0.1.0/31"),
        "{error}"
    );
}

#[test]
fn a_requested_address_is_given_or_refused_by_name() {
    let mut ipam = Ipam::new(&blocks(&["10.0.0.0/26"]));
    let wanted = Ipv4Addr::new(10, 0, 0, 9);
    assert_eq!(ipam.allocate("a", owner("/n"), Some(wanted)), Ok(wanted));
    let taken = ipam.allocate("b", owner("/n"), Some(wanted)).unwrap_err();
    assert_eq!(
        taken,
        IpamError::InUse {
            address: wanted,
            handle: "a".into()
        }
    );
    let foreign = ipam.allocate("b", owner("/n"), Some(Ipv4Addr::new(10, 9, 9, 9)));
    assert!(matches!(foreign, Err(IpamError::Foreign { .. })));
}

#[test]
fn a_block_taken_away_with_pods_in_it_stops_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ipam.json");
    let mut book = open(&path, &["10.0.0.0/26"]).unwrap();
    book.allocate("c1", owner("/n"), None).unwrap();
    let error = open(&path, &["10.0.1.0/26"]).unwrap_err();
    assert!(
        matches!(error, BookError::Ipam(IpamError::LostBlock { used: 1, .. })),
        "{error}"
    );
    book.release("c1").unwrap();
    let moved = open(&path, &["10.0.1.0/26"]).unwrap();
    assert_eq!(moved.tunnel_address(), Ipv4Addr::new(10, 0, 1, 0));
}

#[test]
fn a_damaged_book_is_an_error_that_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ipam.json");
    open(&path, &["10.0.0.0/26"]).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    for damage in [
        &text[..text.len() / 2],
        "",
        &text.replacen("\"unallocated\": [", "\"unallocated\": [0,", 1),
    ] {
        std::fs::write(&path, damage).unwrap();
        let error = open(&path, &["10.0.0.0/26"]).unwrap_err();
        assert!(matches!(error, BookError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("ipam.json"));
    }
    let error = {
        std::fs::write(&path, text).unwrap();
        AddressBook::open(&path, "other", &blocks(&["10.0.0.0/26"])).unwrap_err()
    };
    assert!(matches!(error, BookError::OtherNode { .. }), "{error}");
}

#[test]
fn an_address_nobody_was_told_of_is_released_when_its_pod_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ipam.json");
    let mut book = open(&path, &["10.0.0.0/26"]).unwrap();
    book.allocate("c1", owner("/run/netns/gone"), None).unwrap();
    let mut book = open(&path, &["10.0.0.0/26"]).unwrap();
    let gone = |_: &str, owner: &Owner| owner.netns.as_deref() == Some("/run/netns/gone");
    let released = book.release_abandoned(gone).unwrap();
    assert_eq!(released, [Ipv4Addr::new(10, 0, 0, 1)]);
    assert_eq!(book.tunnel_address(), Ipv4Addr::new(10, 0, 0, 0));
    assert_eq!(book.ipam().blocks()[0].free(), 63);
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Ask(u8),
    Release(u8),
    /// The daemon is killed between two requests.
    Crash,
    /// The daemon is killed while it writes: half a new book lies beside the old one.
    CrashWhileWriting(u8),
    /// The daemon is killed after the write and before the answer; the caller asks again.
    CrashBeforeAnswer(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..12).prop_map(Step::Ask),
        4 => (0u8..12).prop_map(Step::Release),
        1 => Just(Step::Crash),
        1 => (0u8..12).prop_map(Step::CrashWhileWriting),
        1 => (0u8..12).prop_map(Step::CrashBeforeAnswer),
    ]
}

/// What must be true: a queue of free addresses and a map of holders.
struct Model {
    free: VecDeque<Ipv4Addr>,
    held: BTreeMap<u8, Ipv4Addr>,
}

impl Model {
    fn ask(&mut self, who: u8) -> Option<Ipv4Addr> {
        if let Some(address) = self.held.get(&who) {
            return Some(*address);
        }
        let address = self.free.pop_front()?;
        self.held.insert(who, address);
        Some(address)
    }

    fn release(&mut self, who: u8) {
        self.free.extend(self.held.remove(&who));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_address_is_given_twice_and_none_is_lost(steps in proptest::collection::vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ipam.json");
        let cidrs = ["10.0.0.0/29"];
        let mut book = open(&path, &cidrs).unwrap();
        let free = (1..8).map(|last| Ipv4Addr::new(10, 0, 0, last)).collect();
        let mut model = Model { free, held: BTreeMap::new() };
        let ask = |book: &mut AddressBook, who: u8| {
            book.allocate(&format!("c{who}"), owner("/n"), None).ok()
        };
        for step in steps {
            match step {
                Step::Ask(who) => prop_assert_eq!(ask(&mut book, who), model.ask(who)),
                Step::Release(who) => {
                    book.release(&format!("c{who}")).unwrap();
                    model.release(who);
                }
                Step::Crash => book = open(&path, &cidrs).unwrap(),
                Step::CrashWhileWriting(who) => {
                    std::fs::write(path.with_file_name("ipam.json.new"), b"{\"version\": 1, \"no").unwrap();
                    book = open(&path, &cidrs).unwrap();
                    prop_assert_eq!(ask(&mut book, who), model.ask(who));
                }
                Step::CrashBeforeAnswer(who) => {
                    let unheard = ask(&mut book, who);
                    book = open(&path, &cidrs).unwrap();
                    prop_assert_eq!(ask(&mut book, who), unheard);
                    prop_assert_eq!(unheard, model.ask(who));
                }
            }
            prop_assert!(book.ipam().is_consistent());
            prop_assert_eq!(book.ipam().blocks()[0].free(), model.free.len());
        }
    }
}
