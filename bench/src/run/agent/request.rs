//! Request/response latency: one request at a time, 32 bytes each way, every round trip in a histogram.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddrV4, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::echo;

const BYTES: usize = 32;
const LOST_AFTER: Duration = Duration::from_millis(200);
/// Longer round trips than 10 s count as that.
const LONGEST_NS: u64 = 10_000_000_000;
/// The first round trips find caches cold and are not counted.
const WARM_UP: Duration = Duration::from_millis(50);

/// What to ask.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The echo server.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Over UDP, not TCP.
    #[arg(long)]
    pub udp: bool,
    /// The CPU to stay on.
    #[arg(long)]
    pub cpu: Option<usize>,
}

/// Round trips.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Requests that were never answered (UDP).
    pub lost: u64,
    /// Median, in microseconds.
    pub p50_us: f64,
    /// 99th percentile, in microseconds.
    pub p99_us: f64,
    /// 99.9th percentile, in microseconds.
    pub p999_us: f64,
}

impl Request {
    /// Asks for the time given, at most 60 s.
    ///
    /// # Errors
    /// No connection, or it broke.
    pub fn run(&self) -> io::Result<Latency> {
        if self.udp {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(echo::datagrams(self.to))?;
            socket.set_read_timeout(Some(LOST_AFTER))?;
            self.measure(|number| ask_by_datagram(&socket, number))
        } else {
            let mut stream = TcpStream::connect(self.to)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            self.measure(|number| ask_by_stream(&mut stream, number))
        }
    }

    fn measure(&self, mut ask: impl FnMut(u64) -> io::Result<bool>) -> io::Result<Latency> {
        let mut histogram = histogram()?;
        let length = Duration::from_secs_f64(self.seconds.clamp(0.0, 60.0));
        let start = Instant::now();
        let (mut number, mut lost) = (0, 0);
        loop {
            let asked = Instant::now();
            if asked - start > WARM_UP + length {
                break;
            }
            number += 1;
            let answered = ask(number)?;
            if asked - start <= WARM_UP {
                continue;
            }
            if answered {
                histogram.saturating_record(asked.elapsed().as_nanos() as u64);
            } else {
                lost += 1;
            }
        }
        let microseconds = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Latency {
            count: histogram.len(),
            lost,
            p50_us: microseconds(0.5),
            p99_us: microseconds(0.99),
            p999_us: microseconds(0.999),
        })
    }
}

/// Nanoseconds up to [`LONGEST_NS`], to three digits.
fn histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3).map_err(io::Error::other)
}

fn ask_by_stream(stream: &mut TcpStream, number: u64) -> io::Result<bool> {
    let mut buffer = letter(number);
    stream.write_all(&buffer)?;
    stream.read_exact(&mut buffer)?;
    Ok(true)
}

/// False when no answer came; an answer to an earlier request is not one to this.
fn ask_by_datagram(socket: &UdpSocket, number: u64) -> io::Result<bool> {
    let letter = letter(number);
    let mut answer = [0u8; BYTES];
    socket.send(&letter)?;
    loop {
        match socket.recv(&mut answer) {
            Ok(_) if answer == letter => return Ok(true),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
    }
}

fn letter(number: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[test]
    fn every_round_trip_is_in_the_histogram_to_three_digits() {
        let mut histogram = histogram().unwrap();
        for nanoseconds in [5_300, 61_000, 4_000_000, u64::MAX] {
            histogram.saturating_record(nanoseconds);
        }
        let within = |value: u64, expected: u64| value.abs_diff(expected) * 1000 <= expected;
        assert!(within(histogram.value_at_quantile(0.25), 5_300));
        assert!(within(histogram.value_at_quantile(0.75), 4_000_000));
        assert!(within(histogram.max(), LONGEST_NS));
    }

    #[test]
    fn an_answer_takes_as_long_as_the_server_does() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(to) = listener.local_addr().unwrap() else {
            panic!("not IPv4")
        };
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut letter = [0; BYTES];
            while stream.read_exact(&mut letter).is_ok() {
                thread::sleep(Duration::from_millis(3));
                stream.write_all(&letter).unwrap();
            }
        });
        let request = Request {
            to,
            seconds: 0.1,
            udp: false,
            cpu: None,
        };
        let latency = request.run().unwrap();
        server.join().unwrap();
        assert!(latency.count >= 1 && latency.lost == 0);
        assert!(latency.p50_us >= 3000.0, "{latency:?}");
    }
}
