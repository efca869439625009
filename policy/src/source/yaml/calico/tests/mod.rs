//! What every field becomes, and what every mistake is told.

mod errors;
mod fields;
mod objects;

use crate::model::{Object, Policy, Rule};
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
