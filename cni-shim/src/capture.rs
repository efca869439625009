//! What a capture asks for, and the records that come back.
//!
//! A capture is asked for by [`Request::Capture`](crate::Request) and answered by one line, as everything is. If that is
//! [`Response::Capturing`](crate::Response), the connection then carries records from the daemon until either side ends it:
//! the client by shutting its half down (what was captured before still comes, and the last [`Stats`]), or by closing.
//!
//! A record is a length, a kind and a body, all numbers little-endian:
//!
//! ```text
//! 0        4      5
//! | length | kind | body: length - 1 bytes |
//!
//! kind 1, a packet:
//! 0      8          12     14      15       16        18       20
//! | time | wire_len | port | stage | reason | gso_size | note_len | note | bytes |
//! kind 2, who is who (JSON, [`Directory`]): the first record, and again after each change.
//! kind 3, what was seen (JSON, [`Stats`]): now and then, and the last record.
//! ```

use std::{
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::Ipv4Addr,
    str::FromStr,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The longest record either side accepts, in bytes: a directory of very many pods.
const MAX_RECORD_BYTES: usize = 16 << 20;
/// Bytes of a packet's record before its note.
const PACKET_HEAD: usize = 20;
const PACKET: u8 = 1;
const DIRECTORY: u8 = 2;
const STATS: u8 = 3;
/// In the place of a reason.
const NO_REASON: u8 = 0xff;

/// Where on its way a frame is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// As a port gave it.
    Rx,
    /// Policy, or what it had said of the flow before, lets the packet pass.
    PostPolicy,
    /// About to be put into IPIP.
    PreEncap,
    /// Taken by the device it leaves by.
    Tx,
    /// It goes no further, as it was when that was decided.
    Drop,
}

/// Toward, or away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// To the pod; into the switch by the port.
    In,
    /// From the pod; out of the switch by the port.
    Out,
}

/// Whose frames are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// All.
    All,
    /// To and from a pod of this node, at any port: `NAMESPACE/POD`, or `POD` where one namespace has it.
    Pod(String),
    /// Through the port on this interface.
    Port(String),
    /// Through the uplink.
    Uplink,
    /// Through the host's port.
    Host,
}

/// What is to be captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// Whose frames.
    pub scope: Scope,
    /// Where; not empty.
    pub stages: Vec<Stage>,
    /// Labels of the drop reasons wanted at [`Stage::Drop`]; empty = all.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// One direction only. Not with [`Scope::All`].
    #[serde(default)]
    pub direction: Option<Direction>,
    /// A classic BPF program for Ethernet frames, one `[code, jump_true, jump_false, k]` an instruction; empty = all.
    #[serde(default)]
    pub filter: Vec<[u32; 4]>,
    /// The expression it was compiled from, for people.
    #[serde(default)]
    pub expression: String,
    /// Bytes copied of each frame at most; 0 = all.
    pub snap_len: u32,
}

/// One frame at one stage. Where the frame had no Ethernet header there (the host's port, a packet between two ports) it is
/// given one of zero addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Nanoseconds since 1970, UTC.
    pub time: u64,
    /// Bytes of the whole frame.
    pub wire_len: u32,
    /// The port of [`Stage::Tx`] it left by, else the port it came by; see [`Directory::ports`].
    pub port: u16,
    /// Where it was seen.
    pub stage: Stage,
    /// Why it was dropped: an index of [`Directory::reasons`].
    pub reason: Option<u8>,
    /// L4 payload bytes of each segment of a super-segment, else 0.
    pub gso_size: u16,
    /// What policy said, in words; may be empty.
    pub note: &'a str,
    /// Its first bytes.
    pub bytes: &'a [u8],
}

/// Who is who.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The open ports.
    pub ports: Vec<Port>,
    /// Pods (`namespace/pod`) and nodes by address.
    pub names: Vec<(Ipv4Addr, String)>,
    /// The labels of the drop reasons.
    pub reasons: Vec<String>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its number, which another port may have later.
    pub id: u16,
    /// The interface.
    pub interface: String,
    /// The pod behind it, or `uplink`, or `host`.
    pub owner: String,
}

