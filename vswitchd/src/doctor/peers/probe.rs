//! The echoes: three tries for each peer, all peers at once, bounded in time.

use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, recv, sendto,
            setsockopt, socket, sockopt,
        },
        time::TimeVal,
    },
};
use packet::{
    Protocol, checksum, icmpv4,
    ipv4::{self, Header},
};

use super::Peer;

const TRIES: u16 = 3;
/// For the answers to one try.
const WAIT: Duration = Duration::from_millis(400);
/// How long one read may take.
const READ: i64 = 20_000;
/// Bytes of a small echo's payload, as `ping` sends them.
const SMALL: usize = 56;

/// What came back from a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    /// The small echo through the tunnel, and how long it took.
    pub(super) small: Option<Duration>,
    /// The large one.
    pub(super) large: bool,
    /// The one to its own address.
    pub(super) underlay: bool,
    /// Its kernel said that it knows no protocol 4.
    pub(super) refused: bool,
}

impl Answers {
    fn has(&self, echo: Echo) -> bool {
        match echo {
            Echo::Small => self.small.is_some(),
            Echo::Large => self.large,
            Echo::Underlay => self.underlay,
        }
    }

    fn is_complete(&self) -> bool {
        ECHOES.iter().all(|echo| self.has(*echo))
    }
}

/// Which of the three; its number is the low bits of the sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Echo {
    Small = 0,
    Large = 1,
    Underlay = 2,
}

const ECHOES: [Echo; 3] = [Echo::Small, Echo::Large, Echo::Underlay];

/// Asks every peer.
///
/// # Errors
/// No raw socket: without CAP_NET_RAW.
pub(super) fn probe(peers: &[Peer]) -> io::Result<Vec<Answers>> {
    let mut round = Round::open(peers)?;
    for attempt in 0..TRIES {
        round.ask(attempt);
        let end = Instant::now() + WAIT;
        while Instant::now() < end && !round.answers.iter().all(Answers::is_complete) {
            round.listen();
        }
    }
    Ok(round.answers)
}

struct Round<'a> {
    socket: OwnedFd,
    peers: &'a [Peer],
    answers: Vec<Answers>,
    id: u16,
    asked: Instant,
    buffer: Vec<u8>,
}

impl<'a> Round<'a> {
    fn open(peers: &'a [Peer]) -> io::Result<Self> {
        let socket = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::Icmp,
        )?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(0, READ))?;
        Ok(Self {
            socket,
            peers,
            answers: vec![Answers::default(); peers.len()],
            id: std::process::id() as u16,
            asked: Instant::now(),
            buffer: vec![0; 1 << 16],
        })
    }

    /// Sends what has no answer yet. What cannot be sent is not answered, which is what is to be found out.
    fn ask(&mut self, attempt: u16) {
        self.asked = Instant::now();
        for (peer, answers) in self.peers.iter().zip(&self.answers) {
            for echo in ECHOES.into_iter().filter(|echo| !answers.has(*echo)) {
                let (destination, payload) = match echo {
                    Echo::Small => (peer.tunnel, SMALL),
                    Echo::Large => (peer.tunnel, payload(peer.packet_bytes)),
                    Echo::Underlay => (peer.address, SMALL),
                };
                let message = request(self.id, attempt << 2 | echo as u16, payload);
                let to = SockaddrIn::from(SocketAddrV4::new(destination, 0));
                let _ = sendto(self.socket.as_raw_fd(), &message, &to, MsgFlags::empty());
            }
        }
    }

    /// Takes one message in, or none for [`READ`] microseconds.
    fn listen(&mut self) {
        let length = match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::empty()) {
            Ok(length) => length,
            Err(Errno::EAGAIN | Errno::EINTR) => return,
            Err(_) => return std::thread::sleep(Duration::from_micros(READ as u64)),
        };
        let packet = &self.buffer[..length];
        let Ok(header) = Header::parse(packet) else {
            return;
        };
        let message = header.payload(packet);
        let Ok(icmp) = icmpv4::Header::parse(message) else {
            return;
        };
        let echoed = icmp.kind == icmpv4::ECHO_REPLY && icmp.echo_id() == Some(self.id);
        if echoed {
            let sequence = u16::from_be_bytes([icmp.rest[2], icmp.rest[3]]);
            self.note_reply(header.src, sequence & 3);
        } else if let Some(node) = refuses_ipip(&icmp, message) {
            self.note_refusal(node);
        }
    }

    fn note_reply(&mut self, from: Ipv4Addr, echo: u16) {
        let took = self.asked.elapsed();
        for (peer, answers) in self.peers.iter().zip(&mut self.answers) {
            match echo {
                0 if peer.tunnel == from => _ = answers.small.get_or_insert(took),
                1 if peer.tunnel == from => answers.large = true,
                2 if peer.address == from => answers.underlay = true,
                _ => {}
            }
        }
    }

    fn note_refusal(&mut self, node: Ipv4Addr) {
        let pairs = self.peers.iter().zip(&mut self.answers);
        for (_, answers) in pairs.filter(|(peer, _)| peer.address == node) {
            answers.refused = true;
        }
    }
}

