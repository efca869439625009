//! The real plugin, started as a runtime starts it, against the real kernel and a daemon's socket.
//!
//! Each test runs in network and mount namespaces of its own ([`netlink::testing::isolated`]): its
//! network namespace is the node, and every pod is a further one. Only the daemon is a double: it
//! answers the protocol and keeps leases, and forwards nothing.

mod add;
mod chain;
mod del;
mod errors;
mod gc_status;
mod kill;
mod support;
