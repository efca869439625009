//! Which interface leads to the other nodes, and this node's address on it.
//!
//! What the configuration names is taken. What it leaves out is found by Calico's rules: interfaces
//! that look like a network card (`findHostMTU` in felix) and are up; of these the one with the
//! configured address, else the one the default route leaves by, else the first with an address.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use netlink::Handle;

use crate::{config::Config, control::Uplink};

/// Why there is no uplink.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The configured interface does not exist.
    #[error("uplink {name:?}: no such interface; this host has {present}")]
    Missing {
        /// The configured name.
        name: String,
        /// What there is.
        present: String,
    },
    /// Nothing looks like an uplink.
    #[error(
        "no uplink found: expected an interface that is up, has an IPv4 address and a name like \
         eth0, en*, wl*, ib*; this host has {present}; name one with `uplink = \"...\"`"
    )]
    NotFound {
        /// What there is.
        present: String,
    },
    /// The interface has no address and the configuration gives none.
    #[error("uplink {name} has no IPv4 address; give it one or set `address = \"...\"`")]
    NoAddress {
        /// The interface.
        name: String,
    },
    /// The configured address is not the host's.
    #[error("address {address} is configured, but uplink {name} has {present}")]
    OtherAddress {
        /// The configured address.
        address: Ipv4Net,
        /// The interface.
        name: String,
        /// Its addresses.
        present: String,
    },
    /// The interface has no MAC address, so frames cannot be sent on it.
    #[error("uplink {name} is no Ethernet interface")]
    NoMac {
        /// The interface.
        name: String,
    },
    /// The kernel does not answer.
    #[error(transparent)]
    Netlink(#[from] netlink::Error),
}

/// An interface as far as the choice needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Is it up?
    pub up: bool,
    /// Its global IPv4 addresses.
    pub addresses: Vec<Ipv4Net>,
    /// Does the default route leave by it?
    pub default_route: bool,
}

/// Finds the uplink and this node's address on it.
///
/// # Errors
/// See [`UplinkError`].
pub fn find(config: &Config) -> Result<(Uplink, Ipv4Net), UplinkError> {
    let handle = Handle::open()?;
    let candidates = candidates(&handle)?;
    let chosen = choose(&candidates, config.uplink.as_deref(), config.address)?;
    let address = address_on(chosen, config.address)?;
    let link = handle.link(&chosen.name)?;
    let no_mac = || UplinkError::NoMac {
        name: chosen.name.clone(),
    };
    let link = link.ok_or_else(no_mac)?;
    let uplink = Uplink {
        name: chosen.name.clone(),
        index: link.index,
        mac: link.mac.ok_or_else(no_mac)?,
        mtu_bytes: link.mtu,
        up: link.up,
    };
    Ok((uplink, address))
}

fn candidates(handle: &Handle) -> netlink::Result<Vec<Candidate>> {
    let addresses = handle.addresses(None)?;
    let routes = handle.routes()?;
    let of = |index| {
        let own = addresses
            .iter()
            .filter(move |held| held.index == index && held.global);
        own.map(|held| held.address).collect()
    };
    let leads_out = |index| {
        let mut default = routes.iter().filter(|route| route.is_default());
        default.any(|route| route.oif == Some(index))
    };
    let candidate = |link: netlink::Link| Candidate {
        addresses: of(link.index),
        default_route: leads_out(link.index),
        index: link.index,
        up: link.up,
        name: link.name,
    };
    Ok(handle.links()?.into_iter().map(candidate).collect())
}

/// The rule itself.
///
/// # Errors
/// The named interface does not exist, or none fits.
pub fn choose<'a>(
    candidates: &'a [Candidate],
    name: Option<&str>,
    address: Option<Ipv4Net>,
) -> Result<&'a Candidate, UplinkError> {
    if let Some(name) = name {
        let named = candidates.iter().find(|candidate| candidate.name == name);
        return named.ok_or_else(|| UplinkError::Missing {
            name: name.to_owned(),
            present: names(candidates),
        });
    }
    if let Some(address) = address {
        let has = |held: &&Candidate| held.addresses.iter().any(|a| a.addr() == address.addr());
        if let Some(holder) = candidates.iter().find(has) {
            return Ok(holder);
        }
    }
    let fits =
        |held: &&Candidate| held.up && looks_physical(&held.name) && !held.addresses.is_empty();
    let fitting = candidates.iter().filter(fits);
    let best = fitting.min_by_key(|held| (!held.default_route, held.index));
    best.ok_or_else(|| UplinkError::NotFound {
        present: names(candidates),
    })
}

