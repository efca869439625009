//! The `[recorder]` section: the flight recorder.

use std::path::PathBuf;
use std::time::Duration;

use dataplane::DropReason;

use super::expect::{
    ABSOLUTE_PATH, BOOLEAN, DROP_REASON, MIB, RECORDED_BYTES, RECORDED_FILES, SECONDS,
};
use super::reader::{Mistakes, Section};

/// What every worker keeps of the last frames, and when it is written out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorder {
    /// Memory of each worker, in MiB.
    pub mib_per_worker: usize,
    /// Bytes kept of each frame.
    pub snap_len: usize,
    /// A drop for one of these reasons is a reason to write.
    pub dump_on: Vec<DropReason>,
    /// Where to; `None` = `recorder` in the state directory.
    pub directory: Option<PathBuf>,
    /// How far back a file reaches.
    pub before: Duration,
    /// Files kept at most.
    pub files: usize,
}

/// `None` unless it is enabled.
pub(super) fn read(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Option<Recorder> {
    let mut section = root.table(mistakes, "recorder")?;
    let enabled = section.optional(mistakes, "enabled", &BOOLEAN);
    let mib = section.optional(mistakes, "mib_per_worker", &MIB);
    let snap_len = section.optional(mistakes, "snap_len", &RECORDED_BYTES);
    let dump_on = section.list(mistakes, "dump_on", &DROP_REASON);
    let directory = section.optional(mistakes, "directory", &ABSOLUTE_PATH);
    let seconds = section.optional(mistakes, "seconds", &SECONDS);
    let files = section.optional(mistakes, "files", &RECORDED_FILES);
    section.finish(mistakes);
    enabled.is_some_and(|at| at.value).then(|| Recorder {
        mib_per_worker: mib.map_or(16, |at| at.value),
        snap_len: snap_len.map_or(128, |at| at.value),
        dump_on: dump_on.into_iter().map(|at| at.value).collect(),
        directory: directory.map(|at| at.value),
        before: seconds.map_or(Duration::from_secs(10), |at| at.value),
        files: files.map_or(10, |at| at.value),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::parse;
    use super::*;

    const NODE: &str = "node = \"n\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"\n";

    fn recorder(text: &str) -> Option<Recorder> {
        parse(Path::new("t.toml"), &format!("{NODE}{text}"))
            .unwrap()
            .recorder
    }

    #[test]
    fn it_is_off_unless_it_is_enabled() {
        assert_eq!(recorder(""), None);
        assert_eq!(recorder("[recorder]\nmib_per_worker = 4"), None);
        let on = recorder("[recorder]\nenabled = true\ndump_on = [\"policy_ingress\"]").unwrap();
        assert_eq!(on.dump_on, [DropReason::PolicyIngress]);
        assert_eq!((on.mib_per_worker, on.snap_len, on.files), (16, 128, 10));
    }

    #[test]
    fn a_reason_that_is_none_is_a_mistake_with_its_place() {
        let text = format!("{NODE}[recorder]\ndump_on = [\"boredom\"]\nsnap_len = 5");
        let errors = parse(Path::new("t.toml"), &text).unwrap_err().to_string();
        assert!(
            errors.contains("recorder.dump_on[0]") && errors.contains("boredom"),
            "{errors}"
        );
        assert!(errors.contains("recorder.snap_len"), "{errors}");
    }
}
