//! `vswitchctl lab status`.

use comfy_table::{Table, presets::NOTHING};
use serde_json::{Value, json};

use crate::lab::Lab;

/// Prints nodes, pods and outside hosts, as tables or as one JSON object.
pub(super) fn print(lab: &Lab, as_json: bool) {
    if as_json {
        super::say(&serde_json::to_string_pretty(&report(lab)).unwrap_or_default());
        return;
    }
    let report = report(lab);
    for (kind, columns) in [
        ("nodes", &["name", "address", "daemon"][..]),
        (
            "pods",
            &["namespace", "name", "node", "address", "interface"],
        ),
        ("outside", &["name", "address"]),
    ] {
        let rows = report[kind]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if !rows.is_empty() {
            super::say(&format!("{}\n", table(columns, rows)));
        }
    }
}

fn report(lab: &Lab) -> Value {
    let nodes = lab.config().nodes.iter().map(|node| {
        let pid = lab.daemon(&node.name).ok().and_then(|daemon| daemon.pid());
        let daemon = pid.map_or("stopped".into(), |pid| format!("running, pid {pid}"));
        json!({ "name": node.name, "address": node.address.to_string(), "daemon": daemon })
    });
    let pods = lab.pod_list().into_iter().map(|attachment| {
        json!({
            "namespace": attachment.pod.namespace, "name": attachment.pod.name, "node": attachment.pod.node,
            "address": attachment.address(), "interface": attachment.host_interface(),
            "container_id": attachment.container_id,
        })
    });
    let outside = lab
        .config()
        .outside
        .iter()
        .map(|host| json!({ "name": host.netns(), "address": host.address.to_string() }));
    json!({
        "lab": lab.config().name, "keeper": lab.sandbox().keeper,
        "nodes": nodes.collect::<Vec<_>>(), "pods": pods.collect::<Vec<_>>(), "outside": outside.collect::<Vec<_>>(),
    })
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_header(columns.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.add_row(
            columns
                .iter()
                .map(|column| row[*column].as_str().unwrap_or_default()),
        );
    }
    table.trim_fmt()
}
