//! The network configuration: CNI's keys, Calico's keys, and `socket`.

use std::{net::Ipv4Addr, path::PathBuf};

use cni_shim::{Attachment, Bandwidth, DEFAULT_SOCKET, PortMapping, error_code};
use packet::ethernet::MacAddr;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::{
    environment::{is_identifier, parse_ip},
    failure::Failure,
    version::Version,
};

/// Every key that may stand in a configuration without a remark: CNI 1.1.0, Calico's plugin
/// (`cni-plugin/pkg/types/types.go`), and our `socket`.
const KNOWN_KEYS: &[&str] = &[
    "cniVersion",
    "cniVersions",
    "name",
    "type",
    "args",
    "ipMasq",
    "ipam",
    "dns",
    "capabilities",
    "runtimeConfig",
    "prevResult",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
    "cni.dev/valid-attachments",
    "cni.dev/attachments",
    "socket",
    "mtu",
    "num_queues",
    "nodename",
    "nodename_file",
    "nodename_file_optional",
    "require_mtu_file",
    "datastore_type",
    "log_level",
    "log_file_path",
    "log_file_max_size",
    "log_file_max_age",
    "log_file_max_count",
    "ipam_lock_file",
    "policy",
    "kubernetes",
    "feature_control",
    "container_settings",
    "include_default_routes",
    "dataplane_options",
    "device_type",
    "readiness_gates",
    "policy_setup_timeout_seconds",
    "endpoint_status_dir",
    "calico_api_group",
    "qps",
    "burst",
    "mode",
    "vxlan_mac_prefix",
    "vxlan_vni",
    "hostname",
    "etcd_authority",
    "etcd_endpoints",
    "etcd_discovery_srv",
    "etcd_scheme",
    "etcd_key_file",
    "etcd_cert_file",
    "etcd_ca_cert_file",
];

/// The part of a configuration that we act on.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Config {
    #[serde(rename = "cniVersion")]
    cni_version: Option<String>,
    pub(crate) name: String,
    socket: Option<PathBuf>,
    /// MTU of the pod's interface in bytes; 0 asks the daemon.
    pub(crate) mtu: u32,
    pub(crate) num_queues: Option<u32>,
    log_level: String,
    log_file_path: Option<PathBuf>,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) ipam: Ipam,
    #[serde(deserialize_with = "null_is_default")]
    pub(crate) container_settings: ContainerSettings,
    device_type: String,
    #[serde(deserialize_with = "null_is_default")]
    dataplane_options: Map<String, Value>,
    #[serde(rename = "runtimeConfig", deserialize_with = "null_is_default")]
    runtime: Runtime,
    #[serde(rename = "prevResult")]
    pub(crate) previous: Option<Map<String, Value>>,
    #[serde(skip)]
    pub(crate) raw: Map<String, Value>,
}

/// Who hands out addresses.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ipam {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    subnet: Option<String>,
    assign_ipv4: Option<Value>,
    assign_ipv6: Option<Value>,
    ipv4_pools: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerSettings {
    pub(crate) allow_ip_forwarding: bool,
}