/// Whom the refused packet was for, if this refuses IPIP: protocol unreachable, or port unreachable from a
/// kernel with the `tunnel4` module and no tunnel of that kind.
fn refuses_ipip(icmp: &icmpv4::Header, message: &[u8]) -> Option<Ipv4Addr> {
    let codes = [icmpv4::PROTOCOL_UNREACHABLE, icmpv4::PORT_UNREACHABLE];
    if icmp.kind != icmpv4::UNREACHABLE || !codes.contains(&icmp.code) {
        return None;
    }
    let quoted = Header::parse_quoted(icmp.quoted(message)?).ok()?;
    (quoted.protocol == Protocol::IPIP).then_some(quoted.dst)
}

/// Bytes of payload that make a packet this long.
fn payload(packet_bytes: usize) -> usize {
    let longest = packet_bytes.min(usize::from(u16::MAX));
    longest.saturating_sub(ipv4::HEADER_LEN + icmpv4::HEADER_LEN)
}

fn request(id: u16, sequence: u16, payload: usize) -> Vec<u8> {
    let [[a, b], [c, d]] = [id, sequence].map(u16::to_be_bytes);
    let header = icmpv4::Header {
        kind: icmpv4::ECHO,
        code: 0,
        rest: [a, b, c, d],
    };
    let mut message = header.emit().to_vec();
    message.resize(icmpv4::HEADER_LEN + payload, b'v');
    let sum = checksum::internet(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_is_as_long_as_the_path_is_wide_and_its_checksum_is_right() {
        let message = request(7, 0b101, payload(1480));
        assert_eq!(message.len(), 1460);
        assert!(icmpv4::verify_checksum(&message));
        let header = icmpv4::Header::parse(&message).unwrap();
        assert_eq!((header.echo_id(), header.rest[3] & 3), (Some(7), 1));
    }

    #[test]
    fn a_refusal_of_ipip_is_told_from_one_of_anything_else() {
        // Protocol unreachable, quoting 172.16.30.7 > 172.16.30.8 of the given protocol.
        let refusal = |protocol: u8| {
            let mut message = vec![3, 2, 0, 0, 0, 0, 0, 0];
            message.extend([0x45, 0, 0, 104, 0, 0, 0, 0, 64, protocol, 0, 0]);
            message.extend([172, 16, 30, 7, 172, 16, 30, 8]);
            message.extend([0; 8]);
            let icmp = icmpv4::Header::parse(&message).unwrap();
            refuses_ipip(&icmp, &message)
        };
        assert_eq!(refusal(4), Some(Ipv4Addr::new(172, 16, 30, 8)));
        assert_eq!(refusal(47), None);
    }
}