/// What a capture has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Frames that were asked for, each counted once a stage.
    pub matched: u64,
    /// Those of them that were lost because the client, or the daemon for it, was too slow.
    pub lost: u64,
}

/// What the daemon sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A frame.
    Packet(Packet<'a>),
    /// Who is who from here on.
    Directory(Directory),
    /// What was seen so far.
    Stats(Stats),
}

/// Reads records.
#[derive(Debug)]
pub struct Records<R> {
    from: R,
    body: Vec<u8>,
}

impl<R: Read> Records<R> {
    /// Records of a connection that has answered.
    pub fn new(from: R) -> Self {
        let body = Vec::new();
        Self { from, body }
    }

    /// Where they come from.
    pub fn get_ref(&self) -> &R {
        &self.from
    }

    /// Waits for the next one; `None` at the end.
    ///
    /// # Errors
    /// Reading fails, the connection ends inside a record, or the record is none that this version knows.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        let Some(len) = self.next_len()? else {
            return Ok(None);
        };
        if len > MAX_RECORD_BYTES {
            return Err(strange(format!("a record of {len} bytes")));
        }
        self.body.resize(len, 0);
        self.from.read_exact(&mut self.body)?;
        match self.body.split_first() {
            Some((&PACKET, body)) => Packet::parse(body).map(Record::Packet).map(Some),
            Some((&DIRECTORY, body)) => json(body).map(Record::Directory).map(Some),
            Some((&STATS, body)) => json(body).map(Record::Stats).map(Some),
            Some((kind, _)) => Err(strange(format!("a record of kind {kind}"))),
            None => Err(strange("an empty record".into())),
        }
    }
}

impl<R: Read> Records<R> {
    /// A length of which nothing came is the end; half of one is not.
    fn next_len(&mut self) -> io::Result<Option<usize>> {
        let mut len = [0; 4];
        loop {
            match self.from.read(&mut len[..1]) {
                Ok(0) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    read?;
                    break;
                }
            }
        }
        self.from.read_exact(&mut len[1..])?;
        Ok(Some(u32::from_le_bytes(len) as usize))
    }
}

impl Record<'_> {
    /// Writes it with its length and kind.
    ///
    /// # Errors
    /// Writing fails.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        match self {
            Self::Packet(packet) => packet.write(to),
            Self::Directory(directory) => {
                framed(&mut to, DIRECTORY, &serde_json::to_vec(directory)?)
            }
            Self::Stats(stats) => framed(&mut to, STATS, &serde_json::to_vec(stats)?),
        }
    }
}

fn framed(to: &mut impl Write, kind: u8, body: &[u8]) -> io::Result<()> {
    to.write_all(&(body.len() as u32 + 1).to_le_bytes())?;
    to.write_all(&[kind])?;
    to.write_all(body)
}

impl<'a> Packet<'a> {
    fn write(&self, mut to: impl Write) -> io::Result<()> {
        let note = &self.note.as_bytes()[..self.note.len().min(usize::from(u16::MAX))];
        let len = 1 + PACKET_HEAD + note.len() + self.bytes.len();
        let mut head = [0; 5 + PACKET_HEAD];
        head[..4].copy_from_slice(&(len as u32).to_le_bytes());
        head[4] = PACKET;
        head[5..13].copy_from_slice(&self.time.to_le_bytes());
        head[13..17].copy_from_slice(&self.wire_len.to_le_bytes());
        head[17..19].copy_from_slice(&self.port.to_le_bytes());
        head[19] = self.stage as u8;
        head[20] = self.reason.unwrap_or(NO_REASON);
        head[21..23].copy_from_slice(&self.gso_size.to_le_bytes());
        head[23..].copy_from_slice(&(note.len() as u16).to_le_bytes());
        to.write_all(&head)?;
        to.write_all(note)?;
        to.write_all(self.bytes)
    }

