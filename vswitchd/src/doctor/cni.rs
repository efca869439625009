//! Network configurations in the runtime's directory: which one wins, and is it ours?
//!
//! libcni lists the files ending in `.conf`, `.conflist` and `.json`; runtimes sort them by name
//! and take the first that can be read. A second network beside ours is a trap: pods that start
//! while our file is not there yet get an address of it, and keep it.

use std::{fs, io, path::Path};

use serde_json::Value;

use super::{Finding, foreign_pods};

/// The plugin's type in a configuration.
const OURS: &str = "vswitch";

/// One file of the directory.
#[derive(Debug)]
struct File {
    name: String,
    /// What it says; or why nobody can read it.
    network: Result<Network, String>,
}

/// A network configuration, as far as it matters here.
#[derive(Debug)]
struct Network {
    name: String,
    plugins: Vec<String>,
}

impl Network {
    fn is_ours(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin == OURS)
    }
}

/// The directory, and the pods that other networks of it have caught.
pub(super) fn examine(directory: &Path, cache: &Path) -> Vec<Finding> {
    let files = match read(directory) {
        Ok(files) => files,
        Err(error) => {
            return vec![Finding::warn(
                SUBJECT,
                format!("{}: {error}", directory.display()),
                "install 10-vswitch.conflist there, or name the directory with --cni-dir",
            )];
        }
    };
    let mut findings = judge(directory, &files);
    let networks = files.iter().filter_map(|file| file.network.as_ref().ok());
    let ours: Vec<&str> = networks
        .filter(|network| network.is_ours())
        .map(|network| network.name.as_str())
        .collect();
    findings.extend(foreign_pods::examine(cache, &ours));
    findings
}

const SUBJECT: &str = "CNI configuration";

/// In the order runtimes look at them.
fn read(directory: &Path) -> io::Result<Vec<File>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.extend(entry?.file_name().into_string());
    }
    let known = |name: &String| {
        let extension = Path::new(name).extension().and_then(|e| e.to_str());
        matches!(extension, Some("conf" | "conflist" | "json"))
    };
    names.retain(known);
    names.sort();
    let file = |name: String| File {
        network: network(&directory.join(&name)),
        name,
    };
    Ok(names.into_iter().map(file).collect())
}

/// A list has `plugins`; a single configuration has its `type` at the top.
fn network(path: &Path) -> Result<Network, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let json: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let kind = |plugin: &Value| plugin["type"].as_str().map(str::to_owned);
    let plugins: Vec<String> = match json["plugins"].as_array() {
        Some(list) => list.iter().filter_map(kind).collect(),
        None => kind(&json).into_iter().collect(),
    };
    if plugins.is_empty() {
        return Err("expected a plugin with a type, found none".into());
    }
    let name = json["name"].as_str().unwrap_or_default().to_owned();
    Ok(Network { name, plugins })
}

fn judge(directory: &Path, files: &[File]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = files.iter().filter_map(unreadable).collect();
    let read = files
        .iter()
        .filter_map(|file| Some((file.name.as_str(), file.network.as_ref().ok()?)));
    let networks: Vec<(&str, &Network)> = read.collect();
    findings.push(chosen(directory, &networks));
    let winner = networks.first().map(|(name, _)| *name);
    let foreign = networks.iter().filter(|(_, network)| !network.is_ours());
    let beside = foreign.filter(|(name, _)| Some(*name) != winner);
    findings.extend(beside.map(|(name, network)| trap(directory, name, network)));
    findings
}

fn unreadable(file: &File) -> Option<Finding> {
    let reason = file.network.as_ref().err()?;
    Some(Finding::warn(
        SUBJECT,
        format!("{} cannot be used: {reason}", file.name),
        "mend it or remove it: runtimes skip it, or stop at it",
    ))
}

