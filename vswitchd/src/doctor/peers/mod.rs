//! Does each other node answer through the tunnel? Asked, not guessed: an ICMP echo from `tunl0` to the peer's `tunl0`.
//!
//! The request takes the way of the host's own packets to pods: in at this node's `tunl0`, through its
//! workers, inside IPIP over the underlay, through the peer's workers, up its `tunl0` to its kernel; the
//! reply comes back the same way. So an answer means that protocol 4 passes in both directions and that
//! both daemons forward. A second echo, to the peer's own address, says whether the node is there at all,
//! and what its kernel says about protocol 4 tells a filter from a missing daemon. A third, as large as the
//! path is said to take, finds paths that are narrower.

mod probe;

use std::net::Ipv4Addr;

use super::Finding;
use probe::Answers;

/// Peers probed at most; the rest is counted.
const PROBED: usize = 256;

/// Another node, as the daemon knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    /// On the underlay.
    pub(super) address: Ipv4Addr,
    /// Of its `tunl0`.
    pub(super) tunnel: Ipv4Addr,
    /// Packets to its tunnel address travel inside IPIP.
    pub(super) encapsulated: bool,
    /// Its next hop answers ARP.
    pub(super) resolved: bool,
    /// The largest packet that the path is said to take, without outer header.
    pub(super) packet_bytes: usize,
}

/// Takes 1.2 s at most, and next to nothing where all peers answer. `Err` says why nobody could be asked.
pub(super) fn examine(peers: &[Peer]) -> Result<Vec<Finding>, Finding> {
    let (probed, rest) = peers.split_at(peers.len().min(PROBED));
    let answers = probe::probe(probed).map_err(|error| unasked(&error))?;
    let mut findings = judge_all(probed, &answers);
    if !rest.is_empty() {
        let found = format!("{} more were not asked: too many", rest.len());
        findings.push(Finding::ok(SUBJECT, found));
    }
    Ok(findings)
}

const SUBJECT: &str = "tunnel";

fn unasked(error: &std::io::Error) -> Finding {
    let found = format!("not asked: no raw ICMP socket ({error})");
    let advice = "run as root, or with CAP_NET_RAW, to have the other nodes asked";
    Finding::new(super::Level::Ok, SUBJECT, found, advice)
}

/// One line for all that answer, one for each that does not.
fn judge_all(peers: &[Peer], answers: &[Answers]) -> Vec<Finding> {
    let pairs = peers.iter().zip(answers);
    let mut findings: Vec<Finding> = pairs.clone().filter_map(|(p, a)| judge(p, a)).collect();
    let well = pairs.filter(|(peer, answers)| judge(peer, answers).is_none());
    let well: Vec<String> = well
        .map(|(peer, answers)| said_well(peer, answers))
        .collect();
    if !well.is_empty() {
        let found = format!("asked from tunl0 to tunl0, answered: {}", well.join(", "));
        findings.insert(0, Finding::ok(SUBJECT, found));
    }
    findings
}

fn said_well(peer: &Peer, answers: &Answers) -> String {
    let took = answers.small.unwrap_or_default().as_secs_f64() * 1e3;
    let way = if peer.encapsulated {
        ""
    } else {
        ", without IPIP"
    };
    format!("{} ({took:.1} ms{way})", peer.name)
}

/// What is wrong with this one, if anything is.
fn judge(peer: &Peer, answers: &Answers) -> Option<Finding> {
    let Peer { name, address, .. } = peer;
    let warn = |found: String, advice: &str| {
        let subject = format!("peer {name}");
        Some(Finding::warn(&subject, found, advice))
    };
    if answers.small.is_some() {
        if answers.large {
            return None;
        }
        return warn(
            format!(
                "small packets pass, those of {} bytes do not: the path to {address} is narrower than \
                 its interfaces say",
                peer.packet_bytes
            ),
            "make the MTU the same along the underlay (`ping -M do -s SIZE` finds the narrow hop), or set \
             `mtu` in the TOML and delete the pods to have them made anew",
        );
    }
    if answers.refused {
        return warn(
            "its kernel answers protocol 4 with \"protocol unreachable\": the node is up and reachable, \
             but no vswitchd runs there"
                .to_owned(),
            "start vswitchd on that node; its log and `vswitchctl doctor` there say why it does not run",
        );
    }
    if answers.underlay {
        let way = if peer.encapsulated {
            "inside IPIP (protocol 4)"
        } else {
            "at its tunnel address"
        };
        return warn(
            format!(
                "{address} answers on the underlay and not {way}: filtered on the way there or back"
            ),
            "let IP protocol 4 pass between the nodes in security groups and firewalls (`tcpdump -ni UPLINK \
             ip proto 4` on both shows where it ends); else its vswitchd hangs or has no [[peer]] for this node",
        );
    }
    let arp = if peer.resolved {
        ""
    } else {
        ", and its next hop does not answer ARP"
    };
    warn(
        format!("{address} answers neither through the tunnel nor on the underlay{arp}"),
        "is that node up, its address in this node's TOML right, and ICMP allowed between the nodes?",
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::doctor::Level;

    fn peer() -> Peer {
        Peer {
            name: "m03".into(),
            address: Ipv4Addr::new(172, 16, 30, 8),
            tunnel: Ipv4Addr::new(10, 244, 151, 0),
            encapsulated: true,
            resolved: true,
            packet_bytes: 1480,
        }
    }

    fn found(answers: Answers) -> String {
        let finding = judge(&peer(), &answers).unwrap();
        assert_eq!(finding.level, Level::Warn);
        assert!(!finding.advice.is_empty());
        finding.found
    }

    const SILENT: Answers = Answers {
        small: None,
        large: false,
        underlay: false,
        refused: false,
    };
    const WELL: Answers = Answers {
        small: Some(Duration::from_micros(640)),
        large: true,
        underlay: true,
        refused: false,
    };

    #[test]
    fn each_silence_has_its_own_reason() {
        assert_eq!(judge(&peer(), &WELL), None);
        // Some networks filter echo on the underlay; the tunnel is what counts.
        let quiet = Answers {
            underlay: false,
            ..WELL
        };
        assert_eq!(judge(&peer(), &quiet), None);
        let narrow = Answers {
            large: false,
            ..WELL
        };
        assert!(found(narrow).contains("those of 1480 bytes do not"));
        let refused = Answers {
            refused: true,
            underlay: true,
            ..SILENT
        };
        assert!(found(refused).contains("no vswitchd runs there"));
        let filtered = Answers {
            underlay: true,
            ..SILENT
        };
        assert!(found(filtered).contains("not inside IPIP (protocol 4)"));
        assert!(found(SILENT).contains("neither through the tunnel nor"));
    }

    #[test]
    fn those_that_answer_share_a_line() {
        let mut second = peer();
        second.name = "m04".into();
        let findings = judge_all(&[peer(), second, peer()], &[WELL, WELL, SILENT]);
        assert_eq!(findings.len(), 2);
        assert_eq!(
            findings[0].found,
            "asked from tunl0 to tunl0, answered: m03 (0.6 ms), m04 (0.6 ms)"
        );
        assert_eq!(findings[1].subject, "peer m03");
    }
}
