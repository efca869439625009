//! Rules that are written but that the policy's own list of types leaves out. They are in no
//! model, so the texts are read again.

use serde_json::Value;

use super::finding::{Findings, Remark};
use crate::source::yaml::{Text, values};

pub(super) fn check(texts: &[Text], findings: &mut Findings<'_>) {
    for text in texts {
        for value in values(text) {
            document(&value, &Default::default(), findings);
        }
    }
}

fn document(value: &Value, implied: &(String, String), findings: &mut Findings<'_>) {
    let text = |key: &str, implied: &str| value[key].as_str().unwrap_or(implied).to_owned();
    let (api, kind) = (text("apiVersion", &implied.0), text("kind", &implied.1));
    if let Some(items) = value["items"].as_array() {
        let of = kind.strip_suffix("List").unwrap_or_default().to_owned();
        for item in items {
            document(item, &(api.clone(), of.clone()), findings);
        }
        return;
    }
    let (name, types) = match (api.as_str(), kind.as_str()) {
        ("networking.k8s.io/v1", "NetworkPolicy") => ("NetworkPolicy", "policyTypes"),
        (_, "NetworkPolicy") => ("CalicoNetworkPolicy", "types"),
        (_, "GlobalNetworkPolicy") => ("GlobalNetworkPolicy", "types"),
        _ => return,
    };
    for (direction, word) in [("ingress", "Ingress"), ("egress", "Egress")] {
        let spec = &value["spec"];
        let (Some(listed), Some(rules)) = (spec[types].as_array(), spec[direction].as_array())
        else {
            continue;
        };
        if !rules.is_empty() && !listed.iter().any(|one| one == word) {
            let remark = Remark::warning(
                format!("has no effect: {types} leaves out {word}"),
                format!(
                    "The policy does not apply to {direction} at all: nothing is denied either."
                ),
                format!("add {word} to spec.{types}, or delete the rules"),
            );
            let object = object(name, value);
            findings.named(object, format!("spec.{direction}"), remark);
        }
    }
}

fn object(kind: &str, value: &Value) -> String {
    let metadata = &value["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    match (kind, metadata["namespace"].as_str()) {
        ("GlobalNetworkPolicy", _) => format!("{kind} {name}"),
        (_, namespace) => format!("{kind} {}/{name}", namespace.unwrap_or("default")),
    }
}
