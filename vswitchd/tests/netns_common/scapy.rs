//! Frames made by scapy and sent as they are, from any pod, node or host of a lab.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use lab::Lab;

/// Reads an expression a line, sends the frames it makes out of `eth0`, says how many there were.
const SENDER: &str = r#"
import logging, socket, struct, sys
logging.getLogger("scapy").setLevel(logging.CRITICAL)
from scapy.all import *
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
line.bind(("eth0", 0))
PACKET_VNET_HDR = 15
with_offload = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
with_offload.setsockopt(263, PACKET_VNET_HDR, 1)
with_offload.bind(("eth0", 0))
me = get_if_hwaddr("eth0")
def cut(frame, first, last):
    return [bytes(frame)[:n] for n in range(first, last)]
def forged(frame, flags=0, gso=0, headers=0, size=0, start=0, offset=0):
    return struct.pack("=BBHHHH", flags, gso, headers, size, start, offset), frame
def send(frame):
    if isinstance(frame, tuple):
        with_offload.send(frame[0] + bytes(frame[1]))
    else:
        line.send(bytes(frame))
print("ready", flush=True)
for expression in sys.stdin:
    try:
        frames = eval(expression)
        for frame in frames:
            send(frame)
        print(len(frames), flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"#;

/// A Python process with scapy loaded, in one place of a lab.
pub(crate) struct Scapy {
    child: Child,
    expressions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scapy {
    /// Starts it. In expressions, `me` is the MAC address of its `eth0`; `cut(frame, first, last)` gives the frame cut to
    /// every length from `first` to below `last`; `forged(frame, ...)` gives it a virtio-net header (linux/virtio_net.h).
    pub(crate) fn start(lab: &Lab, target: &str) -> Self {
        let argv = [super::PYTHON, "-u", "-c", SENDER];
        let mut command = lab.command(target, &argv).unwrap();
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut scapy = Self {
            expressions: child.stdin.take().unwrap(),
            answers: BufReader::new(child.stdout.take().unwrap()),
            child,
        };
        assert_eq!(scapy.answer(), "ready", "scapy in {target}");
        scapy
    }

    /// Sends the frames of a list and says how many they were.
    pub(crate) fn send(&mut self, list: &str) -> u64 {
        writeln!(self.expressions, "{list}").unwrap();
        let answer = self.answer();
        answer
            .parse()
            .unwrap_or_else(|_| panic!("scapy: {list}\n{answer}"))
    }

    /// Gives a value a name for the expressions that follow.
    pub(crate) fn define(&mut self, name: &str, value: &str) {
        self.send(&format!("globals().update({name}={value}) or []"));
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().into()
    }
}

impl Drop for Scapy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
