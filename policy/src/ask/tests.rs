//! Questions by name about a small cluster.

use serde_json::{Value, json};

use super::*;
use crate::{Cluster, parse};

const WORLD: &str = r"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
- apiVersion: v1
  kind: Node
  metadata: {name: n1}
  status: {addresses: [{type: InternalIP, address: 172.18.0.2}]}
- apiVersion: v1
  kind: Node
  metadata: {name: n2}
  status: {addresses: [{type: InternalIP, address: 172.18.0.3}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: web, namespace: shop, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: db, namespace: shop, labels: {app: db}}
  spec: {nodeName: n2, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: new, namespace: shop, labels: {app: web}}
  spec: {nodeName: n2, containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: newer, namespace: shop}
  spec: {containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: job, namespace: shop, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Succeeded, podIPs: [{ip: 10.0.0.9}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: done, namespace: shop}
  status: {phase: Failed}
- apiVersion: v1
  kind: Pod
  metadata: {name: last, namespace: shop}
  status: {phase: Failed, podIPs: [{ip: 10.0.0.2}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: agent, namespace: shop}
  spec: {nodeName: n1, hostNetwork: true, containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: lost, namespace: shop}
  spec: {hostNetwork: true, containers: [{name: c}]}
- apiVersion: v1
  kind: Pod
  metadata: {name: old, namespace: shop, deletionTimestamp: '2026-01-01T00:00:00Z'}
  spec: {nodeName: n1, containers: [{name: c}]}
  status: {phase: Running, podIPs: [{ip: 10.0.0.2}]}
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: db, namespace: shop}
  spec:
    podSelector: {matchLabels: {app: db}}
    ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{port: 5432}]
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: web, namespace: shop}
  spec: {podSelector: {matchLabels: {app: web}}}
";

fn cluster() -> Cluster {
    let mut cluster = Cluster::new();
    for object in parse("world.yaml", WORLD).expect("good manifests") {
        cluster.apply(object);
    }
    cluster
}

/// The answer to a probe, as JSON.
fn answer(probe: Value) -> Value {
    let answer = Judge::new(cluster()).answer(7, &probe.to_string());
    serde_json::to_value(answer).expect("an answer is JSON")
}

fn tcp(from: &str, to: &str, port: u16) -> Value {
    answer(json!({"id": 1, "from": from, "to": to, "protocol": "TCP", "port": port}))
}

#[track_caller]
fn assert_error(answer: &Value, part: &str) {
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(error.contains(part), "{answer}");
    assert!(
        error.contains("expected") && error.contains("found"),
        "{answer}"
    );
    assert_eq!(answer["line"], 7, "{answer}");
}

#[test]
fn an_answer_names_policy_tier_and_rule_of_each_direction_in_this_order() {
    let text = tcp("shop/web", "shop/db", 5432).to_string();
    assert_eq!(
        text,
        r#"{"id":1,"verdict":"allow","egress":{"verdict":"allow","reason":"no policy selects"},"ingress":{"verdict":"allow","reason":"rule","policy":"NetworkPolicy shop/db","tier":"default","rule":0}}"#
    );
    let ingress = &tcp("shop/newer", "shop/db", 5432)["ingress"];
    assert_eq!(
        ingress.to_string(),
        r#"{"verdict":"deny","reason":"end of tier","tier":"default","selectedBy":["NetworkPolicy shop/db"]}"#
    );
}

#[test]
fn outsiders_nodes_and_pods_on_their_network_are_not_policed() {
    let outside = tcp("203.0.113.7", "shop/db", 5432);
    assert_eq!(outside["verdict"], "deny");
    assert_eq!(
        outside["egress"],
        json!({"verdict": "allow", "reason": "not policed", "because": "outside the cluster"})
    );
    let to_node = tcp("shop/web", "172.18.0.3", 22);
    assert_eq!(to_node["verdict"], "allow");
    assert_eq!(to_node["ingress"]["because"], "a node");
    let to_agent = tcp("shop/db", "shop/agent", 22);
    assert_eq!(to_agent["ingress"]["because"], "on its node's network");
}

