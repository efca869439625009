//! A measurement on a screen: header, ports, drops, flows, one under another, as much of each as there is room for.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::Line,
    widgets::{Cell, Row, Table, Widget},
};

use super::measure::{DropRate, FlowRate, Measurement, PortRate};
use crate::cli::flows::line::amount;

/// Draws it all; the last line is the footer's.
pub(super) fn draw(frame: &mut Frame<'_>, measurement: &Measurement, footer: &str) {
    let area = frame.area();
    render(area, frame.buffer_mut(), measurement, footer);
}

/// The same as text, without colours and empty lines at the end.
pub(super) fn text(measurement: &Measurement, (width, height): (u16, u16)) -> String {
    let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
    render(buffer.area, &mut buffer, measurement, "");
    let lines = buffer.content.chunks(width.into());
    let lines = lines.map(|cells| {
        let line: String = cells.iter().map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

fn render(area: Rect, buffer: &mut Buffer, measurement: &Measurement, footer: &str) {
    let [header, ports, drops, flows, last] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Max(rows_of(measurement.ports.len())),
        Constraint::Max(rows_of(measurement.drops.len()).min(area.height / 4)),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(area);
    Line::styled(title(measurement), Modifier::BOLD).render(
        Rect {
            height: 1,
            ..header
        },
        buffer,
    );
    port_table(&measurement.ports).render(ports, buffer);
    drop_table(&measurement.drops).render(drops, buffer);
    flow_table(&measurement.flows).render(flows, buffer);
    Line::styled(footer, Modifier::DIM).render(last, buffer);
}

/// Lines of a section: its head, its rows, and a gap.
fn rows_of(count: usize) -> u16 {
    u16::try_from(count.max(1))
        .unwrap_or(u16::MAX)
        .saturating_add(2)
}

fn title(measurement: &Measurement) -> String {
    let Measurement {
        node,
        generation,
        endpoints,
        policies,
        ..
    } = measurement;
    let workers: Vec<String> = measurement
        .workers
        .iter()
        .map(|busy| format!("{busy:.0}%"))
        .collect();
    format!(
        "{node}  up {}  generation {generation}  pods {endpoints}  policies {policies}  workers {}",
        uptime(measurement.uptime_seconds),
        workers.join(" ")
    )
}

/// `3d 04:05` or `04:05:06`.
fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match days {
        0 => format!("{hours:02}:{minutes:02}:{:02}", seconds % 60),
        days => format!("{days}d {hours:02}:{minutes:02}"),
    }
}

fn port_table(ports: &[PortRate]) -> Table<'_> {
    let row = |port: &PortRate| {
        let alarm = if port.drops > 0.0 {
            alarm()
        } else {
            Style::new()
        };
        Row::new([
            Cell::from(port.name.clone()),
            right(rate(port.rx_frames)),
            right(rate(port.rx_bits)),
            right(rate(port.tx_frames)),
            right(rate(port.tx_bits)),
            right(rate(port.drops)).style(alarm),
        ])
    };
    let widths = [
        Constraint::Min(24),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(8),
    ];
    let heads = [
        "PORT", "RX FR/S", "RX BIT/S", "TX FR/S", "TX BIT/S", "DROPS/S",
    ];
    Table::new(ports.iter().map(row), widths).header(head(heads, 1))
}

fn drop_table(drops: &[DropRate]) -> Table<'_> {
    let row = |drop: &DropRate| {
        let alarm = if drop.per_second > 0.0 {
            alarm()
        } else {
            Style::new()
        };
        Row::new([
            Cell::from(drop.reason.clone()),
            right(rate(drop.per_second)).style(alarm),
            right(amount(drop.count)),
            Cell::from(drop.sentence.clone()),
        ])
    };
    let widths = [
        Constraint::Length(22),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Min(20),
    ];
    let mut header = head(["DROPPED FOR", "EACH S", "IN ALL"], 1);
    header = header.bottom_margin(0);
    Table::new(drops.iter().map(row), widths).header(header)
}

fn flow_table(flows: &[FlowRate]) -> Table<'_> {
    let row = |flow: &FlowRate| {
        Row::new([
            Cell::from(format!("{} {} > {}", flow.protocol, flow.from, flow.to)),
            right(amount(flow.bits)),
            right(uptime_short(flow.seconds)),
            Cell::from(flow.policy.clone()),
        ])
    };
    let widths = [
        Constraint::Fill(3),
        Constraint::Length(7),
        Constraint::Length(6),
        Constraint::Fill(1),
    ];
    Table::new(flows.iter().map(row), widths).header(
        Row::new([
            Cell::from("FLOW"),
            right("BIT/S".into()),
            right("AGE".into()),
            Cell::from("POLICY"),
        ])
        .style(heading()),
    )
}

