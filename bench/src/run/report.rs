//! What a run found out, as it is written to JSON and read again.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error::{Error, Result, io_error},
    machine::Machine,
    metric::{self, METRICS},
    stats::Summary,
};

/// The format's version; a report of another is not read.
pub const VERSION: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Where it ran.
    pub machine: Machine,
    /// How often everything was measured.
    pub rounds: usize,
    /// Length of one measurement, in seconds.
    pub seconds: f64,
    /// One for each topology.
    pub chapters: Vec<Chapter>,
}

/// One topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chapter {
    /// Its name.
    pub topology: String,
    /// Its heading.
    pub title: String,
    /// Who was compared; the first is the one the others are peers of.
    pub contenders: Vec<Entry>,
    /// CPUs busy with something else before each round, while the bench did nothing.
    pub busy_at_rest_cpus: Vec<f64>,
    /// The figures, in the order of [`METRICS`].
    pub rows: Vec<Row>,
    /// What could not be measured.
    pub failures: Vec<Failure>,
}

/// A contender in one topology.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is and which processes share which cores.
    pub about: String,
    /// Why it was not measured, if it was not.
    pub absent: Option<String>,
}

/// One metric of every contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The metric's id.
    pub metric: String,
    /// Values by contender.
    pub series: Vec<Series>,
}

/// One metric of one contender.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The contender's name.
    pub contender: String,
    /// One for each round; none where the measurement failed.
    pub values: Vec<Option<f64>>,
}

/// A measurement that failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose.
    pub contender: String,
    /// Which.
    pub probe: String,
    /// In which round, from 0.
    pub round: usize,
    /// Why.
    pub message: String,
}

impl Report {
    /// Reads one.
    ///
    /// # Errors
    /// No such file, no report, or one of another version.
    pub fn load(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(io_error(format!("cannot read {shown}")))?;
        let unexpected = |expected: String, found: String| Error::Unexpected {
            place: shown.clone(),
            expected,
            found,
        };
        let report: Self = serde_json::from_str(&text).map_err(|error| {
            unexpected(
                format!("a report of vswitch-bench ({error})"),
                text.chars().take(80).collect(),
            )
        })?;
        if report.version != VERSION {
            return Err(unexpected(
                format!("version {VERSION}"),
                report.version.to_string(),
            ));
        }
        Ok(report)
    }

    /// Writes it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        fs::write(path, text + "\n").map_err(io_error(format!("cannot write {}", path.display())))
    }

    /// The chapter of a topology.
    #[must_use]
    pub fn chapter(&self, topology: &str) -> Option<&Chapter> {
        self.chapters
            .iter()
            .find(|chapter| chapter.topology == topology)
    }
}

impl Chapter {
    /// The contender that the others are peers of.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.contenders.first().map_or("", |entry| &entry.name)
    }

    /// The others that were measured.
    pub fn peers(&self) -> impl Iterator<Item = &Entry> {
        self.contenders
            .iter()
            .skip(1)
            .filter(|entry| entry.absent.is_none())
    }

    /// Notes the figure of a round.
    pub fn record(&mut self, metric: &str, contender: &str, round: usize, value: f64) {
        let at = match self.rows.iter().position(|row| row.metric == metric) {
            Some(at) => at,
            None => self.insert_row(metric),
        };
        let series = &mut self.rows[at].series;
        let at = series
            .iter()
            .position(|one| one.contender == contender)
            .unwrap_or_else(|| {
                series.push(Series {
                    contender: contender.into(),
                    values: Vec::new(),
                });
                series.len() - 1
            });
        let values = &mut series[at].values;
        if values.len() <= round {
            values.resize(round + 1, None);
        }
        values[round] = Some(value);
    }

    fn insert_row(&mut self, metric: &str) -> usize {
        let place = |id: &str| METRICS.iter().position(|known| known.id == id);
        let own = place(metric);
        let at = self
            .rows
            .iter()
            .position(|row| place(&row.metric) > own)
            .unwrap_or(self.rows.len());
        self.rows.insert(
            at,
            Row {
                metric: metric.into(),
                series: Vec::new(),
            },
        );
        at
    }

    /// The values of a metric, round by round.
    #[must_use]
    pub fn values(&self, metric: &str, contender: &str) -> &[Option<f64>] {
        let row = self.rows.iter().find(|row| row.metric == metric);
        let series = row.and_then(|row| row.series.iter().find(|one| one.contender == contender));
        series.map_or(&[], |series| &series.values)
    }

    /// Median and spread of a metric.
    #[must_use]
    pub fn summary(&self, metric: &str, contender: &str) -> Option<Summary> {
        Summary::of(
            &self
                .values(metric, contender)
                .iter()
                .copied()
                .flatten()
                .collect::<Vec<_>>(),
        )
    }

    /// The subject's values divided by a peer's, round by round; none for what is not to be compared so.
    #[must_use]
    pub fn ratio(&self, metric: &str, peer: &str) -> Option<Summary> {
        metric::find(metric).filter(|metric| metric.compared)?;
        Summary::of_ratios(
            self.values(metric, self.subject()),
            self.values(metric, peer),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report with one round short of a value.
    fn report() -> Report {
        let entry = |name: &str| Entry {
            name: name.into(),
            about: "test".into(),
            absent: None,
        };
        let mut chapter = Chapter {
            topology: "same-node".into(),
            title: "t".into(),
            contenders: vec![entry("vswitchd"), entry("kernel")],
            ..Chapter::default()
        };
        chapter.record("udp64", "vswitchd", 0, 400.0);
        chapter.record("tcp1", "vswitchd", 0, 9.0);
        chapter.record("tcp1", "kernel", 0, 10.0);
        chapter.record("tcp1", "kernel", 2, 12.0);
        chapter.record("tcp1", "vswitchd", 2, 12.0);
        Report {
            version: VERSION,
            machine: Machine {
                processor: "p".into(),
                cpus: 2,
                kernel: "6".into(),
                congestion_control: "bbr".into(),
                began_unix_seconds: 1,
            },
            rounds: 3,
            seconds: 0.5,
            chapters: vec![chapter],
        }
    }

    #[test]
    fn a_report_is_the_same_after_it_was_written_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.json");
        report().save(&file).unwrap();
        assert_eq!(Report::load(&file).unwrap(), report());
    }

    #[test]
    fn a_report_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.json");
        Report {
            version: 99,
            ..report()
        }
        .save(&file)
        .unwrap();
        let message = Report::load(&file).unwrap_err().to_string();
        assert!(
            message.ends_with("expected version 1, found `99`"),
            "{message}"
        );
    }

    #[test]
    fn rows_stand_in_the_order_of_the_metrics_however_they_arrive() {
        let report = report();
        let order: Vec<&str> = report.chapters[0]
            .rows
            .iter()
            .map(|row| row.metric.as_str())
            .collect();
        assert_eq!(order, ["tcp1", "udp64"]);
    }

    #[test]
    fn a_failed_round_leaves_a_hole_and_no_ratio() {
        let report = report();
        let chapter = &report.chapters[0];
        assert_eq!(
            chapter.values("tcp1", "vswitchd"),
            [Some(9.0), None, Some(12.0)]
        );
        let ratio = chapter.ratio("tcp1", "kernel").unwrap();
        assert_eq!((ratio.min, ratio.max), (0.9, 1.0));
        assert!(chapter.ratio("udp64", "kernel").is_none());
    }
}
