//! What a runtime is told when something fails: a CNI error.

use cni_shim::{ClientError, error_code};
use serde_json::{Value, json};

/// A CNI error: code, sentence, details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// See [`error_code`].
    pub(crate) code: u32,
    /// One sentence: what was expected and what was found.
    pub(crate) message: String,
    /// More of it, or empty.
    pub(crate) details: String,
}

impl Failure {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: String::new(),
        }
    }

    pub(crate) fn with_details(self, details: impl Into<String>) -> Self {
        Self {
            details: details.into(),
            ..self
        }
    }

    /// The same failure, its sentence opened with what was being done.
    pub(crate) fn during(self, what: &str) -> Self {
        Self {
            message: format!("{what}: {}", self.message),
            ..self
        }
    }

    /// The error object a runtime reads (CNI specification, "Error").
    pub(crate) fn to_json(&self, cni_version: &str) -> Value {
        let mut object = json!({
            "cniVersion": cni_version,
            "code": self.code,
            "msg": self.message,
        });
        if !self.details.is_empty() {
            object["details"] = json!(self.details);
        }
        object
    }
}

impl From<netlink::Error> for Failure {
    fn from(error: netlink::Error) -> Self {
        Self::new(error_code::INTERFACE_FAILURE, error.to_string())
    }
}

impl From<ClientError> for Failure {
    /// A daemon that is away or silent will be back: try again later.
    fn from(error: ClientError) -> Self {
        let code = match error {
            ClientError::Malformed { .. } => error_code::PROTOCOL_FAILURE,
            _ => error_code::TRY_AGAIN_LATER,
        };
        Self::new(code, error.to_string())
    }
}

/// Both failed: the first one's code, both sentences. Either alone stands for itself.
pub(crate) fn both(first: Result<(), Failure>, second: Result<(), Failure>) -> Result<(), Failure> {
    match (first, second) {
        (Err(first), Err(second)) => {
            let message = format!("{}; and {}", first.message, second.message);
            Err(Failure { message, ..first })
        }
        (first, second) => first.and(second),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_the_specified_members() {
        let failure = Failure::new(11, "no daemon").with_details("connect: ENOENT");
        assert_eq!(
            failure.to_json("1.0.0").to_string(),
            r#"{"cniVersion":"1.0.0","code":11,"msg":"no daemon","details":"connect: ENOENT"}"#
        );
    }

    #[test]
    fn details_are_left_out_when_there_are_none() {
        let json = Failure::new(7, "no name").to_json("0.3.1");
        assert_eq!(
            json.to_string(),
            r#"{"cniVersion":"0.3.1","code":7,"msg":"no name"}"#
        );
    }

    #[test]
    fn two_failures_are_one_with_both_sentences() {
        let failure = both(Err(Failure::new(11, "a")), Err(Failure::new(5, "b"))).unwrap_err();
        assert_eq!((failure.code, failure.message.as_str()), (11, "a; and b"));
        assert_eq!(both(Ok(()), Err(Failure::new(5, "b"))).unwrap_err().code, 5);
        assert_eq!(both(Ok(()), Ok(())), Ok(()));
    }
}
