//! What is written, held back and summed up, by a log of its own for each test.

use std::{io::Write, path::Path};

use tracing::subscriber::with_default;

use super::*;

/// Where a test's log goes.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Runs `work` with a JSON log of this filter; gives its lines.
fn logged(filter: &str, work: impl FnOnce(&Control)) -> Vec<serde_json::Value> {
    let (control, layer) = Control::new(filter).unwrap();
    let paper = Paper::default();
    let writer = paper.clone();
    let lines = fmt::layer().json().with_writer(move || writer.clone());
    let log = tracing_subscriber::registry()
        .with(layer)
        .with(lines.with_filter(control.limiter.clone()));
    with_default(log, || work(&control));
    let line = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
    paper.lines().iter().map(line).collect()
}

fn message(line: &serde_json::Value) -> &str {
    line["fields"]["message"].as_str().unwrap()
}

#[test]
fn the_same_line_is_written_a_few_times_and_then_counted() {
    let lines = logged("info", |control| {
        for _ in 0..42 {
            tracing::error!(port = 7, "the device is full");
        }
        control.sum_up();
        tracing::error!(port = 7, "the device is full");
    });
    let messages: Vec<&str> = lines.iter().map(message).collect();
    assert_eq!(messages[..5], ["the device is full"; 5]);
    assert_eq!(messages[5], "the device is full port=7 … and 37 more");
    assert_eq!(lines[5]["fields"]["count"], 37);
    assert_eq!(lines[5]["level"], "ERROR");
    assert_eq!(messages[6], "the device is full", "a new period");
    assert_eq!(messages.len(), 7);
}

#[test]
fn another_text_of_the_same_place_is_another_line() {
    let lines = logged("info", |control| {
        for port in [1, 2] {
            for _ in 0..9 {
                tracing::warn!(port, "link is down");
            }
        }
        control.sum_up();
    });
    let of = |port: u64| lines.iter().filter(|l| l["fields"]["port"] == port).count();
    assert_eq!((of(1), of(2)), (5, 5));
    let mut summaries: Vec<&str> = lines[10..].iter().map(message).collect();
    summaries.sort_unstable();
    let expected = [
        "link is down port=1 … and 4 more",
        "link is down port=2 … and 4 more",
    ];
    assert_eq!(summaries, expected, "each says which");
}

#[test]
fn a_place_that_never_says_the_same_is_held_back_too() {
    let lines = logged("info", |control| {
        for attempt in 0..1000 {
            tracing::info!(attempt, "refused");
        }
        control.sum_up();
    });
    assert_eq!(lines.len(), 201);
    assert!(
        message(&lines[200]).ends_with("… and 800 more"),
        "{}",
        lines[200]
    );
}

#[test]
fn debug_lines_were_asked_for_and_all_pass() {
    let lines = logged("debug", |control| {
        for _ in 0..50 {
            tracing::debug!("looking");
        }
        control.sum_up();
    });
    assert_eq!(lines.len(), 50);
}

#[test]
fn a_filter_changes_what_is_written_from_then_on_and_a_bad_one_changes_nothing() {
    let lines = logged("warn", |control| {
        tracing::info!("not yet");
        control.set_filter("warn,vswitchd::log=debug").unwrap();
        tracing::debug!("now");
        let error = control.set_filter("louder").unwrap_err().to_string();
        assert!(error.contains("\"louder\""), "{error}");
        assert_eq!(control.filter(), "warn,vswitchd::log=debug");
        tracing::debug!("still");
    });
    let messages: Vec<&str> = lines.iter().map(message).collect();
    assert_eq!(messages, ["log filter changed", "now", "still"]);
}

#[test]
fn summaries_pass_every_filter() {
    let lines = logged("off,vswitchd::log::tests=warn", |control| {
        for _ in 0..9 {
            tracing::warn!(target: "vswitchd::log::tests", "again");
        }
        control.sum_up();
    });
    assert_eq!(message(lines.last().unwrap()), "again … and 4 more");
}

#[test]
fn the_rooms_that_packets_walk_through_cannot_log() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for manifest in [
        "packet/Cargo.toml",
        "policy/Cargo.toml",
        "vswitchd/dataplane/Cargo.toml",
        "vswitchd/port/Cargo.toml",
    ] {
        let text = std::fs::read_to_string(root.join(manifest)).unwrap();
        let manifest: toml::Table = toml::from_str(&text).unwrap();
        let needs = manifest["dependencies"].as_table().unwrap();
        for crate_name in ["tracing", "log"] {
            assert!(!needs.contains_key(crate_name), "{crate_name} in {text}");
        }
    }
}
