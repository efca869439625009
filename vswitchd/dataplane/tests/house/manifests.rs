//! NetworkPolicies of the tests.

/// Selects every pod of `default` and allows nothing in this direction.
pub fn deny_all(direction: &str) -> String {
    manifest(
        &format!("default-deny-{}", direction.to_lowercase()),
        "{}",
        direction,
        "",
    )
}

/// `allow-all-ingress` of the walk-through.
pub fn allow_all_ingress() -> String {
    manifest("allow-all-ingress", "{}", "Ingress", "ingress: [{}]")
}

/// A NetworkPolicy of the namespace `default`. `rules` is the rest of its spec.
pub fn manifest(name: &str, pods: &str, direction: &str, rules: &str) -> String {
    format!(
        "---\n\
         apiVersion: networking.k8s.io/v1\n\
         kind: NetworkPolicy\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec:\n\
         \x20 podSelector: {pods}\n\
         \x20 policyTypes: [{direction}]\n\
         \x20 {rules}\n"
    )
}

/// The policies with these annotations, such as `vswitchd/deny: reject`.
pub fn annotated(manifests: &str, annotations: &str) -> String {
    let with = format!("namespace: default, annotations: {{{annotations}}}}}");
    manifests.replace("namespace: default}", &with)
}
