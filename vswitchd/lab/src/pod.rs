//! Pods: a namespace, wired by the plugin, known to the daemons by its Pod object.

use std::fs;

use crate::{
    binaries::Binaries,
    cni::{Attachment, Runtime, conflist},
    config::{Config, Pod},
    error::{Error, Result, io_error},
    manifest,
    sandbox::Sandbox,
};

/// Where the runtime keeps what it knows of the pods, inside the sandbox.
const FOLDER: &str = "/run/lab/pods";

/// The lab's container runtime.
#[derive(Clone, Copy, Debug)]
pub struct Pods<'a> {
    sandbox: &'a Sandbox,
    binaries: &'a Binaries,
    config: &'a Config,
}

impl<'a> Pods<'a> {
    /// The runtime of a lab.
    #[must_use]
    pub fn of(sandbox: &'a Sandbox, binaries: &'a Binaries, config: &'a Config) -> Self {
        Self {
            sandbox,
            binaries,
            config,
        }
    }

    /// Starts a pod: Pod object, namespace, ADD, Pod object with the address.
    ///
    /// # Errors
    /// It exists, its node does not, or a step failed; what was made until then is unmade.
    pub fn add(&self, pod: &Pod) -> Result<Attachment> {
        if list(self.sandbox)
            .iter()
            .any(|known| known.pod.netns() == pod.netns())
        {
            return Err(Error::Exists {
                kind: "pod",
                name: pod.key(),
            });
        }
        let mut attachment = Attachment {
            pod: pod.clone(),
            container_id: random_id()? + &random_id()?,
            uid: random_id()?,
            result: serde_json::Value::Null,
        };
        let made = self.make(&mut attachment);
        if made.is_err() {
            self.unmake(pod);
        }
        made.map(|()| attachment)
    }

    /// Ends a pod: DEL, then its namespace and its Pod object.
    ///
    /// # Errors
    /// No such pod, or the plugin failed; the rest is removed all the same.
    pub fn delete(&self, name: &str) -> Result<()> {
        let attachment = find(self.sandbox, name)?;
        let deleted = self.runtime(&attachment.pod.node).del(&attachment);
        self.unmake(&attachment.pod);
        deleted
    }

    /// CHECK of a pod.
    ///
    /// # Errors
    /// No such pod, or the plugin found a difference.
    pub fn check(&self, name: &str) -> Result<()> {
        let attachment = find(self.sandbox, name)?;
        self.runtime(&attachment.pod.node).check(&attachment)
    }

    fn make(&self, attachment: &mut Attachment) -> Result<()> {
        let pod = attachment.pod.clone();
        manifest::write_namespace(self.sandbox, &pod.namespace)?;
        manifest::write_pod(self.sandbox, &pod, &attachment.uid, None)?;
        let lines = [format!("netns add {}", pod.netns())];
        self.sandbox
            .ip_batch("making a pod's namespace", None, &lines)?;
        let lines = ["link set lo up".to_string()];
        self.sandbox
            .ip_batch("raising a pod's loopback", Some(&pod.netns()), &lines)?;
        self.runtime(&pod.node).add(attachment)?;
        manifest::write_pod(
            self.sandbox,
            &pod,
            &attachment.uid,
            Some(attachment.address()),
        )?;
        let note = serde_json::to_string_pretty(attachment).unwrap_or_default();
        self.sandbox.write(&note_of(&pod), &note)
    }

    fn unmake(&self, pod: &Pod) {
        let _ = self.sandbox.run(
            "removing a pod's namespace",
            None,
            &["ip", "netns", "delete", &pod.netns()],
        );
        manifest::remove_pod(self.sandbox, &pod.netns());
        let _ = fs::remove_file(self.sandbox.path(note_of(pod)));
    }

    fn runtime(&self, node: &str) -> Runtime<'a> {
        Runtime::new(
            self.sandbox,
            self.binaries,
            conflist(&self.config.cni, node),
        )
    }
}

/// Every pod that runs, in the order of their names.
#[must_use]
pub fn list(sandbox: &Sandbox) -> Vec<Attachment> {
    let entries = fs::read_dir(sandbox.path(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let mut pods: Vec<Attachment> = texts
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect();
    pods.sort_by_key(|attachment| attachment.pod.key());
    pods
}

/// The pod of this name: `namespace/name`, or `name` alone where only one namespace has it.
///
/// # Errors
/// [`Error::Unknown`] with the names there are.
pub fn find(sandbox: &Sandbox, name: &str) -> Result<Attachment> {
    let pods = list(sandbox);
    let known = pods
        .iter()
        .map(|attachment| attachment.pod.key())
        .collect::<Vec<_>>()
        .join(", ");
    let mut matching = pods.into_iter().filter(|attachment| {
        let pod = &attachment.pod;
        pod.key() == name || pod.name == name || pod.netns() == name
    });
    match (matching.next(), matching.next()) {
        (Some(only), None) => Ok(only),
        (found, _) => Err(Error::Unknown {
            kind: if found.is_some() { "single pod" } else { "pod" },
            name: name.into(),
            known,
        }),
    }
}

fn note_of(pod: &Pod) -> String {
    format!("{FOLDER}/{}.json", pod.netns())
}

/// 32 hexadecimal digits from the kernel.
fn random_id() -> Result<String> {
    const SOURCE: &str = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(SOURCE).map_err(io_error("cannot read", SOURCE))?;
    Ok(text.trim().replace('-', ""))
}
