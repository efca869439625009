//! The optional layer in the kernel: frames of settled flows pass from port to port without user space.
//!
//! A lane is one direction of a flow that connection tracking and policy have allowed, and for whose frames nothing is left
//! to do but to take the hop, to change the MACs and to send them on. A small program at the ingress hook of the port's
//! interface (tcx, Linux 6.6) does this for the frames of open lanes and hands them to the egress of the pod's interface.
//! Whatever is unusual about a frame, it goes on to the port's socket, and its lane is closed.
//!
//! Nothing depends on it: where it cannot be had, the daemon forwards every frame.
//!
//! # No frame overtakes another
//! The program counts the frames of every prepared lane, and marks those it does not relay: the destination MAC becomes
//! [`LaneSpec::mark`] and the low 16 bits, in network byte order, of how many it has seen before. The socket is a queue. So
//! who takes a frame marked with n from it, and has sent what came before, knows that n + 1 frames are done;
//! [`Relay::open`] succeeds only if the program has seen no further one.

mod entry;
mod lane;
mod program;
mod state;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::sys::bpf::{self, Hook};
use crate::sys::bpf_hash::BpfHash;
use crate::sys::bpf_words::BpfWords;
use crate::sys::ethtool;
use crate::{Error, Link};

pub use lane::{Arrives, LaneSpec, RelayCounts, Side};

use program::Maps;

/// The feature of a device that leaves checksums to who receives, as a veth does. A pod with a packet socket chooses where
/// its frame's checksum is to be written: where this is off, the kernel would write there as the frame leaves, over what
/// has been judged (`ethtool -K INTERFACE tx on`).
const FILLED_LATER: &str = "tx-checksum-ip-generic";

/// The programs and what they share with this process: the lanes.
///
/// Every lane has an entry, which the caller numbers, from 0. An entry serves one lane at a time, and a lane is opened once:
/// after [`prepare`](Relay::prepare) and [`open`](Relay::open) its first marked frame tells that it is closed; then it is to
/// be removed. A program on another processor may still have the entry in its hands, so it is to rest some seconds before
/// it is prepared for another lane.
///
/// No call waits or allocates, but for `new` and `attach`; `prepare` and `remove` are one system call each, the others none.
pub struct Relay {
    entries: BpfWords,
    /// One word: the generation in force, or [`state::NEVER`].
    generation: BpfWords,
    keys: BpfHash<{ entry::KEY_LEN }>,
    workload: OwnedFd,
    uplink: OwnedFd,
}

/// A program attached to an interface, as long as this value lives. The kernel detaches it when the process ends, however
/// it ends, or when the interface goes; there is nothing to clean up.
#[derive(Debug)]
pub struct RelayAttachment {
    interface: u32,
    /// Closing it detaches the program.
    _attachment: OwnedFd,
}

impl RelayAttachment {
    /// The interface's number: [`LaneSpec::interface`] of the lanes that begin there.
    #[must_use]
    pub fn interface_index(&self) -> u32 {
        self.interface
    }
}

impl Relay {
    /// Makes the maps, with room for `lanes` lanes (at least 1), 128 bytes each and a little more, and loads the programs.
    /// Nothing is relayed yet, see [`allow`](Relay::allow).
    ///
    /// # Errors
    /// [`Error::Relay`]: the step that failed; `EPERM` without CAP_BPF and CAP_NET_ADMIN in the first user namespace,
    /// `EINVAL` on old kernels.
    pub fn new(lanes: u16) -> Result<Self, Error> {
        let fail = |step, log| move |source| Error::Relay { step, source, log };
        let lanes = lanes.max(1);
        let entries = BpfWords::new(entry::WORDS as u16, lanes)
            .map_err(fail("make the entries of its lanes", String::new()))?;
        let generation = BpfWords::new(1, 1).map_err(fail("make its generation", String::new()))?;
        generation.words()[0].store(state::NEVER, Ordering::Relaxed);
        let keys =
            BpfHash::new(lanes.into()).map_err(fail("make its table of keys", String::new()))?;
        let maps = Maps {
            entries: entries.map(),
            generation: generation.map(),
            keys: keys.map(),
        };
        let load = |side, name, step| {
            bpf::load_classifier(&program::program(side, &maps), name, c"Apache-2.0")
                .map_err(|(source, log)| fail(step, log)(source))
        };
        let workload = load(
            Side::Workload,
            c"vswitchd_relay",
            "load its program for workloads",
        )?;
        let uplink = load(
            Side::Uplink,
            c"vswitchd_decap",
            "load its program for the uplink",
        )?;
        Ok(Self {
            entries,
            generation,
            keys,
            workload,
            uplink,
        })
    }

