//! What every field becomes, and what every mistake is told.

mod errors;
mod objects;
mod policies;
mod rule_errors;
mod rules;

use crate::model::{Namespaces, Object, Policy, Rule, Selector};
use crate::source::selector::{parse as parse_selector, parse_namespace_selector};
use crate::source::yaml::{ManifestError, parse};

/// A GlobalNetworkPolicy with this spec, which begins on line 5.
fn global(spec: &str) -> String {
    format!(
        "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {{name: g}}\n\
         spec:\n{spec}"
    )
}

/// A NetworkPolicy of namespace x with this spec, which begins on line 5.
fn namespaced(spec: &str) -> String {
    format!(
        "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n\
         metadata: {{name: p, namespace: x}}\nspec:\n{spec}"
    )
}

#[track_caller]
fn object(text: &str) -> Object {
    match parse("c.yaml", text) {
        Ok(mut objects) => objects.remove(0),
        Err(errors) => panic!("{}", errors[0]),
    }
}

#[track_caller]
fn policy(text: &str) -> Policy {
    match object(text) {
        Object::Policy(policy) => policy,
        other => panic!("no policy: {other:?}"),
    }
}

/// The only rule of a policy's only list.
#[track_caller]
fn rule(text: &str) -> Rule {
    let policy = policy(text);
    let mut rules = policy.ingress.or(policy.egress).expect("rules");
    assert_eq!(rules.len(), 1);
    rules.remove(0)
}

/// A rule that stands alone in the ingress list of a global policy.
#[track_caller]
fn ingress(fields: &str) -> Rule {
    rule(&global(&format!(
        "  ingress: [{{action: Allow, {fields}}}]\n"
    )))
}

/// The only error of a text.
#[track_caller]
fn error(text: &str) -> ManifestError {
    let mut errors = parse("c.yaml", text).expect_err("the manifest is bad");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// Each spec has one error, at this field, whose sentence has this in it.
#[track_caller]
fn refused(policy: fn(&str) -> String, cases: &[(&str, &str, &str)]) {
    for (spec, field, said) in cases {
        let error = error(&policy(&format!("  {{{spec}}}\n")));
        assert_eq!(error.field, *field, "{spec}: {error}");
        assert!(error.problem.to_string().contains(said), "{spec}: {error}");
        assert_eq!(error.line, 5, "{error}");
    }
}

/// The same of a rule that stands alone in the ingress list of a global policy.
#[track_caller]
fn rule_refused(cases: &[(&str, &str, &str)]) {
    for (rule, field, said) in cases {
        let spec = format!("ingress: [{{action: Allow, {rule}}}]");
        refused(
            global,
            &[(&spec, &format!("spec.ingress[0].{field}"), said)],
        );
    }
}

fn labels(text: &str) -> Selector {
    parse_selector(text).expect("a selector")
}

fn named(namespace: &str) -> Namespaces {
    Namespaces::Named(namespace.to_owned())
}

fn matching(text: &str) -> Namespaces {
    Namespaces::Matching(parse_namespace_selector(text).expect("a selector"))
}
