//! The report as one HTML file that needs nothing else.

use std::fmt::Write;

use super::{
    metric::{self, Better, Metric},
    plot,
    report::{Chapter, Report},
    stats::Summary,
    table::shown,
};

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; color: #282c34; background: #f6f7f9; max-width: 1360px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.7em; margin-bottom: 0 } h2 { margin: 2.2em 0 .6em; border-bottom: 2px solid #ce422b; padding-bottom: .2em }
.sub { color: #667; margin-top: .2em }
.card { background: #fff; border: 1px solid #e3e6eb; border-radius: 8px; padding: .8em 1em; margin: 0 0 1em; overflow-x: auto }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(430px, 1fr)); gap: 1em } .grid .card { margin: 0 }
.card h3 { font-size: .95em; margin: 0 0 .2em } .card h3 span { font-weight: normal; color: #889 }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .87em }
th, td { padding: .25em .6em; text-align: right; border-bottom: 1px solid #eef0f3; white-space: nowrap }
th:first-child, td:first-child { text-align: left } td small { color: #889 } tr:hover td { background: #fafbfc }
svg { max-width: 100%; height: auto }
.good { color: #2a7a3b; font-weight: 600 } .bad { color: #b3261e; font-weight: 600 }
.dot { display: inline-block; width: .75em; height: .75em; border-radius: 50%; margin-right: .35em }
.key span { margin-right: 1.2em } details { margin: .6em 0 } li { margin: .3em 0 }
";

/// Writes it.
#[must_use]
pub fn page(report: &Report) -> String {
    let machine = &report.machine;
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>vswitch-bench</title><style>{STYLE}</style>\
         <h1>vswitch-bench</h1><p class=\"sub\">{} · {} CPUs, shared by everything: clients, servers, forwarders, both nodes, interrupts · Linux {} · {} · \
         {} rounds of {} s a measurement, contenders in turn</p>",
        escaped(&machine.processor),
        machine.cpus,
        escaped(&machine.kernel),
        escaped(&machine.congestion_control),
        report.rounds,
        report.seconds
    );
    for chapter in &report.chapters {
        write_chapter(&mut html, chapter);
    }
    html.push_str("</html>\n");
    html
}

fn write_chapter(html: &mut String, chapter: &Chapter) {
    let _ = write!(html, "<h2>{}</h2>", escaped(&chapter.title));
    if chapter.peers().next().is_some() {
        let _ = write!(
            html,
            "<div class=\"card\"><h3>How many times better {} is <span>· right of the line: better; bar: spread over the rounds</span></h3>{}{}</div>",
            escaped(chapter.subject()),
            key(chapter),
            plot::advantages(chapter)
        );
    }
    let _ = write!(
        html,
        "<div class=\"card\">{}</div><div class=\"grid\">",
        table(chapter)
    );
    for metric in metrics(chapter) {
        let better = if metric.better == Better::Higher {
            "more is better"
        } else {
            "less is better"
        };
        let _ = write!(
            html,
            "<div class=\"card\"><h3>{} <span>· {}, {better}</span></h3>{}</div>",
            metric.title,
            metric.unit,
            plot::bars(chapter, metric)
        );
    }
    let _ = write!(html, "</div>{}", notes(chapter));
}

fn metrics(chapter: &Chapter) -> impl Iterator<Item = &'static Metric> {
    chapter
        .rows
        .iter()
        .filter_map(|row| metric::find(&row.metric))
}

fn key(chapter: &Chapter) -> String {
    let one = |name: &str| {
        let plotters::style::RGBColor(r, g, b) = plot::colour(name);
        format!(
            "<span><i class=\"dot\" style=\"background:rgb({r},{g},{b})\"></i>than {}</span>",
            escaped(name)
        )
    };
    let names: String = chapter.peers().map(|peer| one(&peer.name)).collect();
    format!("<div class=\"key\">{names}</div>")
}

fn table(chapter: &Chapter) -> String {
    let mut html = format!(
        "<table><tr><th>metric<th>unit<th>{}",
        escaped(chapter.subject())
    );
    for peer in chapter.peers() {
        let _ = write!(html, "<th>{}<th>ratio", escaped(&peer.name));
    }
    for metric in metrics(chapter) {
        let _ = write!(html, "<tr><td>{}<td>{}", metric.title, metric.unit);
        let _ = write!(
            html,
            "<td>{}",
            spread(chapter.summary(metric.id, chapter.subject()))
        );
        for peer in chapter.peers() {
            let ratio = chapter.ratio(metric.id, &peer.name);
            let class = ratio.map_or("", |ratio| verdict(metric.better, ratio));
            let _ = write!(
                html,
                "<td>{}<td class=\"{class}\">{}",
                spread(chapter.summary(metric.id, &peer.name)),
                spread(ratio)
            );
        }
    }
    html + "</table>"
}

/// Green or red only where every round says so.
fn verdict(better: Better, ratio: Summary) -> &'static str {
    match (better, ratio.min > 1.0, ratio.max < 1.0) {
        (Better::Higher, true, _) | (Better::Lower, _, true) => "good",
        (Better::Higher, _, true) | (Better::Lower, true, _) => "bad",
        _ => "",
    }
}

fn spread(summary: Option<Summary>) -> String {
    let Some(summary) = summary else {
        return "–".into();
    };
    let text = shown(summary);
    match text.split_once(' ') {
        Some((median, range)) => format!("{median} <small>{range}</small>"),
        None => text,
    }
}

fn notes(chapter: &Chapter) -> String {
    let mut html = String::from(
        "<details open><summary>Who was measured, and what shares the cores</summary><ul>",
    );
    for entry in &chapter.contenders {
        let said = entry
            .absent
            .as_ref()
            .map_or(entry.about.clone(), |why| format!("not measured: {why}"));
        let _ = write!(
            html,
            "<li><b>{}</b>: {}",
            escaped(&entry.name),
            escaped(&said)
        );
    }
    if let Some(rest) = Summary::of(&chapter.busy_at_rest_cpus) {
        let _ = write!(
            html,
            "<li>The machine at rest, before each round: {} CPUs busy with something else",
            shown(rest)
        );
    }
    for failure in &chapter.failures {
        let _ = write!(
            html,
            "<li class=\"bad\">{} {} failed in round {}: {}",
            escaped(&failure.contender),
            escaped(&failure.probe),
            failure.round + 1,
            escaped(&failure.message)
        );
    }
    html + "</ul></details>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_is_no_markup() {
        assert_eq!(escaped("a<b & c>"), "a&lt;b &amp; c&gt;");
    }

    #[test]
    fn a_ratio_is_coloured_only_where_every_round_agrees() {
        let ratio = |min, max| Summary {
            median: 1.0,
            min,
            max,
        };
        assert_eq!(verdict(Better::Higher, ratio(1.1, 1.3)), "good");
        assert_eq!(verdict(Better::Lower, ratio(1.1, 1.3)), "bad");
        assert_eq!(verdict(Better::Higher, ratio(0.9, 1.3)), "");
    }
}
