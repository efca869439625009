//! `--watch`: a table of counters, and then what changes in it.
//!
//! Nothing is redrawn: each second adds a line for every counter that rose, so the output can be
//! scrolled, saved and piped.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::Value;

use super::say;
use crate::show::Row;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// The columns that may hold the counter.
const COUNTS: [&str; 2] = ["count", "total"];

/// Counters of a table at a moment, by what their rows are about.
struct Glance {
    at: Instant,
    counts: HashMap<String, u64>,
}

/// Looks once a second, for ever; Ctrl-C or a closed pipe ends it. What rose is counted from `first` on, which people have
/// seen. `as_json` writes an object a line.
///
/// # Errors
/// What `look` says, and a pipe that is closed.
pub(super) fn watch(
    keys: &[&str],
    as_json: bool,
    first: &[Row],
    mut look: impl FnMut() -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<()> {
    let mut before = Glance::of(keys, first);
    loop {
        thread::sleep(INTERVAL);
        let rows = look()?;
        let now = Glance::of(keys, &rows);
        let seconds = now.at.duration_since(before.at).as_secs_f64();
        let time = clock(SystemTime::now());
        for row in &rows {
            let about = about(keys, row);
            let count = now.counts.get(&about).copied().unwrap_or_default();
            let rose = count.saturating_sub(before.counts.get(&about).copied().unwrap_or_default());
            if rose > 0 {
                let rate = rose as f64 / seconds;
                say(&match as_json {
                    true => object(row, &time, rose, rate),
                    false => format!("{time}   {about:<56} +{rose:<9} {rate:>11.1}/s"),
                })?;
            }
        }
        before = now;
    }
}

impl Glance {
    fn of(keys: &[&str], rows: &[Row]) -> Self {
        let pair = |row: &Row| (about(keys, row), count(row));
        Self {
            at: Instant::now(),
            counts: rows.iter().map(pair).collect(),
        }
    }
}

/// The row's identity, as people read it.
fn about(keys: &[&str], row: &Row) -> String {
    let cells = keys.iter().filter_map(|key| row.get(*key)?.as_str());
    cells.collect::<Vec<_>>().join("  ")
}

fn count(row: &Row) -> u64 {
    let mut counts = COUNTS.iter().filter_map(|key| row.get(*key)?.as_u64());
    counts.next().unwrap_or_default()
}

fn object(row: &Row, time: &str, rose: u64, rate: f64) -> String {
    let mut row = row.clone();
    row.insert("time".into(), time.into());
    row.insert("rose".into(), rose.into());
    row.insert("per_second".into(), ((rate * 10.0).round() / 10.0).into());
    Value::Object(row).to_string()
}

/// The time of day, UTC.
fn clock(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = since.unwrap_or_default().as_secs() % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}Z", seconds % 60)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_known_by_its_keys_whatever_else_changes() {
        let row = |count| {
            let row = json!({"pod": "shop/web", "way": "from", "reason": "vlan", "count": count});
            row.as_object().unwrap().clone()
        };
        let keys = ["pod", "way", "reason"];
        assert_eq!(about(&keys, &row(1)), "shop/web  from  vlan");
        assert_eq!(about(&keys, &row(2)), about(&keys, &row(1)));
        assert_eq!(count(&row(7)), 7);
        let object: Value = serde_json::from_str(&object(&row(7), "00:00:00Z", 3, 2.96)).unwrap();
        assert_eq!(object["per_second"], 3.0);
        assert_eq!(object["rose"], 3);
    }

    #[test]
    fn the_time_of_day_is_that_of_greenwich() {
        let noon = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * 86_400 + 43_201);
        assert_eq!(clock(noon), "12:00:01Z");
    }
}
