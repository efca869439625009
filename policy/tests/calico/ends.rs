//! Who is meant: selectors, namespaces, service accounts, addresses.

use super::world::{OUTSIDE, World};

/// Who reaches x/db when this is the source of the only allow rule of a global policy for it.
#[track_caller]
fn global(source: &str, expected: &[&str]) {
    let world = World::global(&format!(
        "selector: app == 'db', ingress: [{{action: Allow, source: {source}}}]"
    ));
    world.only_from("x/db", "80/tcp", expected);
}

/// The same of a policy in namespace x.
#[track_caller]
fn namespaced(source: &str, expected: &[&str]) {
    let world = World::namespaced(&format!(
        "selector: app == 'db', ingress: [{{action: Allow, source: {source}}}]"
    ));
    world.only_from("x/db", "80/tcp", expected);
}

#[test]
fn a_selector_means_every_namespace_in_a_global_policy_and_its_own_in_another() {
    global("{selector: app == 'web'}", &["x/web", "y/web"]);
    namespaced("{selector: app == 'web'}", &["x/web"]);
    global("{selector: all()}", &["x/web", "y/web", "y/job"]);
    namespaced("{selector: all()}", &["x/web"]);
    global("{}", &["x/web", "y/web", "y/job", OUTSIDE]);
    namespaced("{}", &["x/web", "y/web", "y/job", OUTSIDE]);
}

#[test]
fn a_namespace_selector_says_which_namespaces() {
    for check in [global, namespaced] {
        check("{namespaceSelector: env == 'test'}", &["y/web", "y/job"]);
        check(
            "{namespaceSelector: projectcalico.org/name == 'y'}",
            &["y/web", "y/job"],
        );
        check(
            "{namespaceSelector: kubernetes.io/metadata.name == 'x'}",
            &["x/web"],
        );
        check("{namespaceSelector: all()}", &["x/web", "y/web", "y/job"]);
        check("{namespaceSelector: global()}", &[]);
        let both = "{namespaceSelector: env != 'prod', selector: app == 'web'}";
        check(both, &["y/web"]);
    }
}

#[test]
fn pods_have_the_labels_calico_adds() {
    global(
        "{selector: projectcalico.org/namespace == 'y'}",
        &["y/web", "y/job"],
    );
    let all = ["x/web", "y/web", "y/job"];
    global("{selector: projectcalico.org/orchestrator == 'k8s'}", &all);
    global(
        "{selector: projectcalico.org/serviceaccount == 'web'}",
        &["x/web", "y/web"],
    );
}

#[test]
fn every_operator_of_the_language_selects() {
    global(
        "{selector: \"app in {'web', 'cron'}\"}",
        &["x/web", "y/web"],
    );
    global("{selector: \"app not in {'web', 'db'}\"}", &["y/job"]);
    global("{selector: \"app starts with 'w'\"}", &["x/web", "y/web"]);
    global(
        "{selector: \"app ends with 'b' && app contains 'o'\"}",
        &["y/job"],
    );
    global("{selector: \"!has(app) || !(app == 'web')\"}", &["y/job"]);
    global("{selector: odd != 'x'}", &["x/web", "y/web", "y/job"]);
}

#[test]
fn not_selector_leaves_out_members_and_so_keeps_outsiders() {
    global("{notSelector: app == 'web'}", &["y/job", OUTSIDE]);
    global("{notSelector: all()}", &[OUTSIDE]);
    global(
        "{selector: has(app), notSelector: app == 'web'}",
        &["y/job"],
    );
    global("{selector: app != 'web'}", &["y/job"]);
}

#[test]
fn not_selector_with_a_namespace_means_members_of_it() {
    global(
        "{namespaceSelector: env == 'test', notSelector: app == 'web'}",
        &["y/job"],
    );
    namespaced("{notSelector: app == 'job'}", &["x/web"]);
    namespaced(
        "{namespaceSelector: all(), notSelector: app == 'web'}",
        &["y/job"],
    );
}

#[test]
fn service_accounts_are_known_by_name_and_label() {
    global("{serviceAccounts: {names: [web]}}", &["x/web", "y/web"]);
    namespaced("{serviceAccounts: {names: [web]}}", &["x/web"]);
    global("{serviceAccounts: {names: [default]}}", &["y/job"]);
    global("{serviceAccounts: {selector: role == 'front'}}", &["x/web"]);
    global(
        "{serviceAccounts: {names: [web], selector: role != 'front'}}",
        &["y/web"],
    );
    let test = "{serviceAccounts: {names: [web]}, namespaceSelector: env == 'test'}";
    namespaced(test, &["y/web"]);
    let none = "{serviceAccounts: {names: [web]}, selector: app == 'job'}";
    global(none, &[]);
}

