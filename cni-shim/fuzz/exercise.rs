//! What the fuzz targets do with their bytes, and `tests/replay.rs` with every file of `tests/corpus`.
//!
//! Each function takes anything and must neither panic nor break the claim its assertions make. Who includes this file
//! puts `plugin`'s modules at its crate root, where the plugin's sources look for each other.
#![allow(
    dead_code,
    reason = "a fuzz target uses one function of it, and none uses all of the plugin"
)]

use cni_shim::protocol::{self, Request, Response};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use plugin::{
    config,
    environment::{Environment, Verb},
    failure::Failure,
    result, version,
};

/// The plugin's parsers; they are part of its binary, so they are read from its folder. (The replay test runs their own
/// tests once more for that.)
#[path = "../src/bin/vswitch"]
pub(crate) mod plugin {
    pub(crate) mod config;
    pub(crate) mod environment;
    pub(crate) mod failure;
    pub(crate) mod result;
    pub(crate) mod version;
}

/// A fuzz target: takes any bytes, panics if a claim is broken.
pub(crate) type Target = fn(&[u8]);

/// Every target, by the name of its corpus folder.
pub(crate) const TARGETS: [(&str, Target); 3] = [
    ("protocol", protocol),
    ("netconf", netconf),
    ("arguments", arguments),
];

/// A line of the daemon socket, in either direction.
pub(crate) fn protocol(bytes: &[u8]) {
    let Ok(line) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Some(request) = echo::<Request>(line) {
        assert_eq!(echo(&to_line(&request)), Some(request));
    }
    // Not compared: the last digit of a table's fraction need not survive.
    echo::<Response>(line);
}

/// What was read is written as one line that is read again.
fn echo<T: Serialize + DeserializeOwned>(line: &str) -> Option<T> {
    let message: T = protocol::from_line(line).ok()?;
    let written = to_line(&message);
    assert_eq!(written.find('\n'), Some(written.len() - 1));
    protocol::from_line::<T>(&written).expect("what was written is read");
    Some(message)
}

fn to_line<T: Serialize>(message: &T) -> String {
    protocol::to_line(message).expect("every message can be written")
}

/// A network configuration, and every question the plugin asks of it.
pub(crate) fn netconf(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    version::as_given(text);
    let config = match config::read(text) {
        Ok(config) => config,
        Err(failure) => return check_failure(&failure),
    };
    let version = config.version().expect("reading has judged the version");
    config.remarks();
    config.bandwidth();
    config.requested_ip();
    assert!(config.port_mappings().iter().all(|port| port.host_port > 0));
    config.requested_mac().err().iter().for_each(check_failure);
    config
        .valid_attachments()
        .err()
        .iter()
        .for_each(check_failure);
    join_result(version, config.previous.as_ref());
}

/// Whatever the plugin before us answered, our own interface and address are found in the joined result.
fn join_result(version: version::Version, previous: Option<&Map<String, Value>>) {
    let address = "10.244.205.193/32".parse().expect("an address");
    let outcome = result::Outcome {
        host_interface: "calic440f455693",
        ifname: "our-own-name",
        mac: packet::ethernet::MacAddr::ZERO,
        mtu: 1480,
        netns: "/proc/77/ns/net",
        address,
    };
    let joined = outcome.to_json(version, previous);
    let joined = joined.as_object().expect("a result is an object");
    assert!(result::container_interface(joined, outcome.ifname).is_some());
    assert!(result::first_ipv4(joined, None).is_some());
}

/// `CNI_ARGS`, and the same text as id and name of an interface.
pub(crate) fn arguments(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let read = |variable: &str, harmless: &str| {
        Environment::read(Verb::Add, |name| {
            let value = if name == variable { text } else { harmless };
            (name != "CNI_ARGS" || variable == name).then(|| value.to_owned())
        })
    };
    for variable in ["CNI_ARGS", "CNI_CONTAINERID", "CNI_IFNAME"] {
        match read(variable, "a1") {
            Ok(environment) => assert!((1..=15).contains(&environment.ifname.len())),
            Err(failure) => check_failure(&failure),
        }
    }
}

/// A runtime can read it: a code, a sentence.
fn check_failure(failure: &Failure) {
    assert!(failure.code > 0 && !failure.message.is_empty());
    assert_eq!(failure.to_json("1.1.0")["code"], failure.code);
}
