//! What this kernel can do besides the devices that are needed: what each is for, and what happens without.

use std::{fs, path::Path};

use netlink::sysctl;
use port::{Encapsulator, Fanout, Filter, PacketConfig, PacketPort};

use super::{Finding, Level};
use crate::host::TUNNEL;

/// Hardware type of the kernel's own IPIP device (`ARPHRD_TUNNEL`).
const KERNELS_TUNNEL: &str = "768";

/// Kernel, fan-out, tcx, XDP, IPIP.
pub(super) fn examine() -> Vec<Finding> {
    let release = sysctl::read("kernel.osrelease").unwrap_or_else(|_| "unknown".into());
    let protocols = fs::read_to_string("/proc/self/net/protocols").unwrap_or_default();
    let device = fs::read_to_string(format!("/sys/class/net/{TUNNEL}/type")).unwrap_or_default();
    let loaded = |module: &str| Path::new("/sys/module").join(module).exists();
    vec![
        Finding::ok("kernel", format!("Linux {release}")),
        fan_out(probe_fan_out()),
        encapsulation(Encapsulator::attach("lo", |_| {}).err()),
        xdp(&protocols),
        ipip(&loaded, device.trim()),
    ]
}

fn probe_fan_out() -> Option<port::Error> {
    let group = std::process::id() as u16;
    let config = PacketConfig {
        interface: "lo",
        filter: Filter::Arp,
        behind_tc: false,
        fanout: Some(Fanout { group, members: 1 }),
        qdisc_bypass: false,
        encapsulator: None,
        batch: 1,
    };
    PacketPort::open(&config).err()
}

fn fan_out(error: Option<port::Error>) -> Finding {
    let subject = "fan-out";
    match error {
        None => Finding::ok(
            subject,
            "the kernel spreads connections over workers (PACKET_FANOUT_CBPF)",
        ),
        Some(error) => Finding::warn(
            subject,
            format!("the kernel does not spread connections over workers: {error}"),
            "run as root; if it persists, set workers = 1 in the daemon's TOML",
        ),
    }
}

/// Attached to `lo` for a moment, where it serves nobody.
fn encapsulation(error: Option<port::Error>) -> Finding {
    let subject = "tcx";
    match error {
        None => Finding::ok(
            subject,
            "programs attach (Linux 6.6): super-segments in IPIP may leave whole",
        ),
        Some(error) => Finding::ok(
            subject,
            format!(
                "not here, so super-segments in IPIP are cut in user space, which is slower: {error}"
            ),
        ),
    }
}

/// A kernel with AF_XDP lists its protocol.
fn xdp(protocols: &str) -> Finding {
    let listed = protocols.lines().any(|line| line.starts_with("XDP "));
    let found = match listed {
        true => "AF_XDP sockets are there; vswitchd uses packet sockets and does not need them",
        false => "no AF_XDP sockets; vswitchd uses packet sockets and does not need them",
    };
    Finding::ok("XDP", found)
}

/// Whoever has the module could run Calico itself; beside vswitchd it is in the way.
fn ipip(loaded: &dyn Fn(&str) -> bool, device_type: &str) -> Finding {
    let subject = "IPIP module";
    if device_type == KERNELS_TUNNEL {
        return Finding::broken(
            subject,
            format!(
                "{TUNNEL} is the kernel's own tunnel: vswitchd cannot make its device of that name"
            ),
            "stop what uses it (another Calico?), then rmmod ipip, and keep it out with a file in \
             /etc/modprobe.d: blacklist ipip",
        );
    }
    let answering: Vec<&str> = ["ipip", "tunnel4", "sit"]
        .into_iter()
        .filter(|module| loaded(module))
        .collect();
    match answering.is_empty() {
        true => Finding::new(
            Level::Ok,
            subject,
            "absent, as it should be: IPIP is vswitchd's",
            "",
        ),
        false => Finding::warn(
            subject,
            format!(
                "{} loaded: the kernel looks into protocol 4 as well, and may answer what other nodes send \
                 with ICMP unreachable",
                answering.join(", ")
            ),
            "rmmod them; if the host needs them for tunnels of its own, see whether connections between \
             nodes break",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tunnel_in_the_way_is_broken_and_its_modules_are_a_warning() {
        let none = |_: &str| false;
        assert_eq!(ipip(&none, "65534").level, Level::Ok, "our own device");
        assert_eq!(ipip(&none, "").level, Level::Ok, "no device");
        assert_eq!(ipip(&none, KERNELS_TUNNEL).level, Level::Broken);
        let beside = ipip(&|module| module == "tunnel4", "65534");
        assert_eq!(beside.level, Level::Warn);
        assert!(beside.found.starts_with("tunnel4 loaded"), "{beside:?}");
    }

    #[test]
    fn what_is_only_faster_is_no_warning_when_it_is_missing() {
        let missing = || {
            Some(port::Error::Packet {
                interface: "lo".into(),
                step: "try it",
                source: std::io::Error::from_raw_os_error(nix::libc::EPERM),
            })
        };
        assert_eq!(encapsulation(missing()).level, Level::Ok);
        assert_eq!(fan_out(missing()).level, Level::Warn);
        assert_eq!(xdp("").level, Level::Ok);
        assert!(
            xdp("protocol  size\nXDP        960 1\n")
                .found
                .starts_with("AF_XDP")
        );
    }
}