    /// Attaches the program of a side to the ingress of an interface of the thread's network namespace, before the
    /// programs that are there.
    ///
    /// # Errors
    /// [`Error::Interface`]: no such interface. [`Error::RelayAttach`]: `EINVAL` before Linux 6.6, `Unsupported` when
    /// the interface has no Ethernet header or, on a workload's side, fills in checksums itself.
    pub fn attach(&self, interface: &str, side: Side) -> Result<RelayAttachment, Error> {
        let fail = |source| Error::RelayAttach {
            interface: interface.to_owned(),
            source,
        };
        if Link::of(interface)? != Link::Ethernet {
            return Err(fail(unsupported("it has no Ethernet header")));
        }
        if side == Side::Workload && !Self::leaves_checksums(interface).map_err(fail)? {
            return Err(fail(unsupported("its transmit checksum offload is off")));
        }
        let index = nix::net::if_::if_nametoindex(interface).map_err(|errno| Error::Interface {
            interface: interface.to_owned(),
            source: errno.into(),
        })?;
        let program = match side {
            Side::Workload => &self.workload,
            Side::Uplink => &self.uplink,
        };
        let attachment = bpf::attach(program.as_fd(), index, Hook::Ingress).map_err(fail)?;
        Ok(RelayAttachment {
            interface: index,
            _attachment: attachment,
        })
    }

    /// Whether an interface of the thread's network namespace leaves checksums to who receives. Where it does not, nothing
    /// is to be relayed to it: see [`attach`](Relay::attach).
    ///
    /// # Errors
    /// `ENODEV`: no such interface.
    pub fn leaves_checksums(interface: &str) -> io::Result<bool> {
        ethtool::is_on(interface, FILLED_LATER)
    }

    /// From now on only lanes opened under `generation` relay; `None`: nothing is relayed. A frame that a program is at
    /// work on may still go by what was before.
    pub fn allow(&self, generation: Option<u32>) {
        let state = generation.map_or(state::NEVER, state::of_generation);
        self.generation.words()[0].store(state, Ordering::Release);
    }

    /// Writes an entry, closed and with all counts 0, and then the key that leads to it: from here on the lane's frames
    /// are counted and marked.
    ///
    /// # Errors
    /// `InvalidInput`: neither TCP nor UDP, a link header that is not of IPv4, or no entry of this number. `EEXIST`: a lane
    /// with this key is there. `E2BIG`: there are as many keys as entries.
    pub fn prepare(&self, index: u16, lane: &LaneSpec) -> io::Result<()> {
        let second_half = entry::second_half(lane)?;
        let words = self.entry(index).ok_or(io::ErrorKind::InvalidInput)?;
        let (first, second) = words.split_at(entry::SECOND_HALF);
        for word in first {
            word.store(0, Ordering::Relaxed);
        }
        for (word, value) in second.iter().zip(second_half) {
            word.store(value, Ordering::Relaxed);
        }
        // Whoever finds the key finds the entry written.
        fence(Ordering::Release);
        self.keys.insert(&entry::key(lane), index.into())
    }

    /// Removes a lane's key: its frames go on to the daemon, not marked. One that a program is at work on may still be
    /// counted, marked, or, if the lane is open, relayed.
    ///
    /// # Errors
    /// `ENOENT`: there is no such key.
    pub fn remove(&self, lane: &LaneSpec) -> io::Result<()> {
        self.keys.remove(&entry::key(lane))
    }

    /// Opens a closed lane under a generation if exactly `through` frames of it have been seen, and says whether it did.
    /// What of them is to be sent has been sent by then.
    pub fn open(&self, index: u16, through: u64, generation: u32) -> bool {
        let open = state::pack(state::of_generation(generation), through);
        let closed = state::pack(state::CLOSED, through);
        self.state(index).is_some_and(|word| {
            word.compare_exchange(closed, open, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })
    }

    /// From now on the frames of a lane are marked. One that a program is at work on may still be relayed.
    pub fn close(&self, index: u16) {
        if let Some(word) = self.state(index) {
            word.fetch_and(state::pack(state::CLOSED, u64::MAX), Ordering::AcqRel);
        }
    }

    /// What the program has counted since the entry was prepared; all 0 when there is no entry of this number.
    pub fn counts(&self, index: u16) -> RelayCounts {
        let Some(words) = self.entry(index) else {
            return RelayCounts::default();
        };
        let at = |place: i16| words[place as usize / 8].load(Ordering::Relaxed);
        RelayCounts {
            seen: state::seen(at(entry::STATE)),
            packets: at(entry::PACKETS),
            bytes: at(entry::BYTES),
            lost: at(entry::LOST),
        }
    }

    fn entry(&self, index: u16) -> Option<&[AtomicU64]> {
        let start = usize::from(index) * entry::WORDS;
        self.entries.words().get(start..start + entry::WORDS)
    }

    fn state(&self, index: u16) -> Option<&AtomicU64> {
        self.entry(index)?.first()
    }
}

fn unsupported(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lanes = self.entries.words().len() / entry::WORDS;
        f.debug_struct("Relay")
            .field("lanes", &lanes)
            .finish_non_exhaustive()
    }
}
