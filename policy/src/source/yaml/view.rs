//! Views: a place in a manifest, with the path that leads there.

use super::node::{Key, Node, Place, Value};
use super::{ManifestError, Problem};

/// A value of a manifest together with its file and path.
#[derive(Clone, Debug)]
pub(super) struct View<'a> {
    pub(super) file: &'a str,
    pub(super) field: String,
    node: &'a Node,
}

type Read<T> = Result<T, ManifestError>;

impl<'a> View<'a> {
    /// The whole of a document.
    pub(super) fn document(file: &'a str, node: &'a Node) -> Self {
        Self {
            file,
            field: String::new(),
            node,
        }
    }

    /// The place of this value.
    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    /// An error about this value.
    pub(super) fn error(&self, problem: Problem) -> ManifestError {
        self.error_at(self.node.place, self.field.clone(), problem)
    }

    /// "Not allowed here": `expected` says what is.
    pub(super) fn invalid(&self, expected: impl Into<String>) -> ManifestError {
        let (expected, found) = (expected.into(), self.node.value.shown());
        self.error(Problem::Invalid { expected, found })
    }

    /// The value as a map. A null is an empty one.
    pub(super) fn map(&self) -> Read<Map<'a>> {
        match &self.node.value {
            Value::Map(entries) => Ok(Map {
                view: self.clone(),
                entries,
            }),
            Value::Null => Ok(Map {
                view: self.clone(),
                entries: &[],
            }),
            _ => Err(self.wrong_type("a map")),
        }
    }

    /// The items of a list. A null is an empty one, but a null item is an error: read as an empty
    /// map it would match everything.
    pub(super) fn list(&self) -> Read<Vec<View<'a>>> {
        let items = match &self.node.value {
            Value::List(items) => items.as_slice(),
            Value::Null => &[],
            _ => return Err(self.wrong_type("a list")),
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| self.item(index, node))
            .collect()
    }

    fn item(&self, index: usize, node: &'a Node) -> Read<View<'a>> {
        let view = View {
            file: self.file,
            field: format!("{}[{index}]", self.field),
            node,
        };
        match node.value {
            Value::Null => Err(view.wrong_type("a value")),
            _ => Ok(view),
        }
    }

    /// The value as text. A number or boolean is an error: the API server refuses them too.
    pub(super) fn text(&self) -> Read<&'a str> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
                Err(self.wrong_type("text (put it in quotes)"))
            }
            _ => Err(self.wrong_type("text")),
        }
    }

    /// The value as a whole number, or as text.
    pub(super) fn integer_or_text(&self) -> Read<Result<i64, &'a str>> {
        match &self.node.value {
            Value::Integer(number) => Ok(Ok(*number)),
            Value::Text(text) => Ok(Err(text)),
            _ => Err(self.wrong_type("a whole number or text")),
        }
    }

    /// The value as a whole number.
    pub(super) fn integer(&self) -> Read<i64> {
        match self.node.value {
            Value::Integer(number) => Ok(number),
            _ => Err(self.wrong_type("a whole number")),
        }
    }

    /// The value as a number, whole or not.
    pub(super) fn number(&self) -> Read<f64> {
        match self.node.value {
            Value::Integer(number) => Ok(number as f64),
            Value::Float(number) => Ok(number),
            _ => Err(self.wrong_type("a number")),
        }
    }

    /// The value as a boolean.
    pub(super) fn boolean(&self) -> Read<bool> {
        match self.node.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    fn wrong_type(&self, expected: &'static str) -> ManifestError {
        self.error(Problem::WrongType {
            expected,
            found: self.node.value.shown(),
        })
    }

    fn error_at(&self, place: Place, field: String, problem: Problem) -> ManifestError {
        let Place { line, column } = place;
        ManifestError {
            file: self.file.to_owned(),
            line,
            column,
            field,
            problem,
        }
    }

    fn path_to(&self, name: &str) -> String {
        if self.field.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.field)
        }
    }
}

/// A view known to be a map.
#[derive(Clone, Debug)]
pub(super) struct Map<'a> {
    pub(super) view: View<'a>,
    entries: &'a [(Key, Node)],
}

impl<'a> Map<'a> {
    /// The value of a field; a null one is not there.
    pub(super) fn get(&self, name: &str) -> Option<View<'a>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        match node.value {
            Value::Null => None,
            _ => Some(self.child(name, node)),
        }
    }

    /// The value of a field that must be there.
    pub(super) fn require(&self, name: &str) -> Read<View<'a>> {
        self.get(name).ok_or_else(|| {
            let place = self.view.place();
            self.view
                .error_at(place, self.view.path_to(name), Problem::Missing)
        })
    }

    /// Every entry, with its key's place for errors about the key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a Key, View<'a>)> {
        self.entries
            .iter()
            .map(|(key, node)| (key, self.child(&key.name, node)))
    }

    /// Refuses fields other than these.
    pub(super) fn only(&self, accepted: &[&str]) -> Read<()> {
        let unknown = self
            .entries
            .iter()
            .find(|(key, _)| !accepted.contains(&key.name.as_str()));
        unknown.map_or(Ok(()), |(key, _)| {
            Err(self.key_error(
                key,
                Problem::UnknownField {
                    accepted: accepted.join(", "),
                },
            ))
        })
    }

    /// An error about a key.
    pub(super) fn key_error(&self, key: &Key, problem: Problem) -> ManifestError {
        self.view
            .error_at(key.place, self.view.path_to(&key.name), problem)
    }

    fn child(&self, name: &str, node: &'a Node) -> View<'a> {
        View {
            file: self.view.file,
            field: self.view.path_to(name),
            node,
        }
    }
}