#[test]
fn nets_mean_pods_and_outsiders_alike() {
    global("{nets: [10.0.2.0/24]}", &["y/web", "y/job"]);
    global("{nets: [10.0.2.1/32, 192.0.2.0/24]}", &["y/web", OUTSIDE]);
    global(
        "{nets: [10.0.0.0/8], selector: app == 'web'}",
        &["x/web", "y/web"],
    );
    namespaced("{nets: [10.0.2.0/24]}", &["y/web", "y/job"]);
    namespaced("{nets: [10.0.2.0/24], selector: app == 'web'}", &[]);
}

#[test]
fn not_nets_leave_out_addresses() {
    global("{notNets: [10.0.0.0/8]}", &[OUTSIDE]);
    global(
        "{notNets: [192.0.2.0/24, 10.0.1.0/24]}",
        &["y/web", "y/job"],
    );
    global(
        "{nets: [10.0.0.0/8], notNets: [10.0.2.1/32]}",
        &["x/web", "y/job"],
    );
    global(
        "{selector: app == 'web', notNets: [10.0.1.0/24]}",
        &["y/web"],
    );
}

#[test]
fn the_destination_of_an_ingress_rule_narrows_the_subject() {
    let to = |destination: &str| {
        World::global(&format!(
            "ingress: [{{action: Allow, destination: {destination}}}]"
        ))
    };
    let world = to("{selector: app == 'db'}");
    assert!(world.allows(OUTSIDE, "x/db", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/web", "80/tcp"));
    let world = to("{nets: [10.0.2.0/24], notNets: [10.0.2.2/32]}");
    assert!(world.allows(OUTSIDE, "y/web", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "y/job", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/web", "80/tcp"));
    let world = to("{notSelector: app == 'web', serviceAccounts: {names: [default]}}");
    assert!(world.allows(OUTSIDE, "x/db", "80/tcp"));
    assert!(!world.allows(OUTSIDE, "x/web", "80/tcp"));
}

#[test]
fn the_source_of_an_egress_rule_narrows_the_subject() {
    let world = World::global(
        "egress: [{action: Allow, source: {selector: app == 'job'}, \
         destination: {selector: app == 'db'}}]",
    );
    world.only_to("y/job", "80/tcp", &["x/db"]);
    world.only_to("y/web", "80/tcp", &[]);
}

#[test]
fn a_global_policy_selects_by_namespace_and_service_account() {
    let deny =
        |selectors: &str| World::global(&format!("{selectors}, ingress: [{{action: Deny}}]"));
    let open = |world: World| {
        let mut pods = vec!["x/web", "x/db", "y/web", "y/job"];
        pods.retain(|pod| world.allows(OUTSIDE, pod, "80/tcp"));
        pods
    };
    assert_eq!(
        open(deny("namespaceSelector: env == 'prod'")),
        ["y/web", "y/job"]
    );
    assert!(open(deny("namespaceSelector: all()")).is_empty());
    let web = "namespaceSelector: env == 'prod', selector: app == 'web'";
    assert_eq!(open(deny(web)), ["x/db", "y/web", "y/job"]);
    let front = "serviceAccountSelector: role == 'front'";
    assert_eq!(open(deny(front)), ["x/db", "y/web", "y/job"]);
    let both = "selector: app == 'web', serviceAccountSelector: role != 'front'";
    assert_eq!(open(deny(both)), ["x/web", "x/db", "y/job"]);
    assert!(open(deny("serviceAccountSelector: all()")).is_empty());
}

#[test]
fn a_namespaced_policy_selects_in_its_namespace_only() {
    let world = World::namespaced("serviceAccountSelector: \"role == 'front'\", ingress: []");
    world.only_from("x/web", "80/tcp", &[]);
    world.only_from("x/db", "80/tcp", &["x/web", "y/web", "y/job", OUTSIDE]);
    let world = World::namespaced("selector: app == 'web', ingress: []");
    world.only_from("y/web", "80/tcp", &["x/web", "x/db", "y/job", OUTSIDE]);
}
