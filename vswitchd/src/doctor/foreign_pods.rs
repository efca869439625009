//! Pods that another network has caught: libcni remembers every result, with its network's name.

use std::{fs, path::Path};

use serde_json::Value;

use super::Finding;

/// Most pods named in one finding.
const NAMED: usize = 8;

/// Entries of libcni's cache (`cniCacheV1`) whose network is none of `ours`. Without a network of
/// ours there is nothing to be foreign to.
pub(super) fn examine(cache: &Path, ours: &[&str]) -> Option<Finding> {
    if ours.is_empty() {
        return None;
    }
    let mut foreign: Vec<String> = fs::read_dir(cache)
        .ok()?
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| pod_of(&text, ours))
        .collect();
    foreign.sort();
    let (count, more) = (foreign.len(), foreign.len().saturating_sub(NAMED));
    foreign.truncate(NAMED);
    let mut names = foreign.join(", ");
    if more > 0 {
        names = format!("{names} and {more} more");
    }
    (count > 0).then(|| {
        Finding::warn(
            "foreign pods",
            format!(
                "{names}: started before vswitch was ready, they have addresses that no other \
                 node can reach and no policy guards"
            ),
            "delete these pods, so that they are made again with an address of ours",
        )
    })
}

/// `default/web 10.88.0.5 (podman)`.
fn pod_of(text: &str, ours: &[&str]) -> Option<String> {
    let entry: Value = serde_json::from_str(text).ok()?;
    let network = entry["networkName"].as_str()?;
    if ours.contains(&network) {
        return None;
    }
    let arguments = entry["cniArgs"].as_array().map_or(&[][..], Vec::as_slice);
    let argument = |key: &str| {
        let mut pairs = arguments.iter().filter(|pair| pair[0] == key);
        pairs.next().and_then(|pair| pair[1].as_str())
    };
    let pod = match (argument("K8S_POD_NAMESPACE"), argument("K8S_POD_NAME")) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => format!("container {}", entry["containerId"].as_str()?),
    };
    let result = &entry["result"];
    // From 0.3.0 on; before it was `ip4.ip`.
    let address = result["ips"][0]["address"]
        .as_str()
        .or(result["ip4"]["ip"].as_str())?;
    let address = address.split('/').next().unwrap_or(address);
    Some(format!("{pod} {address} ({network})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(network: &str, pod: &str, address: &str) -> String {
        serde_json::json!({
            "kind": "cniCacheV1", "containerId": "3f1a", "ifName": "eth0", "networkName": network,
            "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", pod]],
            "result": {"cniVersion": "0.3.1", "ips": [{"version": "4", "address": address}]},
        })
        .to_string()
    }

    #[test]
    fn pods_of_another_network_are_named_with_their_addresses() {
        let cache = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| fs::write(cache.path().join(name), text).unwrap();
        put("podman-1-eth0", entry("podman", "coredns", "10.88.0.3/16"));
        put("podman-2-eth0", entry("podman", "web", "10.88.0.2/16"));
        put(
            "k8s-3-eth0",
            entry("k8s-pod-network", "nginx", "10.244.205.193/32"),
        );
        put("rubbish", "{".into());
        let finding = examine(cache.path(), &["k8s-pod-network"]).unwrap();
        assert!(
            finding.found.starts_with(
                "default/coredns 10.88.0.3 (podman), default/web 10.88.0.2 (podman): started before"
            ),
            "{finding:?}"
        );
    }

    #[test]
    fn without_a_cache_or_a_network_of_ours_nothing_is_foreign() {
        let cache = tempfile::tempdir().unwrap();
        fs::write(
            cache.path().join("a"),
            entry("podman", "web", "10.88.0.2/16"),
        )
        .unwrap();
        assert_eq!(examine(cache.path(), &[]), None);
        assert_eq!(examine(Path::new("/nonexistent"), &["ours"]), None);
        assert_eq!(examine(cache.path(), &["podman"]), None);
    }
}
