//! The result of ADD, in the shape of each version.

use ipnet::Ipv4Net;
use packet::ethernet::MacAddr;
use serde_json::{Map, Value, json};

use crate::version::Version;

/// What ADD made.
#[derive(Clone, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) host_interface: &'a str,
    pub(crate) ifname: &'a str,
    pub(crate) mac: MacAddr,
    /// In bytes.
    pub(crate) mtu: u32,
    /// `CNI_NETNS`.
    pub(crate) netns: &'a str,
    pub(crate) address: Ipv4Net,
}

impl Outcome<'_> {
    /// The result object: interfaces [host (name only), container], one address on the latter, no
    /// gateway (Calico's shape). What `previous` holds comes first and stays as it is.
    pub(crate) fn to_json(&self, version: Version, previous: Option<&Map<String, Value>>) -> Value {
        let mut result = previous.cloned().unwrap_or_default();
        result.remove("cniVersion");
        let mut shaped = Map::new();
        shaped.insert("cniVersion".into(), json!(version.name()));
        shaped.append(&mut result);

        let interfaces = list(&mut shaped, "interfaces");
        interfaces.push(json!({ "name": self.host_interface }));
        interfaces.push(self.interface(version));
        let container = interfaces.len() - 1;
        list(&mut shaped, "ips").push(self.ip(version, container));
        shaped.entry("dns").or_insert_with(|| json!({}));
        Value::Object(shaped)
    }

    fn interface(&self, version: Version) -> Value {
        let mut interface = Map::new();
        interface.insert("name".into(), json!(self.ifname));
        interface.insert("mac".into(), json!(self.mac.to_string()));
        if version.has_interface_mtu() {
            interface.insert("mtu".into(), json!(self.mtu));
        }
        interface.insert("sandbox".into(), json!(self.netns));
        Value::Object(interface)
    }

    fn ip(&self, version: Version, interface: usize) -> Value {
        let mut ip = Map::new();
        if version.has_ip_version() {
            ip.insert("version".into(), json!("4"));
        }
        ip.insert("address".into(), json!(self.address.to_string()));
        ip.insert("interface".into(), json!(interface));
        Value::Object(ip)
    }
}

/// The array of that key, made if it is missing or `null`.
fn list<'a>(object: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let entry = object.entry(key).or_insert_with(|| json!([]));
    if !entry.is_array() {
        *entry = json!([]);
    }
    entry.as_array_mut().expect("made an array just above")
}

/// The first IPv4 address among a result's `ips`; with `interface`, only those on it.
pub(crate) fn first_ipv4(result: &Map<String, Value>, interface: Option<usize>) -> Option<Ipv4Net> {
    let ips = result.get("ips")?.as_array()?;
    ips.iter().find_map(|ip| {
        let on = ip.get("interface").and_then(Value::as_u64);
        let wanted = interface.is_none() || on == interface.map(|index| index as u64);
        ip.get("address")?.as_str()?.parse().ok().filter(|_| wanted)
    })
}

/// Position and object of the container's interface of that name in a result.
pub(crate) fn container_interface<'a>(
    result: &'a Map<String, Value>,
    ifname: &str,
) -> Option<(usize, &'a Value)> {
    let interfaces = result.get("interfaces")?.as_array()?;
    interfaces.iter().enumerate().find(|(_, interface)| {
        let text = |key: &str| {
            interface
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        text("name") == ifname && !text("sandbox").is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome<'static> {
        Outcome {
            host_interface: "calic440f455693",
            ifname: "eth0",
            mac: MacAddr([0x02, 0x11, 0x22, 0x33, 0x44, 0x55]),
            mtu: 1480,
            netns: "/proc/77/ns/net",
            address: "10.244.205.193/32".parse().unwrap(),
        }
    }

    #[test]
    fn versions_before_1_0_0_say_the_address_family() {
        for version in [Version::V0_3_0, Version::V0_3_1, Version::V0_4_0] {
            let expected = format!(
                concat!(
                    r#"{{"cniVersion":"{}","interfaces":[{{"name":"calic440f455693"}},"#,
                    r#"{{"name":"eth0","mac":"02:11:22:33:44:55","sandbox":"/proc/77/ns/net"}}],"#,
                    r#""ips":[{{"version":"4","address":"10.244.205.193/32","interface":1}}],"dns":{{}}}}"#
                ),
                version.name()
            );
            assert_eq!(outcome().to_json(version, None).to_string(), expected);
        }
    }

    #[test]
    fn version_1_0_0_does_not_say_the_address_family() {
        assert_eq!(
            outcome().to_json(Version::V1_0_0, None).to_string(),
            concat!(
                r#"{"cniVersion":"1.0.0","interfaces":[{"name":"calic440f455693"},"#,
                r#"{"name":"eth0","mac":"02:11:22:33:44:55","sandbox":"/proc/77/ns/net"}],"#,
                r#""ips":[{"address":"10.244.205.193/32","interface":1}],"dns":{}}"#
            )
        );
    }

    #[test]
    fn version_1_1_0_says_the_mtu() {
        assert_eq!(
            outcome().to_json(Version::V1_1_0, None).to_string(),
            concat!(
                r#"{"cniVersion":"1.1.0","interfaces":[{"name":"calic440f455693"},"#,
                r#"{"name":"eth0","mac":"02:11:22:33:44:55","mtu":1480,"sandbox":"/proc/77/ns/net"}],"#,
                r#""ips":[{"address":"10.244.205.193/32","interface":1}],"dns":{}}"#
            )
        );
    }

    #[test]
    fn a_previous_result_passes_through_and_ours_points_behind_it() {
        let previous = json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": "net1", "sandbox": "/proc/77/ns/net"}],
            "ips": [{"address": "192.0.2.1/24", "interface": 0}],
            "routes": [{"dst": "192.0.2.0/24"}],
            "dns": {"nameservers": ["192.0.2.53"]},
        });
        let result = outcome().to_json(Version::V1_0_0, previous.as_object());
        assert_eq!(result["interfaces"][0]["name"], "net1");
        assert_eq!(result["ips"][0], previous["ips"][0]);
        assert_eq!(result["ips"][1]["interface"], 2);
        assert_eq!(result["interfaces"][2]["name"], "eth0");
        assert_eq!(result["routes"], previous["routes"]);
        assert_eq!(result["dns"], previous["dns"]);
    }

    #[test]
    fn what_was_written_is_found_again() {
        let result = outcome().to_json(Version::V1_1_0, None);
        let result = result.as_object().unwrap();
        let (index, interface) = container_interface(result, "eth0").unwrap();
        assert_eq!((index, interface["mtu"].as_u64()), (1, Some(1480)));
        assert_eq!(first_ipv4(result, Some(1)), Some(outcome().address));
        assert_eq!(first_ipv4(result, Some(0)), None);
        assert!(container_interface(result, "calic440f455693").is_none());
    }
}
