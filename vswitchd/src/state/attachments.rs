//! The attachments of this node, on disk.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use cni_shim::protocol::{Attachment, Bandwidth, PortMapping};
use serde::{Deserialize, Serialize};

use super::durable;

/// Version of the file's shape.
const VERSION: u32 = 1;

/// Why the attachments could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file could not be read or written.
    #[error("attachments {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is there and makes no sense.
    #[error(
        "attachments {} are damaged: {reason}; the pods of this node would lose their network \
         without them, so the daemon does not start: restore the file, or delete it once no pod \
         runs here",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// One wired interface: what the CNI plugin told the daemon about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Whose interface it is.
    #[serde(flatten)]
    pub id: Attachment,
    /// Path of the container's network namespace.
    pub netns: String,
    /// Kubernetes namespace of the pod.
    pub namespace: Option<String>,
    /// Kubernetes name of the pod.
    pub pod: Option<String>,
    /// Host end of the veth pair.
    pub host_interface: String,
    /// The pod's address.
    pub address: Ipv4Addr,
    /// MAC address of the pod's end, `aa:bb:cc:dd:ee:ff`.
    pub pod_mac: String,
    /// MTU of the pod's end in bytes.
    pub mtu_bytes: u32,
    /// Rate limits.
    #[serde(default)]
    pub bandwidth: Option<Bandwidth>,
    /// Published ports, for people.
    #[serde(default)]
    pub port_mappings: Vec<PortMapping>,
}

/// The file's shape.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    version: u32,
    attachments: Vec<Attached>,
}

/// The durable set of this node's attachments.
#[derive(Debug)]
pub struct Attachments {
    path: PathBuf,
    by_id: BTreeMap<Attachment, Attached>,
}

impl Attachments {
    /// Reads the set; an absent file is an empty one.
    ///
    /// # Errors
    /// The file is unreadable or damaged; both name it.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let io = |source| StateError::Io {
            path: path.to_owned(),
            source,
        };
        let list = match durable::read(path).map_err(io)? {
            Some(bytes) => parse(path, &bytes)?,
            None => Vec::new(),
        };
        let by_id = list.into_iter().map(|a| (a.id.clone(), a)).collect();
        let path = path.to_owned();
        Ok(Self { path, by_id })
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &Attachment) -> Option<&Attached> {
        self.by_id.get(id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Attached> {
        self.by_id.values()
    }

    /// Adds or replaces one; durable when this returns. An interface has one owner: others that
    /// held this one's host interface give way to it in the same writing, and are returned.
    ///
    /// # Errors
    /// The file could not be written; nothing has changed.
    pub fn insert(&mut self, attached: Attached) -> Result<Vec<Attached>, StateError> {
        let mut next = self.by_id.clone();
        let retired: Vec<Attached> = self.rivals(&attached).cloned().collect();
        for older in &retired {
            next.remove(&older.id);
        }
        next.insert(attached.id.clone(), attached);
        self.turn_to(next)?;
        Ok(retired)
    }

    /// Attachments of other containers at the same host interface.
    pub fn rivals(&self, attached: &Attached) -> impl Iterator<Item = &Attached> {
        let others = self.by_id.values().filter(|held| held.id != attached.id);
        others.filter(|held| held.host_interface == attached.host_interface)
    }

    /// Removes one, if it is there; durable when this returns.
    ///
    /// # Errors
    /// The file could not be written; nothing has changed.
    pub fn remove(&mut self, id: &Attachment) -> Result<Option<Attached>, StateError> {
        let mut next = self.by_id.clone();
        let removed = next.remove(id);
        if removed.is_some() {
            self.turn_to(next)?;
        }
        Ok(removed)
    }

    fn turn_to(&mut self, next: BTreeMap<Attachment, Attached>) -> Result<(), StateError> {
        let page = Page {
            version: VERSION,
            attachments: next.values().cloned().collect(),
        };
        durable::write_json(&self.path, &page).map_err(|source| StateError::Io {
            path: self.path.clone(),
            source,
        })?;
        self.by_id = next;
        Ok(())
    }
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Vec<Attached>, StateError> {
    let damaged = |reason| StateError::Damaged {
        path: path.to_owned(),
        reason,
    };
    let page: Page = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    if page.version != VERSION {
        let reason = format!("expected version {VERSION}, found {}", page.version);
        return Err(damaged(reason));
    }
    let addresses: BTreeMap<Ipv4Addr, &Attachment> = page
        .attachments
        .iter()
        .map(|a| (a.address, &a.id))
        .collect();
    if addresses.len() != page.attachments.len() {
        return Err(damaged("two attachments have the same address".into()));
    }
    Ok(page.attachments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(container: &str, last: u8) -> Attached {
        Attached {
            id: Attachment {
                container_id: container.into(),
                ifname: "eth0".into(),
            },
            netns: "/run/netns/p".into(),
            namespace: Some("default".into()),
            pod: Some("nginx".into()),
            host_interface: format!("cali{container}"),
            address: Ipv4Addr::new(10, 244, 205, last),
            pod_mac: "0a:58:0a:f4:cd:c1".into(),
            mtu_bytes: 1480,
            bandwidth: None,
            port_mappings: Vec::new(),
        }
    }

    #[test]
    fn what_was_attached_is_there_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("attachments.json");
        let mut set = Attachments::open(&path).unwrap();
        set.insert(attached("a", 193)).unwrap();
        set.insert(attached("b", 194)).unwrap();
        set.remove(&attached("a", 193).id).unwrap();
        let again = Attachments::open(&path).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [&attached("b", 194)]);
        assert_eq!(again.get(&attached("b", 0).id), Some(&attached("b", 194)));
    }

    #[test]
    fn a_host_interface_belongs_to_the_attachment_that_came_last() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("attachments.json");
        let mut set = Attachments::open(&path).unwrap();
        let (older, other) = (attached("a", 193), attached("c", 195));
        let newer = Attached {
            host_interface: older.host_interface.clone(),
            ..attached("b", 194)
        };
        assert_eq!(set.insert(older.clone()).unwrap(), []);
        assert_eq!(set.insert(other.clone()).unwrap(), []);
        assert_eq!(set.insert(newer.clone()).unwrap(), [older]);
        assert_eq!(set.insert(newer.clone()).unwrap(), [], "not its own rival");
        let again = Attachments::open(&path).unwrap();
        assert_eq!(again.iter().collect::<Vec<_>>(), [&newer, &other]);
    }

    #[test]
    fn removing_the_unknown_is_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let mut set = Attachments::open(&directory.path().join("a.json")).unwrap();
        assert_eq!(set.remove(&attached("a", 1).id).unwrap(), None);
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("attachments.json");
        for damage in ["", "{\"version\":1", "{\"version\":9,\"attachments\":[]}"] {
            std::fs::write(&path, damage).unwrap();
            let error = Attachments::open(&path).unwrap_err();
            assert!(matches!(error, StateError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains("attachments.json"), "{error}");
        }
    }
}
