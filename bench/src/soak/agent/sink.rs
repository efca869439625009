//! The receiver of numbered datagrams: verifies each, and knows what came late or twice.

use std::{
    collections::BTreeMap,
    fs, io,
    net::{SocketAddrV4, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{datagram, ready, say, udp, until_end_of_input};

/// Where to receive.
#[derive(Clone, Debug, Args)]
pub struct Sink {
    /// Address and port.
    #[arg(long)]
    pub listen: SocketAddrV4,
    /// What the socket may hold, the kernel's overhead included.
    #[arg(long, default_value_t = 8 << 20)]
    pub receive_buffer_bytes: usize,
}

/// What came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// By flow.
    pub flows: BTreeMap<u64, Flow>,
    /// Datagrams some byte of which was not as it was sent.
    pub corrupted: u64,
    /// Datagrams the kernel dropped at the socket (`/proc/net/udp`).
    pub socket_drops: u64,
}

/// What came of one flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Datagrams, all of them intact.
    pub datagrams: u64,
    /// Of those, the ones with a number not above all before: overtaken, or come twice.
    pub late: u64,
    /// The number the next one should have at least.
    next: u64,
}

impl Sink {
    /// Receives until standard input ends; each line of it is answered with a [`Received`].
    ///
    /// # Errors
    /// The address is taken.
    pub fn run(&self) -> io::Result<()> {
        let socket = udp(self.listen, self.receive_buffer_bytes)?;
        let received = Arc::new(Mutex::new(Received::default()));
        let noted = Arc::clone(&received);
        thread::spawn(move || receive(&socket, &noted));
        ready()?;
        until_end_of_input(|| {
            let mut now = received
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            now.socket_drops =
                socket_drops(&fs::read_to_string("/proc/net/udp")?, self.listen.port());
            say(&now)
        })
    }
}

fn receive(socket: &UdpSocket, received: &Mutex<Received>) {
    let mut bytes = [0; 2048];
    loop {
        // An error here is an ICMP message about nothing we sent.
        let Ok(length) = socket.recv(&mut bytes) else {
            continue;
        };
        let read = datagram::read(&bytes[..length]);
        let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
        received.note(read);
    }
}

impl Received {
    fn note(&mut self, datagram: Option<(u64, u64)>) {
        let Some((flow, number)) = datagram else {
            self.corrupted += 1;
            return;
        };
        let flow = self.flows.entry(flow).or_default();
        flow.datagrams += 1;
        flow.late += u64::from(number < flow.next);
        flow.next = flow.next.max(number + 1);
    }
}

/// The last column of the line of this port (proc_net(5)).
fn socket_drops(table: &str, port: u16) -> u64 {
    let local = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| {
            words
                .get(1)
                .is_some_and(|address| address.ends_with(&local))
        })
        .filter_map(|words| words.last()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overtakes_and_what_comes_twice_is_late() {
        let mut received = Received::default();
        for datagram in [(1, 0), (1, 2), (1, 1), (2, 0), (1, 3), (1, 3)] {
            received.note(Some(datagram));
        }
        received.note(None);
        assert_eq!(
            (received.flows[&1].datagrams, received.flows[&1].late),
            (5, 2)
        );
        assert_eq!((received.flows[&2].late, received.corrupted), (0, 1));
    }

    #[test]
    fn drops_are_those_of_the_own_port() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
             10: 00000000:1388 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 17\n \
             11: 00000000:1389 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0000000000000000 4\n";
        assert_eq!(socket_drops(table, 5000), 17);
    }
}
