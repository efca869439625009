//! Does anybody else have an address of ours? Two pods with one address, or another node with this node's.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use packet::{
    Frame,
    arp::{self, Operation},
    ethernet::{self, EtherType, MacAddr},
};
use port::{Filter, PacketConfig, PacketPort, PortIo};

use super::Finding;

const SUBJECT: &str = "duplicate addresses";
/// ARP probes of the own address (RFC 5227 asks for three).
const PROBES: u32 = 3;
/// For the answers to one probe: anybody who has the address answers from its kernel.
const WAIT: Duration = Duration::from_millis(100);

/// Attachments of the node, as `(address, who)`: each address belongs to one.
pub(super) fn among_pods(endpoints: &[(String, String)]) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (address, who) in endpoints {
        owners.entry(address).or_default().push(who);
    }
    let shared = owners.into_iter().filter(|(_, who)| who.len() > 1);
    let finding = |(address, who): (&str, Vec<&str>)| {
        Finding::broken(
            SUBJECT,
            format!(
                "{address} belongs to {}: only one of them is reached",
                who.join(" and ")
            ),
            "delete these pods, so that each is made again with an address of its own",
        )
    };
    shared.map(finding).collect()
}

/// Asks the underlay, by ARP, who else has this node's address.
pub(super) fn on_the_uplink(uplink: &str, address: Ipv4Addr, mac: MacAddr) -> Finding {
    match others(uplink, address, mac) {
        Ok(None) => Finding::ok(
            SUBJECT,
            format!("nobody else on {uplink} answers ARP for {address}"),
        ),
        Ok(Some(other)) => Finding::broken(
            SUBJECT,
            format!(
                "{other} on {uplink} answers ARP for {address}, which is this node's ({mac}): packets to \
                 this node go now to one, now to the other"
            ),
            "find that machine (`ip neighbour` elsewhere, the switch's table) and give one of the two \
             another address",
        ),
        Err(error) => Finding::new(
            super::Level::Ok,
            SUBJECT,
            format!("not asked: {error}"),
            "run as root, or with CAP_NET_RAW, to have the underlay asked",
        ),
    }
}

fn others(uplink: &str, address: Ipv4Addr, mac: MacAddr) -> io::Result<Option<MacAddr>> {
    let config = PacketConfig {
        interface: uplink,
        filter: Filter::Arp,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 16,
    };
    let mut port = PacketPort::open(&config).map_err(io::Error::other)?;
    let mut frames = vec![Frame::new(); 16];
    for _ in 0..PROBES {
        port.tx_batch(&[probe(address, mac)])?;
        let end = Instant::now() + WAIT;
        while Instant::now() < end {
            let taken = port.rx_batch(&mut frames)?;
            let mut claims = frames[..taken].iter().filter_map(|f| claim(f, address));
            if let Some(other) = claims.find(|claimant| *claimant != mac) {
                return Ok(Some(other));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(None)
}

/// "Who has this address?", asked from no address (RFC 5227 section 2.1.1): nobody's cache is changed by it.
fn probe(address: Ipv4Addr, mac: MacAddr) -> Frame {
    let link = ethernet::Header {
        dst: MacAddr([0xff; 6]),
        src: mac,
        ethertype: EtherType::ARP,
    };
    let question = arp::Packet {
        operation: Operation::Request,
        sender_mac: mac,
        sender_ip: Ipv4Addr::UNSPECIFIED,
        target_mac: MacAddr([0; 6]),
        target_ip: address,
    };
    Frame::from_ethernet(&[link.emit().as_slice(), &question.emit()].concat())
}

/// Who says that the address is his.
fn claim(frame: &Frame, address: Ipv4Addr) -> Option<MacAddr> {
    let said = arp::Packet::parse(frame.packet()).ok()?;
    (said.sender_ip == address).then_some(said.sender_mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn two_pods_with_one_address_are_both_named() {
        let row = |address: &str, who: &str| (address.to_owned(), who.to_owned());
        let mut rows = vec![row("10.9.0.1", "a/web"), row("10.9.0.2", "a/db")];
        assert_eq!(among_pods(&rows), []);
        rows.push(row("10.9.0.1", "b/web"));
        let findings = among_pods(&rows);
        assert_eq!(findings[0].level, Level::Broken);
        assert!(
            findings[0]
                .found
                .starts_with("10.9.0.1 belongs to a/web and b/web")
        );
    }

    #[test]
    fn only_who_says_that_he_has_the_address_claims_it() {
        let (own, address) = (MacAddr([2; 6]), Ipv4Addr::new(10, 0, 0, 1));
        let asked = probe(address, own);
        assert_eq!(claim(&asked, address), None, "a question is no claim");
        let mut bytes = asked.bytes().to_vec();
        bytes[14 + 7] = 2;
        bytes[14 + 14..14 + 18].copy_from_slice(&address.octets());
        let reply = Frame::from_ethernet(&bytes);
        assert_eq!(claim(&reply, address), Some(own));
    }
}
