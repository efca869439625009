//! What the control plane tells a worker, carried out between batches.

use std::sync::Arc;

use dataplane::{DropReason, PortCounters, PortId};
use port::PortIo;

use super::{FLOW_PAGE, Worker};
use crate::worker::command::Command;
use crate::worker::outbox::Outbox;

impl Worker {
    /// Carries out the control plane's orders.
    pub(super) fn obey(&mut self) {
        while let Ok(command) = self.parts.commands.try_recv() {
            match command {
                Command::Open { id, io, counters } => self.open(id, io, counters),
                Command::Close(id) => self.close(id),
                Command::Flows { limit, answer } => {
                    let flows = self.parts.local.flows(self.parts.clock.now(), limit);
                    let _ = answer.send(flows);
                }
                Command::Excerpt { flow, answer } => {
                    let now = self.parts.clock.now();
                    let _ = answer.send(self.parts.local.excerpt(now, flow.as_ref()));
                }
                Command::Tap(order) => self.obey_tap(order),
                Command::FlowPage {
                    first,
                    mut page,
                    answer,
                } => {
                    let next = self.parts.local.flow_page(first, FLOW_PAGE, &mut page);
                    let _ = answer.send((page, next));
                }
                Command::Stop => self.running = false,
            }
        }
    }

    pub(super) fn open(&mut self, id: PortId, io: Box<dyn PortIo>, counters: Arc<PortCounters>) {
        self.close(id);
        if let Some(fd) = io.poll_fd()
            && let Err(error) = self.lookout.poller.add(fd, id.0.into())
        {
            tracing::error!(port = io.name(), %error, "port cannot be polled and stays silent");
        }
        if self.ports.len() <= id.index() {
            self.ports.resize_with(id.index() + 1, || None);
        }
        self.parts.local.open_port(id, Arc::clone(&counters));
        self.ports[id.index()] = Some(Outbox::new(io, counters));
    }

    pub(super) fn close(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(id.index()).and_then(Option::take) else {
            return;
        };
        if let Some(fd) = port.io.poll_fd() {
            // Closing the descriptor would end the watch as well.
            let _ = self.lookout.poller.remove(fd);
        }
        let pending = port.into_pending();
        let counters = self.parts.local.counters();
        counters.drop_many(DropReason::NoPort, pending.len() as u64);
        for frame in &pending {
            self.show_unsent(DropReason::NoPort, id, frame);
        }
        self.pool.extend(pending);
        self.dirty.retain(|dirty| *dirty != id);
        self.parts.local.close_port(id);
    }
}
