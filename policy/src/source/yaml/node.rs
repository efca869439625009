//! A YAML text as a tree that remembers where everything stood.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::{ManifestError, Problem};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map and its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

/// How many characters of a text an error shows.
const SHOWN: usize = 200;

impl Value {
    /// The value as an error shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => format!("boolean {value}"),
            Self::Integer(value) => format!("number {value}"),
            Self::Float(value) => format!("number {value}"),
            Self::Text(value) => match value.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{:?}...", &value[..end]),
                None => format!("{value:?}"),
            },
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
        }
    }
}

impl Node {
    /// A JSON value as a tree, which stands nowhere.
    pub(super) fn of_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let key = |name: &String| Key {
            place: Place::default(),
            name: name.clone(),
        };
        let value = match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Integer(number),
                None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => Value::List(items.iter().map(Self::of_json).collect()),
            Json::Object(entries) => {
                let entry = |(name, json)| (key(name), Self::of_json(json));
                Value::Map(entries.iter().map(entry).collect())
            }
        };
        let place = Place::default();
        Self { place, value }
    }
}

/// The documents of a text, null ones left out.
pub(super) fn documents(file: &str, text: &str) -> Result<Vec<Node>, ManifestError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 200_000_000,
            max_nodes: 100_000_000,
            max_documents: 10_000_000,
            max_total_scalar_bytes: 1 << 30,
        },
        // YAML 1.2; but see `boolean_of_yaml_1_1`.
        strict_booleans: true,
        with_snippet: false,
    };
    serde_saphyr::from_str_multiple_with_options::<Node, Vec<Node>>(text, options).map_err(
        |error| {
            let place = error.location().map(place_of).unwrap_or_default();
            let problem = Problem::Syntax(error.to_string());
            let (line, column) = (place.line, place.column);
            ManifestError {
                file: file.to_owned(),
                line,
                column,
                field: String::new(),
                problem,
            }
        },
    )
}

fn place_of(location: serde_saphyr::Location) -> Place {
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Place {
        line: small(location.line()),
        column: small(location.column()),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        let value = match &spanned.value {
            Value::Text(text) => boolean_of_yaml_1_1(text, &spanned.defined).map(Value::Bool),
            _ => None,
        };
        Ok(Self {
            place: place_of(spanned.referenced),
            value: value.unwrap_or(spanned.value),
        })
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<String>::deserialize(deserializer)?;
        let name = &spanned.value;
        match boolean_of_yaml_1_1(name, &spanned.defined) {
            Some(value) => Err(D::Error::custom(format!(
                "expected a name (put {name} in quotes), found boolean {value}"
            ))),
            None => Ok(Self {
                place: place_of(spanned.referenced),
                name: spanned.value,
            }),
        }
    }
}

/// What the text is in YAML 1.1, if it stands there without quotes: kubectl reads that
/// (sigs.k8s.io/yaml, goyaml.v2/resolve.go), and what it makes of `app: on` the API server refuses.
///
/// kubectl's `y` and `n` are text here. Other readers and writers of YAML 1.1 take them for text,
/// too, and so nobody can have meant a boolean.
fn boolean_of_yaml_1_1(text: &str, location: &serde_saphyr::Location) -> Option<bool> {
    let value = match text {
        "yes" | "Yes" | "YES" | "on" | "On" | "ON" => true,
        "no" | "No" | "NO" | "off" | "Off" | "OFF" => false,
        _ => return None,
    };
    let is_plain = location.span().len() == text.len() as u64;
    is_plain.then_some(value)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Integer))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}