/// The first `left` heads stand left, the others right, as their cells do.
fn head<const N: usize>(heads: [&'static str; N], left: usize) -> Row<'static> {
    let cells = heads
        .into_iter()
        .enumerate()
        .map(move |(at, text)| match at < left {
            true => Cell::from(text),
            false => right(text.to_owned()),
        });
    Row::new(cells).style(heading())
}

fn heading() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

fn alarm() -> Style {
    Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)
}

fn right(text: String) -> Cell<'static> {
    Cell::from(Line::from(text).right_aligned())
}

/// Nothing stands where nothing happens, so that the eye finds what does.
fn rate(rate: f64) -> String {
    match rate {
        0.0 => ".".into(),
        slow if slow < 9.95 => format!("{slow:.1}"),
        fast => amount(fast.round() as u64),
    }
}

/// `12s`, `12m`, `12h`, `12d`.
fn uptime_short(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn measurement() -> Measurement {
        let port = |name: &str, rx_bits| PortRate {
            name: name.into(),
            rx_frames: 1_234.0,
            rx_bits,
            drops: 2.5,
            ..PortRate::default()
        };
        let names: Vec<String> = (1..=30).map(|n| format!("shop/web-{n}")).collect();
        let drop = |reason: &str| DropRate {
            reason: reason.into(),
            per_second: 12.0,
            count: 3_400,
            sentence: "NetworkPolicy of the destination pod does not allow this ingress.".into(),
        };
        let flow = |n: u64| FlowRate {
            protocol: "tcp".into(),
            from: format!("shop/web-{n}:40000"),
            to: "shop/db:5432".into(),
            bits: 1_000_000 * n,
            seconds: 75.0,
            policy: "shop/db#0".into(),
        };
        Measurement {
            node: "minikube-m02".into(),
            uptime_seconds: 3 * 86_400 + 4 * 3_600 + 5 * 60,
            generation: 12,
            endpoints: 30,
            policies: 2,
            workers: vec![12.4, 0.0],
            ports: names.iter().map(|name| port(name, 9.5e9)).collect(),
            drops: ["policy_ingress", "vlan"].map(drop).into(),
            flows: (1..=40).map(flow).collect(),
            ..Measurement::default()
        }
    }

    fn screen(width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let drawn = terminal
            .draw(|frame| draw(frame, &measurement(), "q quit"))
            .unwrap();
        let cells = drawn.buffer.content.chunks(width.into());
        let lines = cells.map(|cells| cells.iter().map(|cell| cell.symbol()).collect::<String>());
        lines.map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn a_screen_of_80_by_24_has_room_for_every_part() {
        let lines = screen(80, 24);
        assert_eq!(
            lines[0],
            "minikube-m02  up 3d 04:05  generation 12  pods 30  policies 2  workers 12% 0%"
        );
        let at = |text: &str| lines.iter().position(|line| line.starts_with(text));
        let [ports, drops, flows] = ["PORT", "DROPPED FOR", "FLOW"].map(|text| at(text).unwrap());
        assert!(ports < drops && drops < flows, "{lines:#?}");
        assert!(
            drops - ports > 4 && flows - drops >= 3 && 23 - flows >= 3,
            "{lines:#?}"
        );
        assert_eq!(
            lines[ports + 1],
            "shop/web-1                           1.2k      9.5G         .         .      2.5"
        );
        assert!(
            lines[drops + 1].starts_with("policy_ingress               12     3.4k NetworkPolicy")
        );
        assert!(
            lines[flows + 1].contains("tcp shop/web-1:40000 > shop/db:5432"),
            "{lines:#?}"
        );
        assert!(
            lines[flows + 1].contains(" 1.0M    75s shop/db#0"),
            "{lines:#?}"
        );
        assert_eq!(lines[23], "q quit");
    }

    #[test]
    fn no_size_is_too_small_or_too_large() {
        for (width, height) in [(1, 1), (10, 3), (40, 8), (80, 24), (250, 100)] {
            assert_eq!(screen(width, height).len(), usize::from(height));
        }
    }

    #[test]
    fn the_printed_one_is_the_same_without_the_rest_of_the_page() {
        let text = text(&measurement(), (100, 60));
        assert!(text.starts_with("minikube-m02  up"));
        assert!(text.lines().all(|line| line.chars().count() <= 100));
        assert!(!text.ends_with('\n'));
    }
}
