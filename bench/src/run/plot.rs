//! The report's pictures, as SVG text.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{
    contender::Contender,
    metric::{self, Better, Metric},
    report::Chapter,
    stats::Summary,
    table::digits,
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 226, 232);
const ROW: u32 = 26;

/// The colour of a contender, the same in every picture.
#[must_use]
pub fn colour(contender: &str) -> RGBColor {
    const COLOURS: [(Contender, RGBColor); 11] = [
        (Contender::Vswitchd, RGBColor(206, 66, 43)),
        (Contender::VswitchdWorkers, RGBColor(213, 90, 69)),
        (Contender::VswitchdCut, RGBColor(219, 113, 95)),
        (Contender::Baseline, RGBColor(232, 160, 140)),
        (Contender::Kernel, RGBColor(48, 101, 172)),
        (Contender::Vxlan, RGBColor(94, 170, 205)),
        (Contender::Ovs, RGBColor(84, 150, 88)),
        (Contender::OvsTso, RGBColor(160, 195, 90)),
        (Contender::Naive, RGBColor(150, 140, 130)),
        (Contender::Pump, RGBColor(90, 90, 100)),
        (Contender::Pair, RGBColor(206, 66, 43)),
    ];
    COLOURS
        .iter()
        .find(|(known, _)| known.name() == contender)
        .map_or(INK, |(_, colour)| *colour)
}

/// One metric: a bar for each contender up to its median, a dot for each round.
#[must_use]
pub fn bars(chapter: &Chapter, metric: &Metric) -> String {
    let names = chapter.contenders.iter().map(|entry| entry.name.as_str());
    let bars: Vec<(&str, Summary)> = names
        .filter_map(|name| Some((name, chapter.summary(metric.id, name)?)))
        .collect();
    drawn((430, 34 + ROW * bars.len() as u32), |area| {
        draw_bars(area, chapter, metric, &bars)
    })
}

