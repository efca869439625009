//! What tests on real interfaces share: a network namespace of their own, and ways to wait.
#![allow(dead_code, reason = "every test binary uses its part")]

pub(crate) mod frames;
pub(crate) mod namespace;
pub(crate) mod relay;

use std::time::{Duration, Instant};

use packet::Frame;
use port::{Poller, PortIo};

/// How long something may take that should happen at once, on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The next `count` frames of a port.
///
/// # Panics
/// When they do not come.
pub(crate) fn receive(port: &mut dyn PortIo, count: usize) -> Vec<Frame> {
    let mut received = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while received.len() < count {
        assert!(
            Instant::now() < deadline,
            "{}: expected {count} frames, found {}: {received:?}",
            port.name(),
            received.len()
        );
        received.extend(receive_waiting(port));
        if received.len() < count {
            wait(port, Duration::from_millis(100));
        }
    }
    received
}

/// The frames that wait now.
pub(crate) fn receive_waiting(port: &mut dyn PortIo) -> Vec<Frame> {
    let mut received = Vec::new();
    let mut frames: Vec<Frame> = (0..32).map(|_| Frame::new()).collect();
    loop {
        match port.rx_batch(&mut frames).expect("receive") {
            0 => return received,
            count => received.extend_from_slice(&frames[..count]),
        }
    }
}

/// Waits until the port is readable; false when the time is over.
pub(crate) fn wait(port: &dyn PortIo, timeout: Duration) -> bool {
    let mut poller = Poller::new().expect("a poller");
    poller
        .add(port.poll_fd().expect("a descriptor"), 1)
        .expect("watch the port");
    let mut tokens = Vec::new();
    poller.wait(&mut tokens, Some(timeout)).expect("wait");
    tokens == [1]
}

/// Sends all frames, waiting for room as long as it takes.
pub(crate) fn send_all(port: &mut dyn PortIo, frames: &[Frame]) {
    let mut sent = 0;
    let deadline = Instant::now() + PATIENCE;
    while sent < frames.len() {
        assert!(
            Instant::now() < deadline,
            "{}: sent {sent} of {}",
            port.name(),
            frames.len()
        );
        sent += port.tx_batch(&frames[sent..]).expect("send");
    }
}
