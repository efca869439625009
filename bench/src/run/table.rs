//! Tables for a terminal that are Markdown as well.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};

use super::{
    metric::{self, Metric},
    report::{Chapter, Report},
    stats::Summary,
};

/// An empty table with these headings; all columns but the first are aligned to the right.
#[must_use]
pub fn with_headings(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(ASCII_MARKDOWN)
        .set_header(headings.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A whole report: the machine, then a table for each topology, then what is to be known of each contender.
#[must_use]
pub fn of_report(report: &Report) -> String {
    let machine = &report.machine;
    let mut text = format!(
        "{}, {} CPUs, Linux {}, {}; {} rounds of {} s; median [min–max]; `×`: ratio to it, round by round\n",
        machine.processor,
        machine.cpus,
        machine.kernel,
        machine.congestion_control,
        report.rounds,
        report.seconds
    );
    for chapter in &report.chapters {
        let _ = write!(
            text,
            "\n### {}\n\n{}\n\n{}",
            chapter.title,
            of_chapter(chapter),
            notes(chapter)
        );
    }
    text
}

fn of_chapter(chapter: &Chapter) -> Table {
    let subject = chapter.subject();
    let mut headings = vec!["metric", "unit", subject];
    headings.extend(chapter.peers().map(|peer| peer.name.as_str()));
    let mut table = with_headings(&headings);
    for metric in chapter
        .rows
        .iter()
        .filter_map(|row| metric::find(&row.metric))
    {
        let mut cells = vec![
            metric.title.to_owned(),
            metric.unit.to_owned(),
            value(chapter, metric, subject),
        ];
        cells.extend(
            chapter
                .peers()
                .map(|peer| beside(chapter, metric, &peer.name)),
        );
        table.add_row(cells);
    }
    table
}

fn value(chapter: &Chapter, metric: &Metric, contender: &str) -> String {
    chapter
        .summary(metric.id, contender)
        .map_or("-".into(), shown)
}

/// A peer's median and the subject's ratio to it; the peer's own spread would make the line too long for a terminal.
fn beside(chapter: &Chapter, metric: &Metric, peer: &str) -> String {
    let Some(summary) = chapter.summary(metric.id, peer) else {
        return "-".into();
    };
    let ratio = chapter.ratio(metric.id, peer);
    let ratio = ratio.map_or(String::new(), |ratio| format!(" ×{}", shown(ratio)));
    digits(summary.median) + &ratio
}

fn notes(chapter: &Chapter) -> String {
    let mut text = String::new();
    for entry in &chapter.contenders {
        let said = match &entry.absent {
            Some(why) => format!("not measured: {why}"),
            None => entry.about.clone(),
        };
        let _ = writeln!(text, "- {}: {said}", entry.name);
    }
    if let Some(rest) = Summary::of(&chapter.busy_at_rest_cpus) {
        let _ = writeln!(
            text,
            "- the machine at rest, before each round: {} CPUs busy with something else",
            shown(rest)
        );
    }
    for failure in &chapter.failures {
        let _ = writeln!(
            text,
            "- FAILED: {} {} in round {}: {}",
            failure.contender,
            failure.probe,
            failure.round + 1,
            failure.message
        );
    }
    text
}

/// `14.2 [13.9–14.6]`; a value alone has no spread.
#[must_use]
pub fn shown(summary: Summary) -> String {
    let Summary { median, min, max } = summary;
    if min == max {
        return digits(median);
    }
    format!("{} [{}–{}]", digits(median), digits(min), digits(max))
}

/// Three significant digits, no more than the measurement is worth.
#[must_use]
pub fn digits(value: f64) -> String {
    let places = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    format!("{value:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_three_digits() {
        let written: Vec<String> = [1234.5, 99.94, 5.678, 0.1234, 0.0]
            .into_iter()
            .map(digits)
            .collect();
        assert_eq!(written, ["1234", "99.9", "5.68", "0.123", "0.00"]);
    }

    #[test]
    fn a_spread_is_shown_where_there_is_one() {
        assert_eq!(
            shown(Summary {
                median: 1.0,
                min: 0.5,
                max: 2.0
            }),
            "1.00 [0.500–2.00]"
        );
        assert_eq!(
            shown(Summary {
                median: 1.0,
                min: 1.0,
                max: 1.0
            }),
            "1.00"
        );
    }
}
