//! Pods that were attached when the daemon last ran.

use anyhow::Context;
use tracing::warn;

use super::{Engine, requests::workload_of};
use crate::{
    control::{Publisher, Update},
    ipam::{Owner, handle},
    state::Attached,
};

impl<P: Publisher> Engine<P> {
    pub(super) fn restore(&mut self) -> anyhow::Result<()> {
        let stored: Vec<Attached> = self.attachments.iter().cloned().collect();
        for attached in stored {
            self.restore_one(&attached).with_context(|| {
                let (interface, address) = (&attached.host_interface, attached.address);
                format!(
                    "taking over {interface} ({address}) from attachments.json: to leave it out \
                     could give its address to a second pod, so the daemon does not start"
                )
            })?;
        }
        self.release_abandoned()
    }

    /// Only an interface that the kernel says is gone ends an attachment; a kernel or a disk that
    /// does not answer proves nothing about the pod.
    fn restore_one(&mut self, attached: &Attached) -> anyhow::Result<()> {
        let id = &attached.id;
        let handle = handle(&id.container_id, &id.ifname);
        let Some(index) = self.links.index_of(&attached.host_interface)? else {
            warn!(interface = %attached.host_interface, address = %attached.address,
                "attachment dropped: its host interface is gone");
            self.attachments.remove(id)?;
            self.book.release(&handle)?;
            return Ok(());
        };
        if self.owns(attached.address) {
            let owner = Owner {
                namespace: attached.namespace.clone(),
                pod: attached.pod.clone(),
                netns: Some(attached.netns.clone()),
            };
            self.book.allocate(&handle, owner, Some(attached.address))?;
        }
        let workload = workload_of(attached, index).map_err(anyhow::Error::msg)?;
        self.host_indices.insert(id.clone(), index);
        self.desired.apply(Update::Attached(Box::new(workload)));
        Ok(())
    }
}
