//! The optional layer in the kernel: super-segments leave inside IPIP without being cut in user space.
//!
//! A packet socket's virtio-net header can say "a TCP super-segment", not "one inside an IPIP packet". Without help such a
//! frame must be cut here, and every piece costs a trip through the kernel. The help is a small program at the
//! interface's egress hook (tcx, Linux 6.6) that tells the kernel what the outer header is; then the device, or the kernel
//! just before it, cuts the frame. What goes over the wire is the same.
//!
//! Nothing depends on it: where it cannot be attached, or is found not to work, super-segments are cut in user space.

mod program;

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::sync::{LazyLock, OnceLock};

use crate::sys::bpf::{self, Hook};
use crate::sys::bpf_words::BpfWords;
use crate::{Error, Link};

/// `SO_PRIORITY` of the sockets it serves: a number nobody uses. The low four bits, which choose a band of `pfifo_fast` and
/// `prio`, are 0.
const PRIORITY: u32 = 0x7673_0000;
/// Tells the encapsulators of this process apart, and most likely those of another one on the same interface: counts on from
/// a random number.
static NEXT: LazyLock<AtomicU32> = LazyLock::new(|| {
    let random = RandomState::new().build_hasher().finish();
    AtomicU32::new(random as u32)
});

/// A program attached to the egress of an interface, as long as this value lives. The kernel detaches it when the process
/// ends, however it ends, or when the interface goes; there is nothing to clean up.
///
/// It serves the [`PacketPort`](crate::PacketPort)s that were opened with it, by the priority of their sockets, and touches
/// no other frame. Pods cannot ask for it: a frame's priority does not cross a veth pair. The host's own processes with
/// CAP_NET_ADMIN can, and gain nothing: it changes no byte of a frame.
pub struct Encapsulator {
    interface: String,
    priority: u32,
    /// One word, which the program counts up.
    counter: BpfWords,
    failure: OnceLock<EncapsulatorFailure>,
    on_failure: Box<dyn Fn(&EncapsulatorFailure) + Send + Sync>,
    /// Closing it detaches the program.
    _attachment: OwnedFd,
}

/// Why an attached [`Encapsulator`] is no longer used.
#[derive(Debug, thiserror::Error)]
pub enum EncapsulatorFailure {
    /// Frames were sent, and its program did not see them.
    #[error(
        "frames leave {interface} past its program: it was detached, or a program attached before it lets none through"
    )]
    Unseen {
        /// The interface's name.
        interface: String,
    },
    /// The kernel or the device refused what it was given, again and again, and took its segments.
    #[error(
        "{interface} refused {frames} encapsulated super-segments in a row whose segments it takes, the last one because: {source}"
    )]
    Refused {
        /// The interface's name.
        interface: String,
        /// How many.
        frames: u32,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Encapsulator {
    /// Attaches the program to an interface of the thread's network namespace. `on_failure` is called, at most once and from
    /// a worker's thread, when it is found not to work; from then on super-segments are cut in user space.
    ///
    /// # Errors
    /// [`Error::Interface`]: no such interface. [`Error::Hardware`]: neither Ethernet nor bare IP.
    /// [`Error::Encapsulator`]: the step that failed; `EPERM` without CAP_BPF and CAP_NET_ADMIN in the first user namespace,
    /// `EINVAL` on kernels before 6.6.
    pub fn attach(
        interface: &str,
        on_failure: impl Fn(&EncapsulatorFailure) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let link = Link::of(interface)?;
        let index = nix::net::if_::if_nametoindex(interface).map_err(|errno| Error::Interface {
            interface: interface.to_owned(),
            source: errno.into(),
        })?;
        let serial = NEXT.fetch_add(1, Ordering::Relaxed) & 0xfff;
        let priority = PRIORITY | serial << 4;
        let fail = |step, log| {
            move |source| Error::Encapsulator {
                interface: interface.to_owned(),
                step,
                source,
                log,
            }
        };
        let counter =
            BpfWords::new(1, 1).map_err(fail("make the counter of its program", String::new()))?;
        let program = program::program(link.header_len(), priority, counter.map());
        let program = bpf::load_classifier(&program, c"vswitchd_encap", c"Apache-2.0")
            .map_err(|(source, log)| fail("load its program", log)(source))?;
        let attachment = bpf::attach(program.as_fd(), index, Hook::Egress)
            .map_err(fail("attach its program", String::new()))?;
        Ok(Self {
            interface: interface.to_owned(),
            priority,
            counter,
            failure: OnceLock::new(),
            on_failure: Box::new(on_failure),
            _attachment: attachment,
        })
    }

    /// Why it is no longer used; `None` = it is.
    #[must_use]
    pub fn failure(&self) -> Option<&EncapsulatorFailure> {
        self.failure.get()
    }

    /// `SO_PRIORITY` of the sockets it serves.
    pub(crate) fn priority(&self) -> u32 {
        self.priority
    }

    /// How many super-segments its program has encapsulated, for all ports; wraps. A frame counts before the call that sends
    /// it returns.
    pub(crate) fn encapsulated(&self) -> u32 {
        let count = self.counter.words()[0].load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        count as u32
    }

    pub(crate) fn give_up_unseen(&self) {
        self.give_up(EncapsulatorFailure::Unseen {
            interface: self.interface.clone(),
        });
    }

    pub(crate) fn give_up_refused(&self, frames: u32, source: io::Error) {
        self.give_up(EncapsulatorFailure::Refused {
            interface: self.interface.clone(),
            frames,
            source,
        });
    }

    fn give_up(&self, failure: EncapsulatorFailure) {
        if self.failure.set(failure).is_ok()
            && let Some(failure) = self.failure.get()
        {
            (self.on_failure)(failure);
        }
    }
}

impl fmt::Debug for Encapsulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encapsulator")
            .field("interface", &self.interface)
            .field("priority", &self.priority)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
