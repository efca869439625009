//! A pair of datagram sockets stands in for the device: its buffer holds few messages, and nobody empties it unasked.

use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SndBuf;
use packet::ipip::{self, Outer};
use packet::transport::TcpFlags;
use packet::{Frame, build};

use super::Sender;

const SEGMENTS: usize = 40;

/// A super-segment of 40 segments in IPIP.
fn frame() -> Frame {
    let (src, dst) = ([10, 244, 0, 1].into(), [10, 244, 1, 1].into());
    let packet = build::tcp(
        src,
        dst,
        40_000,
        80,
        TcpFlags::ACK,
        1,
        &[7; SEGMENTS * 1400],
    );
    let mut frame = build::super_segment(&packet, 1400);
    let (src, dst) = ([172, 16, 30, 7].into(), [172, 16, 30, 6].into());
    ipip::encapsulate(
        &mut frame,
        Outer {
            src,
            dst,
            identification: 1,
        },
    );
    frame
}

/// Our end has a send buffer for a dozen messages.
fn device() -> (UnixDatagram, UnixDatagram) {
    let (socket, device) = UnixDatagram::pair().expect("a pair of sockets");
    setsockopt(&socket, SndBuf, &16_384).expect("a small send buffer");
    (socket, device)
}

/// The TCP sequence numbers of what arrived, in order of arrival.
fn sequence_numbers(device: &UnixDatagram, patience: Duration) -> Vec<u32> {
    device
        .set_read_timeout(Some(patience))
        .expect("set a timeout");
    let mut message = [0; 2000];
    let mut numbers = Vec::new();
    while let Ok(len) = device.recv(&mut message) {
        assert_eq!(len, 10 + 60 + 1400, "header, packet headers, payload");
        numbers.push(u32::from_be_bytes(
            *message[10 + 44..].first_chunk().expect("a number"),
        ));
    }
    numbers
}

#[test]
fn what_finds_no_room_is_counted_and_what_was_sent_is_not_sent_again() {
    let (socket, device) = device();
    let mut sender = Sender::new(16, None);
    assert_eq!(sender.send(socket.as_fd(), &[frame()]).expect("send"), 1);
    let lost = sender.lost_segments();
    assert!(lost > 0, "its buffer is short");
    assert_eq!(
        sender.send(socket.as_fd(), &[frame()]).expect("send"),
        0,
        "full"
    );
    assert_eq!(sender.lost_segments(), lost, "none is begun without room");

    let numbers = sequence_numbers(&device, Duration::from_millis(1));
    assert_eq!(numbers.len() + lost as usize, SEGMENTS);
    let first: Vec<u32> = (0..numbers.len() as u32).map(|n| 1 + n * 1400).collect();
    assert_eq!(numbers, first);
}

#[test]
fn a_super_segment_that_finds_room_in_time_is_finished() {
    let (socket, device) = device();
    let reader = thread::spawn(move || sequence_numbers(&device, Duration::from_millis(500)));
    let mut sender = Sender::new(16, None);
    assert_eq!(sender.send(socket.as_fd(), &[frame()]).expect("send"), 1);
    let numbers = reader.join().expect("the reader");
    assert_eq!(numbers.len() + sender.lost_segments() as usize, SEGMENTS);
    assert!(
        numbers.is_sorted_by(|a, b| a < b),
        "in order, none twice: {numbers:?}"
    );
}
