//! What is said over the daemon socket: one JSON object a line, a request and then its response.
//!
//! The tag of a request is `op`, the tag of a response is `result`, both in `snake_case`:
//!
//! ```text
//! {"op":"detach","container_id":"3f1a","ifname":"eth0"}
//! {"result":"detached"}
//! ```

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::capture::Capture;

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/vswitchd/vswitchd.sock";

/// Longest line either side accepts, in bytes. The largest answer is a connection table.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// CNI error codes (CNI specification 1.1.0, "Error"), also used by [`Response::Error`].
pub mod error_code {
    /// The configuration's `cniVersion` is not supported.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the configuration has a value that is not supported; the message names both.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown or does not exist.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// A needed environment variable is missing or malformed; the message names it.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Reading standard input, or another I/O operation, failed.
    pub const IO_FAILURE: u32 = 5;
    /// The configuration is not JSON, or a field has the wrong type.
    pub const DECODING_FAILURE: u32 = 6;
    /// The network configuration is invalid.
    pub const INVALID_CONFIGURATION: u32 = 7;
    /// `CNI_NETNS` names no usable network namespace (a code of libcni's `skel`).
    pub const INVALID_NETNS: u32 = 8;
    /// A passing condition: the runtime should try again later.
    pub const TRY_AGAIN_LATER: u32 = 11;
    /// STATUS: the plugin cannot serve ADD.
    pub const NOT_AVAILABLE: u32 = 50;
    /// STATUS: the plugin cannot serve ADD, and existing containers may have lost connectivity.
    pub const LIMITED_CONNECTIVITY: u32 = 51;
    /// Plugin-private: the daemon has no free address to give.
    pub const ADDRESSES_EXHAUSTED: u32 = 100;
    /// Plugin-private: setting up or verifying an interface failed.
    pub const INTERFACE_FAILURE: u32 = 101;
    /// Plugin-private: CHECK found a difference between the pod and its recorded result.
    pub const CHECK_FAILED: u32 = 102;
    /// Plugin-private: a delegated IPAM plugin failed without a CNI error of its own.
    pub const DELEGATE_FAILURE: u32 = 103;
    /// Plugin-private: the daemon answered with something that is no answer to the request.
    pub const PROTOCOL_FAILURE: u32 = 104;
    /// Anything that is nobody's fault but ours (libcni's `skel` uses the same number).
    pub const INTERNAL: u32 = 999;
}

/// One interface of one container: CNI's key for everything (specification, "Attachment").
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attachment {
    /// The runtime's id of the container (`CNI_CONTAINERID`).
    pub container_id: String,
    /// The interface inside the container (`CNI_IFNAME`), usually `eth0`.
    pub ifname: String,
}

/// Rate limits of a pod as the kubelet hands them down in `runtimeConfig.bandwidth`.
///
/// A rate or burst of 0 means "no limit". Ingress is towards the pod, egress is from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// Towards the pod, in bits per second.
    pub ingress_rate_bits: u64,
    /// Towards the pod, bucket depth in bits.
    pub ingress_burst_bits: u64,
    /// From the pod, in bits per second.
    pub egress_rate_bits: u64,
    /// From the pod, bucket depth in bits.
    pub egress_burst_bits: u64,
}

impl Bandwidth {
    /// True when neither direction has a limit.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.ingress_rate_bits == 0 && self.egress_rate_bits == 0
    }
}

/// One published port of a pod, from `runtimeConfig.portMappings`.
///
/// The chained `portmap` plugin does the translation; the daemon is told so that it can show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Port on the node.
    pub host_port: u16,
    /// Port in the pod.
    pub container_port: u16,
    /// `tcp`, `udp` or `sctp`, in lower case.
    pub protocol: String,
    /// Address on the node the mapping is limited to; `None` is every address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<String>,
}

