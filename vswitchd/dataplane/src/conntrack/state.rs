//! Where in its life a flow is, and how long it may stay there.

use std::fmt;
use std::time::Duration;

use packet::transport::TcpFlags;

use super::flow::Direction;

/// A flow's state. The order is the order of eviction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum State {
    /// TCP one way only: a SYN without an answer, or a stray.
    SynSent,
    /// UDP one way only.
    UdpUnreplied,
    /// An ICMP request without an answer.
    IcmpUnreplied,
    /// Another protocol one way only.
    OtherUnreplied,
    /// Whatever it was, policy denies it now.
    Cut,
    /// A TCP connection that was reset.
    Closed,
    /// Both sides closed and acknowledged.
    TimeWait,
    /// Both sides closed.
    LastAck,
    /// An ICMP request with its answer.
    IcmpReplied,
    /// SYN and SYN+ACK seen.
    SynReceived,
    /// One side closed.
    FinWait,
    /// UDP both ways.
    UdpReplied,
    /// Another protocol both ways.
    OtherReplied,
    /// An open TCP connection.
    Established,
}

impl State {
    /// How many states there are.
    pub const COUNT: usize = Self::ALL.len();

    /// All states, first to be evicted first.
    pub const ALL: [Self; 14] = [
        Self::SynSent,
        Self::UdpUnreplied,
        Self::IcmpUnreplied,
        Self::OtherUnreplied,
        Self::Cut,
        Self::Closed,
        Self::TimeWait,
        Self::LastAck,
        Self::IcmpReplied,
        Self::SynReceived,
        Self::FinWait,
        Self::UdpReplied,
        Self::OtherReplied,
        Self::Established,
    ];

    /// No packet has come back yet.
    pub fn is_unreplied(self) -> bool {
        self <= Self::OtherUnreplied
    }

    /// May be thrown out to make room. Open TCP connections may not.
    pub fn is_evictable(self) -> bool {
        self < Self::Established
    }

    /// A SYN here begins a new connection on the same ports.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Closed | Self::TimeWait)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::SynSent => "SYN_SENT",
            Self::SynReceived => "SYN_RECV",
            Self::Established => "ESTABLISHED",
            Self::FinWait => "FIN_WAIT",
            Self::LastAck => "LAST_ACK",
            Self::TimeWait => "TIME_WAIT",
            Self::Closed => "CLOSE",
            Self::Cut => "CUT",
            Self::UdpUnreplied | Self::IcmpUnreplied | Self::OtherUnreplied => "UNREPLIED",
            Self::UdpReplied | Self::IcmpReplied | Self::OtherReplied => "REPLIED",
        };
        f.pad(name)
    }
}

/// How long a flow without packets stays, by state.
///
/// The defaults are those of netfilter (`nf_conntrack_*_timeout*`), except
/// established TCP, which is a day here instead of five. A cut flow stays longer
/// than TCP's longest pause between retransmissions (Linux: two minutes).
#[derive(Clone, Debug)]
pub struct Timeouts([Duration; State::COUNT]);

impl Default for Timeouts {
    fn default() -> Self {
        Self(State::ALL.map(|state| {
            Duration::from_secs(match state {
                State::SynSent => 120,
                State::SynReceived => 60,
                State::Established => 86_400,
                State::FinWait | State::TimeWait => 120,
                State::LastAck => 30,
                State::Closed => 10,
                State::UdpUnreplied | State::IcmpUnreplied | State::IcmpReplied => 30,
                State::UdpReplied => 120,
                State::OtherUnreplied | State::OtherReplied => 600,
                State::Cut => 300,
            })
        }))
    }
}

impl Timeouts {
    /// The timeout of `state`.
    #[inline]
    pub fn of(&self, state: State) -> Duration {
        self.0[state as usize]
    }

    /// Changes the timeout of `state`.
    pub fn set(&mut self, state: State, timeout: Duration) {
        self.0[state as usize] = timeout;
    }
}

/// SYN without ACK: begins a connection.
fn opens(flags: TcpFlags) -> bool {
    flags.contains(TcpFlags::SYN) && !flags.contains(TcpFlags::ACK)
}

