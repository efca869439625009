//! Another IPAM plugin (`host-local`, `static`, ...), run as the specification's delegated plugin.

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use cni_shim::error_code;
use serde_json::{Map, Value, json};

use crate::{call::Call, environment::Verb, failure::Failure, version::Version};

/// An IPAM plugin found in `CNI_PATH`.
#[derive(Debug)]
pub(crate) struct Delegate<'a> {
    call: &'a Call,
    program: PathBuf,
    version: Version,
}

impl<'a> Delegate<'a> {
    /// Finds the program and agrees on a version: ours, or the newest it has below ours.
    ///
    /// # Errors
    /// Code 4 without `CNI_PATH`, 7 if no such program is there, 1 without a common version.
    pub(crate) fn find(call: &'a Call, kind: &str) -> Result<Self, Failure> {
        let program = find_program(&call.environment.path, kind)?;
        let mut delegate = Self {
            call,
            program,
            version: call.version,
        };
        let answer = delegate.exec("VERSION", &json!({ "cniVersion": call.version.name() }))?;
        delegate.version = newest_common(&answer, call.version).ok_or_else(|| {
            let message = format!("IPAM plugin {kind} shares no version with the configuration");
            Failure::new(error_code::INCOMPATIBLE_VERSION, message).with_details(answer.to_string())
        })?;
        Ok(delegate)
    }

    /// Runs a verb with the whole configuration on standard input.
    ///
    /// CHECK, GC and STATUS are left out if the plugin's version does not have them.
    ///
    /// # Errors
    /// The plugin's own CNI error, or code 103 if it fails without one.
    pub(crate) fn run(&self, verb: Verb) -> Result<Value, Failure> {
        let since = match verb {
            Verb::Check => Version::V0_4_0,
            Verb::Gc | Verb::Status => Version::V1_1_0,
            _ => Version::V0_3_0,
        };
        if self.version < since {
            let text = format!(
                "{} has no {}; left out",
                self.program.display(),
                verb.name()
            );
            self.call.log.debug(&text);
            return Ok(Value::Null);
        }
        let mut config = self.call.config.raw.clone();
        config.insert("cniVersion".into(), json!(self.version.name()));
        self.exec(verb.name(), &Value::Object(config))
    }

    fn exec(&self, command: &str, config: &Value) -> Result<Value, Failure> {
        let name = self.program.display();
        let failed = |error: std::io::Error| {
            let message = format!("cannot run IPAM plugin {name}: {error}");
            Failure::new(error_code::DELEGATE_FAILURE, message)
        };
        let mut child = Command::new(&self.program)
            .env("CNI_COMMAND", command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A plugin that does not read its input answers with an error of its own.
            let _ = input.write_all(config.to_string().as_bytes());
        }
        let output = child.wait_with_output().map_err(failed)?;
        answer(&output).map_err(|failure| failure.during(&format!("IPAM plugin {name}, {command}")))
    }
}

fn answer(output: &Output) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return match text.trim() {
            "" => Ok(Value::Null),
            json => serde_json::from_str(json).map_err(|error| {
                let message = format!("expected a JSON result, found {error}");
                Failure::new(error_code::DELEGATE_FAILURE, message).with_details(json)
            }),
        };
    }
    let error: Map<String, Value> = serde_json::from_str(text.trim()).unwrap_or_default();
    let member = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    let code = error
        .get("code")
        .and_then(Value::as_u64)
        .and_then(|code| u32::try_from(code).ok());
    Err(match code {
        Some(code) => Failure::new(code, member("msg")).with_details(member("details")),
        None => Failure::new(
            error_code::DELEGATE_FAILURE,
            format!("failed ({})", output.status),
        )
        .with_details(text.trim()),
    })
}

fn newest_common(answer: &Value, ours: Version) -> Option<Version> {
    let names = answer.get("supportedVersions")?.as_array()?;
    let versions = names
        .iter()
        .filter_map(|name| Version::named(name.as_str()?));
    versions.filter(|version| *version <= ours).max()
}

fn find_program(path: &str, kind: &str) -> Result<PathBuf, Failure> {
    if path.is_empty() {
        let message = format!("missing in the environment: CNI_PATH, to find IPAM plugin {kind}");
        return Err(Failure::new(error_code::INVALID_ENVIRONMENT, message));
    }
    let is_program = |file: &PathBuf| {
        file.metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let plain = !kind.contains('/');
    let mut candidates = path
        .split(':')
        .map(|folder| PathBuf::from(folder).join(kind));
    candidates
        .find(|file| plain && is_program(file))
        .ok_or_else(|| {
            let message = format!("IPAM plugin {kind:?} is not in CNI_PATH {path}");
            Failure::new(error_code::INVALID_CONFIGURATION, message)
        })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn output(code: i32, stdout: &str) -> Output {
        let status = std::process::ExitStatus::from_raw(code << 8);
        Output {
            status,
            stdout: stdout.into(),
            stderr: vec![],
        }
    }

    #[test]
    fn the_delegates_own_error_is_kept() {
        let error = r#"{"code":11,"msg":"busy","details":"later"}"#;
        let failure = answer(&output(1, error)).unwrap_err();
        assert_eq!(failure, Failure::new(11, "busy").with_details("later"));
    }

    #[test]
    fn a_failure_without_an_error_object_is_code_103_with_the_output() {
        let failure = answer(&output(2, "oops")).unwrap_err();
        assert_eq!((failure.code, failure.details.as_str()), (103, "oops"));
        assert_eq!(answer(&output(0, "oops")).unwrap_err().code, 103);
        assert_eq!(answer(&output(0, "\n")), Ok(Value::Null));
    }

    #[test]
    fn the_newest_version_not_above_ours_is_spoken() {
        let debian = json!({"supportedVersions": ["0.1.0", "0.3.1", "0.4.0", "1.0.0"]});
        assert_eq!(
            newest_common(&debian, Version::V1_1_0),
            Some(Version::V1_0_0)
        );
        assert_eq!(
            newest_common(&debian, Version::V0_3_1),
            Some(Version::V0_3_1)
        );
        assert_eq!(newest_common(&json!({}), Version::V1_1_0), None);
    }

    #[test]
    fn a_missing_program_names_where_it_was_looked_for() {
        let failure = find_program("/nonexistent:/usr/lib", "host-local").unwrap_err();
        assert_eq!(failure.code, 7);
        assert!(
            failure.message.contains("/nonexistent:/usr/lib"),
            "{}",
            failure.message
        );
        assert_eq!(find_program("", "host-local").unwrap_err().code, 4);
        assert_eq!(find_program("/bin", "../bin/sh").unwrap_err().code, 7);
    }
}