/// What a client asks of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Reserve an address. Asked again for the same attachment, the answer is the same address.
    /// Answer: [`Response::Allocated`].
    Allocate {
        /// The runtime's id of the container.
        container_id: String,
        /// The interface inside the container.
        ifname: String,
        /// Path of the container's network namespace.
        netns: String,
        /// Kubernetes namespace of the pod.
        #[serde(default)]
        namespace: Option<String>,
        /// Kubernetes name of the pod.
        #[serde(default)]
        pod: Option<String>,
        /// Kubernetes uid of the pod.
        #[serde(default)]
        pod_uid: Option<String>,
        /// An address the runtime asks for (`runtimeConfig.ips` or `CNI_ARGS` `IP=`).
        #[serde(default)]
        requested: Option<Ipv4Addr>,
    },
    /// Open a port on a wired interface. Answered only when every worker has reported the
    /// generation that holds the port and its policy. Answer: [`Response::Attached`].
    Attach {
        /// The runtime's id of the container.
        container_id: String,
        /// The interface inside the container.
        ifname: String,
        /// Path of the container's network namespace.
        netns: String,
        /// Kubernetes namespace of the pod.
        #[serde(default)]
        namespace: Option<String>,
        /// Kubernetes name of the pod.
        #[serde(default)]
        pod: Option<String>,
        /// Host end of the veth pair, such as `calic440f455693`.
        host_interface: String,
        /// Interface index of the host end, in the daemon's namespace.
        host_index: u32,
        /// MAC address of the container's end, `aa:bb:cc:dd:ee:ff`.
        pod_mac: String,
        /// The pod's address; a /32.
        address: Ipv4Net,
        /// MTU of the interface in bytes.
        mtu: u32,
        /// Rate limits, if the runtime set any.
        #[serde(default)]
        bandwidth: Option<Bandwidth>,
        /// Published ports, if the runtime set any.
        #[serde(default)]
        port_mappings: Vec<PortMapping>,
    },
    /// Close the port, remove the host end if it is still there, free the address. Idempotent: an
    /// unknown attachment is a success. Answer: [`Response::Detached`].
    Detach {
        /// The runtime's id of the container.
        container_id: String,
        /// The interface inside the container.
        ifname: String,
    },
    /// Is this attachment as the daemon knows it, and forwarding? Answer: [`Response::Checked`].
    Check {
        /// The runtime's id of the container.
        container_id: String,
        /// The interface inside the container.
        ifname: String,
        /// Host end of the veth pair the result named.
        host_interface: String,
        /// The address the result named.
        address: Ipv4Net,
    },
    /// Detach every attachment that is not listed. Answer: [`Response::Collected`].
    Gc {
        /// What the runtime still knows.
        valid: Vec<Attachment>,
    },
    /// Could an ADD be served now? Answer: [`Response::Ready`].
    Status {},
    /// A table for people. Answer: [`Response::Table`].
    Show {
        /// `nodes`, `pools`, `blocks`, `ports`, `endpoints`, `routes`, `conntrack`, `drops`, `pod-drops`, `counters`,
        /// `workers` or `status`.
        what: String,
        /// At most so many rows.
        #[serde(default)]
        limit: Option<usize>,
    },
    /// Tell why one end may or may not open a flow to another. Answer: [`Response::Text`].
    Explain {
        /// Who would open it: `NAMESPACE/POD` or an address.
        from: String,
        /// To whom.
        to: String,
        /// What would be sent, such as `80/tcp`; `None` asks what passes at all.
        #[serde(default)]
        traffic: Option<String>,
    },
    /// Who may talk to whom. Answer: [`Response::Table`], with a truth table in each row.
    Matrix {
        /// Only pods of these namespaces; none = all.
        #[serde(default)]
        namespaces: Vec<String>,
        /// Traffic, such as `80/tcp`; none = every kind that policies tell apart.
        #[serde(default)]
        traffic: Vec<String>,
        /// Addresses, as ends beside the pods.
        #[serde(default)]
        addresses: Vec<IpAddr>,
    },
    /// Answer questions about policy. Answer: [`Response::Table`], a row for each line that is
    /// not blank.
    Eval {
        /// The number of the first line, from 1.
        first_line: usize,
        /// The lines of a probe file.
        lines: Vec<String>,
    },
    /// Tell what would happen to a packet on this node, without touching anything that lives. Answer:
    /// [`Response::Table`] with one row, the walk.
    Trace {
        /// The packet.
        probe: crate::trace::Probe,
    },
    /// Capture frames. Answer: [`Response::Capturing`], and then no more lines but the records of
    /// [`crate::capture`].
    Capture(Capture),
    /// Records of the flow log. Answer: [`Response::Flows`].
    Flows {
        /// Those after this number; `None` = the last ones.
        #[serde(default)]
        after: Option<u64>,
        /// At most so many.
        #[serde(default)]
        limit: Option<usize>,
        /// Of this pod, `NAMESPACE/POD`, `POD` or an address, at either end.
        #[serde(default)]
        pod: Option<String>,
        /// `allow` or `deny`.
        #[serde(default)]
        verdict: Option<String>,
        /// With the pods' labels.
        #[serde(default)]
        labels: bool,
    },
    /// The flows of this moment, those first that send most since this was asked last. Answer:
    /// [`Response::Table`].
    ActiveFlows {
        /// At most so many.
        limit: usize,
        /// Of this pod: `namespace/pod`, `pod` or an address, at either end.
        #[serde(default)]
        pod: Option<String>,
    },
    /// Give what the flight recorder holds. Answer: as to [`Request::Capture`]; the daemon ends it.
    Recorded {
        /// Only the last so many seconds; `None` = all.
        #[serde(default)]
        seconds: Option<u64>,
    },
    /// Examine the host and say what is wrong with it. Answer: [`Response::Table`] or
    /// [`Response::Text`].
    Doctor {},
    /// What is written to the log. Answer: [`Response::Text`], the filter in force from now on.
    Log {
        /// The filter to put in force; `None` only asks.
        #[serde(default)]
        filter: Option<String>,
    },
    /// Stop the daemon as a SIGTERM would. Answer: [`Response::Text`], then the socket closes.
    Shutdown {},
}

