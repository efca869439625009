//! Which interface leads to the other nodes, found as the daemon finds it, and is it wide enough?

use std::path::Path;

use super::{Finding, Level};
use crate::{
    config::{self, Config},
    host,
};

/// Bytes of the outer header.
const IPIP_BYTES: u32 = 20;
/// Below this, hosts that will not fragment have trouble (RFC 8200's minimum, for pods).
const LEAST_POD_MTU_BYTES: u32 = 1280;
/// A configuration that leaves everything open.
const OPEN: &str = "node = \"doctor\"\n[[pool]]\nname = \"any\"\ncidr = \"10.244.0.0/16\"\n";

/// `named` is the uplink the running daemon uses.
pub(super) fn examine(file: Option<&Path>, named: Option<&str>) -> Finding {
    let read = match file {
        Some(file) => config::load(file),
        None => config::parse(Path::new("vswitchd.toml"), OPEN),
    };
    let mut config: Config = match read {
        Ok(config) => config,
        Err(errors) => {
            return Finding::broken(
                "uplink",
                errors.to_string(),
                "mend the file; `vswitchd --check-config FILE` checks it",
            );
        }
    };
    if let Some(named) = named {
        config.uplink = Some(named.to_owned());
    }
    match host::uplink::find(&config) {
        Ok((uplink, address)) => judge(
            &uplink.name,
            &address.to_string(),
            uplink.mtu_bytes,
            uplink.up,
        ),
        Err(error) => Finding::broken(
            "uplink",
            error.to_string(),
            "name it in the daemon's TOML with `uplink = \"...\"`, and `--config FILE` here",
        ),
    }
}

fn judge(name: &str, address: &str, mtu_bytes: u32, up: bool) -> Finding {
    let pod = mtu_bytes.saturating_sub(IPIP_BYTES);
    let found = format!("{name}, {address}, MTU {mtu_bytes}: {pod} for pods");
    if !up {
        let found = format!("{found}; it is down");
        return Finding::broken("uplink", found, &format!("ip link set {name} up"));
    }
    if pod < LEAST_POD_MTU_BYTES {
        let advice = "raise the underlay's MTU to 1300 or more";
        return Finding::new(Level::Warn, "uplink", found, advice);
    }
    Finding::ok("uplink", found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_bytes_of_the_mtu_are_the_outer_headers() {
        let finding = judge("eth0", "172.16.30.7/24", 1500, true);
        assert_eq!(
            (finding.level, finding.found.as_str()),
            (Level::Ok, "eth0, 172.16.30.7/24, MTU 1500: 1480 for pods")
        );
    }

    #[test]
    fn a_narrow_uplink_is_a_warning_and_one_that_is_down_is_broken() {
        assert_eq!(judge("eth0", "10.0.0.1/24", 1280, true).level, Level::Warn);
        assert_eq!(
            judge("eth0", "10.0.0.1/24", 1500, false).level,
            Level::Broken
        );
    }

    #[test]
    fn the_open_configuration_is_a_valid_one() {
        assert!(config::parse(Path::new("open.toml"), OPEN).is_ok());
    }

    #[test]
    fn a_named_uplink_that_is_not_there_is_broken() {
        let finding = examine(None, Some("nosuchlink0"));
        assert_eq!(finding.level, Level::Broken);
        assert!(finding.found.contains("nosuchlink0"), "{finding:?}");
    }

    #[test]
    fn a_broken_file_is_reported_instead() {
        let finding = examine(Some(Path::new("/nonexistent/vswitchd.toml")), None);
        assert_eq!(finding.level, Level::Broken);
        assert!(finding.advice.contains("--check-config"), "{finding:?}");
    }
}