/// Nothing but data and acknowledgements.
#[inline]
fn is_plain(flags: TcpFlags) -> bool {
    flags.0 & (TcpFlags::FIN.0 | TcpFlags::SYN.0 | TcpFlags::RST.0 | TcpFlags::ACK.0)
        == TcpFlags::ACK.0
}

/// False for combinations no stack sends, as netfilter judges them
/// (`tcp_valid_flags` in nf_conntrack_proto_tcp.c).
fn is_possible(flags: TcpFlags) -> bool {
    let [fin, syn, rst, ack] = [TcpFlags::FIN, TcpFlags::SYN, TcpFlags::RST, TcpFlags::ACK]
        .map(|flag| flags.contains(flag));
    match () {
        () if syn => !fin && !rst,
        () if fin => ack && !rst,
        () => rst || ack,
    }
}

/// What tracking knows of a packet's transport header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP with its flags. Later fragments carry none and count as plain.
    Tcp(TcpFlags),
    /// UDP.
    Udp,
    /// An ICMP query or its answer.
    Icmp,
    /// Anything else.
    Other,
}

/// A packet no tracked flow could contain: impossible TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Transport {
    /// Begins a TCP connection.
    pub fn opens(self) -> bool {
        matches!(self, Self::Tcp(flags) if opens(flags))
    }

    /// A TCP packet from the middle of a connection, or its end.
    pub fn is_midstream(self) -> bool {
        matches!(self, Self::Tcp(flags) if !opens(flags))
    }

    /// The state of a flow whose first packet is this one.
    pub(super) fn first(self) -> Result<State, Refused> {
        match self {
            Self::Tcp(flags) if !is_possible(flags) => Err(Refused),
            Self::Tcp(flags) if flags.contains(TcpFlags::RST) => Ok(State::Closed),
            // Also a SYN+ACK, and one from the middle of a connection: unreplied
            // until the other end speaks, or strays would fill the table.
            Self::Tcp(_) => Ok(State::SynSent),
            Self::Udp => Ok(State::UdpUnreplied),
            Self::Icmp => Ok(State::IcmpUnreplied),
            Self::Other => Ok(State::OtherUnreplied),
        }
    }

    /// Whether this packet leaves a flow in `state` as it is: one more of many.
    #[inline(always)]
    pub(super) fn is_one_more(self, state: State, direction: Direction) -> bool {
        match self {
            Self::Tcp(flags) => {
                matches!(state, State::Established | State::FinWait) && is_plain(flags)
            }
            _ if direction == Direction::Original => true,
            Self::Udp => state == State::UdpReplied,
            Self::Icmp => state == State::IcmpReplied,
            Self::Other => state == State::OtherReplied,
        }
    }

    /// The state after this packet, given the state before it and which
    /// directions had sent a FIN (updated).
    pub(super) fn next(
        self,
        state: State,
        direction: Direction,
        fins: &mut u8,
    ) -> Result<State, Refused> {
        match self {
            Self::Tcp(flags) if state == State::Established && is_plain(flags) => {
                Ok(State::Established)
            }
            Self::Tcp(flags) => tcp(state, direction, flags, fins),
            _ if direction == Direction::Original => Ok(state),
            Self::Udp => Ok(State::UdpReplied),
            Self::Icmp => Ok(State::IcmpReplied),
            Self::Other => Ok(State::OtherReplied),
        }
    }
}

fn tcp(
    state: State,
    direction: Direction,
    flags: TcpFlags,
    fins: &mut u8,
) -> Result<State, Refused> {
    if !is_possible(flags) {
        return Err(Refused);
    }
    if flags.contains(TcpFlags::RST) {
        return Ok(State::Closed);
    }
    if flags.contains(TcpFlags::FIN) {
        *fins |= 1 << direction as u8;
        return Ok(if *fins == 3 {
            State::LastAck
        } else {
            State::FinWait
        });
    }
    Ok(match (state, direction) {
        (State::SynSent, Direction::Reply) if flags.contains(TcpFlags::SYN) => State::SynReceived,
        (State::SynSent, Direction::Reply) => State::Established,
        (State::SynReceived, _) if !flags.contains(TcpFlags::SYN) => State::Established,
        (State::LastAck, _) => State::TimeWait,
        _ => state,
    })
}