#[test]
fn a_pods_own_node_reaches_it_whatever_policy_says_and_other_nodes_do_not() {
    for (from, to, verdict) in [
        ("172.18.0.2", "shop/web", "allow"),
        ("shop/agent", "shop/web", "allow"),
        ("172.18.0.3", "shop/web", "deny"),
        ("shop/agent", "shop/db", "deny"),
    ] {
        assert_eq!(tcp(from, to, 80)["verdict"], verdict, "{from} -> {to}");
    }
    assert_eq!(
        tcp("shop/agent", "shop/web", 80)["ingress"],
        json!({"verdict": "allow", "reason": "own node", "node": "n1"})
    );
}

#[test]
fn a_pod_reaches_itself() {
    let itself = tcp("shop/web", "shop/web", 80);
    assert_eq!(itself["verdict"], "allow");
    assert_eq!(itself["ingress"]["reason"], "own traffic");
}

#[test]
fn a_pod_without_an_address_is_judged_by_its_labels() {
    assert_eq!(tcp("shop/new", "shop/db", 5432)["verdict"], "allow");
    assert_eq!(tcp("shop/newer", "shop/db", 5432)["verdict"], "deny");
    let v6 = tcp("shop/newer", "2001:db8::1", 80);
    assert_eq!(v6["verdict"], "allow", "{v6}");
    let roster = Roster::new(cluster());
    let address = |name: &str| roster.party(name).unwrap().addresses;
    assert_ne!(address("shop/new"), address("shop/newer"));
    assert!(roster.is_placed(&roster.party("shop/new").unwrap()));
    assert!(!roster.is_placed(&roster.party("shop/web").unwrap()));
}

#[test]
fn a_made_up_address_is_never_one_somebody_has() {
    let mut cluster = cluster();
    let mut squatter = cluster.pods()[&crate::model::PodKey::new("shop", "db")].clone();
    squatter.name = "squatter".to_owned();
    squatter.addresses = vec!["240.0.0.1".parse().unwrap()];
    cluster.apply(crate::Object::Pod(squatter));
    let roster = Roster::new(cluster);
    let has = |name: &str| roster.party(name).unwrap().addresses[0].to_string();
    assert_eq!(has("shop/squatter"), "240.0.0.1");
    assert_eq!(has("shop/new"), "240.0.0.2");
}

#[test]
fn an_address_that_belongs_to_a_pod_is_that_pod() {
    let answer = tcp("10.0.0.1", "::ffff:10.0.0.2", 5432);
    assert_eq!(answer["ingress"]["rule"], 0, "{answer}");
}

#[test]
fn the_first_family_both_ends_have_is_judged() {
    let roster = Roster::new(cluster());
    let party = |name: &str| roster.party(name).unwrap();
    let meet = |from: &str, to: &str, kind: FlowKind| party(from).meet(&party(to), &kind);
    let ping = FlowKind::ping();
    let v6_only = FlowKind::IcmpV6 { message: None };
    let shown = |pair: Option<(std::net::IpAddr, _)>| pair.map(|pair| pair.0.to_string());
    assert_eq!(
        shown(meet("shop/web", "shop/db", ping)).unwrap(),
        "10.0.0.1"
    );
    assert_eq!(shown(meet("shop/web", "fd00::7", ping)).unwrap(), "fd00::1");
    assert_eq!(shown(meet("shop/web", "shop/db", v6_only)), None);
    assert_error(&tcp("10.0.0.1", "fd00::7", 80), "addresses of one family");
    let v6 = json!({"id": "v6", "from": "shop/db", "to": "shop/web", "protocol": "icmpv6"});
    assert_error(&answer(v6), "ICMPv6");
}

