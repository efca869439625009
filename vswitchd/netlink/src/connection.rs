//! One rtnetlink socket: a request out, its answers in.

use std::{cell::Cell, io};

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::{Error, Result};

/// The kernel never writes more than 32 KiB of a dump at once; a single link with many virtual
/// functions can be larger.
const BUFFER_BYTES: usize = 128 << 10;

/// What is being asked, for error texts.
#[derive(Clone, Debug)]
pub(crate) struct Context {
    operation: &'static str,
    object: String,
}

impl Context {
    pub(crate) fn new(operation: &'static str, object: impl Into<String>) -> Self {
        Self {
            operation,
            object: object.into(),
        }
    }

    fn kernel(&self, source: io::Error) -> Error {
        Error::kernel(self.operation, self.object.clone(), source)
    }

    pub(crate) fn answer(&self, expected: &'static str, found: impl Into<String>) -> Error {
        Error::answer(self.operation, self.object.clone(), expected, found)
    }
}

/// A connected socket and the sequence number of its last request.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: Socket,
    sequence: Cell<u32>,
}

impl Connection {
    /// Opens the socket in the calling thread's namespace; it stays there.
    pub(crate) fn open() -> Result<Self> {
        let failed = |source| Error::kernel("open", "a route netlink socket", source);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed)?;
        socket.bind_auto().map_err(failed)?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed)?;
        // Sentences beside errno; kernels before 4.12 do without.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        Ok(Self {
            socket,
            sequence: Cell::new(0),
        })
    }

    /// A change: sent with `flags`, answered by an acknowledgement.
    pub(crate) fn change(&self, message: Message, flags: u16, context: &Context) -> Result<()> {
        self.exchange(message, NLM_F_ACK | flags, context)
            .map(|_| ())
    }

    /// A question with one answer; `None` when the kernel acknowledges without one.
    pub(crate) fn ask(&self, message: Message, context: &Context) -> Result<Option<Message>> {
        Ok(self
            .exchange(message, NLM_F_ACK, context)?
            .into_iter()
            .next())
    }

    /// A question with many answers. Asked again when the table changed under the kernel's hands.
    pub(crate) fn dump(&self, message: &Message, context: &Context) -> Result<Vec<Message>> {
        const ATTEMPTS: usize = 8;
        for _ in 1..ATTEMPTS {
            match self.exchange(message.clone(), NLM_F_DUMP, context) {
                Err(Error::Kernel { source, .. })
                    if source.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
        self.exchange(message.clone(), NLM_F_DUMP, context)
    }

    fn exchange(&self, message: Message, flags: u16, context: &Context) -> Result<Vec<Message>> {
        let sequence = self.send(message, flags, context)?;
        let mut answers = Vec::new();
        let mut inconsistent = false;
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        loop {
            self.receive(&mut buffer, context)?;
            for packet in split(&buffer) {
                let packet = NetlinkMessage::<Message>::deserialize(packet)
                    .map_err(|error| context.answer("a netlink message", error.to_string()))?;
                if packet.header.sequence_number != sequence {
                    continue; // the rest of an exchange that failed half-way
                }
                inconsistent |= packet.header.flags & netlink_packet_core::NLM_F_DUMP_INTR != 0;
                match packet.payload {
                    NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(refusal(&error, context));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) if inconsistent => {
                        return Err(context.kernel(io::ErrorKind::Interrupted.into()));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(answers),
                    _ => {}
                }
            }
        }
    }

    fn send(&self, message: Message, flags: u16, context: &Context) -> Result<u32> {
        let sequence = self.sequence.get().wrapping_add(1).max(1);
        self.sequence.set(sequence);
        let mut packet = NetlinkMessage::from(message);
        packet.header.flags = NLM_F_REQUEST | flags;
        packet.header.sequence_number = sequence;
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        retry(|| self.socket.send(&bytes, 0)).map_err(|source| context.kernel(source))?;
        Ok(sequence)
    }

    fn receive(&self, buffer: &mut Vec<u8>, context: &Context) -> Result<()> {
        buffer.clear();
        let len = retry(|| self.socket.recv(buffer, nix::libc::MSG_TRUNC))
            .map_err(|source| context.kernel(source))?;
        if len > buffer.len() {
            let found = format!("{len} bytes");
            return Err(context.answer("at most 131072 bytes at once", found));
        }
        Ok(())
    }
}

/// The messages in one datagram, each aligned to four bytes (`nlmsg_len` is native endian).
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let len = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
        if len < 16 || len > bytes.len() {
            return None;
        }
        let message = &bytes[..len];
        bytes = &bytes[len.next_multiple_of(4).min(bytes.len())..];
        Some(message)
    })
}

/// Calls again while a signal interrupts.
pub(crate) fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn refusal(error: &netlink_packet_core::ErrorMessage, context: &Context) -> Error {
    Error::Kernel {
        operation: context.operation,
        object: context.object.clone(),
        source: error.to_io(),
        hint: hint(&error.header),
    }
}

/// The kernel's sentence: attribute `NLMSGERR_ATTR_MSG` (1) after the 16 bytes of the request's
/// header (`include/uapi/linux/netlink.h`).
fn hint(bytes: &[u8]) -> Option<String> {
    let mut attributes = bytes.get(16..)?;
    loop {
        let len = usize::from(u16::from_ne_bytes(*attributes.first_chunk()?));
        let kind = u16::from_ne_bytes(*attributes.get(2..)?.first_chunk()?);
        if len < 4 {
            return None;
        }
        if kind == 1 {
            let text = attributes.get(4..len)?;
            return Some(
                String::from_utf8_lossy(text)
                    .trim_end_matches('\0')
                    .to_owned(),
            );
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_falls_into_its_aligned_messages() {
        let mut datagram = Vec::new();
        for len in [18_u32, 16] {
            let mut message = vec![0_u8; (len as usize).next_multiple_of(4)];
            message[..4].copy_from_slice(&len.to_ne_bytes());
            datagram.extend(message);
        }
        let lens: Vec<usize> = split(&datagram).map(<[u8]>::len).collect();
        assert_eq!(lens, [18, 16]);
    }

    #[test]
    fn a_datagram_with_an_impossible_length_ends_there() {
        assert_eq!(split(&[3, 0, 0, 0, 0, 0, 0, 0]).count(), 0);
        assert_eq!(split(&[0xff; 20]).count(), 0);
        assert_eq!(split(&[]).count(), 0);
    }

    #[test]
    fn the_kernels_sentence_is_found_behind_other_attributes() {
        let mut bytes = vec![0_u8; 16];
        bytes.extend(8_u16.to_ne_bytes());
        bytes.extend(2_u16.to_ne_bytes()); // NLMSGERR_ATTR_OFFS
        bytes.extend(20_u32.to_ne_bytes());
        bytes.extend(9_u16.to_ne_bytes());
        bytes.extend(1_u16.to_ne_bytes());
        bytes.extend(b"oops\0\0\0\0");
        assert_eq!(hint(&bytes).as_deref(), Some("oops"));
        assert_eq!(hint(&[]), None);
    }
}
