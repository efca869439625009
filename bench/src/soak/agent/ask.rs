//! The one before the door: asks from new ports, so that every question is a flow of its own and policy is asked.

use std::{
    io,
    net::{SocketAddrV4, UdpSocket},
    time::{Duration, Instant},
};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{ready, say, until_end_of_input};

/// Questions in a round unless told otherwise.
pub const QUESTIONS: u64 = 8;

/// Whom to ask, and how often.
#[derive(Clone, Debug, Args)]
pub struct Ask {
    /// The one who answers.
    #[arg(long)]
    pub to: SocketAddrV4,
    /// Questions at once, each from a port of its own.
    #[arg(long, default_value_t = QUESTIONS)]
    pub questions: u64,
    /// How long to wait for the first answer: without one the round is over.
    #[arg(long, default_value_t = 400)]
    pub silence_ms: u64,
    /// How long to wait for the others once there is one: a machine that is busy is slow, not closed.
    #[arg(long, default_value_t = 1000)]
    pub rest_ms: u64,
}

/// How one round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Questions sent.
    pub asked: u64,
    /// Answers that were the question again.
    pub answered: u64,
    /// From before the first question to the end of the round, in microseconds.
    pub took_us: u64,
}

impl Ask {
    /// Asks a round for each line of standard input.
    ///
    /// # Errors
    /// No socket can be had.
    pub fn run(&self) -> io::Result<()> {
        ready()?;
        let mut round = 0;
        until_end_of_input(|| {
            round += 1;
            say(&self.round(round)?)
        })
    }

    fn round(&self, round: u64) -> io::Result<Asked> {
        let start = Instant::now();
        let mut sockets = Vec::new();
        for number in 0..self.questions {
            let socket = UdpSocket::bind("0.0.0.0:0")?;
            socket.connect(self.to)?;
            // What is not sent is not answered.
            let _ = socket.send(&question(round, number));
            sockets.push((number, socket));
        }
        let silence = start + Duration::from_millis(self.silence_ms);
        let mut answered = count(&mut sockets, round, silence);
        if answered > 0 && !sockets.is_empty() {
            answered += count(
                &mut sockets,
                round,
                start + Duration::from_millis(self.rest_ms),
            );
        }
        Ok(Asked {
            asked: self.questions,
            answered,
            took_us: start.elapsed().as_micros() as u64,
        })
    }
}

fn question(round: u64, number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&round.to_be_bytes());
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// Takes out those whose question has come back by the end, and says how many.
fn count(sockets: &mut Vec<(u64, UdpSocket)>, round: u64, end: Instant) -> u64 {
    let before = sockets.len();
    sockets.retain(|(number, socket)| !answers(socket, &question(round, *number), end));
    (before - sockets.len()) as u64
}

/// Whether the question comes back in time; what came before the end is still looked at after it.
fn answers(socket: &UdpSocket, question: &[u8], end: Instant) -> bool {
    let left = end.saturating_duration_since(Instant::now());
    let wait = left.max(Duration::from_millis(1));
    let mut bytes = [0; 64];
    socket.set_read_timeout(Some(wait)).is_ok()
        && socket
            .recv(&mut bytes)
            .is_ok_and(|length| &bytes[..length] == question)
}
