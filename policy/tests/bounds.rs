//! Bounds: what policies and pods of a tenant can make everybody else pay. Bytes and allocations
//! are counted, nothing is timed.

use std::net::IpAddr;

use allocation_counter::{AllocationInfo, measure};
use policy::{Compiler, Direction, Flow, Object, Settings, Subjects, parse, protocol};

const MIB: i64 = 1 << 20;

fn apply(compiler: &mut Compiler, text: &str) {
    for object in parse("test.yaml", text).expect("the manifest is good") {
        compiler.apply(object);
    }
}

fn pod(name: &str, last: u8, labels: &str, ports: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: x, labels: {{{labels}}}}}, \
         spec: {{nodeName: n, containers: [{{name: c, ports: [{ports}]}}]}}, \
         status: {{podIP: 10.0.0.{last}}}}}"
    )
}

/// A node with one pod of its own, `x/own`, and a NetworkPolicy with these ingress rules.
fn node(rules: &str) -> Compiler {
    let mut compiler = Compiler::new(Subjects::Attached, Settings::default());
    apply(&mut compiler, &pod("own", 1, "app: own", ""));
    compiler.set_workload("x", "own", IpAddr::from([10, 0, 0, 1]));
    let policy = format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p, namespace: x}}, \
         spec: {{podSelector: {{}}, ingress: [{rules}]}}}}"
    );
    apply(&mut compiler, &policy);
    compiler
}

fn flow(port: u16) -> Flow {
    Flow {
        subject: IpAddr::from([10, 0, 0, 1]),
        peer: IpAddr::from([10, 9, 0, 1]),
        protocol: protocol::TCP,
        src_port: 40_000,
        dst_port: port,
        icmp: None,
    }
}

/// What an event leaves behind after it happened often: bytes that stay.
fn growth(compiler: &mut Compiler, times: u32, event: impl Fn(&mut Compiler, u32)) -> i64 {
    let mut happen = |turns: std::ops::Range<u32>| {
        let mut held = compiler.table();
        for turn in turns {
            event(compiler, turn);
            held = compiler.table();
        }
        drop(held);
    };
    happen(0..times);
    measure(|| happen(times..3 * times)).bytes_current
}

#[test]
fn many_overlapping_blocks_cost_no_cross_product() {
    let rules: Vec<String> = (0..2_000)
        .map(|n| {
            let hole = format!("10.{}.{}.1/32", n / 250, n % 250);
            let port = 1 + n;
            format!("{{from: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [{hole}]}}}}], ports: [{{port: {port}}}]}}")
        })
        .collect();
    let mut compiler = node(&rules.join(", "));
    let AllocationInfo { bytes_max, .. } = measure(|| drop(compiler.table()));
    assert!(
        bytes_max < 32 * MIB as u64,
        "{bytes_max} bytes for 2,000 rules"
    );
    let table = compiler.table();
    let allowed = |port| table.verdict(Direction::Ingress, &flow(port)).allowed;
    assert!(allowed(1) && allowed(2_000) && !allowed(2_001));
}

#[test]
fn a_verdict_allocates_nothing() {
    let rule = "{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: http}, {port: 80}]}";
    let table = node(rule).table();
    let counted = measure(|| {
        for port in [80, 81] {
            for direction in [Direction::Ingress, Direction::Egress] {
                std::hint::black_box(table.verdict(direction, &flow(port)));
            }
        }
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_policy_that_changes_again_and_again_leaves_nothing_behind() {
    let mut compiler = node("{}");
    let change = |compiler: &mut Compiler, turn: u32| {
        let (port, label) = (1 + turn % 2, turn % 3);
        apply(
            compiler,
            &format!(
                "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
                 metadata: {{name: p, namespace: x}}, spec: {{podSelector: {{}}, ingress: \
                 [{{from: [{{podSelector: {{matchLabels: {{l: v{label}}}}}}}], ports: [{{port: {port}}}]}}]}}}}"
            ),
        );
    };
    let grown = growth(&mut compiler, 600, change);
    assert!(grown < MIB / 16, "{grown} bytes");
}

#[test]
fn labels_and_port_names_nobody_had_before_leave_nothing_behind() {
    let rules: Vec<String> = (0..8)
        .map(|n| format!("{{from: [{{podSelector: {{matchLabels: {{l{n}: v}}}}}}]}}"))
        .collect();
    let mut compiler = node(&rules.join(", "));
    let change = |compiler: &mut Compiler, turn: u32| {
        let subset: Vec<String> = (0..8)
            .filter(|n| turn >> n & 1 == 1)
            .map(|n| format!("l{n}: v"))
            .collect();
        let labels = format!("serial: s{turn}, {}", subset.join(", "));
        let ports: Vec<String> = (0..9)
            .map(|n| format!("{{name: p{turn}x{n}, containerPort: {}}}", 1 + n))
            .collect();
        apply(compiler, &pod("other", 2, &labels, &ports.join(", ")));
    };
    // Identities without pods wait in case they return, a bounded number of them: as many are
    // waiting before the count begins as ever will.
    let grown = growth(&mut compiler, 3_000, change);
    assert!(grown < MIB / 4, "{grown} bytes");
}

#[test]
fn a_namespace_that_changes_sides_leaves_nothing_behind() {
    let mut compiler =
        node("{from: [{namespaceSelector: {matchLabels: {side: left}}}], ports: [{port: 80}]}");
    apply(&mut compiler, &pod("other", 2, "app: other", ""));
    let change = |compiler: &mut Compiler, turn: u32| {
        let side = ["left", "right"][turn as usize % 2].to_owned();
        let labels = [("side".to_owned(), side)].into();
        let name = "x".to_owned();
        compiler.apply(Object::Namespace { name, labels });
    };
    let grown = growth(&mut compiler, 2_000, change);
    assert!(grown < MIB / 16, "{grown} bytes");
}
