//! Who an end is.

use crate::ask::{Party, PartyKind, Roster};
use crate::model::{
    CALICO_NAME_LABEL, Labels, NAMESPACE_LABEL, NAMESPACE_NAME_LABEL, ORCHESTRATOR_LABEL,
    SERVICE_ACCOUNT_LABEL, SERVICE_ACCOUNT_PREFIX,
};

/// What is known about an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Its name or address.
    pub name: String,
    /// What it is, where, in one sentence.
    pub what: String,
    /// The labels of the pod, as `key=value`.
    pub labels: Vec<String>,
    /// The labels of its namespace.
    pub namespace_labels: Vec<String>,
    /// Its service account, if it has one of its own.
    pub service_account: Option<String>,
}

impl Card {
    pub(super) fn of(roster: &Roster, party: &Party) -> Self {
        let mut card = Self {
            name: party.to_string(),
            what: what(roster, party),
            labels: Vec::new(),
            namespace_labels: Vec::new(),
            service_account: None,
        };
        let Some(key) = party.pod() else { return card };
        let cluster = roster.cluster();
        if let Some(endpoint) = cluster.endpoint(key) {
            let account = endpoint.labels.get(SERVICE_ACCOUNT_LABEL).cloned();
            card.service_account = account.filter(|name| name != "default");
            card.labels = shown(&endpoint.labels);
        }
        card.namespace_labels = shown(&cluster.namespace_labels(&key.namespace));
        card
    }
}

fn what(roster: &Roster, party: &Party) -> String {
    let addresses: Vec<String> = party.addresses.iter().map(ToString::to_string).collect();
    let at = addresses.join(", ");
    let on = |node: &Option<String>| match node {
        Some(node) => format!(" on node {node}"),
        None => String::new(),
    };
    match &party.kind {
        PartyKind::Pod { node, .. } if roster.is_placed(party) => {
            format!("a pod without an address yet{}", on(node))
        }
        PartyKind::Pod { node, .. } => format!("a pod at {at}{}", on(node)),
        PartyKind::HostNetwork { node, .. } => {
            let node = node.as_deref().unwrap_or("unknown");
            format!("a pod on the network of node {node}, at {at}")
        }
        PartyKind::Finished(_) => {
            format!("a pod that has finished, at {at}: its labels do not count any more")
        }
        PartyKind::Node(_) => format!("at {at}"),
        PartyKind::Outside => "an address outside the cluster".to_owned(),
    }
}

/// The labels somebody wrote; those that are always there are left out.
fn shown(labels: &Labels) -> Vec<String> {
    const IMPLIED: [&str; 5] = [
        NAMESPACE_NAME_LABEL,
        CALICO_NAME_LABEL,
        NAMESPACE_LABEL,
        ORCHESTRATOR_LABEL,
        SERVICE_ACCOUNT_LABEL,
    ];
    let written = labels.iter().filter(|(key, _)| {
        !IMPLIED.contains(&key.as_str()) && !key.starts_with(SERVICE_ACCOUNT_PREFIX)
    });
    written
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}