/// `runtimeConfig`: what the runtime adds for declared capabilities.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Runtime {
    bandwidth: Option<RuntimeBandwidth>,
    port_mappings: Option<Vec<RuntimePort>>,
    ips: Option<Vec<String>>,
    mac: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RuntimeBandwidth {
    ingress_rate: u64,
    ingress_burst: u64,
    egress_rate: u64,
    egress_burst: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RuntimePort {
    host_port: u16,
    container_port: u16,
    protocol: String,
    #[serde(rename = "hostIP")]
    host_ip: String,
}

/// Parses an object.
///
/// # Errors
/// Code 6 with line and column.
pub(crate) fn parse_json(input: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(input).map_err(|error| undecodable(&error))
}

/// Reads a configuration and judges the values of its keys.
///
/// # Errors
/// Code 6 for what is not JSON or of a wrong type, 7 for a missing or malformed name, 2 for values
/// we cannot serve. The version is judged by [`Config::version`].
pub(crate) fn read(input: &str) -> Result<Config, Failure> {
    let raw = parse_json(input)?;
    // The version first: a configuration of another version may have other types.
    Version::of_config(raw.get("cniVersion").and_then(Value::as_str))?;
    let mut config: Config = serde_json::from_str(input).map_err(|error| undecodable(&error))?;
    config.raw = raw;
    if !is_identifier(&config.name) {
        return Err(Failure::new(
            error_code::INVALID_CONFIGURATION,
            format!(
                "the network's name is {:?}; expected letters, digits, '_', '.', '-'",
                config.name
            ),
        ));
    }
    config.refuse_unsupported()?;
    Ok(config)
}

impl Config {
    pub(crate) fn version(&self) -> Result<Version, Failure> {
        Version::of_config(self.cni_version.as_deref())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(|| DEFAULT_SOCKET.into())
    }

    pub(crate) fn log_level(&self) -> &str {
        &self.log_level
    }

    pub(crate) fn log_file(&self) -> Option<&std::path::Path> {
        self.log_file_path
            .as_deref()
            .filter(|path| !path.as_os_str().is_empty())
    }

    /// What an operator should know about this configuration, one sentence each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let known = |key: &str| KNOWN_KEYS.contains(&key) || key.starts_with("windows_");
        let unknown = self.raw.keys().filter(|key| !known(key));
        let mut remarks: Vec<String> = unknown
            .map(|key| format!("unknown configuration key {key:?} is ignored"))
            .collect();
        if self
            .ipam
            .ipv4_pools
            .as_ref()
            .is_some_and(|pools| !pools.is_null())
        {
            remarks.push("ipam.ipv4_pools is ignored: the daemon's own pools are used".into());
        }
        remarks
    }

    /// Rate limits, if any direction has one.
    pub(crate) fn bandwidth(&self) -> Option<Bandwidth> {
        let given = self.runtime.bandwidth?;
        let bandwidth = Bandwidth {
            ingress_rate_bits: given.ingress_rate,
            ingress_burst_bits: given.ingress_burst,
            egress_rate_bits: given.egress_rate,
            egress_burst_bits: given.egress_burst,
        };
        Some(bandwidth).filter(|bandwidth| !bandwidth.is_unlimited())
    }

    /// Published ports; entries without a host port publish nothing (as the kubelet sends them).
    pub(crate) fn port_mappings(&self) -> Vec<PortMapping> {
        let given = self
            .runtime
            .port_mappings
            .iter()
            .flatten()
            .filter(|port| port.host_port != 0);
        given
            .map(|port| PortMapping {
                host_port: port.host_port,
                container_port: port.container_port,
                protocol: match port.protocol.to_ascii_lowercase() {
                    empty if empty.is_empty() => "tcp".into(),
                    named => named,
                },
                host_ip: Some(port.host_ip.clone()).filter(|ip| !ip.is_empty()),
            })
            .collect()
    }

    /// The first IPv4 address of `runtimeConfig.ips`, or of `args.cni.ips`.
    pub(crate) fn requested_ip(&self) -> Option<Ipv4Addr> {
        let by_capability = self
            .runtime
            .ips
            .iter()
            .flatten()
            .find_map(|ip| parse_ip(ip));
        let by_args = || {
            let ips = self.raw.get("args")?.get("cni")?.get("ips")?.as_array()?;
            ips.iter().find_map(|ip| parse_ip(ip.as_str()?))
        };
        by_capability.or_else(by_args)
    }

    /// The hardware address the runtime wants the pod to have.
    ///
    /// # Errors
    /// Code 2 if it is none.
    pub(crate) fn requested_mac(&self) -> Result<Option<MacAddr>, Failure> {
        let given = self.runtime.mac.as_deref().filter(|mac| !mac.is_empty());
        let mac = given.map(|mac| {
            mac.parse()
                .map_err(|_| unsupported("runtimeConfig.mac", mac))
        });
        mac.transpose()
    }

    /// GC: the attachments that are still valid. An absent list is not an empty list.
    ///
    /// # Errors
    /// Code 7 if the list is missing, 6 if it is malformed.
    pub(crate) fn valid_attachments(&self) -> Result<Vec<Attachment>, Failure> {
        #[derive(Deserialize)]
        struct Entry {
            #[serde(rename = "containerID")]
            container_id: String,
            ifname: String,
        }
        // libcni writes the second name too, for plugins that followed a draft.
        let list = ["cni.dev/valid-attachments", "cni.dev/attachments"];
        let Some(list) = list.iter().find_map(|key| self.raw.get(*key)) else {
            let message = "GC without \"cni.dev/valid-attachments\" would remove everything";
            return Err(Failure::new(error_code::INVALID_CONFIGURATION, message));
        };
        let entries: Option<Vec<Entry>> =
            serde_json::from_value(list.clone()).map_err(|error| undecodable(&error))?;
        let entries = entries.unwrap_or_default().into_iter();
        Ok(entries
            .map(|entry| Attachment {
                container_id: entry.container_id,
                ifname: entry.ifname,
            })
            .collect())
    }

    fn refuse_unsupported(&self) -> Result<(), Failure> {
        let truth = |value: &Option<Value>| match value {
            Some(Value::Bool(given)) => Some(*given),
            Some(Value::String(given)) => given.parse().ok(),
            _ => None,
        };
        if !matches!(self.device_type.as_str(), "" | "veth") {
            return Err(unsupported("device_type", &self.device_type));
        }
        let dataplane = self.dataplane_options.get("type").and_then(Value::as_str);
        if let Some(other) = dataplane.filter(|kind| !matches!(*kind, "" | "linux")) {
            return Err(unsupported("dataplane_options.type", other));
        }
        if truth(&self.ipam.assign_ipv4) == Some(false) {
            return Err(unsupported("ipam.assign_ipv4", "false"));
        }
        if truth(&self.ipam.assign_ipv6) == Some(true) {
            return Err(unsupported("ipam.assign_ipv6", "true"));
        }
        if self.ipam.subnet.as_deref() == Some("usePodCidr") {
            return Err(unsupported("ipam.subnet", "usePodCidr"));
        }
        Ok(())
    }
}

fn undecodable(error: &serde_json::Error) -> Failure {
    let message = format!("cannot decode the network configuration: {error}");
    Failure::new(error_code::DECODING_FAILURE, message)
}

/// Code 2 names key and value (specification).
fn unsupported(key: &str, value: &str) -> Failure {
    let message = format!("unsupported configuration: {key} = {value:?}");
    Failure::new(error_code::UNSUPPORTED_FIELD, message)
}

fn null_is_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
