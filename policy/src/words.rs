//! The model in words, for people: what a rule means, without its file.

use ipnet::IpNet;

use crate::ask::short_name;
use crate::model::{
    Action, End, Icmp, Members, NAMESPACE_NAME_LABEL, Namespaces, Peers, PortCondition, PortMatch,
    Rule, Scope, Selector, Traffic, TrafficSet,
};
use crate::verdict::Direction;

/// A rule: `allow 80/tcp from pods of namespace shop with app == 'web'`.
#[must_use]
pub(crate) fn rule(direction: Direction, rule: &Rule) -> String {
    let way = match direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let verb = match rule.action {
        Action::Allow => "allow",
        Action::Deny => "deny",
        Action::Pass => "pass to the next tier",
        Action::Log => "log",
    };
    let traffic = traffic_set(&rule.traffic);
    let mut text = format!("{verb} {traffic} {way} {}", peers(&rule.peers));
    if let Some(subject) = &rule.subject {
        text.push_str(&format!(", for {}", end(subject)));
    }
    text
}

/// The other ends of a rule.
#[must_use]
pub(crate) fn peers(peers: &Peers) -> String {
    match peers {
        Peers::Any => "anybody".to_owned(),
        Peers::OneOf(ends) if ends.is_empty() => "nobody".to_owned(),
        Peers::OneOf(ends) => list(ends, "or", end),
    }
}

/// One end of a rule.
#[must_use]
pub(crate) fn end(end: &End) -> String {
    let mut parts = Vec::new();
    if let Some(own) = &end.scope {
        parts.push(scope(own));
    }
    if let Some(other) = &end.not_scope {
        parts.push(format!("anybody but {}", scope(other)));
    }
    let outside = match end.not_nets.as_slice() {
        [] => String::new(),
        nets => format!(" except {}", blocks(nets, "and")),
    };
    match &end.nets {
        Some(nets) => parts.push(format!("addresses in {}{outside}", blocks(nets, "or"))),
        None if outside.is_empty() => {}
        None => parts.push(format!("addresses anywhere{outside}")),
    }
    if parts.is_empty() {
        return "anybody".to_owned();
    }
    parts.join(" that are also ")
}

/// Address blocks.
#[must_use]
pub(crate) fn blocks(nets: &[IpNet], word: &str) -> String {
    list(nets, word, ToString::to_string)
}

/// The members of a scope: `pods of namespace shop with app == 'web'`.
#[must_use]
pub(crate) fn scope(scope: &Scope) -> String {
    let what = match scope.members {
        Members::Pods => "pods",
        Members::PodsAndSets => "pods and network sets",
        Members::Nodes => "nodes",
    };
    let place = match (&scope.namespaces, scope.members) {
        (_, Members::Nodes) => String::new(),
        (place, _) => namespaces(place),
    };
    match scope.labels.is_everything() {
        true if place.is_empty() && scope.members != Members::Nodes => format!("all {what}"),
        true => format!("all {what}{place}"),
        false => format!("{what}{place} with {}", scope.labels),
    }
}

fn namespaces(namespaces: &Namespaces) -> String {
    match namespaces {
        Namespaces::Everywhere => String::new(),
        Namespaces::Named(name) => format!(" of namespace {name}"),
        Namespaces::Matching(selector) => match named_only(selector) {
            Some(name) => format!(" of namespace {name}"),
            None if selector.is_everything() => " of any namespace".to_owned(),
            None => format!(" of namespaces with {selector}"),
        },
    }
}

/// The one namespace a selector means by its name label.
pub(crate) fn named_only(selector: &Selector) -> Option<&str> {
    match selector {
        Selector::In(key, values) if key == NAMESPACE_NAME_LABEL && values.len() == 1 => {
            values.first().map(String::as_str)
        }
        Selector::All(parts) if parts.len() == 1 => named_only(&parts[0]),
        _ => None,
    }
}

/// The traffic of a rule: `80/tcp or 443/tcp`.
#[must_use]
pub(crate) fn traffic_set(set: &TrafficSet) -> String {
    match set {
        TrafficSet::Any => "everything".to_owned(),
        TrafficSet::OneOf(kinds) if kinds.is_empty() => "nothing".to_owned(),
        TrafficSet::OneOf(kinds) => list(kinds, "or", traffic),
    }
}

/// One kind of traffic.
#[must_use]
pub(crate) fn traffic(traffic: &Traffic) -> String {
    let name = traffic.protocol.map(short_name);
    let mut text = match (&name, &traffic.icmp) {
        (name, Some(icmp)) => message(name.as_deref().unwrap_or("icmp"), icmp),
        (name, None) => ports(name.as_deref(), &traffic.destination),
    };
    if let Some(number) = traffic.not_protocol {
        text.push_str(&format!(" but not {}", short_name(number)));
    }
    if let Some(icmp) = &traffic.not_icmp {
        text.push_str(&format!(" but not {}", message("icmp", icmp)));
    }
    if !traffic.source.is_any() {
        let from = ports(None, &traffic.source);
        text.push_str(&format!(" from source {from}"));
    }
    text
}

