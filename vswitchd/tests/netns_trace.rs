//! What `vswitchctl trace` says of a live cluster, held against what happens there.

#![forbid(unsafe_code)]

mod netns_common;

use lab::Lab;
use netns_common::{
    M01, M02, M03, NGINX,
    drops::Drops,
    minikube, pings,
    policing::{Talk, echo, policy, put},
    run, show, soon, text, without_ipv6,
};
use serde_json::Value;

/// Runs a trace at a node, as JSON; with its exit status.
fn trace(lab: &Lab, node: &str, arguments: &str) -> (Value, Option<i32>) {
    let output = run(lab, node, &format!("vswitchctl trace {arguments} -o json"));
    let json = serde_json::from_slice(&output.stdout);
    let json = json.unwrap_or_else(|error| panic!("{arguments}: {error}: {}", text(&output)));
    (json, output.status.code())
}

fn nodes(trace: &Value) -> Vec<&str> {
    let hops = trace["hops"].as_array().unwrap();
    hops.iter()
        .map(|hop| hop["node"].as_str().unwrap())
        .collect()
}

/// The texts of all steps of a stage.
fn steps(trace: &Value, stage: &str) -> String {
    let hops = trace["hops"].as_array().unwrap();
    let steps = hops.iter().flat_map(|hop| hop["steps"].as_array().unwrap());
    let texts = steps.filter(|step| step["stage"] == stage);
    texts
        .map(|step| format!("{}\n", step["text"].as_str().unwrap()))
        .collect()
}

/// All that a trace must leave alone: flows, drops and ports' counters of every node.
fn live(lab: &Lab) -> String {
    let of = |node: &str| {
        ["conntrack", "drops", "ports"].map(|what| (node.to_owned(), what, show(lab, node, what)))
    };
    let rows: Vec<_> = [M01, M02, M03].into_iter().flat_map(of).collect();
    let timeless = rows.into_iter().map(|(node, what, mut rows)| {
        for row in &mut rows {
            row.remove("expires_seconds");
        }
        rows.sort_by_key(|row| format!("{row:?}"));
        format!("{node} {what} {rows:?}\n")
    });
    timeless.collect()
}

/// A lab whose every daemon knows every pod.
fn cluster(name: &str) -> Lab {
    let lab = Lab::up(minikube(name)).unwrap();
    without_ipv6(&lab);
    soon("the pods are known everywhere", || {
        let known = |node, to: &str| {
            run(&lab, node, &format!("vswitchctl trace host {to}"))
                .status
                .code()
                == Some(0)
        };
        known(M02, "nginx-manual") && known(M03, "nginx")
    });
    lab
}

#[test]
fn a_trace_across_two_nodes_is_delivered_as_a_ping_is_and_leaves_everything_alone() {
    let lab = cluster("trace-across");
    assert!(pings(&lab, "nginx-manual", NGINX));
    let before = live(&lab);
    let (there, status) = trace(&lab, M02, "nginx nginx-manual");
    assert_eq!(
        (there["verdict"].as_str(), status),
        (Some("delivered"), Some(0))
    );
    assert_eq!(nodes(&there), [M02, M03]);
    assert!(steps(&there, "arp").contains("who has 169.254.1.1? answered: ee:ee:ee:ee:ee:ee"));
    assert!(steps(&there, "encap").contains("172.16.30.7 > 172.16.30.8"));
    assert!(steps(&there, "decap").contains(M02));
    let text = there["text"].as_str().unwrap();
    assert!(
        text.starts_with("delivered to default/nginx-manual on minikube-m03, by cali"),
        "{text}"
    );
    // Asked where the packet arrives, it begins where it comes from.
    let (back, _) = trace(&lab, M02, "nginx-manual nginx");
    assert_eq!(nodes(&back), [M03, M02]);
    let (outside, status) = trace(&lab, M02, "nginx 8.8.8.8 --proto udp --dport 53");
    assert_eq!((nodes(&outside), status), (vec![M02], Some(0)));
    let (large, status) = trace(&lab, M02, "nginx nginx-manual --size 1453");
    assert_eq!(
        (large["reason"].as_str(), status),
        (Some("fragmentation_needed"), Some(3))
    );
    let (elsewhere, status) = trace(&lab, M02, "nginx nginx-manual --node minikube-m03");
    assert_eq!((nodes(&elsewhere), status), (vec![M03], Some(0)));
    assert_eq!(live(&lab), before, "a trace touches nothing");
    assert!(pings(&lab, "nginx", "10.244.151.1"));
}

#[test]
fn what_a_policy_denies_is_denied_with_its_name_where_the_counter_rises() {
    let lab = cluster("trace-denied");
    put(
        &lab,
        &policy(
            "nobody",
            "",
            "podSelector: {matchLabels: {run: nginx}}, policyTypes: [Ingress]",
        ),
    );
    let drops = [M02, M03].map(|node| Drops::of(&lab, node));
    let (denied, status) = trace(&lab, M03, "nginx-manual nginx");
    assert_eq!(
        (denied["reason"].as_str(), status),
        (Some("policy_ingress"), Some(3))
    );
    assert_eq!(nodes(&denied), [M03, M02]);
    let text = denied["text"].as_str().unwrap();
    assert!(
        text.starts_with("dropped by minikube-m02: policy_ingress: "),
        "{text}"
    );
    assert!(text.contains("NetworkPolicy default/nobody"), "{text}");
    for drops in &drops {
        assert_eq!(drops.risen(), [].into(), "a trace is not counted");
    }
    assert!(!pings(&lab, "nginx-manual", NGINX));
    drops[0].rose_by("a ping", &[("policy_ingress", 1)]);
    drops[1].rose_by("a ping", &[]);
    let story = run(&lab, M03, "vswitchctl trace nginx-manual nginx");
    let story = text_of(&story);
    assert_eq!(
        story.lines().last(),
        Some(text),
        "the last line says it all"
    );
}

fn text_of(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_connection_that_is_there_is_traced_as_one_more_segment_of_it() {
    let lab = cluster("trace-known");
    let _server = echo(&lab, "nginx", &[7000]);
    let talk = Talk::start(&lab, "nginx-manual", NGINX, 7000);
    let flow = |row: &serde_json::Map<String, Value>| {
        (row["dst_port"] == 7000 && row["state"] == "ESTABLISHED").then(|| row["src_port"].clone())
    };
    let mut port = None;
    soon("the connection is tracked", || {
        port = show(&lab, M02, "conntrack").iter().find_map(flow);
        port.is_some()
    });
    let port = port.unwrap();
    let arguments = format!("nginx-manual nginx --sport {port} --dport 7000");
    let (known, status) = trace(&lab, M03, &arguments);
    assert_eq!(status, Some(0), "{known}");
    assert!(
        known["hops"][0]["about"].as_str().unwrap().ends_with("ACK"),
        "{known}"
    );
    let tracked = steps(&known, "conntrack");
    assert_eq!(
        tracked.matches("known: ESTABLISHED").count(),
        2,
        "{tracked}"
    );
    let (new, _) = trace(&lab, M03, "nginx-manual nginx --dport 7000");
    assert!(steps(&new, "conntrack").contains("a new flow"));
    assert_eq!(talk.end(), "alive");
}
