//! The plugin's log: standard error, and `log_file_path` if the configuration names one.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use cni_shim::calendar::date;

/// How much an entry matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    /// Calico's names; anything else is the default, info.
    pub(crate) fn parse(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "debug" | "trace" => Self::Debug,
            "warning" | "warn" => Self::Warning,
            "error" | "fatal" | "panic" => Self::Error,
            _ => Self::Info,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

/// Where entries go. Logging never fails a call.
#[derive(Debug)]
pub(crate) struct Log {
    level: Level,
    file: Option<PathBuf>,
    /// Command and container, at the head of every entry.
    subject: String,
}

impl Log {
    pub(crate) fn new(level: Level, file: Option<&Path>, subject: String) -> Self {
        Self {
            level,
            file: file.map(Path::to_path_buf),
            subject,
        }
    }

    pub(crate) fn debug(&self, text: &str) {
        self.write(Level::Debug, text);
    }

    pub(crate) fn info(&self, text: &str) {
        self.write(Level::Info, text);
    }

    pub(crate) fn warn(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    pub(crate) fn error(&self, text: &str) {
        self.write(Level::Error, text);
    }

    fn write(&self, level: Level, text: &str) {
        if level < self.level {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let time = timestamp(now.as_secs(), now.subsec_millis());
        let line = format!(
            "{time} [{}] vswitch {}: {text}\n",
            level.name(),
            self.subject
        );
        let _ = std::io::stderr().write_all(line.as_bytes());
        if let Some(path) = &self.file {
            let _ = append(path, &line);
        }
    }
}

/// One write of one line, so that calls that run at once do not mix.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?
        .write_all(line.as_bytes())
}

/// `2026-08-01 12:00:00.000`, UTC.
fn timestamp(seconds: u64, millis: u32) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_a_date_in_utc() {
        assert_eq!(timestamp(0, 0), "1970-01-01 00:00:00.000");
        assert_eq!(timestamp(951_782_400, 7), "2000-02-29 00:00:00.007");
        assert_eq!(timestamp(1_785_585_599, 999), "2026-08-01 11:59:59.999");
    }

    #[test]
    fn entries_below_the_level_are_not_written_and_folders_are_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/cni.log");
        let log = Log::new(Level::parse("warning"), Some(&path), "ADD c1".into());
        log.info("quiet");
        log.warn("loud");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with("[WARNING] vswitch ADD c1: loud\n"), "{text}");
        assert_eq!(text.lines().count(), 1);
    }
}
