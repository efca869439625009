//! Joins two TUN devices, by the `tun-tap` crate or by `port`: what offloads
//! are worth. `bench/tun.sh` measures with it.
//!
//! `tun-loop tun-tap|port NAME NAME` runs until it is killed.

#![forbid(unsafe_code)]

use std::error::Error;
use std::io;
use std::process::ExitCode;

use packet::Frame;
use port::{Poller, PortIo, TunConfig, TunPort};
use tun_tap::{Iface, Mode};

const MTU: usize = 1480;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let ended = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tun-tap", a, b] => join_plain(a, b),
        ["port", a, b] => join_offloaded(a, b),
        _ => Err("usage: tun-loop tun-tap|port NAME NAME".into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use io::Write;
            // Nobody listens on a closed standard error.
            let _ = writeln!(io::stderr(), "tun-loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A packet a system call each way, as the crate allows.
fn join_plain(a: &str, b: &str) -> Result<(), Box<dyn Error>> {
    let a = Iface::without_packet_info(a, Mode::Tun)?;
    let b = Iface::without_packet_info(b, Mode::Tun)?;
    let copy = |from: &Iface, to: &Iface| -> io::Result<()> {
        let mut buffer = [0; 65_536];
        loop {
            let length = from.recv(&mut buffer)?;
            // EIO while the other device is still down: the packet is lost.
            let _ = to.send(&buffer[..length]);
        }
    };
    std::thread::scope(|scope| {
        let back = scope.spawn(|| copy(&b, &a));
        copy(&a, &b)?;
        back.join().map_err(|_| "the other direction panicked")??;
        Ok(())
    })
}

/// Super-segments whole, by virtio-net header.
fn join_offloaded(a: &str, b: &str) -> Result<(), Box<dyn Error>> {
    let open = |name| -> Result<TunPort, Box<dyn Error>> {
        let config = TunConfig {
            name,
            mtu: MTU,
            queues: 1,
        };
        Ok(TunPort::open(&config)?.remove(0))
    };
    let mut ports = [open(a)?, open(b)?];
    let mut poller = Poller::new()?;
    for (token, port) in ports.iter().enumerate() {
        if let Some(fd) = port.poll_fd() {
            poller.add(fd, token as u64)?;
        }
    }
    let mut frames: Vec<Frame> = std::iter::repeat_with(Frame::new).take(64).collect();
    let mut ready = Vec::with_capacity(2);
    loop {
        poller.wait(&mut ready, None)?;
        for &token in &ready {
            let from = token as usize;
            let taken = ports[from].rx_batch(&mut frames).unwrap_or(0);
            let mut sent = 0;
            while sent < taken {
                // A refused frame is lost, as above.
                sent += ports[1 - from]
                    .tx_batch(&frames[sent..taken])
                    .unwrap_or(1)
                    .max(1);
            }
        }
    }
}
