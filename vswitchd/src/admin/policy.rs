//! Questions about policy, answered from the state in force. Pure but for [`turn`].
//!
//! They run on a thread of their own, away from the workers and the socket, one at a time, on a copy
//! of the cluster; [`policy::matrix::MAX_CELLS`] bounds what a truth table costs.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cni_shim::protocol::Response;
use policy::{
    ask::{FlowKind, Judge, Roster},
    explain, matrix,
    matrix::{Ends, Sample, Samples},
    model::PodKey,
};
use serde::Serialize;
use serde_json::Value;

use super::Row;
use crate::control::DesiredState;

/// Waits until no other question about policy is being answered.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Who is who, as this node sees it.
pub(super) fn roster(desired: &DesiredState) -> Roster {
    let node = &desired.node;
    let addresses = node.local_addresses.iter().map(|address| (*address).into());
    let isolated = desired.isolated().map(|workload| {
        let key = PodKey::new(&workload.namespace, &workload.pod);
        (key, workload.address.into())
    });
    let roster = Roster::new(desired.cluster());
    roster.at_home(&node.name, addresses).isolating(isolated)
}

/// Why `from` may or may not open such a flow to `to`; without `traffic`, which may pass at all.
pub(super) fn explain(
    roster: Roster,
    from: &str,
    to: &str,
    traffic: Option<&str>,
) -> Result<Response, String> {
    let kind = traffic.map(str::parse::<FlowKind>).transpose();
    let kind = kind.map_err(|error| error.to_string())?;
    let text = match kind {
        Some(kind) => {
            let (from, to) = (party(&roster, from)?, party(&roster, to)?);
            let story = explain::explain(&roster, &from, &to, kind);
            story.map_err(|error| error.to_string())?.to_string()
        }
        None => {
            let judge = Judge::of(roster);
            let (from, to) = (party(judge.roster(), from)?, party(judge.roster(), to)?);
            explain::overview(&judge, &from, &to)
        }
    };
    let text = text.trim_end().to_owned();
    Ok(Response::Text { text })
}

fn party(roster: &Roster, name: &str) -> Result<policy::ask::Party, String> {
    roster.party(name).map_err(|error| error.to_string())
}

/// The truth tables of some traffic, or of all that policies tell apart.
pub(super) fn matrix(
    roster: Roster,
    namespaces: Vec<String>,
    traffic: &[String],
    addresses: Vec<IpAddr>,
) -> Result<Response, String> {
    let kinds: Result<Vec<FlowKind>, _> = traffic.iter().map(|text| text.parse()).collect();
    let kinds = kinds.map_err(|error| error.to_string())?;
    let who = Ends {
        namespaces,
        addresses,
        nodes: false,
    };
    let judge = Judge::of(roster);
    let samples: Vec<Sample> = match kinds.is_empty() {
        true => Samples::of(&[judge.roster()]).traffic,
        false => kinds.into_iter().map(Sample::from).collect(),
    };
    let grids = matrix::matrix(&judge, &who, &samples).map_err(|error| error.to_string())?;
    table(&grids)
}

/// Answers of probe lines; blank ones have none.
pub(super) fn eval(
    roster: Roster,
    first_line: usize,
    lines: &[String],
) -> Result<Response, String> {
    let judge = Judge::of(roster);
    let numbered = (first_line..).zip(lines);
    let asked = numbered.filter(|(_, line)| !line.trim().is_empty());
    let answers: Vec<_> = asked
        .map(|(number, line)| judge.answer(number, line))
        .collect();
    table(&answers)
}

fn table(values: &[impl Serialize]) -> Result<Response, String> {
    let row = |value| match serde_json::to_value(value) {
        Ok(Value::Object(row)) => Ok(row),
        Ok(other) => Err(format!("expected an object, made {other}")),
        Err(error) => Err(error.to_string()),
    };
    let rows: Result<Vec<Row>, String> = values.iter().map(row).collect();
    Ok(Response::Table { rows: rows? })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cni_shim::protocol::Attachment;
    use packet::ethernet::MacAddr;
    use policy::ask::Answer;
    use policy::matrix::Grid;

    use super::*;
    use crate::control::{Seed, Update, Uplink, Workload};

    fn shop() -> Roster {
        let text = "
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop}, spec: {containers: [{name: c}]}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: db, namespace: shop},
 spec: {podSelector: {}, ingress: [{ports: [{port: 5432}]}]}}