fn message(name: &str, icmp: &Icmp) -> String {
    match icmp.code {
        Some(code) => format!("{name}:{}/{code}", icmp.kind),
        None => format!("{name}:{}", icmp.kind),
    }
}

fn ports(protocol: Option<&str>, condition: &PortCondition) -> String {
    let suffix = protocol.map(|name| format!("/{name}")).unwrap_or_default();
    let one = |port: &PortMatch| format!("{}{suffix}", port_match(port));
    let mut text = match (condition.one_of.as_slice(), protocol) {
        ([], Some(name)) => format!("all {name}"),
        ([], None) if condition.none_of.is_empty() => "everything".to_owned(),
        ([], None) => "all ports".to_owned(),
        (ports, Some(_)) => list(ports, "or", one),
        (ports, None) => format!("port {}", list(ports, "or", one)),
    };
    if !condition.none_of.is_empty() {
        text.push_str(&format!(
            " except {}",
            list(&condition.none_of, "and", port_match)
        ));
    }
    text
}

/// A port or ports: `80`, `8000-8999`, `http`.
#[must_use]
pub(crate) fn port_match(port: &PortMatch) -> String {
    match port {
        PortMatch::Range(range) if range.start() == range.end() => range.start().to_string(),
        PortMatch::Range(range) => format!("{}-{}", range.start(), range.end()),
        PortMatch::Named(name) => name.clone(),
    }
}

/// `a`, `a or b`, `a, b or c`; of a long list, its beginning and how many more there are.
#[must_use]
pub(crate) fn list<T>(items: &[T], word: &str, shown: impl Fn(&T) -> String) -> String {
    /// Longer lists are cut.
    const SHOWN: usize = 6;
    let mut texts: Vec<String> = items.iter().take(SHOWN).map(shown).collect();
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => return format!("{} {word} {more} more", texts.join(", ")),
        _ => {}
    }
    match texts.pop() {
        Some(last) if texts.is_empty() => last,
        Some(last) => format!("{} {word} {last}", texts.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    fn rules(spec: &str) -> Vec<String> {
        let text = format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, \
             metadata: {{name: p, namespace: shop}}, spec: {{podSelector: {{}}, ingress: {spec}}}}}"
        );
        let objects = parse("p.yaml", &text).expect("a good policy");
        let [crate::Object::Policy(policy)] = objects.as_slice() else {
            panic!("one policy, not {objects:?}");
        };
        let rules = policy.ingress.iter().flatten();
        rules.map(|r| rule(Direction::Ingress, r)).collect()
    }

    #[test]
    fn a_rule_reads_as_a_sentence() {
        for (spec, words) in [
            ("[{}]", "allow everything from anybody"),
            (
                "[{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 80}]}]",
                "allow 80/tcp from pods of namespace shop with app == 'web'",
            ),
            (
                "[{from: [{namespaceSelector: {}}], ports: [{port: 1, endPort: 9}, {port: http, protocol: UDP}]}]",
                "allow 1-9/tcp or http/udp from all pods of any namespace",
            ),
            (
                "[{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}}], ports: [{protocol: SCTP}]}]",
                "allow all sctp from all pods of namespace x",
            ),
            (
                "[{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, 10.2.0.0/16]}}]}]",
                "allow everything from addresses in 10.0.0.0/8 except 10.1.0.0/16 and 10.2.0.0/16",
            ),
        ] {
            assert_eq!(rules(spec), [words]);
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let numbers: Vec<u32> = (1..=9).collect();
        let text = list(&numbers, "or", ToString::to_string);
        assert_eq!(text, "1, 2, 3, 4, 5, 6 or 3 more");
        assert_eq!(
            list(&numbers[..3], "and", ToString::to_string),
            "1, 2 and 3"
        );
    }

    #[test]
    fn everything_a_calico_rule_can_say_has_words() {
        let set = TrafficSet::OneOf(vec![Traffic {
            protocol: Some(6),
            destination: PortCondition {
                one_of: vec![],
                none_of: vec![PortMatch::Range(22..=22)],
            },
            source: PortCondition {
                one_of: vec![PortMatch::Range(1024..=65535)],
                none_of: vec![],
            },
            ..Traffic::default()
        }]);
        assert_eq!(
            traffic_set(&set),
            "all tcp except 22 from source port 1024-65535"
        );
        let ping = Traffic {
            protocol: Some(1),
            icmp: Some(Icmp {
                kind: 8,
                code: None,
            }),
            ..Traffic::default()
        };
        assert_eq!(traffic(&ping), "icmp:8");
        let subject = Rule {
            subject: Some(End::members(Scope::pods(
                Namespaces::Everywhere,
                Selector::Has("a".to_owned()),
            ))),
            ..Rule::any(Action::Deny)
        };
        assert_eq!(
            rule(Direction::Egress, &subject),
            "deny everything to anybody, for pods with has(a)"
        );
    }
}
