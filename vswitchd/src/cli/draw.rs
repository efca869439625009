//! Rows as text: aligned columns under upper-case headers, as kubectl draws them.

use comfy_table::{Table as Grid, presets::NOTHING};
use serde_json::Value;

use crate::show::{Form, Row, Table};

/// Spaces between columns.
const GAP: u16 = 3;
/// What stands where there is nothing.
const NOTHING_THERE: &str = "-";

/// The main columns of the rows that matter; `None` = there are none.
pub(super) fn narrow(table: &Table, rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().filter(|row| (table.matters)(row)).collect();
    if rows.is_empty() {
        return None;
    }
    Some(match table.form {
        Form::Columns => columns(&table.columns[..table.narrow], &rows),
        Form::Lines(line) => lines(rows.into_iter().map(line)),
        Form::Record => lines(rows.into_iter().map(record)),
    })
}

/// All columns of all rows; `None` = there are none.
pub(super) fn wide(table: &Table, rows: &[Row]) -> Option<String> {
    let rows: Vec<&Row> = rows.iter().collect();
    if rows.is_empty() {
        return None;
    }
    Some(match table.form {
        Form::Columns | Form::Lines(_) => columns(table.columns, &rows),
        Form::Record => lines(rows.into_iter().map(record)),
    })
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

/// Aligned columns; keys a row lacks (the daemon may be older) are drawn as nothing.
pub(super) fn columns(keys: &[&str], rows: &[&Row]) -> String {
    let mut grid = Grid::new();
    let headers = keys.iter().map(|key| key.replace('_', " ").to_uppercase());
    grid.load_style(NOTHING).set_header(headers);
    for row in rows {
        grid.add_row(keys.iter().map(|key| cell(row.get(*key))));
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, GAP));
    }
    grid.trim_fmt()
}

/// `key: value` lines; of a list, each item has its own.
fn record(row: &Row) -> String {
    let width = row.keys().map(String::len).max().unwrap_or_default() + 1;
    let line = |(key, value): (&String, &Value)| {
        let label = format!("{}:", key.replace('_', " "));
        let text = match value {
            Value::Array(items) if !items.is_empty() => {
                let items: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
                items.join(&format!("\n{:width$} ", ""))
            }
            value => cell(Some(value)),
        };
        format!("{label:width$} {text}")
    };
    lines(row.iter().map(line))
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => NOTHING_THERE.into(),
        Some(Value::String(text)) if text.is_empty() => NOTHING_THERE.into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.is_empty() => NOTHING_THERE.into(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| cell(Some(item))).collect();
            items.join(",")
        }
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::show;

    fn rows(value: Value) -> Vec<Row> {
        let rows = value.as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(Value::as_object).cloned().collect()
    }

    #[test]
    fn columns_are_aligned_under_upper_case_headers_without_borders() {
        let table = show::find("nodes").unwrap();
        let rows = rows(json!([
            {"name": "minikube", "asn": 64512, "ipv4": "172.16.30.6/24"},
            {"name": "minikube-m02", "asn": 64512, "ipv4": "172.16.30.7/24"},
        ]));
        assert_eq!(
            narrow(table, &rows).unwrap(),
            "NAME           ASN     IPV4\n\
             minikube       64512   172.16.30.6/24\n\
             minikube-m02   64512   172.16.30.7/24"
        );
        let wide = wide(table, &rows).unwrap();
        assert!(wide.lines().next().unwrap().contains("PATH MTU"), "{wide}");
    }

    #[test]
    fn routes_are_lines_and_wide_ones_are_columns() {
        let table = show::find("routes").unwrap();
        let rows = rows(json!([
            {"dst": "10.244.120.64/26", "via": "172.16.30.6", "dev": "tunl0", "type": "unicast",
             "scope": "global", "onlink": true, "src": null, "owner": "minikube"},
            {"dst": "10.244.205.192/26", "via": null, "dev": null, "type": "blackhole",
             "scope": "global", "onlink": false, "src": null, "owner": "minikube-m02"},
        ]));
        assert_eq!(
            narrow(table, &rows).unwrap(),
            "10.244.120.64/26 via 172.16.30.6 dev tunl0 onlink\nblackhole 10.244.205.192/26"
        );
        assert!(wide(table, &rows).unwrap().starts_with("DST"));
    }

    #[test]
    fn drops_that_never_happened_are_shown_wide_only() {
        let table = show::find("drops").unwrap();
        let rows = rows(json!([{"reason": "vlan", "count": 0, "sentence": "Tagged."}]));
        assert_eq!(narrow(table, &rows), None);
        assert!(wide(table, &rows).unwrap().contains("Tagged."));
    }

    #[test]
    fn a_record_has_a_line_for_every_key_and_list_item() {
        let table = show::find("status").unwrap();
        let rows = rows(json!([
            {"node": "m02", "policy_errors": ["a.yaml:1:1: x", "b.yaml:2:2: y"], "publish_error": null},
        ]));
        assert_eq!(
            narrow(table, &rows).unwrap(),
            "node:          m02\n\
             policy errors: a.yaml:1:1: x\n               b.yaml:2:2: y\n\
             publish error: -"
        );
    }
}
