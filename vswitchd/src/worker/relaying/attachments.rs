//! The relay's program at the interfaces of ports.
//!
//! To attach it takes a grace period of RCU under the kernel's lock for all network devices, and so does to detach it
//! (`tcx_entry_sync` in include/net/tcx.h). Neither an ADD nor a start with many pods waits for that: a thread does both, in
//! the order in which they were asked for. Until it has come to a port, nobody marks that port's frames, and so no lane that
//! begins there is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::thread::Builder;

use crossbeam_channel::Sender;
use port::{RelayAttachment, Side};

use super::RelayHelp;

/// Where it is to be attached. The thread ends, and detaches all, when this is dropped.
pub(in crate::worker) struct Attachments(Option<Sender<Order>>);

enum Order {
    Attach {
        interface: String,
        index: u32,
        side: Side,
    },
    Keep(BTreeSet<u32>),
}

impl Attachments {
    /// Starts the thread, in this network namespace; none where nothing is relayed.
    pub(in crate::worker) fn start(help: RelayHelp) -> io::Result<Self> {
        if help.relay.is_err() {
            return Ok(Self(None));
        }
        let (sender, orders) = crossbeam_channel::unbounded();
        let mut attacher = Attacher {
            help,
            by_interface: BTreeMap::new(),
        };
        let run = move || orders.into_iter().for_each(|order| attacher.obey(order));
        Builder::new().name("relay-ports".into()).spawn(run)?;
        Ok(Self(Some(sender)))
    }

    /// The program is to see the frames of this interface, by the kernel's number, however often it is asked for. False where
    /// there is no program.
    pub(in crate::worker) fn attach(&self, interface: &str, index: u32, side: Side) -> bool {
        let order = Order::Attach {
            interface: interface.to_owned(),
            index,
            side,
        };
        self.tell(order)
    }

    /// It is of no use at other interfaces than these.
    pub(in crate::worker) fn keep(&self, used: BTreeSet<u32>) {
        self.tell(Order::Keep(used));
    }

    fn tell(&self, order: Order) -> bool {
        self.0
            .as_ref()
            .is_some_and(|orders| orders.send(order).is_ok())
    }
}

/// The thread's own: one attachment an interface.
struct Attacher {
    help: RelayHelp,
    by_interface: BTreeMap<u32, RelayAttachment>,
}

impl Attacher {
    fn obey(&mut self, order: Order) {
        match order {
            Order::Attach {
                interface,
                index,
                side,
            } => {
                if self.by_interface.contains_key(&index) {
                    return;
                }
                self.help.unfit.look(index);
                if let Some(attachment) = self.help.attach(&interface, index, side) {
                    self.by_interface.insert(index, attachment);
                }
            }
            Order::Keep(used) => {
                self.by_interface.retain(|index, _| used.contains(index));
                self.help.keep(self.by_interface.len(), &used);
            }
        }
    }
}
