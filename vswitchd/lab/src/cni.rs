//! A container runtime's half of CNI: runs the plugins of a conflist as libcni does.
//!
//! Every plugin gets its own object with the network's `name` and `cniVersion`, the result of the one before as
//! `prevResult`, and of `runtimeConfig` only what it declares in `capabilities`. ADD goes through the chain in order, DEL in
//! reverse with the final result of ADD (CNI specification 1.1.0, sections 3 and 4).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    binaries::Binaries,
    config::{Cni, Pod},
    error::{Error, Result, io_error},
    node,
    sandbox::{Sandbox, feed},
};

/// Where Debian and Kubernetes keep the plugins that are not ours.
const PLUGIN_FOLDERS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];

/// One container on one node, as the runtime knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// The pod.
    pub pod: Pod,
    /// The container's id.
    pub container_id: String,
    /// The pod's uid.
    pub uid: String,
    /// Final result of ADD; null before.
    pub result: Value,
}

impl Attachment {
    /// The pod's address without its prefix length; empty before ADD.
    #[must_use]
    pub fn address(&self) -> &str {
        let address = self.result["ips"][0]["address"]
            .as_str()
            .unwrap_or_default();
        address.split('/').next().unwrap_or_default()
    }

    /// The pod's interface on the node; empty before ADD.
    #[must_use]
    pub fn host_interface(&self) -> &str {
        self.result["interfaces"][0]["name"]
            .as_str()
            .unwrap_or_default()
    }
}

/// The network configuration list of a node.
#[must_use]
pub fn conflist(cni: &Cni, node: &str) -> Value {
    let mut first = json!({
        "type": "vswitch",
        "nodename": node,
        "socket": node::socket(node),
        "log_level": "info",
        "log_file_path": format!("{}/cni.log", node::folder(node)),
        "mtu": 0,
        "ipam": { "type": "calico-ipam" },
        "policy": { "type": "k8s" },
        "capabilities": { "bandwidth": true, "portMappings": true },
    });
    for (key, value) in &cni.vswitch {
        first[key] = to_json(value);
    }
    let mut plugins = vec![first];
    plugins.extend(
        cni.chain
            .iter()
            .map(|plugin| to_json(&toml::Value::Table(plugin.clone()))),
    );
    json!({ "name": cni.network, "cniVersion": cni.version, "plugins": plugins })
}

/// The runtime of one node.
#[derive(Debug)]
pub struct Runtime<'a> {
    sandbox: &'a Sandbox,
    binaries: &'a Binaries,
    conflist: Value,
}

impl<'a> Runtime<'a> {
    /// A runtime that uses this configuration list.
    #[must_use]
    pub fn new(sandbox: &'a Sandbox, binaries: &'a Binaries, conflist: Value) -> Self {
        Self {
            sandbox,
            binaries,
            conflist,
        }
    }

    /// ADD: wires the pod and notes the result in the attachment.
    ///
    /// # Errors
    /// [`Error::Plugin`] of the first plugin that fails; the chain is undone by DEL then, as runtimes do.
    pub fn add(&self, attachment: &mut Attachment) -> Result<()> {
        let mut result = Value::Null;
        for plugin in self.plugins() {
            match self.invoke("ADD", attachment, plugin, &result) {
                Ok(next) => result = next,
                Err(error) => {
                    let _ = self.del(attachment);
                    return Err(error);
                }
            }
        }
        attachment.result = result;
        Ok(())
    }

    /// DEL: takes the wiring away.
    ///
    /// # Errors
    /// [`Error::Plugin`] of the first plugin that fails; the others have been run.
    pub fn del(&self, attachment: &Attachment) -> Result<()> {
        let mut outcome = Ok(());
        for plugin in self.plugins().rev() {
            let done = self.invoke("DEL", attachment, plugin, &attachment.result);
            outcome = outcome.and(done.map(drop));
        }
        outcome
    }

    /// CHECK: is the wiring as ADD left it?
    ///
    /// # Errors
    /// [`Error::Plugin`] of the first plugin that finds a difference.
    pub fn check(&self, attachment: &Attachment) -> Result<()> {
        let mut plugins = self.plugins();
        plugins.try_for_each(|plugin| {
            self.invoke("CHECK", attachment, plugin, &attachment.result)
                .map(drop)
        })
    }

    fn plugins(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.conflist["plugins"].as_array().into_iter().flatten()
    }