#[test]
fn icmp_is_icmpv6_between_ends_that_have_only_ipv6_in_common() {
    let mut cluster = cluster();
    let policy = "{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: \
                  echo}, spec: {selector: app == 'db', order: 1, ingress: [{action: Allow, \
                  protocol: ICMPv6, icmp: {type: 128}}]}}";
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: six, namespace: shop, labels: {app: \
               db}}, status: {podIPs: [{ip: 'fd00::6'}, {ip: 10.0.0.6}]}}";
    for object in [policy, pod]
        .iter()
        .flat_map(|text| parse("six.yaml", text).unwrap())
    {
        cluster.apply(object);
    }
    let judge = Judge::new(cluster);
    let answer = |to: &str, rest: &str| {
        let line = format!(r#"{{"id":1,"from":"shop/web","to":"{to}","protocol":{rest}}}"#);
        serde_json::to_value(judge.answer(7, &line)).unwrap()
    };
    for echo in [r#""ICMP""#, r#""ICMP","icmpType":8"#, r#""ICMPv6""#] {
        let to_six = answer("fd00::6", echo);
        assert_eq!(
            to_six["ingress"]["policy"], "GlobalNetworkPolicy echo",
            "{to_six}"
        );
    }
    // Where both have IPv4 as well, ICMP is IPv4's.
    let to_both = answer("shop/six", r#""ICMP""#);
    assert_eq!(to_both["ingress"]["reason"], "end of tier", "{to_both}");
    let to_both = answer("shop/six", r#""ICMP","icmpType":3"#);
    assert_eq!(to_both["ingress"]["reason"], "end of tier", "{to_both}");
    assert_error(
        &answer("fd00::6", r#""ICMP","icmpType":3"#),
        "expected two ends with IPv4",
    );
    assert_error(
        &answer("shop/db", r#""ICMPv6""#),
        "expected two ends with IPv6",
    );
}

#[test]
fn an_end_that_cannot_be_judged_is_an_error_that_says_why() {
    assert_error(
        &tcp("shop/nobody", "shop/db", 80),
        "in its namespace: agent, db",
    );
    assert_error(
        &tcp("moon/nobody", "shop/db", 80),
        "no pod is in namespace \"moon\"",
    );
    assert_error(&tcp("web", "shop/db", 80), "NAMESPACE/POD or an IP address");
    assert_error(
        &tcp("shop/done", "shop/db", 80),
        "has finished and has none",
    );
    assert_error(&tcp("shop/last", "shop/web", 80), "10.0.0.2 is shop/db's");
    assert_error(&tcp("shop/web", "shop/lost", 80), "on its node's network");
    assert_error(&tcp("shop/old", "shop/web", 80), "10.0.0.2 is shop/db's");
}

#[test]
fn a_finished_pod_is_an_outsider_at_its_address_if_that_is_free() {
    let from = tcp("shop/job", "shop/db", 5432);
    assert_eq!(
        from["egress"],
        json!({"verdict": "allow", "reason": "not policed", "because": "its pod has finished"})
    );
    assert_eq!(from["ingress"]["reason"], "end of tier", "{from}");
    let to = tcp("shop/web", "shop/job", 80);
    assert_eq!(to["ingress"]["because"], "its pod has finished");
    // An address block that contains the address means it.
    let mut cluster = cluster();
    let block = "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
                 metadata: {name: block, namespace: shop}, spec: {podSelector: {}, \
                 ingress: [{from: [{ipBlock: {cidr: 10.0.0.9/32}}]}]}}";
    for object in parse("block.yaml", block).unwrap() {
        cluster.apply(object);
    }
    let key = crate::model::PodKey::new("shop", "job");
    let verdict = |cluster: Cluster| {
        let judge = Judge::new(cluster);
        let party = |name: &str| judge.roster().party(name);
        let ruling = judge.rule(&party("shop/job")?, &party("shop/db")?, &FlowKind::ping());
        Ok::<_, UnknownParty>(ruling.unwrap().allowed())
    };
    assert_eq!(verdict(cluster.clone()), Ok(true));
    // While CNI has it attached, the daemon denies it everything.
    cluster.set_workload("shop", "job", "10.0.0.9".parse().unwrap());
    assert_eq!(verdict(cluster), Err(UnknownParty::Finished(key)));
}

#[test]
fn a_line_that_is_no_question_says_what_was_expected_and_found() {
    let judge = Judge::new(cluster());
    for (line, id, part) in [
        ("nonsense", Value::Null, "expected JSON"),
        ("[1]", Value::Null, "expected an object, found [1]"),
        (
            r#"{"from":"a/b"}"#,
            Value::Null,
            "id: expected a string or a number, found nothing",
        ),
        (
            r#"{"id":true}"#,
            Value::Null,
            "id: expected a string or a number, found true",
        ),
        (r#"{"id":"a","form":"x"}"#, json!("a"), "found \"form\""),
        (
            r#"{"id":2,"from":3}"#,
            json!(2),
            "from: expected \"NAMESPACE/POD\" or an IP address, found 3",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b"}"#,
            json!(2),
            "protocol: expected TCP, UDP, SCTP",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"GRE"}"#,
            json!(2),
            "found \"GRE\"",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"TCP"}"#,
            json!(2),
            "port: expected a port from 1 to 65535, found nothing",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"UDP","port":0}"#,
            json!(2),
            "65535, found 0",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"UDP","port":65536}"#,
            json!(2),
            "65535, found 65536",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"UDP","port":"80"}"#,
            json!(2),
            "65535, found \"80\"",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"ICMP","port":80}"#,
            json!(2),
            "ICMP has no ports, found 80",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"ICMP","icmpCode":1}"#,
            json!(2),
            "icmpType: expected a type",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"ICMP","icmpType":256}"#,
            json!(2),
            "found 256",
        ),
        (
            r#"{"id":2,"from":"a/b","to":"a/b","protocol":"TCP","port":1,"icmpType":8}"#,
            json!(2),
            "not ICMP, found 8",
        ),
    ] {
        let answer = serde_json::to_value(judge.answer(7, line)).unwrap();
        assert_error(&answer, part);
        assert_eq!(answer["id"], id, "{line}");
    }
}

