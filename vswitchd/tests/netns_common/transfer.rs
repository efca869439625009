//! A bulk transfer to `nginx` whose bytes are compared by their SHA-256.

use lab::Lab;

use super::{NGINX, Running, listens, python};

/// Receives a connection's bytes, then says how many and their SHA-256.
const SINK: &str = r#"
import hashlib, socket
server = socket.create_server(("", 7000))
connection, _ = server.accept()
digest, size = hashlib.sha256(), 0
while data := connection.recv(1 << 20):
    digest.update(data)
    size += len(data)
print(size, digest.hexdigest())
"#;

/// Sends bytes that differ everywhere, in writes of all sizes, then says how many and their SHA-256.
const SOURCE: &str = r#"
import hashlib, random, socket
chance = random.Random(7)
data = chance.randbytes(BYTES)
connection = socket.create_connection(("VICTIM", 7000), 5)
connection.settimeout(30)
at = 0
while at < len(data):
    size = chance.choice((1, 100, 1400, 1428, 1429, 5000, 65536, 1 << 20))
    connection.sendall(data[at:at + size])
    at += size
connection.close()
print(len(data), hashlib.sha256(data).hexdigest())
"#;

/// Sends so many bytes from a pod to `nginx`; they arrive as they were sent.
pub(crate) fn arrives(lab: &Lab, from: &str, bytes: u32) {
    let sink = Running::python(lab, "nginx", SINK);
    listens(lab, "nginx", 7000);
    let source = SOURCE.replace("VICTIM", NGINX);
    let sent = python(lab, from, &source.replace("BYTES", &bytes.to_string()));
    assert_eq!(sink.finish(), sent, "{bytes} bytes from {from}");
}
