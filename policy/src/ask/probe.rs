//! A line of `policy eval`'s input.

use serde_json::{Map, Value};
use thiserror::Error;

use super::FlowKind;
use super::flow_kind::{DEFAULT_SOURCE_PORT, with_ports};

/// The fields of a probe.
const FIELDS: [&str; 8] = [
    "id",
    "from",
    "to",
    "protocol",
    "port",
    "sourcePort",
    "icmpType",
    "icmpCode",
];

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// What the answer is to be called: a string or a number.
    pub id: Value,
    /// Who would open the connection, as written.
    pub from: String,
    /// To whom, as written.
    pub to: String,
    /// What would be sent.
    pub kind: FlowKind,
}

/// A line that is no question.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{problem}")]
pub struct BadProbe {
    /// Its id, if that could be read; else null.
    pub id: Value,
    /// What was expected and what was found.
    pub problem: String,
}

impl Probe {
    /// Reads a line of JSON.
    ///
    /// # Errors
    /// It is not JSON, lacks a field, has one too many, or one has a value that makes no sense.
    pub fn parse(line: &str) -> Result<Self, BadProbe> {
        let object = match serde_json::from_str(line) {
            Ok(Value::Object(object)) => object,
            Ok(other) => return Err(bad(None, expected("an object", &other))),
            Err(error) => return Err(bad(None, format!("expected JSON, found {error}"))),
        };
        let id = match object.get("id") {
            Some(id @ (Value::String(_) | Value::Number(_))) => id.clone(),
            other => return Err(bad(None, field("id", "a string or a number", other))),
        };
        let fields = Fields(&object);
        let read = fields.only().and_then(|()| {
            let (from, to) = (fields.text("from")?, fields.text("to")?);
            Ok((from, to, fields.kind()?))
        });
        match read {
            Ok((from, to, kind)) => Ok(Self { id, from, to, kind }),
            Err(problem) => Err(bad(Some(&id), problem)),
        }
    }
}

fn bad(id: Option<&Value>, problem: String) -> BadProbe {
    BadProbe {
        id: id.cloned().unwrap_or(Value::Null),
        problem,
    }
}

fn expected(what: &str, found: &Value) -> String {
    format!("expected {what}, found {found}")
}

fn field(name: &str, what: &str, found: Option<&Value>) -> String {
    match found {
        Some(found) => format!("{name}: expected {what}, found {found}"),
        None => format!("{name}: expected {what}, found nothing"),
    }
}

struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn only(&self) -> Result<(), String> {
        let stranger = self.0.keys().find(|key| !FIELDS.contains(&key.as_str()));
        match stranger {
            Some(key) => Err(format!(
                "expected the fields {}, found {key:?}",
                FIELDS.join(", ")
            )),
            None => Ok(()),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            other => Err(field(name, "\"NAMESPACE/POD\" or an IP address", other)),
        }
    }

    fn kind(&self) -> Result<FlowKind, String> {
        let what = "TCP, UDP, SCTP, ICMP or ICMPv6";
        let found = self.0.get("protocol");
        let name = found.and_then(Value::as_str).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "icmp" => self.icmp().map(|message| FlowKind::Icmp { message }),
            "icmpv6" => self.icmp().map(|message| FlowKind::IcmpV6 { message }),
            name => match with_ports(name) {
                Some(protocol) => self.ports(protocol),
                None => Err(field("protocol", what, found)),
            },
        }
    }

    fn ports(&self, protocol: u8) -> Result<FlowKind, String> {
        self.absent(&["icmpType", "icmpCode"], "nothing, because it is not ICMP")?;
        let what = "a port from 1 to 65535";
        let port = self
            .number("port", 1..=65535, what)?
            .ok_or_else(|| field("port", what, None))?;
        let source = self.number("sourcePort", 1..=65535, what)?;
        Ok(FlowKind::Port {
            protocol,
            port,
            source: source.unwrap_or(DEFAULT_SOURCE_PORT),
        })
    }

    fn icmp(&self) -> Result<Option<(u8, u8)>, String> {
        self.absent(
            &["port", "sourcePort"],
            "nothing, because ICMP has no ports",
        )?;
        let byte = |name| self.number(name, 0..=255, "a number from 0 to 255");
        match (byte("icmpType")?, byte("icmpCode")?) {
            (Some(kind), code) => Ok(Some((kind, code.unwrap_or(0)))),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(field("icmpType", "a type beside icmpCode", None)),
        }
    }

    fn absent(&self, names: &[&str], what: &str) -> Result<(), String> {
        let present = names
            .iter()
            .find_map(|name| self.0.get(*name).map(|value| (name, value)));
        match present {
            Some((name, value)) => Err(field(name, what, Some(value))),
            None => Ok(()),
        }
    }

    fn number<N: TryFrom<u64>>(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
        what: &str,
    ) -> Result<Option<N>, String> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        let number = value.as_u64().filter(|number| range.contains(number));
        let number = number.and_then(|number| N::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| field(name, what, Some(value)))
    }
}