    fn invoke(
        &self,
        verb: &'static str,
        attachment: &Attachment,
        plugin: &Value,
        previous: &Value,
    ) -> Result<Value> {
        let name = plugin["type"].as_str().unwrap_or_default();
        let pod = &attachment.pod;
        let failed = |message: String| Error::Plugin {
            verb,
            pod: pod.key(),
            plugin: name.into(),
            message,
        };
        let program = self.program(name).ok_or_else(|| {
            failed(format!(
                "no such program in {}; the package containernetworking-plugins has the usual ones",
                PLUGIN_FOLDERS.join(", ")
            ))
        })?;
        let input = stdin_of(&self.conflist, plugin, pod, previous).to_string();
        let argv = [program.as_os_str()];
        let mut command = self.sandbox.command(Some(&pod.node), &argv);
        command.envs(self.environment(verb, attachment));
        let output = feed(command, input.as_bytes()).map_err(io_error("cannot run", &program))?;
        if !output.status.success() {
            return Err(failed(complaint(&output.stdout, &output.stderr)));
        }
        if verb != "ADD" {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("its result is no JSON: {error}")))
    }

    fn environment(&self, verb: &str, attachment: &Attachment) -> Vec<(&'static str, String)> {
        let pod = &attachment.pod;
        let own = self
            .binaries
            .vswitch
            .parent()
            .unwrap_or(Path::new("/"))
            .display();
        let args = format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={};K8S_POD_NAME={};K8S_POD_INFRA_CONTAINER_ID={};K8S_POD_UID={}",
            pod.namespace, pod.name, attachment.container_id, attachment.uid
        );
        vec![
            ("CNI_COMMAND", verb.into()),
            ("CNI_CONTAINERID", attachment.container_id.clone()),
            ("CNI_NETNS", format!("/run/netns/{}", pod.netns())),
            ("CNI_IFNAME", "eth0".into()),
            ("CNI_PATH", format!("{own}:{}", PLUGIN_FOLDERS.join(":"))),
            ("CNI_ARGS", args),
        ]
    }

    fn program(&self, plugin: &str) -> Option<PathBuf> {
        if plugin == "vswitch" {
            return Some(self.binaries.vswitch.clone());
        }
        PLUGIN_FOLDERS
            .iter()
            .map(|folder| Path::new(folder).join(plugin))
            .find(|path| path.is_file())
    }
}

/// What a plugin reads from standard input.
fn stdin_of(conflist: &Value, plugin: &Value, pod: &Pod, previous: &Value) -> Value {
    let mut input = plugin.clone();
    input["name"] = conflist["name"].clone();
    input["cniVersion"] = conflist["cniVersion"].clone();
    if !previous.is_null() {
        input["prevResult"] = previous.clone();
    }
    let declared = |capability: &str| plugin["capabilities"][capability] == Value::Bool(true);
    let mut runtime_config = runtime_config(pod);
    runtime_config.retain(|capability, _| declared(capability));
    if !runtime_config.is_empty() {
        input["runtimeConfig"] = Value::Object(runtime_config);
    }
    input
}

/// Everything the kubelet would hand down for this pod.
fn runtime_config(pod: &Pod) -> Map<String, Value> {
    let mut config = Map::new();
    let mappings: Vec<Value> = pod
        .ports
        .iter()
        .filter_map(|port| {
            let host_port = port.host_port?;
            let protocol = port.protocol.to_lowercase();
            Some(json!({ "hostPort": host_port, "containerPort": port.port, "protocol": protocol }))
        })
        .collect();
    if !mappings.is_empty() {
        config.insert("portMappings".into(), mappings.into());
    }
    if let Some(limit) = pod.bandwidth {
        let value = json!({
            "ingressRate": limit.ingress_rate, "ingressBurst": limit.ingress_burst,
            "egressRate": limit.egress_rate, "egressBurst": limit.egress_burst,
        });
        config.insert("bandwidth".into(), value);
    }
    config
}

/// A CNI error object from standard output as a sentence; else what was written at all.
fn complaint(stdout: &[u8], stderr: &[u8]) -> String {
    let error: Value = serde_json::from_slice(stdout).unwrap_or_default();
    match error["code"].as_u64() {
        Some(code) => {
            let part = |key: &str| error[key].as_str().unwrap_or_default().to_string();
            format!("code {code}: {} {}", part("msg"), part("details"))
                .trim()
                .into()
        }
        None => format!(
            "{}{}",
            String::from_utf8_lossy(stdout),
            String::from_utf8_lossy(stderr)
        )
        .trim()
        .into(),
    }
}

fn to_json(value: &toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Pod {
        toml::from_str("name = 'web'\nnode = 'n'\nports = [{ port = 80, host_port = 8080 }]")
            .unwrap()
    }

    fn cni() -> Cni {
        toml::from_str("version = '1.0.0'\nchain = [{ type = 'portmap', snat = true, capabilities = { portMappings = true } }, { type = 'tuning' }]").unwrap()
    }

    #[test]
    fn a_chained_plugin_gets_name_version_and_the_result_before() {
        let list = conflist(&cni(), "n");
        let input = stdin_of(&list, &list["plugins"][1], &pod(), &json!({ "ips": [] }));
        assert_eq!(input["name"], "k8s-pod-network");
        assert_eq!(input["cniVersion"], "1.0.0");
        assert_eq!(input["prevResult"], json!({ "ips": [] }));
        assert_eq!(input["snat"], true);
    }

    #[test]
    fn runtime_config_goes_only_where_it_is_declared() {
        let list = conflist(&cni(), "n");
        let portmap = stdin_of(&list, &list["plugins"][1], &pod(), &Value::Null);
        assert_eq!(
            portmap["runtimeConfig"],
            json!({ "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }] })
        );
        let tuning = stdin_of(&list, &list["plugins"][2], &pod(), &Value::Null);
        assert!(tuning.get("runtimeConfig").is_none() && tuning.get("prevResult").is_none());
    }

    #[test]
    fn a_plugins_error_object_becomes_a_sentence() {
        let stdout = br#"{"cniVersion":"1.0.0","code":11,"msg":"try again","details":"no daemon"}"#;
        assert_eq!(complaint(stdout, b""), "code 11: try again no daemon");
        assert_eq!(complaint(b"", b"panic\n"), "panic");
    }
}