fn draw_bars(
    area: &Area<'_>,
    chapter: &Chapter,
    metric: &Metric,
    bars: &[(&str, Summary)],
) -> Drawn {
    let longest = bars
        .iter()
        .map(|(_, summary)| summary.max)
        .fold(0.0, f64::max)
        .max(1e-9);
    let mut chart = ChartBuilder::on(area)
        .margin_right(62)
        .set_label_area_size(LabelAreaPosition::Left, 74)
        .set_label_area_size(LabelAreaPosition::Bottom, 26)
        .build_cartesian_2d(0.0..longest * 1.02, 0.0..bars.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_labels(5)
        .x_label_formatter(&|value| short(*value))
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .draw()?;
    for (row, (name, summary)) in bars.iter().enumerate() {
        let (top, middle) = ((bars.len() - row) as f64, (bars.len() - row) as f64 - 0.5);
        let colour = colour(name);
        let bar = [(0.0, top - 0.82), (summary.median, top - 0.18)];
        chart.draw_series([Rectangle::new(bar, colour.mix(0.75).filled())])?;
        let rounds = chapter.values(metric.id, name).iter().flatten();
        chart.draw_series(
            rounds.map(|value| Circle::new((*value, middle), 3, INK.mix(0.6).filled())),
        )?;
        let line = [(summary.min, middle), (summary.max, middle)];
        chart.draw_series([PathElement::new(line, INK.mix(0.6))])?;
        label(
            area,
            name,
            chart.backend_coord(&(0.0, middle)),
            -6,
            HPos::Right,
        )?;
        label(
            area,
            &digits(summary.median),
            chart.backend_coord(&(summary.max, middle)),
            8,
            HPos::Left,
        )?;
    }
    Ok(())
}

/// Every metric as the subject's advantage over each peer, on a logarithmic axis: right of the line the subject is better.
#[must_use]
pub fn advantages(chapter: &Chapter) -> String {
    let metrics: Vec<&'static Metric> = chapter
        .rows
        .iter()
        .filter_map(|row| metric::find(&row.metric))
        .filter(|metric| {
            chapter
                .peers()
                .any(|peer| advantage(chapter, metric, &peer.name).is_some())
        })
        .collect();
    drawn((900, 60 + ROW * metrics.len() as u32), |area| {
        draw_advantages(area, chapter, &metrics)
    })
}

fn draw_advantages(area: &Area<'_>, chapter: &Chapter, metrics: &[&'static Metric]) -> Drawn {
    let all = metrics.iter().flat_map(|metric| {
        chapter
            .peers()
            .filter_map(|peer| advantage(chapter, metric, &peer.name))
    });
    let (low, high) = all.fold((0.5_f64, 2.0_f64), |(low, high), one| {
        (low.min(one.min), high.max(one.max))
    });
    // Beyond a hundredfold the place on the axis says nothing more.
    let (low, high) = ((low * 0.9).max(0.01), (high * 1.1).min(100.0));
    let mut chart = ChartBuilder::on(area)
        .margin_right(16)
        .set_label_area_size(LabelAreaPosition::Left, 290)
        .set_label_area_size(LabelAreaPosition::Bottom, 30)
        .build_cartesian_2d((low..high).log_scale(), 0.0..metrics.len() as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_label_formatter(&|value| format!("{}×", short(*value)))
        .label_style(("sans-serif", 12).into_font().color(&INK))
        .draw()?;
    let even = [(1.0, 0.0), (1.0, metrics.len() as f64)];
    chart.draw_series([PathElement::new(even, INK.stroke_width(2))])?;
    let clamped = |value: f64| value.clamp(low, high);
    for (row, metric) in metrics.iter().enumerate() {
        let middle = (metrics.len() - row) as f64 - 0.5;
        label(
            area,
            metric.title,
            chart.backend_coord(&(low, middle)),
            -8,
            HPos::Right,
        )?;
        let peers: Vec<_> = chapter.peers().collect();
        for (i, peer) in peers.iter().enumerate() {
            let Some(one) = advantage(chapter, metric, &peer.name) else {
                continue;
            };
            let y = middle + 0.3 - 0.6 * (i as f64 + 0.5) / peers.len() as f64;
            let colour = colour(&peer.name);
            let spread = [(clamped(one.min), y), (clamped(one.max), y)];
            chart.draw_series([PathElement::new(spread, colour.stroke_width(2))])?;
            chart.draw_series([Circle::new((clamped(one.median), y), 4, colour.filled())])?;
        }
    }
    Ok(())
}

/// How many times better the subject is: its ratio where more is better, the inverse where less is.
fn advantage(chapter: &Chapter, metric: &Metric, peer: &str) -> Option<Summary> {
    let ratio = chapter.ratio(metric.id, peer)?;
    let positive = ratio.min > 0.0;
    match metric.better {
        Better::Higher => positive.then_some(ratio),
        Better::Lower => positive.then_some(Summary {
            median: 1.0 / ratio.median,
            min: 1.0 / ratio.max,
            max: 1.0 / ratio.min,
        }),
    }
}

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    let outcome = {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    match outcome {
        Ok(()) => svg,
        Err(error) => format!("<p>this picture could not be drawn: {error}</p>"),
    }
}

fn label(area: &Area<'_>, text: &str, at: (i32, i32), shift: i32, side: HPos) -> Drawn {
    let style = ("sans-serif", 13)
        .into_font()
        .color(&INK)
        .pos(Pos::new(side, VPos::Center));
    Ok(area.draw(&Text::new(text, (at.0 + shift, at.1), style))?)
}

/// `12k`, `0.5`.
fn short(value: f64) -> String {
    match value {
        large if large >= 10_000.0 => format!("{:.0}k", large / 1000.0),
        small if small != 0.0 && small < 0.1 => format!("{small:.2}"),
        other => format!("{}", (other * 10.0).round() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::report::Entry;

    fn chapter() -> Chapter {
        let entry = |name: &str| Entry {
            name: name.into(),
            about: String::new(),
            absent: None,
        };
        let mut chapter = Chapter {
            contenders: vec![entry("vswitchd"), entry("kernel")],
            ..Chapter::default()
        };
        for (round, value) in [10.0, 12.0, 11.0].into_iter().enumerate() {
            chapter.record("tcp-rr-one-core-p50", "vswitchd", round, value);
            chapter.record("tcp-rr-one-core-p50", "kernel", round, 5.0);
        }
        chapter
    }

    #[test]
    fn a_bar_chart_names_every_contender_and_its_median() {
        let svg = bars(&chapter(), metric::find("tcp-rr-one-core-p50").unwrap());
        assert!(
            svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"),
            "{svg}"
        );
        for word in ["vswitchd", "kernel", "11.0", "5.00"] {
            assert!(svg.contains(word), "{word} is not in {svg}");
        }
    }

    #[test]
    fn twice_the_latency_is_half_the_advantage() {
        let metric = metric::find("tcp-rr-one-core-p50").unwrap();
        let one = advantage(&chapter(), metric, "kernel").unwrap();
        assert_eq!((one.max, one.median), (0.5, 5.0 / 11.0));
        assert!(advantages(&chapter()).contains(metric.title));
    }
}