impl Request {
    /// Its `op`, for the log and for metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allocate { .. } => "allocate",
            Self::Attach { .. } => "attach",
            Self::Detach { .. } => "detach",
            Self::Check { .. } => "check",
            Self::Gc { .. } => "gc",
            Self::Status {} => "status",
            Self::Show { .. } => "show",
            Self::Explain { .. } => "explain",
            Self::Matrix { .. } => "matrix",
            Self::Eval { .. } => "eval",
            Self::Trace { .. } => "trace",
            Self::Capture(_) => "capture",
            Self::Flows { .. } => "flows",
            Self::ActiveFlows { .. } => "active_flows",
            Self::Recorded { .. } => "recorded",
            Self::Doctor {} => "doctor",
            Self::Log { .. } => "log",
            Self::Shutdown {} => "shutdown",
        }
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Allocate`].
    Allocated {
        /// The pod's address; a /32.
        address: Ipv4Net,
        /// MTU the interface must have, in bytes.
        mtu: u32,
        /// The pod's default gateway, 169.254.1.1.
        gateway: Ipv4Addr,
        /// The MAC address proxy ARP will answer with, `ee:ee:ee:ee:ee:ee`.
        gateway_mac: String,
    },
    /// To [`Request::Attach`].
    Attached {
        /// The generation every worker has reported.
        generation: u64,
    },
    /// To [`Request::Detach`].
    Detached {},
    /// To [`Request::Check`].
    Checked {},
    /// To [`Request::Gc`].
    Collected {
        /// What was detached.
        removed: Vec<Attachment>,
    },
    /// To [`Request::Status`].
    Ready {},
    /// Rows of a table; the keys of the first row, in order, are its columns.
    Table {
        /// One object per row.
        rows: Vec<serde_json::Map<String, serde_json::Value>>,
    },
    /// To [`Request::Capture`].
    Capturing {},
    /// To [`Request::Flows`].
    Flows {
        /// One object per record, oldest first.
        rows: Vec<serde_json::Map<String, serde_json::Value>>,
        /// What to ask for next: records after this number.
        next: u64,
        /// Records after the number asked for that were forgotten before.
        lost: u64,
        /// Events since the daemon started that found no room on their way to the log.
        unlogged: u64,
    },
    /// Prose for the operator.
    Text {
        /// The text, without a final newline.
        text: String,
    },
    /// The request could not be carried out.
    Error {
        /// A CNI error code, see [`error_code`].
        code: u32,
        /// One sentence.
        message: String,
        /// More of it: what was expected, what was found.
        #[serde(default)]
        details: String,
    },
}

/// Writes a message as its line, newline included.
///
/// # Errors
/// Only if a message could not be represented in JSON, which none of ours can cause.
pub fn to_line<T: Serialize>(message: &T) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(message)?;
    line.push('\n');
    Ok(line)
}

/// Reads a message from its line; a trailing newline is tolerated.
///
/// # Errors
/// The line is not JSON, names an unknown `op` or `result`, or lacks a field.
pub fn from_line<T: DeserializeOwned>(line: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_tagged_op() {
        let request = Request::Detach {
            container_id: "3f1a".into(),
            ifname: "eth0".into(),
        };
        let line = to_line(&request).unwrap();
        assert_eq!(
            line,
            "{\"op\":\"detach\",\"container_id\":\"3f1a\",\"ifname\":\"eth0\"}\n"
        );
        assert_eq!(from_line::<Request>(&line).unwrap(), request);
        assert_eq!(request.name(), "detach");
    }

    #[test]
    fn empty_messages_survive_the_wire() {
        assert_eq!(
            to_line(&Request::Status {}).unwrap(),
            "{\"op\":\"status\"}\n"
        );
        assert_eq!(
            from_line::<Request>("{\"op\":\"status\"}").unwrap(),
            Request::Status {}
        );
        assert_eq!(
            to_line(&Response::Ready {}).unwrap(),
            "{\"result\":\"ready\"}\n"
        );
        assert_eq!(
            from_line::<Response>("{\"result\":\"ready\"}").unwrap(),
            Response::Ready {}
        );
    }

    #[test]
    fn optional_fields_may_be_absent() {
        let line =
            r#"{"op":"allocate","container_id":"a","ifname":"eth0","netns":"/proc/1/ns/net"}"#;
        let Request::Allocate {
            namespace,
            requested,
            ..
        } = from_line(line).unwrap()
        else {
            panic!("not an allocate request");
        };
        assert_eq!(namespace, None);
        assert_eq!(requested, None);
    }

    #[test]
    fn an_unknown_op_is_an_error_that_names_it() {
        let error = from_line::<Request>(r#"{"op":"dance"}"#).unwrap_err();
        assert!(error.to_string().contains("dance"), "{error}");
    }
}