fn chosen(directory: &Path, networks: &[(&str, &Network)]) -> Finding {
    let ours = networks.iter().find(|(_, network)| network.is_ours());
    match (networks.first(), ours) {
        (Some((name, network)), _) if network.is_ours() => {
            Finding::ok(SUBJECT, format!("{name} is the first and is vswitch's"))
        }
        (Some((name, network)), Some((own, _))) => Finding::broken(
            SUBJECT,
            format!(
                "{name} (network {:?}, plugin {}) wins over {own}: new pods get its addresses",
                network.name, network.plugins[0]
            ),
            &disable(directory, name),
        ),
        (Some((name, network)), None) => Finding::broken(
            SUBJECT,
            format!(
                "{name} (network {:?}, plugin {}) is the first, and none is vswitch's",
                network.name, network.plugins[0]
            ),
            "install 10-vswitch.conflist there (configs/cni/10-vswitch.conflist)",
        ),
        (None, _) => Finding::warn(
            SUBJECT,
            format!("{} has no network", directory.display()),
            "install 10-vswitch.conflist there (configs/cni/10-vswitch.conflist)",
        ),
    }
}

fn trap(directory: &Path, name: &str, network: &Network) -> Finding {
    Finding::warn(
        SUBJECT,
        format!(
            "{name} (network {:?}, plugin {}) lies beside it: pods that start while vswitch's \
             file is not there get its addresses",
            network.name, network.plugins[0]
        ),
        &disable(directory, name),
    )
}

fn disable(directory: &Path, name: &str) -> String {
    let path = directory.join(name);
    format!("mv {0} {0}.disabled", path.display())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::doctor::Level;

    const OURS: &str =
        r#"{"name":"k8s-pod-network","plugins":[{"type":"vswitch"},{"type":"portmap"}]}"#;
    const PODMAN: &str =
        r#"{"name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0"}]}"#;

    fn directory(files: &[(&str, &str)]) -> TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        directory
    }

    fn found(files: &[(&str, &str)]) -> Vec<Finding> {
        let directory = directory(files);
        examine(directory.path(), &directory.path().join("results"))
    }

    #[test]
    fn our_file_alone_is_fine() {
        let findings = found(&[("10-vswitch.conflist", OURS), ("README", "no network")]);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].level, Level::Ok);
    }

    #[test]
    fn the_walk_throughs_podman_bridge_is_named_as_the_trap() {
        let findings = found(&[
            ("10-vswitch.conflist", OURS),
            ("87-podman-bridge.conflist", PODMAN),
        ]);
        assert_eq!(findings[0].level, Level::Ok);
        assert_eq!(findings[1].level, Level::Warn);
        assert!(
            findings[1]
                .found
                .starts_with("87-podman-bridge.conflist (network \"podman\", plugin bridge)"),
            "{findings:?}"
        );
        assert!(
            findings[1]
                .advice
                .ends_with("87-podman-bridge.conflist.disabled")
        );
    }

    #[test]
    fn a_foreign_file_that_sorts_first_breaks_new_pods() {
        let bridge = r#"{"name":"podman","type":"bridge"}"#;
        let findings = found(&[("10-vswitch.conflist", OURS), ("05-podman.conf", bridge)]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].level, Level::Broken);
        assert!(findings[0].found.contains("wins over 10-vswitch.conflist"));
    }

    #[test]
    fn a_broken_file_is_skipped_as_runtimes_do_and_named() {
        let findings = found(&[("00-broken.conf", "{"), ("10-vswitch.conflist", OURS)]);
        assert!(
            findings[0]
                .found
                .starts_with("00-broken.conf cannot be used")
        );
        assert_eq!(findings[1].level, Level::Ok);
    }

    #[test]
    fn no_file_and_no_directory_say_what_to_install() {
        let findings = found(&[]);
        assert_eq!(findings[0].level, Level::Warn);
        assert!(findings[0].advice.contains("10-vswitch.conflist"));
        let nowhere = Path::new("/nonexistent/net.d");
        assert_eq!(examine(nowhere, nowhere)[0].level, Level::Warn);
    }
}