/// Felix' `^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)`.
fn looks_physical(name: &str) -> bool {
    let classic = ["eth", "wlan", "wwan"];
    let predictable = ["en", "wl", "ww", "sl", "ib"];
    let rest = predictable
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    classic.iter().any(|prefix| name.starts_with(prefix))
        || rest.is_some_and(|rest| rest.starts_with(['P', 'c', 'o', 'p', 's', 'v', 'x']))
}

fn address_on(chosen: &Candidate, wanted: Option<Ipv4Net>) -> Result<Ipv4Net, UplinkError> {
    let name = chosen.name.clone();
    let Some(wanted) = wanted else {
        let first = chosen.addresses.first().copied();
        return first.ok_or(UplinkError::NoAddress { name });
    };
    let own = |held: &Ipv4Net| held.addr() == wanted.addr();
    match chosen.addresses.iter().any(own) {
        true => Ok(wanted),
        false => Err(UplinkError::OtherAddress {
            address: wanted,
            name,
            present: list(chosen.addresses.iter().map(ToString::to_string)),
        }),
    }
}

fn names(candidates: &[Candidate]) -> String {
    list(candidates.iter().map(|candidate| candidate.name.clone()))
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    match items.is_empty() {
        true => "none".into(),
        false => items.join(", "),
    }
}

/// Every IPv4 address of the host.
///
/// # Errors
/// The kernel does not answer.
pub fn local_addresses(handle: &Handle) -> netlink::Result<std::collections::BTreeSet<Ipv4Addr>> {
    let addresses = handle.addresses(None)?;
    Ok(addresses.iter().map(|held| held.address.addr()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(index: u32, name: &str, addresses: &[&str]) -> Candidate {
        Candidate {
            index,
            name: name.into(),
            up: true,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            default_route: false,
        }
    }

    fn host() -> Vec<Candidate> {
        vec![
            candidate(1, "lo", &[]),
            candidate(2, "cni-podman0", &["10.88.0.1/16"]),
            candidate(3, "eth0", &["10.0.2.15/24"]),
            Candidate {
                default_route: true,
                ..candidate(4, "enp3s0", &["172.16.30.7/24"])
            },
        ]
    }

    #[test]
    fn the_card_with_the_default_route_is_the_uplink() {
        assert_eq!(choose(&host(), None, None).unwrap().name, "enp3s0");
    }

    #[test]
    fn without_a_default_route_it_is_the_first_card_with_an_address() {
        let mut host = host();
        host[3].default_route = false;
        assert_eq!(choose(&host, None, None).unwrap().name, "eth0");
        host[2].up = false;
        assert_eq!(choose(&host, None, None).unwrap().name, "enp3s0");
    }

    #[test]
    fn a_configured_address_finds_its_interface_and_a_configured_name_wins() {
        let address = Some("10.88.0.1/16".parse().unwrap());
        assert_eq!(choose(&host(), None, address).unwrap().name, "cni-podman0");
        assert_eq!(choose(&host(), Some("eth0"), address).unwrap().name, "eth0");
    }

    #[test]
    fn bridges_and_pods_are_no_cards() {
        for name in [
            "cni-podman0",
            "docker0",
            "calic440f455693",
            "tunl0",
            "virbr0",
            "enigma",
        ] {
            assert!(!looks_physical(name), "{name}");
        }
        for name in [
            "eth0",
            "ens5",
            "enp3s0",
            "eno1",
            "wlan0",
            "wlp2s0",
            "ibs1",
            "enx0050b6",
        ] {
            assert!(looks_physical(name), "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_there_is() {
        let error = choose(&host(), Some("eth7"), None).unwrap_err().to_string();
        assert!(
            error.contains("eth7") && error.contains("lo, cni-podman0, eth0"),
            "{error}"
        );
        let error = choose(&host()[..2], None, None).unwrap_err().to_string();
        assert!(error.contains("no uplink found"), "{error}");
        let host = host();
        let other = address_on(&host[2], Some("10.0.2.16/24".parse().unwrap())).unwrap_err();
        assert!(
            other.to_string().contains("uplink eth0 has 10.0.2.15/24"),
            "{other}"
        );
    }
}
