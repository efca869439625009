//! What is taken away once no worker knows it: interfaces, records, addresses.

use std::collections::BTreeSet;

use cni_shim::protocol::Attachment;
use tracing::{error, info, warn};

use super::Engine;
use crate::{control::Publisher, ipam::handle, state::Attached};

impl<P: Publisher> Engine<P> {
    /// Frees the address of an attachment whose host interface a newer one has taken over. Its
    /// record is gone already: the DEL of it that may follow finds nothing to remove.
    pub(super) fn retire(&mut self, older: &Attached) {
        let (id, interface) = (&older.id, &older.host_interface);
        self.host_indices.remove(id);
        warn!(container = %id.container_id, %interface, address = %older.address,
            "detached: a newer attachment has its interface");
        if let Err(error) = self.book.release(&handle(&id.container_id, &id.ifname)) {
            error!(%error, address = %older.address, "not freed; its DEL or a GC will do it");
        }
    }

    /// Removes what is left of an attachment once no worker knows it: its host interface, its
    /// record, and last its address, which may be given to another from then on. A pod's next
    /// sandbox has an interface of the same name, perhaps wired already and not yet attached: that
    /// one stays.
    pub(super) fn forget(&mut self, id: &Attachment) -> anyhow::Result<()> {
        if let Some(attached) = self.attachments.get(id) {
            let name = attached.host_interface.clone();
            let taken_over = self.attachments.rivals(attached).next().is_some();
            let own = self.host_indices.get(id);
            if !taken_over && own == self.links.index_of(&name)?.as_ref() {
                self.links.remove(&name)?;
            }
            self.attachments.remove(id)?;
            info!(container = %id.container_id, interface = %name, "detached");
        }
        self.host_indices.remove(id);
        self.book.release(&handle(&id.container_id, &id.ifname))?;
        Ok(())
    }

    /// Frees addresses of ADDs that were broken off and whose namespace is gone.
    pub(super) fn release_abandoned(&mut self) -> anyhow::Result<()> {
        let ids = self.attachments.iter().map(|attached| &attached.id);
        let attached: BTreeSet<String> =
            ids.map(|id| handle(&id.container_id, &id.ifname)).collect();
        let links = &self.links;
        let released = self.book.release_abandoned(|handle, owner| {
            let gone = owner
                .netns
                .as_deref()
                .is_some_and(|path| !links.netns_exists(path));
            gone && !attached.contains(handle)
        })?;
        for address in released {
            info!(%address, "freed: its ADD was broken off and its namespace is gone");
        }
        Ok(())
    }
}
