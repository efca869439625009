//! A flow as people read it, in 100 columns as long as names are short.

use serde_json::Value;

use crate::show::Row;

/// Columns of the flows of this moment.
pub(super) const ACTIVE: [&str; 7] = [
    "protocol", "from", "to", "rate", "bytes", "seconds", "policy",
];

/// One record: time, what happened, who, and what there is to say about it.
pub(super) fn of(row: &Row) -> String {
    let time = text(row, "time").get(11..23).unwrap_or_default();
    let (event, protocol) = (text(row, "event"), text(row, "protocol"));
    let who = match row.contains_key("src") {
        true => format!("{} > {}", end(row, "src"), end(row, "dst")),
        false => "many others".into(),
    };
    let tail = match event {
        "begin" => text(row, "policy").to_owned(),
        "end" => ended(row),
        _ => denied(row),
    };
    format!("{time} {event:5} {protocol:4} {who:<44} {tail}")
}

/// `fin 1.2s 10+8 packets 1.2k+30k, policy`.
fn ended(row: &Row) -> String {
    let (packets, replies) = (number(row, "packets"), number(row, "reply_packets"));
    let [bytes, reply_bytes] = ["bytes", "reply_bytes"].map(|key| amount(number(row, key)));
    let seconds = row
        .get("seconds")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let reason = text(row, "reason");
    let by = match (reason, text(row, "policy")) {
        ("cut", policy) => format!(" by {policy}"),
        _ => String::new(),
    };
    format!("{reason}{by} {seconds}s {packets}+{replies} packets {bytes}+{reply_bytes}")
}

fn denied(row: &Row) -> String {
    let (policy, packets) = (text(row, "policy"), number(row, "packets"));
    match packets {
        1 => policy.into(),
        _ => format!("{policy} x{packets}").trim_start().into(),
    }
}

/// The pod, else the address; and the port.
pub(in crate::cli) fn end(row: &Row, which: &str) -> String {
    let pod = text(row, &format!("{which}_pod"));
    let name = if pod.is_empty() {
        text(row, which)
    } else {
        pod
    };
    match row.get(&format!("{which}_port")).and_then(Value::as_u64) {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

/// The cells of [`ACTIVE`].
pub(super) fn active(row: &Row) -> Row {
    let rate = format!("{}bit/s", amount(number(row, "bits_per_second")));
    let bytes = number(row, "bytes") + number(row, "reply_bytes");
    let seconds = row
        .get("seconds")
        .and_then(Value::as_f64)
        .unwrap_or_default();
    let cells: [(&str, Value); ACTIVE.len()] = [
        ("protocol", text(row, "protocol").into()),
        ("from", end(row, "src").into()),
        ("to", end(row, "dst").into()),
        ("rate", rate.into()),
        ("bytes", amount(bytes).into()),
        ("seconds", (seconds as u64).into()),
        ("policy", text(row, "policy").into()),
    ];
    let owned = cells.map(|(key, value)| (key.to_owned(), value));
    owned.into_iter().collect()
}

/// With a unit of thousands: `950`, `1.2k`, `34M`.
pub(in crate::cli) fn amount(number: u64) -> String {
    let mut value = number as f64;
    for unit in ["", "k", "M", "G"] {
        if value < 999.5 {
            return match unit.is_empty() || value >= 9.95 {
                true => format!("{value:.0}{unit}"),
                false => format!("{value:.1}{unit}"),
            };
        }
        value /= 1_000.0;
    }
    format!("{value:.1}T")
}

fn text<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(row: &Row, key: &str) -> u64 {
    row.get(key).and_then(Value::as_u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(value: Value) -> Row {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_record_is_a_line_of_a_hundred_columns_at_most() {
        let ended = row(json!({
            "seq": 3, "time": "2026-11-22T07:00:00.123Z", "event": "end", "verdict": "allow",
            "protocol": "tcp", "src": "10.244.205.194", "src_port": 40_123, "src_pod": "shop/web",
            "dst": "10.244.205.193", "dst_port": 5_432, "dst_pod": "shop/db",
            "packets": 10, "bytes": 1_234, "reply_packets": 8, "reply_bytes": 30_400,
            "seconds": 1.25, "reason": "fin",
        }));
        let line = of(&ended);
        assert_eq!(
            line,
            "07:00:00.123 end   tcp  shop/web:40123 > shop/db:5432                \
             fin 1.25s 10+8 packets 1.2k+30k"
        );
        assert!(line.len() <= 100);
    }

    #[test]
    fn a_denied_packet_names_the_policy_and_addresses_without_a_name_are_themselves() {
        let mut denied = row(json!({
            "time": "2026-11-22T07:00:00.123Z", "event": "deny", "verdict": "deny",
            "protocol": "icmp", "src": "8.8.8.8", "dst": "10.244.205.193", "dst_pod": "shop/db",
            "packets": 1, "policy": "shop/shut (no rule)",
        }));
        let line = of(&denied);
        assert!(line.contains(" icmp 8.8.8.8 > shop/db "), "{line}");
        assert!(line.ends_with(" shop/shut (no rule)"), "{line}");
        denied.insert("packets".into(), 7.into());
        assert!(of(&denied).ends_with("shop/shut (no rule) x7"));
        let many = row(json!({"event": "deny", "packets": 900}));
        assert!(of(&many).contains("many others"), "{}", of(&many));
    }

    #[test]
    fn amounts_have_two_digits_or_more_and_a_unit() {
        let amounts = [0, 999, 1_000, 9_960, 12_345, 999_600, 4_200_000_000].map(amount);
        assert_eq!(amounts, ["0", "999", "1.0k", "10k", "12k", "1.0M", "4.2G"]);
    }

    #[test]
    fn a_flow_of_this_moment_has_a_cell_for_each_column() {
        let flow = row(json!({
            "protocol": "udp", "src": "10.9.0.1", "src_port": 1, "dst": "10.9.0.2", "dst_port": 2,
            "bits_per_second": 1_500_000, "bytes": 700, "reply_bytes": 300, "seconds": 3.5,
        }));
        let cells = active(&flow);
        let keys: Vec<&str> = cells.keys().map(String::as_str).collect();
        assert_eq!(keys, ACTIVE);
        assert_eq!(cells["rate"], "1.5Mbit/s");
        assert_eq!(cells["bytes"], "1.0k");
    }
}
