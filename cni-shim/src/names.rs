//! The host end's name: `cali` and eleven characters, as Calico chooses them.

use sha1::{Digest, Sha1};

/// Calico's default interface prefix (`FELIX_INTERFACEPREFIX`).
pub const DEFAULT_PREFIX: &str = "cali";

/// Longest interface name the kernel takes (`IFNAMSIZ` - 1).
pub const MAX_NAME_LEN: usize = 15;

/// The host interface of a Kubernetes pod: prefix + first 11 hex digits of
/// SHA-1(`<namespace>.<pod>`), cut to 15 characters.
///
/// Source: Calico `libcalico-go/lib/backend/k8s/conversion/workload_endpoint_default.go`.
#[must_use]
pub fn host_interface_name(prefix: &str, namespace: &str, pod: &str) -> String {
    let digest = Sha1::digest(format!("{namespace}.{pod}").as_bytes());
    let hex: String = digest
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    join(prefix, &hex)
}

/// The host interface of a container that is no Kubernetes pod: prefix + first 11 characters of
/// its id, cut to 15 characters. CNI container ids are ASCII.
#[must_use]
pub fn host_interface_name_for_container(prefix: &str, container_id: &str) -> String {
    join(prefix, container_id)
}

fn join(prefix: &str, tail: &str) -> String {
    prefix
        .chars()
        .chain(tail.chars().take(11))
        .take(MAX_NAME_LEN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_names_of_the_walk_through_come_out() {
        for (pod, name) in [
            ("nginx", "calic440f455693"),
            ("nginx-manual", "califba6dd09590"),
            ("busybox-f5945bfb5-mw26t", "cali8d02ed71817"),
            ("busybox-f5945bfb5-mwgr6", "cali79f33e4263e"),
        ] {
            assert_eq!(host_interface_name("cali", "default", pod), name);
        }
    }

    #[test]
    fn a_container_outside_kubernetes_is_named_by_its_id() {
        assert_eq!(
            host_interface_name_for_container("cali", "0123456789abcdef"),
            "cali0123456789a"
        );
        assert_eq!(
            host_interface_name_for_container("cali", "short"),
            "calishort"
        );
    }

    #[test]
    fn a_long_prefix_never_exceeds_the_kernels_limit() {
        assert_eq!(
            host_interface_name("longprefix", "default", "nginx").len(),
            MAX_NAME_LEN
        );
    }
}