";
        let mut cluster = policy::Cluster::new();
        for object in policy::parse("t.yaml", text).unwrap() {
            cluster.apply(object);
        }
        // Attached by CNI, its Pod object not seen yet.
        cluster.set_workload("lab", "guest", "10.0.0.9".parse().unwrap());
        Roster::new(cluster)
    }

    fn rows(response: Response) -> Vec<Value> {
        let Response::Table { rows } = response else {
            panic!("{response:?}");
        };
        rows.into_iter().map(Value::Object).collect()
    }

    #[test]
    fn an_attached_pod_is_known_before_its_object_is() {
        let Response::Text { text } =
            explain(shop(), "lab/guest", "shop/db", Some("80/tcp")).unwrap()
        else {
            panic!("no text");
        };
        assert!(
            text.starts_with("lab/guest -> shop/db 80/tcp: denied"),
            "{text}"
        );
        assert!(text.contains("lab/guest, a pod at 10.0.0.9"), "{text}");
        let Response::Text { text } = explain(shop(), "10.0.0.9", "shop/db", None).unwrap() else {
            panic!("no text");
        };
        assert!(text.contains("allowed  5432/tcp"), "{text}");
    }

    #[test]
    fn a_truth_table_survives_the_wire() {
        let rows = rows(matrix(shop(), Vec::new(), &[], Vec::new()).unwrap());
        let grids: Vec<Grid> = rows
            .into_iter()
            .map(|row| serde_json::from_value(row).unwrap())
            .collect();
        assert_eq!(grids[0].groups, [["lab/guest", "shop/db"]]);
        assert_eq!(grids[1].groups, [["lab/guest"], ["shop/db"]]);
        let traffic: Vec<_> = grids.iter().map(|grid| grid.traffic.join(" ")).collect();
        assert_eq!(traffic, ["5432/tcp", "other tcp icmp"]);
    }

    #[test]
    fn probes_are_answered_with_their_numbers_and_blank_lines_are_not() {
        let probe = r#"{"id":1,"from":"lab/guest","to":"shop/db","protocol":"TCP","port":5432}"#;
        let lines = [probe.to_owned(), "  ".to_owned(), "{".to_owned()];
        let answers: Vec<Answer> = rows(eval(shop(), 100, &lines).unwrap())
            .into_iter()
            .map(|row| serde_json::from_value(row).unwrap())
            .collect();
        assert_eq!(answers.len(), 2);
        assert!(!answers[0].is_error());
        assert!(matches!(&answers[1], Answer::Error { line: 102, .. }));
    }

    #[test]
    fn a_question_that_makes_no_sense_is_refused_with_a_sentence() {
        let refused = |from: &str, traffic: &str| {
            explain(shop(), from, "shop/db", Some(traffic)).unwrap_err()
        };
        assert!(refused("shop/nobody", "80/tcp").contains("not in it; in its namespace: db"));
        assert!(refused("lab/guest", "80").contains("expected PORT/tcp"));
        let error = matrix(shop(), Vec::new(), &["x".into()], Vec::new()).unwrap_err();
        assert!(error.contains("found \"x\""), "{error}");
    }

    /// A node at 10.0.0.1 with a policy that looks at labels, and one pod attached, 10.9.0.1.
    fn desired() -> DesiredState {
        let text = "node = \"n\"\naddress = \"10.0.0.1/24\"\n[[pool]]\nname = \"p\"\ncidr = \"10.9.0.0/16\"";
        let config = crate::config::parse(std::path::Path::new("t"), text).unwrap();
        let seed = Seed {
            address: config.address.unwrap(),
            tunnel_address: "10.9.0.0".parse().unwrap(),
            uplink: Uplink {
                name: "eth0".into(),
                index: 2,
                mac: MacAddr([2; 6]),
                mtu_bytes: 1500,
                up: true,
            },
        };
        let mut desired = DesiredState::new(&config, seed).unwrap();
        let policies = "
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop},
 spec: {podSelector: {matchLabels: {app: web}}}}
";
        let mut cluster = policy::Cluster::new();
        for object in policy::parse("t.yaml", policies).unwrap() {
            cluster.apply(object);
        }
        desired.apply(Update::Policies(Arc::new(cluster)));
        desired.apply(Update::Attached(Box::new(Workload {
            id: Attachment {
                container_id: "c".into(),
                ifname: "eth0".into(),
            },
            namespace: "shop".into(),
            pod: "web".into(),
            address: "10.9.0.1".parse().unwrap(),
            mac: MacAddr([4; 6]),
            host_interface: "cali1".into(),
            host_index: 7,
            mtu_bytes: 1480,
            bandwidth: None,
            port_mappings: Vec::new(),
            slot: 0,
        })));
        desired
    }

    #[test]
    fn an_isolated_pod_is_not_told_to_be_outside() {
        let mut desired = desired();
        for end in ["shop/web", "10.9.0.1"] {
            let error = explain(roster(&desired), end, "192.0.2.1", Some("80/tcp")).unwrap_err();
            assert!(error.contains("shop/web, which is isolated"), "{error}");
        }
        let known = "
{apiVersion: v1, kind: Namespace, metadata: {name: shop}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {containers: [{name: c}]}}
";
        let mut cluster = (*desired.policy).clone();
        for object in policy::parse("t.yaml", known).unwrap() {
            cluster.apply(object);
        }
        desired.apply(Update::Policies(Arc::new(cluster)));
        let from_own_node = explain(roster(&desired), "10.9.0.0", "shop/web", Some("80/tcp"));
        let Response::Text { text } = from_own_node.unwrap() else {
            panic!("no text");
        };
        assert!(text.contains("on its own node n"), "{text}");
    }
}
