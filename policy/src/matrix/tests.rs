//! Tables of small clusters.

use super::*;
use crate::ask::{FlowKind, Judge, Roster};
use crate::{Cluster, parse};

fn judge(policies: &str) -> Judge {
    let mut text = String::new();
    for (number, (namespace, name, app)) in [
        ("shop", "web-0", "web"),
        ("shop", "web-1", "web"),
        ("shop", "db", "db"),
        ("lab", "guest", "guest"),
    ]
    .into_iter()
    .enumerate()
    {
        text.push_str(&format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {namespace}, labels: {{app: {app}}}}}, \
             spec: {{containers: [{{name: c, ports: [{{name: http, containerPort: 8080}}]}}]}}, \
             status: {{podIPs: [{{ip: 10.0.0.{number}}}]}}}}\n---\n"
        ));
    }
    text.push_str(policies);
    let mut cluster = Cluster::new();
    for object in parse("t.yaml", &text).expect("good manifests") {
        cluster.apply(object);
    }
    Judge::new(cluster)
}

const DB: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: web}}}, {ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: 5432}]
";

fn samples(kinds: &[&str]) -> Vec<Sample> {
    let kind = |text: &&str| Sample::from(text.parse::<FlowKind>().unwrap());
    kinds.iter().map(kind).collect()
}

#[test]
fn a_table_groups_the_pods_nobody_can_tell_apart() {
    let grids = matrix(&judge(DB), &Ends::default(), &samples(&["5432/tcp"])).unwrap();
    assert_eq!(
        grids[0].to_string(),
        "\
5432/tcp: who (row) may open a connection to whom (column)

                          1 2 3
1  lab/guest              \\ i +
2  shop/db                e \\ e
3  shop/web-0 and 1 more  + + +

3: shop/web-0, shop/web-1

+ may   e its egress policy denies   i the other's ingress policy denies   \\ itself
"
    );
}

#[test]
fn traffic_with_the_same_table_shares_one() {
    let kinds = samples(&["80/tcp", "5432/tcp", "icmp"]);
    let grids = matrix(&judge(DB), &Ends::default(), &kinds).unwrap();
    let traffic: Vec<_> = grids.iter().map(|grid| grid.traffic.join(" ")).collect();
    assert_eq!(traffic, ["80/tcp icmp", "5432/tcp"]);
}

#[test]
fn outsiders_have_a_row_and_a_column_and_namespaces_can_be_chosen() {
    let who = Ends {
        namespaces: vec!["lab".to_owned()],
        addresses: vec!["192.0.2.1".parse().unwrap()],
        nodes: false,
    };
    let grids = matrix(&judge(DB), &who, &samples(&["80/tcp"])).unwrap();
    assert_eq!(grids[0].groups, [["lab/guest", "192.0.2.1"]]);
}

#[test]
fn records_say_every_pair_of_groups_once() {
    let grids = matrix(&judge(DB), &Ends::default(), &samples(&["5432/tcp"])).unwrap();
    let records: Vec<String> = grids[0]
        .records()
        .iter()
        .map(|record| serde_json::to_string(record).unwrap())
        .collect();
    assert_eq!(records.len(), 7);
    assert_eq!(
        records[0],
        r#"{"traffic":["5432/tcp"],"from":["lab/guest"],"to":["shop/db"],"verdict":"deny","denied_by":["ingress"]}"#
    );
    assert!(records.contains(
        &r#"{"traffic":["5432/tcp"],"from":["shop/web-0","shop/web-1"],"to":["shop/web-0","shop/web-1"],"verdict":"allow"}"#.to_owned()
    ));
}

#[test]
fn a_hundred_pods_fit_in_a_table_of_one_character_a_column() {
    let policy = |n| {
        format!(
            "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}, namespace: many, labels: {{n: n{n}}}}}, \
             spec: {{containers: [{{name: c}}]}}, status: {{podIPs: [{{ip: 10.1.0.{n}}}]}}}}\n---\n\
             {{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{n}, namespace: many}}, \
             spec: {{podSelector: {{matchLabels: {{n: n{n}}}}}, ingress: [{{from: [{{podSelector: {{matchLabels: {{n: n{}}}}}}}]}}]}}}}\n",
            n + 1
        )
    };
    let text: String = (0..100).map(policy).collect();
    let grids = matrix(&judge(&text), &Ends::default(), &samples(&["80/tcp"])).unwrap();
    let text = grids[0].to_string();
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest < 140, "{longest}\n{text}");
    let header: Vec<&str> = text.lines().skip(2).take(3).collect();
    assert!(
        header[2].trim_start().starts_with("1234567890"),
        "{header:#?}"
    );
}

#[test]
fn too_large_a_question_is_refused_with_its_size() {
    let error = checked(3000, 2).unwrap_err().to_string();
    assert!(error.contains("3000 ends and 2 kinds"), "{error}");
    assert!(error.contains("18000000 questions"), "{error}");
    assert_eq!(checked(2000, 1), Ok(()));
}

fn traffic_of(policies: &str) -> Vec<String> {
    let judge = judge(policies);
    let samples = Samples::of(&[judge.roster()]);
    samples.traffic.into_iter().map(|s| s.name).collect()
}

#[test]
fn one_port_of_every_stretch_stands_for_it() {
    let spec = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  ingress:
  - ports: [{port: 80}, {port: 8000, endPort: 8999}, {port: http}, {port: 53, protocol: UDP}, {protocol: SCTP}]
";
    assert_eq!(
        traffic_of(spec),
        [
            "80/tcp",
            "8000-8079/tcp",
            "8080/tcp",
            "8081-8999/tcp",
            "other tcp",
            "53/udp",
            "other udp",
            "other sctp",
            "icmp"
        ]
    );
    assert_eq!(traffic_of(""), ["other tcp", "icmp"]);
}

#[test]
fn one_outsider_of_every_block_stands_for_it() {
    let spec = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  podSelector: {}
  ingress:
  - from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.128.0.0/9]}}]
";
    let judge = judge(spec);
    let samples = Samples::of(&[judge.roster()]);
    let outsiders: Vec<String> = samples.outsiders.iter().map(ToString::to_string).collect();
    // 10.0.0.0 to 10.0.0.3 are pods.
    assert_eq!(outsiders, ["10.127.255.255", "10.128.0.1", "203.0.113.1"]);
    assert!(!samples.nodes);
    let none = Roster::new(Cluster::new());
    assert_eq!(Samples::of(&[&none]).outsiders.len(), 1);
}
