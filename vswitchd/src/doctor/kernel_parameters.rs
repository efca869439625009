//! Kernel parameters that decide whether the host passes on what pods send to the outside.

use netlink::sysctl;

use super::Finding;
use crate::host::TUNNEL;

/// `ip_forward` and the three places of `rp_filter`.
pub(super) fn examine(uplink: Option<&str>) -> Vec<Finding> {
    let uplink = uplink.unwrap_or("eth0");
    let filter = |place: &str| {
        let value = sysctl::read(&format!("net/ipv4/conf/{place}/rp_filter")).ok()?;
        value.parse().ok()
    };
    let filters = Filters {
        all: filter("all"),
        default: filter("default"),
        tunnel: filter(TUNNEL),
        uplink: filter(uplink),
    };
    let forwarding = sysctl::read("net.ipv4.ip_forward").ok();
    let mut findings = vec![ip_forward(forwarding.as_deref())];
    if forwarding.as_deref() == Some("1") {
        findings.extend([TUNNEL, uplink].into_iter().filter_map(closed));
    }
    findings.extend(filters.examine(uplink));
    findings
}

fn ip_forward(value: Option<&str>) -> Finding {
    let subject = "ip_forward";
    match value {
        Some("1") => Finding::ok(subject, "1"),
        Some(other) => Finding::warn(
            subject,
            format!(
                "{other}: pods reach other pods and this host, but nothing outside; published \
                 ports stay silent"
            ),
            "the daemon sets it at start; else sysctl -w net.ipv4.ip_forward=1, and see which \
             file in /etc/sysctl.d sets it back",
        ),
        None => Finding::warn(
            subject,
            "net.ipv4.ip_forward cannot be read",
            "mount /proc in the daemon's container",
        ),
    }
}

/// Writing `ip_forward` sets every interface's own switch, which somebody may have set back since.
fn closed(interface: &str) -> Option<Finding> {
    let value = sysctl::read(&format!("net/ipv4/conf/{interface}/forwarding")).ok()?;
    forwarding_of(interface, &value)
}

fn forwarding_of(interface: &str, value: &str) -> Option<Finding> {
    (value == "0").then(|| {
        Finding::warn(
            "ip_forward",
            format!("1, but {interface} has it off: what comes in there is not passed on"),
            &format!("sysctl -w net.ipv4.conf.{interface}.forwarding=1"),
        )
    })
}

/// `rp_filter` of each place: 0 off, 1 strict, 2 loose. Of `all` and the interface, the higher
/// value counts (kernel documentation, `ip-sysctl`).
#[derive(Clone, Copy, Debug, Default)]
struct Filters {
    all: Option<u8>,
    default: Option<u8>,
    tunnel: Option<u8>,
    uplink: Option<u8>,
}

impl Filters {
    fn examine(self, uplink: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        findings.extend(self.of_tunnel());
        findings.extend(self.of_uplink(uplink));
        findings.extend(self.of_default());
        if findings.is_empty() {
            findings.push(Finding::ok("rp_filter", "nowhere strict"));
        }
        findings
    }

    /// The daemon sets its device to 0, which `all = 1` overrides.
    fn of_tunnel(self) -> Option<Finding> {
        let (place, value) = match (self.all, self.tunnel) {
            (Some(1), own) if own != Some(2) => ("all", "net.ipv4.conf.all.rp_filter"),
            (_, Some(1)) => (TUNNEL, "net.ipv4.conf.tunl0.rp_filter"),
            _ => return None,
        };
        Some(Finding::warn(
            "rp_filter",
            format!(
                "{place} = 1 (strict) counts for {TUNNEL}: the host drops what pods answer it by \
                 {TUNNEL} wherever a route of its own leads to them by another interface"
            ),
            &format!("sysctl -w {value}=0 (2, loose, is fine as well)"),
        ))
    }

    fn of_uplink(self, name: &str) -> Option<Finding> {
        let strict = self.uplink == Some(1) && self.all != Some(2);
        strict.then(|| {
            Finding::ok(
                "rp_filter",
                format!(
                    "{name} = 1 (strict): fine with one uplink; with several, what comes in by \
                     {name} and is answered by another is dropped"
                ),
            )
        })
    }

    fn of_default(self) -> Option<Finding> {
        (self.default == Some(1)).then(|| {
            Finding::ok(
                "rp_filter",
                format!(
                    "default = 1 (strict): for interfaces made from now on; the daemon sets \
                     {TUNNEL} to 0, and pods' interfaces are not the host's to filter"
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    const OFF: Filters = Filters {
        all: Some(0),
        default: Some(0),
        tunnel: Some(0),
        uplink: Some(0),
    };

    fn levels(filters: Filters) -> Vec<Level> {
        let findings = filters.examine("eth0");
        findings.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn strict_everywhere_counts_for_the_tunnel_although_its_own_value_is_off() {
        let all = Filters {
            all: Some(1),
            ..OFF
        };
        assert_eq!(levels(all), [Level::Warn]);
        let findings = all.examine("eth0");
        assert!(findings[0].advice.contains("conf.all.rp_filter=0"));
    }

    #[test]
    fn loose_filtering_is_no_trap() {
        let loose = Filters {
            all: Some(2),
            default: Some(2),
            uplink: Some(1),
            ..OFF
        };
        assert_eq!(levels(loose), [Level::Ok]);
        assert_eq!(levels(OFF), [Level::Ok]);
    }

    #[test]
    fn a_strict_uplink_and_default_are_remarks_of_their_own() {
        let strict = Filters {
            default: Some(1),
            uplink: Some(1),
            ..OFF
        };
        assert_eq!(levels(strict), [Level::Ok, Level::Ok]);
    }

    #[test]
    fn an_interface_of_its_own_mind_is_found() {
        let finding = forwarding_of("eth0", "0").unwrap();
        assert!(finding.advice.contains("conf.eth0.forwarding=1"));
        assert_eq!(forwarding_of("eth0", "1"), None);
    }

    #[test]
    fn without_forwarding_the_outside_is_out_of_reach() {
        let finding = ip_forward(Some("0"));
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.found.contains("nothing outside"), "{finding:?}");
        assert_eq!(ip_forward(Some("1")).level, Level::Ok);
    }
}
