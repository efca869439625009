//! The `CNI_*` variables: which a verb needs, and what they may look like.

use std::{collections::HashMap, net::Ipv4Addr};

use cni_shim::error_code;
use ipnet::Ipv4Net;

use crate::failure::Failure;

/// `CNI_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

impl Verb {
    pub(crate) fn parse(command: &str) -> Result<Self, Failure> {
        Ok(match command {
            "ADD" => Self::Add,
            "DEL" => Self::Del,
            "CHECK" => Self::Check,
            "GC" => Self::Gc,
            "STATUS" => Self::Status,
            "VERSION" => Self::Version,
            other => {
                return Err(invalid(format!(
                    "CNI_COMMAND is {other:?}; expected ADD, DEL, CHECK, GC, STATUS or VERSION"
                )));
            }
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    /// The variables the specification (and, for `CNI_PATH`, libcni's `skel`) requires.
    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Self::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Self::Gc | Self::Status => &["CNI_PATH"],
            Self::Version => &[],
        }
    }
}

/// The variables of one call. What a verb does not need may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) verb: Option<Verb>,
    pub(crate) container_id: String,
    /// Path of the container's network namespace.
    pub(crate) netns: String,
    pub(crate) ifname: String,
    /// Where plugins are, separated by colons.
    pub(crate) path: String,
    pub(crate) args: Args,
}

/// `CNI_ARGS`, as Kubernetes runtimes fill it. Unknown keys are tolerated (Calico forces
/// `IgnoreUnknown`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Args {
    pub(crate) namespace: Option<String>,
    pub(crate) pod: Option<String>,
    pub(crate) pod_uid: Option<String>,
    /// `IP=`: the address asked for.
    pub(crate) ip: Option<Ipv4Addr>,
}

impl Environment {
    /// Reads and judges the variables a verb needs.
    ///
    /// # Errors
    /// Code 4, naming every variable that is missing, or the first that is malformed.
    pub(crate) fn read(
        verb: Verb,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let get = |name: &str| variable(name).unwrap_or_default();
        let missing: Vec<&str> = verb
            .needs()
            .iter()
            .copied()
            .filter(|name| get(name).is_empty())
            .collect();
        if !missing.is_empty() {
            let needed = format!("required for {}: {}", verb.name(), verb.needs().join(", "));
            let message = format!("missing in the environment: {}", missing.join(", "));
            return Err(invalid(message).with_details(needed));
        }
        let environment = Self {
            verb: Some(verb),
            container_id: get("CNI_CONTAINERID"),
            netns: get("CNI_NETNS"),
            ifname: get("CNI_IFNAME"),
            path: get("CNI_PATH"),
            args: Args::parse(&get("CNI_ARGS"))?,
        };
        if verb.needs().contains(&"CNI_CONTAINERID") {
            check_container_id(&environment.container_id)?;
            check_ifname(&environment.ifname)?;
        }
        Ok(environment)
    }
}

impl Args {
    fn parse(text: &str) -> Result<Self, Failure> {
        let mut pairs = HashMap::new();
        for pair in text.split(';').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .ok_or_else(|| invalid(format!("CNI_ARGS: {pair:?} is not KEY=VALUE")))?;
            pairs.insert(key, value);
        }
        let text = |key| {
            pairs
                .get(key)
                .filter(|v| !v.is_empty())
                .map(|v| (*v).to_owned())
        };
        let ip = text("IP").map(|ip| {
            parse_ip(&ip).ok_or_else(|| invalid(format!("CNI_ARGS: IP={ip} is no IPv4 address")))
        });
        Ok(Self {
            namespace: text("K8S_POD_NAMESPACE"),
            pod: text("K8S_POD_NAME"),
            pod_uid: text("K8S_POD_UID"),
            ip: ip.transpose()?,
        })
    }
}

/// An IPv4 address, with or without a prefix length.
pub(crate) fn parse_ip(text: &str) -> Option<Ipv4Addr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<Ipv4Net>().ok().map(|net| net.addr()))
}

/// `^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`: container ids and network names (specification).
pub(crate) fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn check_container_id(id: &str) -> Result<(), Failure> {
    if is_identifier(id) {
        return Ok(());
    }
    Err(invalid(format!(
        "CNI_CONTAINERID {id:?}: expected a letter or digit, then letters, digits, '_', '.', '-'"
    )))
}

/// The kernel's rules (`dev_valid_name`).
fn check_ifname(name: &str) -> Result<(), Failure> {
    let reason = if name.len() > 15 {
        "longer than 15 characters"
    } else if name == "." || name == ".." {
        "not a name"
    } else if name.contains(|c: char| c == '/' || c == ':' || c.is_whitespace()) {
        "a '/', ':' or blank in it"
    } else {
        return Ok(());
    };
    Err(invalid(format!("CNI_IFNAME {name:?}: {reason}")))
}

fn invalid(message: String) -> Failure {
    Failure::new(error_code::INVALID_ENVIRONMENT, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: Verb, pairs: &[(&str, &str)]) -> Result<Environment, Failure> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name);
        Environment::read(verb, |name| {
            find(name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn missing_variables_are_code_4_and_all_named() {
        let failure = read(Verb::Add, &[("CNI_IFNAME", "eth0")]).unwrap_err();
        assert_eq!(failure.code, 4);
        assert_eq!(
            failure.message,
            "missing in the environment: CNI_CONTAINERID, CNI_NETNS"
        );
        assert_eq!(read(Verb::Gc, &[]).unwrap_err().code, 4);
        assert_eq!(read(Verb::Status, &[]).unwrap_err().code, 4);
    }

    #[test]
    fn del_does_without_a_namespace() {
        let environment = read(
            Verb::Del,
            &[("CNI_CONTAINERID", "a1"), ("CNI_IFNAME", "eth0")],
        )
        .unwrap();
        assert_eq!(environment.netns, "");
    }

    #[test]
    fn malformed_ids_and_names_are_code_4() {
        for (id, ifname) in [
            ("-a", "eth0"),
            ("a/b", "eth0"),
            ("a", "."),
            ("a", ".."),
            ("a", "eth/0"),
            ("a", "eth:0"),
            ("a", "eth 0"),
            ("a", "sixteen-letters-"),
        ] {
            let failure = read(
                Verb::Del,
                &[("CNI_CONTAINERID", id), ("CNI_IFNAME", ifname)],
            )
            .unwrap_err();
            assert_eq!(failure.code, 4, "{id} {ifname}");
        }
    }

    #[test]
    fn kubernetes_arguments_are_read_and_others_ignored() {
        let args = Args::parse(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=nginx;\
             K8S_POD_INFRA_CONTAINER_ID=c0;K8S_POD_UID=u1;IP=10.244.205.200;FOO=bar",
        )
        .unwrap();
        assert_eq!(args.namespace.as_deref(), Some("default"));
        assert_eq!(args.pod.as_deref(), Some("nginx"));
        assert_eq!(args.pod_uid.as_deref(), Some("u1"));
        assert_eq!(args.ip, Some(Ipv4Addr::new(10, 244, 205, 200)));
        assert_eq!(Args::parse("nonsense").unwrap_err().code, 4);
        assert_eq!(Args::parse("IP=fe80::1").unwrap_err().code, 4);
    }

    #[test]
    fn an_unknown_command_is_code_4() {
        assert_eq!(Verb::parse("add").unwrap_err().code, 4);
    }
}
