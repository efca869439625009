//! What can be wrong with a manifest, and where.

use thiserror::Error;

use crate::source::selector::SelectorError;

/// The kinds a manifest may hold, as an error names them.
pub(super) const ACCEPTED_KINDS: &str = "v1 Namespace, Pod, Node, ServiceAccount or List; networking.k8s.io/v1 NetworkPolicy; \
     policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy; projectcalico.org/v3 or \
     crd.projectcalico.org/v1 NetworkPolicy, GlobalNetworkPolicy, Tier, NetworkSet or \
     GlobalNetworkSet";

/// Something wrong in a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}", self.sentence())]
pub struct ManifestError {
    /// The file, as it was named to the reader.
    pub file: String,
    /// Line, from 1; 0 when the file as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 when the file as a whole is meant.
    pub column: u32,
    /// Path of the field, such as `spec.ingress[0].ports[1].port`; empty for the whole document.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// The file or directory could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The text is not YAML.
    #[error("not YAML: {0}")]
    Syntax(String),
    /// The field does not exist in this kind of object.
    #[error("unknown field; accepted here: {accepted}")]
    UnknownField {
        /// The fields that exist.
        accepted: String,
    },
    /// The field must be there.
    #[error("required, but missing")]
    Missing,
    /// The value is of the wrong type.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// The type that belongs here.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// The value is of the right type but not allowed.
    #[error("expected {expected}, found {found}")]
    Invalid {
        /// What is allowed.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// Two fields that exclude each other, or one without the other it needs.
    #[error("{0}")]
    Conflict(&'static str),
    /// The field exists in the API, but nothing here does what it asks for.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The text is no selector of Calico's language.
    #[error("{0}")]
    Selector(Box<SelectorError>),
    /// The document is of a kind nobody here reads.
    #[error("expected {ACCEPTED_KINDS}, found {found}")]
    UnknownKind {
        /// `apiVersion` and `kind` as written.
        found: String,
    },
    /// The same object stands in two places.
    #[error("{object} was already defined at {first}")]
    Duplicate {
        /// The object's key.
        object: String,
        /// File and line of the first definition.
        first: String,
    },
}

impl ManifestError {
    /// An error about a file as a whole.
    pub(super) fn unreadable(file: &str, cause: &std::io::Error) -> Self {
        let problem = Problem::Unreadable(cause.to_string());
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            field: String::new(),
            problem,
        }
    }

    fn sentence(&self) -> String {
        let mut place = self.file.clone();
        if self.line > 0 {
            place = format!("{place}:{}:{}", self.line, self.column);
        }
        if self.field.is_empty() {
            format!("{place}: {}", self.problem)
        } else {
            format!("{place}: {}: {}", self.field, self.problem)
        }
    }
}
