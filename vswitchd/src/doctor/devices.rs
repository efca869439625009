//! The devices a node's ports are made of: TUN and packet sockets. And what a lab without root needs.

use std::{fs::OpenOptions, io, path::Path};

use netlink::sysctl;
use port::{Filter, PacketConfig, PacketPort};

use super::Finding;

/// `/dev/net/tun`, packet sockets, user namespaces.
pub(super) fn examine() -> Vec<Finding> {
    let root = nix::unistd::geteuid().is_root();
    let loopback = PacketConfig {
        interface: "lo",
        filter: Filter::Everything,
        behind_tc: false,
        fanout: None,
        qdisc_bypass: false,
        encapsulator: None,
        batch: 1,
    };
    vec![
        tun(Path::new("/dev/net/tun")),
        packet_sockets(PacketPort::open(&loopback).err()),
        user_namespaces(&sysctl::read, root),
    ]
}

fn tun(device: &Path) -> Finding {
    let subject = "/dev/net/tun";
    let Err(error) = OpenOptions::new().read(true).write(true).open(device) else {
        return Finding::ok(subject, "opens");
    };
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "modprobe tun; in a container, mount the device: the host port tunl0 is made of it"
        }
        io::ErrorKind::PermissionDenied => {
            "run as root; without root (lab), `chmod 666 /dev/net/tun` opens it"
        }
        _ => "modprobe tun, or build the kernel with CONFIG_TUN: tunl0 is made of it",
    };
    Finding::broken(subject, error.to_string(), advice)
}

/// Opened by the very code that opens ports, on `lo`.
fn packet_sockets(error: Option<port::Error>) -> Finding {
    let subject = "packet sockets";
    let Some(error) = error else {
        return Finding::ok(subject, "AF_PACKET opens, with PACKET_VNET_HDR");
    };
    let source = match &error {
        port::Error::Packet { source, .. } => source.raw_os_error(),
        _ => None,
    };
    let advice = match source {
        Some(nix::libc::EPERM) => "run as root, or give the process CAP_NET_RAW",
        Some(nix::libc::EAFNOSUPPORT) => {
            "modprobe af_packet, or build the kernel with CONFIG_PACKET: ports are made of it"
        }
        _ => "Linux 4.20 or newer is needed, see the step that failed",
    };
    Finding::broken(subject, error.to_string(), advice)
}

/// Only a lab without root needs them, so for root their absence is no more than a remark.
fn user_namespaces(read: &dyn Fn(&str) -> netlink::Result<String>, root: bool) -> Finding {
    let subject = "user namespaces";
    let locks = [
        ("user.max_user_namespaces", "0", "15000"),
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ];
    let closed = |(name, bad, _): &&(&str, &str, &str)| read(name).is_ok_and(|now| now == *bad);
    match locks.iter().find(closed) {
        None => Finding::ok(subject, "open: a lab needs no root"),
        Some((name, now, _)) if root => Finding::ok(
            subject,
            format!("closed by {name} = {now}; only a lab without root needs them"),
        ),
        Some((name, now, open)) => Finding::warn(
            subject,
            format!("closed by {name} = {now}: no lab without root"),
            &format!("sysctl -w {name}={open}, or run labs as root"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn a_missing_device_is_broken_and_names_the_module() {
        let finding = tun(Path::new("/nonexistent/tun"));
        assert_eq!(finding.level, Level::Broken);
        assert!(finding.advice.contains("modprobe tun"), "{finding:?}");
    }

    #[test]
    fn missing_permission_is_told_apart_from_a_missing_feature() {
        let failed = |errno| {
            packet_sockets(Some(port::Error::Packet {
                interface: "lo".into(),
                step: "open it",
                source: io::Error::from_raw_os_error(errno),
            }))
        };
        let permission = failed(nix::libc::EPERM);
        assert!(permission.advice.contains("CAP_NET_RAW"), "{permission:?}");
        let feature = failed(nix::libc::EAFNOSUPPORT);
        assert!(feature.advice.contains("CONFIG_PACKET"), "{feature:?}");
        assert_eq!(packet_sockets(None).level, Level::Ok);
    }

    #[test]
    fn closed_user_namespaces_matter_only_without_root() {
        let closed = |name: &str| match name {
            "kernel.unprivileged_userns_clone" => Ok("0".to_owned()),
            _ => sysctl::read("net.ipv4.no_such_thing"),
        };
        assert_eq!(user_namespaces(&closed, true).level, Level::Ok);
        let finding = user_namespaces(&closed, false);
        assert_eq!(finding.level, Level::Warn);
        assert!(
            finding
                .advice
                .starts_with("sysctl -w kernel.unprivileged_userns_clone=1"),
            "{finding:?}"
        );
    }
}