    fn parse(body: &'a [u8]) -> io::Result<Self> {
        let short = || strange(format!("a packet's record of {} bytes", body.len()));
        let (head, rest) = body.split_first_chunk::<PACKET_HEAD>().ok_or_else(short)?;
        let half = |at: usize| u16::from_le_bytes([head[at], head[at + 1]]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let stage = Stage::ALL.get(usize::from(head[14]));
        let (note, bytes) = rest.split_at_checked(half(18).into()).ok_or_else(short)?;
        Ok(Self {
            time: u64::from(word(0)) | u64::from(word(4)) << 32,
            wire_len: word(8),
            port: half(12),
            stage: *stage.ok_or_else(|| strange(format!("stage {}", head[14])))?,
            reason: Some(head[15]).filter(|reason| *reason != NO_REASON),
            gso_size: half(16),
            note: str::from_utf8(note).map_err(|_| strange("a note that is no text".into()))?,
            bytes,
        })
    }
}

fn json<T: DeserializeOwned>(body: &[u8]) -> io::Result<T> {
    serde_json::from_slice(body).map_err(|error| strange(error.to_string()))
}

fn strange(found: String) -> io::Error {
    let text =
        format!("expected a capture's record, found {found}: is vswitchd of another version?");
    io::Error::new(ErrorKind::InvalidData, text)
}

impl Stage {
    /// All, in the order of the walk.
    pub const ALL: [Self; 5] = [
        Self::Rx,
        Self::PostPolicy,
        Self::PreEncap,
        Self::Tx,
        Self::Drop,
    ];

    /// The word of the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rx => "rx",
            Self::PostPolicy => "post-policy",
            Self::PreEncap => "pre-encap",
            Self::Tx => "tx",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        let all = Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| format!("expected one of {all}, found {text:?}"))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Pod(name) => write!(f, "pod {name}"),
            Self::Port(name) => write!(f, "port {name}"),
            Self::Uplink => f.write_str("uplink"),
            Self::Host => f.write_str("host"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: Packet<'_> = Packet {
        time: 0x0102_0304_0506_0708,
        wire_len: 65_000,
        port: 513,
        stage: Stage::Drop,
        reason: Some(7),
        gso_size: 1448,
        note: "denied",
        bytes: &[1, 2, 3],
    };

    #[test]
    fn records_survive_the_wire() {
        let directory = Directory {
            ports: vec![Port {
                id: 2,
                interface: "cali1".into(),
                owner: "shop/web".into(),
            }],
            names: vec![(Ipv4Addr::new(10, 0, 0, 1), "shop/web".into())],
            reasons: vec!["truncated".into()],
        };
        let stats = Stats {
            matched: 7,
            lost: 1,
        };
        let records = [
            Record::Directory(directory),
            Record::Packet(PACKET),
            Record::Packet(Packet {
                reason: None,
                note: "",
                bytes: &[],
                ..PACKET
            }),
            Record::Stats(stats),
        ];
        let mut wire = Vec::new();
        for record in &records {
            record.write(&mut wire).unwrap();
        }
        let mut read = Records::new(wire.as_slice());
        for record in &records {
            assert_eq!(read.next_record().unwrap().as_ref(), Some(record));
        }
        assert_eq!(read.next_record().unwrap(), None);
    }

    #[test]
    fn half_a_record_is_an_error_and_so_is_a_strange_one() {
        let mut wire = Vec::new();
        Record::Packet(PACKET).write(&mut wire).unwrap();
        wire.pop();
        assert!(Records::new(wire.as_slice()).next_record().is_err());
        let error = Records::new(&[1, 0, 0][..]).next_record().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        for strange in [
            &[1, 0, 0, 0, 9][..],
            &[0, 0, 0, 0],
            &[255; 8],
            &[2, 0, 0, 0, 1, 0],
        ] {
            let error = Records::new(strange).next_record().unwrap_err();
            assert!(error.to_string().contains("another version"), "{error}");
        }
    }

    #[test]
    fn a_stage_is_named_as_it_is_spelt() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
            let json = serde_json::to_string(&stage).unwrap();
            assert_eq!(json, format!("\"{stage}\""));
        }
        let error = "tap".parse::<Stage>().unwrap_err();
        assert!(error.contains("post-policy"), "{error}");
    }
}
