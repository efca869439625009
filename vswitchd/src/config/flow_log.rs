//! The `[flow_log]` section.

use std::{path::PathBuf, time::Duration};

use super::{
    expect::{ABSOLUTE_PATH, AGGREGATE, BOOLEAN, FLOW_FILES, MEBIBYTES, SAMPLE},
    reader::{Mistakes, Section},
};

/// How flows are logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowLog {
    /// Where they are written besides memory; `None` = nowhere.
    pub file: Option<PathBuf>,
    /// That file's largest size.
    pub max_bytes: u64,
    /// How many files there may be, the one being written among them.
    pub files: usize,
    /// One of so many allowed flows is logged.
    pub sample: u32,
    /// How long packets of a denied flow are counted before they are logged again.
    pub aggregate: Duration,
}

impl Default for FlowLog {
    fn default() -> Self {
        Self {
            file: None,
            max_bytes: 64 << 20,
            files: 4,
            sample: 1,
            aggregate: Duration::from_secs(10),
        }
    }
}

/// The section; `None` where there is none, or it is switched off.
pub(super) fn read(mistakes: &mut Mistakes<'_>, root: &mut Section<'_>) -> Option<FlowLog> {
    let mut section = root.table(mistakes, "flow_log")?;
    let mut log = FlowLog::default();
    let enabled = section.optional(mistakes, "enabled", &BOOLEAN);
    let file = section.optional(mistakes, "file", &ABSOLUTE_PATH);
    log.file = file.map(|at| at.value);
    if let Some(mebibytes) = section.optional(mistakes, "max_mib", &MEBIBYTES) {
        log.max_bytes = mebibytes.value << 20;
    }
    if let Some(files) = section.optional(mistakes, "files", &FLOW_FILES) {
        log.files = files.value;
    }
    if let Some(sample) = section.optional(mistakes, "sample", &SAMPLE) {
        log.sample = sample.value;
    }
    if let Some(aggregate) = section.optional(mistakes, "aggregate_seconds", &AGGREGATE) {
        log.aggregate = aggregate.value;
    }
    section.finish(mistakes);
    enabled.is_none_or(|at| at.value).then_some(log)
}
