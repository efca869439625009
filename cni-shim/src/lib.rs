//! Request and response types of the daemon socket, and the CNI plugin vswitch.
//!
//! Two programs talk to the daemon over its unix socket: the CNI plugin `vswitch` (this crate's
//! binary) and the operator's CLI `vswitchctl`. Both send one JSON object a line and read one JSON
//! object a line back; a connection carries as many exchanges as its client likes.
//!
//! - [`protocol`]: what is said ([`Request`], [`Response`]) and how it is framed.
//! - [`calendar`]: days as dates, for logs.
//! - [`capture`]: what a capture asks for, and the records that come back.
//! - [`client`]: a small blocking [`Client`].
//! - [`names`]: the host interface's name, derived as Calico derives it.
#![forbid(unsafe_code)]

pub mod calendar;
pub mod capture;
pub mod client;
pub mod names;
pub mod protocol;
#[doc(hidden)]
pub mod steps;
pub mod trace;

pub use client::{Client, ClientError};
pub use names::{DEFAULT_PREFIX, host_interface_name, host_interface_name_for_container};
pub use protocol::{
    Attachment, Bandwidth, DEFAULT_SOCKET, PortMapping, Request, Response, error_code,
};
