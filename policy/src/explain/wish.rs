//! What an end would have to be like to satisfy a condition, as clauses: `had label app=web`,
//! `were in namespace shop`.

use std::net::IpAddr;

use crate::model::{
    Cluster, End, Labels, Members, Namespaces, SERVICE_ACCOUNT_LABEL, Scope, Selector,
};
use crate::oracle::Oracle;
use crate::words;

/// What is missing for this address to satisfy the end; empty = it does.
pub(super) fn of_end(
    oracle: &Oracle<'_>,
    cluster: &Cluster,
    end: &End,
    address: IpAddr,
) -> Vec<String> {
    let mut clauses = Vec::new();
    if let Some(scope) = &end.scope
        && !oracle.is_member(scope, address)
    {
        clauses.extend(of_scope(oracle, cluster, scope, address));
    }
    if let Some(scope) = &end.not_scope
        && oracle.is_member(scope, address)
    {
        clauses.push(format!("were none of {}", words::scope(scope)));
    }
    if let Some(nets) = &end.nets
        && !nets.iter().any(|net| net.contains(&address))
    {
        clauses.push(format!("had an address in {}", words::blocks(nets, "or")));
    }
    let unwanted = end.not_nets.iter().find(|net| net.contains(&address));
    if let Some(net) = unwanted {
        clauses.push(format!("had an address outside {net}"));
    }
    clauses
}

fn of_scope(oracle: &Oracle<'_>, cluster: &Cluster, scope: &Scope, address: IpAddr) -> Vec<String> {
    let pod = oracle.owner(address);
    let Some(pod) = pod.filter(|_| scope.members != Members::Nodes) else {
        return vec![format!("were one of {}", words::scope(scope))];
    };
    let namespace_labels = cluster.namespace_labels(&pod.key.namespace);
    let in_place = |clause: String| clause;
    let mut clauses = match &scope.namespaces {
        Namespaces::Everywhere => Vec::new(),
        Namespaces::Named(name) if *name == pod.key.namespace => Vec::new(),
        Namespaces::Named(name) => vec![format!("were in namespace {name}")],
        Namespaces::Matching(selector) if selector.matches(&namespace_labels) => Vec::new(),
        Namespaces::Matching(selector) => vec![in_place(of_namespace(selector, &namespace_labels))],
    };
    clauses.extend(of_labels(&scope.labels, &pod.labels));
    clauses
}

fn of_namespace(selector: &Selector, labels: &Labels) -> String {
    match words::named_only(selector) {
        Some(name) => format!("were in namespace {name}"),
        None => {
            let clauses = of_labels(selector, labels);
            format!("were in a namespace that {}", clauses.join(" and "))
        }
    }
}

/// What is missing for these labels to satisfy the selector; empty = they do.
pub(super) fn of_labels(selector: &Selector, labels: &Labels) -> Vec<String> {
    if selector.matches(labels) {
        return Vec::new();
    }
    match selector {
        Selector::In(key, values) => vec![has_value(key, &words_of(values))],
        Selector::Has(key) => vec![format!("had a label {key}")],
        Selector::StartsWith(key, text) => vec![has_value(key, &format!("{text}..."))],
        Selector::EndsWith(key, text) => vec![has_value(key, &format!("...{text}"))],
        Selector::Contains(key, text) => vec![has_value(key, &format!("...{text}..."))],
        Selector::Not(inner) => vec![negated(inner)],
        Selector::All(parts) => parts.iter().flat_map(|p| of_labels(p, labels)).collect(),
        Selector::Any(parts) => {
            let ways = parts.iter().map(|part| of_labels(part, labels));
            let shortest = ways.min_by_key(Vec::len);
            shortest.unwrap_or_else(|| vec!["could satisfy what nothing satisfies".to_owned()])
        }
    }
}

fn has_value(key: &str, value: &str) -> String {
    if key == SERVICE_ACCOUNT_LABEL {
        return format!("ran as service account {value}");
    }
    format!("had label {key}={value}")
}

fn words_of(values: &std::collections::BTreeSet<String>) -> String {
    let values: Vec<&String> = values.iter().collect();
    words::list(&values, "or", |value| (*value).clone())
}

fn negated(inner: &Selector) -> String {
    match inner {
        Selector::In(key, values) => format!("did not have label {key}={}", words_of(values)),
        Selector::Has(key) => format!("had no label {key}"),
        inner => format!("did not satisfy {inner}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::selector::parse;

    fn wish(selector: &str, labels: &[(&str, &str)]) -> Vec<String> {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        of_labels(&parse(selector).expect("a selector"), &labels)
    }

    #[test]
    fn only_what_is_missing_is_wished_for() {
        let web = [("app", "web")];
        assert_eq!(wish("app == 'web'", &web), [""; 0]);
        assert_eq!(wish("app == 'db' && has(app)", &web), ["had label app=db"]);
        assert_eq!(wish("!has(app)", &web), ["had no label app"]);
        assert_eq!(wish("app != 'web'", &web), ["did not have label app=web"]);
        assert_eq!(
            wish("app in {'a', 'b'} && tier starts with 'x'", &web),
            ["had label app=a or b", "had label tier=x..."]
        );
    }

    #[test]
    fn of_several_ways_the_shortest_is_wished_for() {
        let way = wish("(a == '1' && b == '2') || c == '3'", &[]);
        assert_eq!(way, ["had label c=3"]);
    }

    #[test]
    fn a_service_account_is_called_so() {
        let wish = wish("projectcalico.org/serviceaccount == 'web'", &[]);
        assert_eq!(wish, ["ran as service account web"]);
    }
}
