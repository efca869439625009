//! What the control plane tells a worker, carried out between batches.

use std::sync::Arc;

use dataplane::{DropReason, PortCounters, PortId};
use port::PortIo;

use super::{ASIDE, FLOW_PAGE, Worker};
use crate::worker::command::{Command, End};
use crate::worker::outbox::Outbox;

impl Worker {
    /// Carries out the control plane's orders.
    pub(super) fn obey(&mut self) {
        while let Ok(command) = self.parts.commands.try_recv() {
            match command {
                Command::Open { id, end, counters } => self.open(id, end, counters),
                Command::Close(id) => self.close(id),
                Command::Flows { limit, answer } => {
                    self.count_relayed();
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
                    if first == 0 {
                        self.count_relayed();
                    }
                    let next = self.parts.local.flow_page(first, FLOW_PAGE, &mut page);
                    let _ = answer.send((page, next));
                }
                Command::Stop => self.running = false,
            }
        }
    }

    pub(super) fn open(&mut self, id: PortId, end: End, counters: Arc<PortCounters>) {
        self.close(id);
        self.watch(end.io.as_ref(), id.0.into());
        if let Some(aside) = &end.aside {
            self.watch(aside.as_ref(), ASIDE | u64::from(id.0));
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.set_interface(id, end.relayed);
        }
        if self.ports.len() <= id.index() {
            self.ports.resize_with(id.index() + 1, || None);
        }
        self.parts.local.open_port(id, Arc::clone(&counters));
        self.ports[id.index()] = Some(Outbox::new(end, counters));
    }

    fn watch(&self, io: &dyn PortIo, token: u64) {
        if let Some(fd) = io.poll_fd()
            && let Err(error) = self.lookout.poller.add(fd, token)
        {
            tracing::error!(port = io.name(), %error, "port cannot be polled and stays silent");
        }
    }

    pub(super) fn close(&mut self, id: PortId) {
        let Some(port) = self.ports.get_mut(id.index()).and_then(Option::take) else {
            return;
        };
        for io in [Some(&port.io), port.aside.as_ref()].into_iter().flatten() {
            if let Some(fd) = io.poll_fd() {
                // Closing the descriptor would end the watch as well.
                let _ = self.lookout.poller.remove(fd);
            }
        }
        if let Some(lanes) = &mut self.lanes {
            lanes.set_interface(id, None);
        }
        let (pending, io) = port.into_parts();
        self.parts.closer.close(io);
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
