//! Two reports side by side.
//!
//! Ratios count, because the machine is in both of their halves; absolute values are shown for what they are worth.

use super::{
    metric::{self, Better, Metric},
    report::{Chapter, Report},
    stats::Summary,
    table::{digits, shown, with_headings},
};

/// A machine at rest has no more CPUs than this busy.
const QUIET_CPUS: f64 = 0.1;

/// Which way a figure went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Better, and no round of the one overlaps the other.
    Better,
    /// Worse, and no round of the one overlaps the other.
    Worse,
    /// The spreads overlap: nothing is shown.
    Unclear,
}

/// One figure in both reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// `same-node`.
    pub topology: String,
    /// The metric's id.
    pub metric: &'static str,
    /// The peer the ratio is to; none for the subject's own value.
    pub peer: Option<String>,
    /// In the older report.
    pub old: Summary,
    /// In the newer one.
    pub new: Summary,
    /// Which way it went.
    pub change: Change,
}

/// Every figure that both reports have: the subject's value, then its ratio to each peer.
#[must_use]
pub fn compare(old: &Report, new: &Report) -> Vec<Line> {
    let mut lines = Vec::new();
    for chapter in &new.chapters {
        let Some(before) = old.chapter(&chapter.topology) else {
            continue;
        };
        for metric in chapter
            .rows
            .iter()
            .filter_map(|row| metric::find(&row.metric))
        {
            lines.extend(own_line(metric, before, chapter));
            lines.extend(
                chapter
                    .peers()
                    .filter_map(|peer| ratio_line(metric, before, chapter, &peer.name)),
            );
        }
    }
    lines
}

fn own_line(metric: &'static Metric, before: &Chapter, after: &Chapter) -> Option<Line> {
    let old = before.summary(metric.id, before.subject())?;
    let new = after.summary(metric.id, after.subject())?;
    Some(line(metric, after, None, old, new))
}

fn ratio_line(
    metric: &'static Metric,
    before: &Chapter,
    after: &Chapter,
    peer: &str,
) -> Option<Line> {
    let (old, new) = (
        before.ratio(metric.id, peer)?,
        after.ratio(metric.id, peer)?,
    );
    Some(line(metric, after, Some(peer), old, new))
}

fn line(
    metric: &'static Metric,
    chapter: &Chapter,
    peer: Option<&str>,
    old: Summary,
    new: Summary,
) -> Line {
    Line {
        topology: chapter.topology.clone(),
        metric: metric.id,
        peer: peer.map(str::to_owned),
        old,
        new,
        change: change(metric.better, old, new),
    }
}

fn change(better: Better, old: Summary, new: Summary) -> Change {
    match (better, new.min > old.max, new.max < old.min) {
        (Better::Higher, true, _) | (Better::Lower, _, true) => Change::Better,
        (Better::Higher, _, true) | (Better::Lower, true, _) => Change::Worse,
        _ => Change::Unclear,
    }
}

/// Under what conditions a report was made, in a line; a load beside the bench bends ratios too, so it is said.
#[must_use]
pub fn conditions(name: &str, report: &Report) -> String {
    let rests = report
        .chapters
        .iter()
        .flat_map(|chapter| &chapter.busy_at_rest_cpus);
    let rest = Summary::of(&rests.copied().collect::<Vec<_>>());
    let machine = &report.machine;
    let busy = rest.filter(|rest| rest.median > QUIET_CPUS);
    format!(
        "{name}: Linux {}, {} CPUs, {}, {} rounds of {} s; at rest {} CPUs busy{}",
        machine.kernel,
        machine.cpus,
        machine.congestion_control,
        report.rounds,
        report.seconds,
        rest.map_or("?".into(), shown),
        busy.map_or("", |_| ": NOT IDLE, its figures are worth little"),
    )
}

/// The lines as a table.
#[must_use]
pub fn table(lines: &[Line]) -> String {
    let mut table = with_headings(&["topology", "metric", "ratio to", "old", "new", "change", ""]);
    for line in lines {
        let percent = (line.new.median / line.old.median - 1.0) * 100.0;
        let change = if percent.is_finite() {
            format!("{percent:+.0} %")
        } else {
            digits(line.new.median)
        };
        let verdict = match line.change {
            Change::Better => "better",
            Change::Worse => "WORSE",
            Change::Unclear => "",
        };
        table.add_row([
            line.topology.as_str(),
            line.metric,
            line.peer.as_deref().unwrap_or("(itself)"),
            &shown(line.old),
            &shown(line.new),
            &change,
            verdict,
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{
        machine::Machine,
        report::{Entry, VERSION},
    };

    fn report(metric: &str, ours: [f64; 2], theirs: [f64; 2]) -> Report {
        let entry = |name: &str| Entry {
            name: name.into(),
            about: String::new(),
            absent: None,
        };
        let mut chapter = Chapter {
            topology: "same-node".into(),
            contenders: vec![entry("vswitchd"), entry("kernel")],
            ..Chapter::default()
        };
        for round in 0..2 {
            chapter.record(metric, "vswitchd", round, ours[round]);
            chapter.record(metric, "kernel", round, theirs[round]);
        }
        Report {
            version: VERSION,
            machine: Machine::this(),
            rounds: 2,
            seconds: 1.0,
            chapters: vec![chapter],
        }
    }

    #[test]
    fn a_faster_machine_changes_the_value_and_not_the_ratio() {
        let lines = compare(
            &report("tcp1", [5.0, 5.1], [10.0, 10.2]),
            &report("tcp1", [10.0, 10.2], [20.0, 20.4]),
        );
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[0].peer.as_deref(), lines[0].change),
            (None, Change::Better)
        );
        assert_eq!(
            (lines[1].peer.as_deref(), lines[1].change),
            (Some("kernel"), Change::Unclear)
        );
    }

    #[test]
    fn more_latency_is_worse() {
        let lines = compare(
            &report("tcp-rr-one-core-p50", [10.0, 11.0], [5.0, 5.0]),
            &report("tcp-rr-one-core-p50", [20.0, 21.0], [5.0, 5.0]),
        );
        assert!(
            lines.iter().all(|line| line.change == Change::Worse),
            "{lines:?}"
        );
        assert!(table(&lines).contains("WORSE"));
    }

    #[test]
    fn a_report_from_a_busy_machine_says_so() {
        let mut report = report("tcp1", [1.0; 2], [1.0; 2]);
        report.chapters[0].busy_at_rest_cpus = vec![0.02, 0.04, 0.03];
        assert!(conditions("old", &report).ends_with("at rest 0.030 [0.020–0.040] CPUs busy"));
        report.chapters[0].busy_at_rest_cpus = vec![0.02, 1.5, 1.2];
        assert!(conditions("old", &report).contains("CPUs busy: NOT IDLE"));
    }

    #[test]
    fn what_only_one_report_has_is_left_out() {
        let lines = compare(
            &report("tcp1", [1.0; 2], [1.0; 2]),
            &report("tcp4", [1.0; 2], [1.0; 2]),
        );
        assert_eq!(lines, []);
    }
}