#[test]
fn a_probe_says_everything_about_its_first_packet() {
    let kind = |rest: &str| {
        let line = format!(r#"{{"id":"x","from":"a/b","to":"c/d",{rest}}}"#);
        Probe::parse(&line).unwrap().kind
    };
    let port = FlowKind::Port {
        protocol: 17,
        port: 53,
        source: 1024,
    };
    assert_eq!(
        kind(r#""protocol":"udp","port":53,"sourcePort":1024"#),
        port
    );
    assert_eq!(
        kind(r#""protocol":"sctp","port":9"#),
        FlowKind::port(132, 9)
    );
    assert_eq!(kind(r#""protocol":"icmp""#), FlowKind::ping());
    let message = Some((3, 4));
    assert_eq!(
        kind(r#""protocol":"ICMP","icmpType":3,"icmpCode":4"#),
        FlowKind::Icmp { message }
    );
    let message = Some((129, 0));
    assert_eq!(
        kind(r#""protocol":"ICMPv6","icmpType":129"#),
        FlowKind::IcmpV6 { message }
    );
}

#[test]
fn a_node_knows_its_own_addresses_and_the_pods_attached_to_it() {
    let mut cluster = cluster();
    cluster.set_workload("shop", "db", "10.0.0.2".parse().unwrap());
    let tunnel = "10.9.0.0".parse().unwrap();
    let judge = Judge::of(Roster::new(cluster).at_home("here", [tunnel]));
    let verdict = |from: &str| {
        let party = |name: &str| judge.roster().party(name).unwrap();
        let kind = FlowKind::port(6, 80);
        let ruling = judge.rule(&party(from), &party("shop/db"), &kind).unwrap();
        ruling.ingress
    };
    assert_eq!(verdict("10.9.0.0"), Half::OwnNode);
    assert!(!verdict("172.18.0.2").allowed(), "another node");
}

#[test]
fn an_isolated_pod_is_said_to_be_one_by_name_and_by_address() {
    let key = crate::model::PodKey::new("shop", "web");
    let address = "10.0.0.1".parse().unwrap();
    let roster = Roster::new(cluster()).isolating([(key, address)]);
    for name in ["shop/web", "10.0.0.1"] {
        let error = roster.party(name).unwrap_err().to_string();
        assert!(error.contains("shop/web, which is isolated"), "{error}");
    }
    let others = roster.policed();
    assert!(others.iter().all(|party| party.to_string() != "shop/web"));
}
