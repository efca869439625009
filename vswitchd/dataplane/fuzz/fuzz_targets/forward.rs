//! The whole walk: a stream of mutated frames into the in-memory house, which
//! checks everything that leaves. Nothing may panic, and the house must still
//! carry a ping afterwards.

#![no_main]

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use packet::offload::VIRTIO_LEN;
use packet::{Frame, Offload, build};

// The tests use all of it; this uses a part.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../tests/house/mod.rs"]
mod house;

use house::{CLIENT, House, M02, NGINX_MANUAL, valid_frames};

type Template = (dataplane::PortId, bool, Vec<u8>);

#[derive(Arbitrary, Debug)]
struct Step {
    /// Which valid frame is mutated.
    template: u8,
    edits: Vec<(u8, u8)>,
    len: Option<u8>,
    mend_checksum: bool,
    virtio: Option<[u8; VIRTIO_LEN]>,
    sleep_seconds: u8,
}

impl Step {
    fn take(&self, house: &mut House, templates: &[Template]) {
        let (port, is_ethernet, bytes) = &templates[usize::from(self.template) % templates.len()];
        let link_len = if *is_ethernet { 14 } else { 0 };
        let mut bytes = bytes.clone();
        for (at, value) in &self.edits {
            let at = usize::from(*at) % bytes.len();
            bytes[at] = *value;
        }
        if self.mend_checksum {
            packet::ipv4::fill_checksum(&mut bytes[link_len..]);
        }
        if let Some(len) = self.len {
            bytes.resize(len.into(), 0xa5);
        }
        let mut frame = if *is_ethernet {
            Frame::from_ethernet(&bytes)
        } else {
            Frame::from_packet(&bytes)
        };
        let offload = self
            .virtio
            .and_then(|virtio| Offload::from_virtio(&virtio, link_len).ok());
        frame.offload = offload.unwrap_or_default();
        house.put(M02, *port, frame);
        house.sleep(Duration::from_secs(self.sleep_seconds.into()));
    }
}

/// Building a house takes longer than many walks through it: build it once and
/// let its workers start afresh each time.
struct Grounds {
    house: House,
    templates: Vec<Template>,
}

thread_local! {
    static GROUNDS: RefCell<Grounds> = RefCell::new(Grounds {
        house: House::walk_through(),
        templates: valid_frames(),
    });
}

fuzz_target!(|steps: Vec<Step>| {
    GROUNDS.with_borrow_mut(|Grounds { house, templates }| {
        (0..house.nodes.len()).for_each(|node| house.restart(node));
        for step in steps.iter().take(64) {
            step.take(house, templates);
        }
        let ping = build::icmp_echo(NGINX_MANUAL, CLIENT, 77, 1, b"still alive?");
        house.pod_sends(NGINX_MANUAL, &ping).only_at_pod(CLIENT);
        house.underlay.log.clear();
    });
});
