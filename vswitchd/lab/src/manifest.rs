//! What the API server would say: Namespace, Node and Pod objects, and the user's own manifests, as YAML
//! files in the one folder every daemon of the lab watches.

use std::{fs, path::Path};

use crate::{
    config::{Config, Node, Pod},
    error::{Error, Result, io_error},
    sandbox::Sandbox,
};

/// The folder, inside the sandbox: the daemons' `policy_dir`.
pub const FOLDER: &str = "/run/lab/manifests";

/// Writes the objects of the config: a Node per node, a Namespace per namespace of its pods (and `default`).
///
/// # Errors
/// [`Error::Io`].
pub fn write_cluster(sandbox: &Sandbox, config: &Config) -> Result<()> {
    for node in &config.nodes {
        write(sandbox, "node", &node.name, &node_yaml(node))?;
    }
    write_namespace(sandbox, "default")?;
    config
        .pods
        .iter()
        .try_for_each(|pod| write_namespace(sandbox, &pod.namespace))
}

/// Writes a Namespace object; the same one again changes nothing.
///
/// # Errors
/// [`Error::Io`].
pub fn write_namespace(sandbox: &Sandbox, namespace: &str) -> Result<()> {
    write(sandbox, "namespace", namespace, &namespace_yaml(namespace))
}

/// Writes a Pod object: before its ADD without an address, so that its labels are known first, afterwards with it.
///
/// # Errors
/// [`Error::Io`].
pub fn write_pod(sandbox: &Sandbox, pod: &Pod, uid: &str, address: Option<&str>) -> Result<()> {
    write(sandbox, "pod", &pod.netns(), &pod_yaml(pod, uid, address))
}

/// Removes a Pod object; none there is a success.
pub fn remove_pod(sandbox: &Sandbox, netns: &str) {
    let _ = fs::remove_file(sandbox.path(format!("{FOLDER}/lab-pod-{netns}.yaml")));
}

/// Copies a manifest in under its own file name, over one of that name.
///
/// # Errors
/// The file cannot be read, or is no `.yaml` or `.yml`.
pub fn apply(sandbox: &Sandbox, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).map_err(io_error("cannot read", file))?;
    sandbox.write(&format!("{FOLDER}/{}", manifest_name(file)?), &text)
}

/// Removes the manifest that was applied under this file's name.
///
/// # Errors
/// None of that name was applied.
pub fn delete(sandbox: &Sandbox, file: &Path) -> Result<()> {
    let name = manifest_name(file)?;
    let path = sandbox.path(format!("{FOLDER}/{name}"));
    fs::remove_file(path).map_err(|_| Error::Unknown {
        kind: "applied manifest",
        known: applied(sandbox).join(", "),
        name,
    })
}

/// File names of the user's manifests in force.
#[must_use]
pub fn applied(sandbox: &Sandbox) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| !name.starts_with("lab-") && !name.starts_with('.'))
        .collect();
    names.sort();
    names
}

fn manifest_name(file: &Path) -> Result<String> {
    let name = file
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let is_yaml = file
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_yaml && !name.starts_with("lab-") && !name.starts_with('.') {
        return Ok(name);
    }
    Err(Error::Value {
        file: "command line".into(),
        key: "FILE".into(),
        expected: "a name ending in .yaml or .yml, not beginning with `lab-` (the lab's own objects) or a dot".into(),
        found: format!("`{name}`"),
    })
}

fn write(sandbox: &Sandbox, kind: &str, name: &str, yaml: &str) -> Result<()> {
    sandbox.write(&format!("{FOLDER}/lab-{kind}-{name}.yaml"), yaml)
}

fn namespace_yaml(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n  labels:\n    kubernetes.io/metadata.name: {name}\n",
        name = quoted(name)
    )
}

fn node_yaml(node: &Node) -> String {
    format!(
        "apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n  labels:\n    kubernetes.io/hostname: {name}\n\
         status:\n  addresses:\n    - type: InternalIP\n      address: {address}\n    - type: Hostname\n      address: {name}\n",
        name = quoted(&node.name),
        address = quoted(&node.address.to_string()),
    )
}

fn pod_yaml(pod: &Pod, uid: &str, address: Option<&str>) -> String {
    let mut yaml = format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  namespace: {}\n  uid: {}\n",
        quoted(&pod.name),
        quoted(&pod.namespace),
        quoted(uid)
    );
    if !pod.labels.is_empty() {
        yaml += "  labels:\n";
    }
    for (key, value) in &pod.labels {
        yaml += &format!("    {}: {}\n", quoted(key), quoted(value));
    }
    yaml += &format!(
        "spec:\n  nodeName: {}\n  containers:\n    - name: {}\n",
        quoted(&pod.node),
        quoted(&pod.name)
    );
    if !pod.ports.is_empty() {
        yaml += "      ports:\n";
    }
    for port in &pod.ports {
        yaml += &format!(
            "        - containerPort: {}\n          protocol: {}\n",
            port.port,
            quoted(&port.protocol)
        );
        if let Some(name) = &port.name {
            yaml += &format!("          name: {}\n", quoted(name));
        }
    }
    match address {
        None => yaml + "status:\n  phase: Pending\n",
        Some(address) => {
            let address = quoted(address);
            yaml + &format!(
                "status:\n  phase: Running\n  podIP: {address}\n  podIPs:\n    - ip: {address}\n"
            )
        }
    }
}

/// A JSON string, which every YAML reader takes as that very string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        toml::from_str(
            r#"
            name = "web"
            node = "m02"
            labels = { app = "web", "on" = "yes" }
            ports = [{ name = "http", port = 80 }, { port = 53, protocol = "UDP" }]
        "#,
        )
        .unwrap()
    }

    #[test]
    fn what_the_lab_writes_the_policy_crate_reads() {
        let node = Node {
            name: "m02".into(),
            address: "10.0.0.2".parse().unwrap(),
            daemon: toml::Table::new(),
        };
        let pod = pod();
        for yaml in [
            namespace_yaml("default"),
            node_yaml(&node),
            pod_yaml(&pod, "u-1", None),
            pod_yaml(&pod, "u-1", Some("10.244.0.1")),
        ] {
            let objects = policy::parse("x.yaml", &yaml)
                .unwrap_or_else(|error| panic!("{error:?} in\n{yaml}"));
            assert_eq!(objects.len(), 1, "{yaml}");
        }
    }

    #[test]
    fn a_label_that_looks_like_something_else_stays_text() {
        assert!(pod_yaml(&pod(), "u", None).contains("\"on\": \"yes\""));
    }

    #[test]
    fn the_labs_own_objects_cannot_be_applied_over() {
        assert!(manifest_name(Path::new("/x/lab-pod-default.web.yaml")).is_err());
        assert!(manifest_name(Path::new("policy.json")).is_err());
        assert_eq!(
            manifest_name(Path::new("/x/deny.yaml")).unwrap(),
            "deny.yaml"
        );
    }
}
