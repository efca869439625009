//! Policies, field by field.

use super::{global, labels, matching, named, namespaced, policy};
use crate::model::{
    Action, Established, Namespaces, Order, PolicyKind, Reply, Rule, Scope, Selector,
};

#[test]
fn a_policy_has_its_namespace_name_tier_and_order() {
    let read = policy(&namespaced(
        "  {tier: security, order: 12.5, selector: has(app)}\n",
    ));
    assert_eq!(read.key.to_string(), "CalicoNetworkPolicy x/p");
    assert_eq!((read.tier.as_str(), read.order), ("security", Order(12.5)));
    assert_eq!(read.subject, Scope::pods(named("x"), labels("has(app)")));
    assert_eq!((read.deny, read.established), (None, None));

    let read = policy(&global("  order: -3\n"));
    assert_eq!(read.key.kind, PolicyKind::GlobalNetworkPolicy);
    assert_eq!((read.key.namespace, read.key.name.as_str()), (None, "g"));
    assert_eq!((read.tier.as_str(), read.order), ("default", Order(-3.0)));
    assert_eq!(
        read.subject,
        Scope::pods(Namespaces::Everywhere, Selector::everything())
    );
    assert_eq!(policy(&global("  {}\n")).order, Order::LAST);
}

#[test]
fn a_stored_policy_keeps_its_name_as_written() {
    let text = "{apiVersion: crd.projectcalico.org/v1, kind: NetworkPolicy, \
                metadata: {name: default.web, namespace: x}, spec: {order: 1}}";
    assert_eq!(
        policy(text).key.to_string(),
        "CalicoNetworkPolicy x/default.web"
    );
}

#[test]
fn the_subject_of_a_policy_is_limited_by_every_selector() {
    let spec = "  {selector: a == 'b', serviceAccountSelector: \"team in {'x'} || all()\"}\n";
    let everything = Selector::everything();
    let account = Selector::Any(vec![Selector::equals("pcsa.team", "x"), everything]);
    let own = labels("a == 'b'");
    assert_eq!(
        policy(&namespaced(spec)).subject,
        Scope::pods(named("x"), Selector::All(vec![own, account]))
    );
    let spec = "  {namespaceSelector: env != 'prod', serviceAccountSelector: all()}\n";
    assert_eq!(
        policy(&global(spec)).subject,
        Scope::pods(
            matching("env != 'prod'"),
            labels("has(projectcalico.org/serviceaccount)")
        )
    );
    let spec = "  {selector: '', namespaceSelector: all()}\n";
    assert_eq!(
        policy(&global(spec)).subject,
        Scope::pods(matching("all()"), Selector::everything())
    );
}

#[test]
fn types_left_out_are_the_directions_that_have_rules() {
    let rules = |spec: &str| {
        let read = policy(&global(&format!("  {{{spec}}}\n")));
        let count = |rules: Option<Vec<Rule>>| rules.map(|rules| rules.len());
        (count(read.ingress), count(read.egress))
    };
    let one = "[{action: Allow}]";
    assert_eq!(rules(""), (Some(0), None));
    assert_eq!(rules("types: []"), (Some(0), None));
    assert_eq!(rules(&format!("ingress: {one}")), (Some(1), None));
    assert_eq!(rules(&format!("egress: {one}")), (None, Some(1)));
    assert_eq!(
        rules(&format!("ingress: [], egress: {one}")),
        (None, Some(1))
    );
    assert_eq!(
        rules(&format!("ingress: {one}, egress: {one}")),
        (Some(1), Some(1))
    );
    assert_eq!(
        rules(&format!("types: [Ingress], egress: {one}")),
        (Some(0), None)
    );
    assert_eq!(
        rules(&format!("types: [Egress], ingress: {one}")),
        (None, Some(0))
    );
    assert_eq!(rules("types: [Egress, Ingress]"), (Some(0), Some(0)));
}

#[test]
fn fields_that_decide_nothing_are_accepted() {
    let spec = "  applyOnForward: true\n  preDNAT: false\n  doNotTrack: false\n  \
                performanceHints: [AssumeNeededOnEveryNode]\n  \
                ingress: [{action: Allow, metadata: {annotations: {why: because}}}]\n";
    assert_eq!(
        policy(&global(spec)).ingress,
        Some(vec![Rule::any(Action::Allow)])
    );
}

#[test]
fn annotations_choose_reply_and_established() {
    let annotated = |annotations: &str| {
        let text = global("  {}\n");
        policy(&text.replace(
            "name: g",
            &format!("name: g, annotations: {{{annotations}}}"),
        ))
    };
    let read = annotated("vswitchd/deny: reject, vswitchd/established: keep, other: x");
    assert_eq!(
        (read.deny, read.established),
        (Some(Reply::Reject), Some(Established::Keep))
    );
    let stored = r#"projectcalico.org/metadata: '{"annotations": {"vswitchd/deny": "drop"}}'"#;
    let read = annotated(stored);
    assert_eq!((read.deny, read.established), (Some(Reply::Drop), None));
}
