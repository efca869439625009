//! What every part of the language means.

use super::{Dialect, Labels, parse_as, parse_namespace_selector, read};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Each of the labels, written `k=v k=v`, satisfies the expression, or none does.
#[track_caller]
fn check(text: &str, yes: &[&str], no: &[&str]) {
    let selector = read(text);
    let of = |written: &str| -> Labels {
        let pairs = written.split_whitespace().map(|pair| {
            let (key, value) = pair.split_once('=').expect("k=v");
            (key.to_owned(), value.to_owned())
        });
        pairs.collect()
    };
    for written in yes {
        assert!(selector.matches(&of(written)), "{text} on {written:?}");
    }
    for written in no {
        assert!(!selector.matches(&of(written)), "{text} on {written:?}");
    }
}

#[test]
fn every_test_of_a_label_means_what_calico_means() {
    check("k == 'v'", &["k=v", "k=v l=w"], &["", "k=w", "l=v"]);
    check("k != 'v'", &["", "k=w", "l=v"], &["k=v"]);
    check("k in {'v', 'w'}", &["k=v", "k=w"], &["", "k=x"]);
    check("k not in {'v', 'w'}", &["", "k=x"], &["k=v", "k=w"]);
    check("has(k)", &["k=v", "k="], &["", "l=v"]);
    check("!has(k)", &["", "l=v"], &["k=v"]);
    check("k contains 'v'", &["k=v", "k=avb"], &["", "k=w", "l=v"]);
    check("k starts with 'v'", &["k=v", "k=vb"], &["", "k=bv"]);
    check("k ends with 'v'", &["k=v", "k=bv"], &["", "k=vb"]);
    check("all()", &["", "k=v"], &[]);
    check("global()", &["k=v"], &["projectcalico.org/namespace=x"]);
}

#[test]
fn nothing_at_all_means_everything() {
    for text in ["", " ", "\t ", "all()", "all( )", "(all())"] {
        assert!(read(text).is_everything(), "{text:?}");
    }
}

#[test]
fn and_binds_more_tightly_than_or() {
    let flat = "a == '1' || b == '1' && c == '1'";
    check(flat, &["a=1", "b=1 c=1"], &["b=1", "c=1"]);
    assert_eq!(read(flat), read("a == '1' || (b == '1' && c == '1')"));
    check(
        "(has(a) || has(b)) && has(c)",
        &["a=1 c=1"],
        &["a=1", "c=1"],
    );
}

#[test]
fn values_of_a_label_are_one_set_however_they_are_listed() {
    let set = read("a in {'0', '1', '2', '3'}");
    assert_eq!(read("a == '0' || a == '1' || a in {'2', '3'}"), set);
    assert_eq!(
        read("(a == '0' || (a == '1' || a == '3')) || a == '2'"),
        set
    );
    assert_eq!(
        read("a == '0' || has(b) || (a == '1' || b == '2')").to_string(),
        "a in {'0', '1'} || has(b) || b == '2'"
    );
    let none = read("a not in {'0', '1', '2'}");
    assert_eq!(read("a != '0' && (a not in {'1'} && !(a == '2'))"), none);
    check("a != '0' && a != '1'", &["", "a=2"], &["a=0", "a=1"]);
    // Both at once is another matter.
    check("a == '0' && a == '1'", &[], &["a=0", "a=1"]);
    check("a != '0' || a != '1'", &["", "a=0", "a=1"], &[]);
}

#[test]
fn a_long_list_of_values_is_looked_up_at_once() {
    let tests: Vec<String> = (0..4000).map(|n| format!("a=='{n}'")).collect();
    let selector = read(&tests.join("||"));
    let Some((key, values)) = selector.required_label() else {
        panic!("expected a set, found {selector}")
    };
    assert_eq!((key, values.len()), ("a", 4000));
}

#[test]
fn not_belongs_to_the_next_condition_and_two_cancel() {
    check("!a == '1' && has(b)", &["b=1", "a=2 b=1"], &["a=1 b=1", ""]);
    check("!(has(a) || has(b))", &["", "c=1"], &["a=1", "b=1"]);
    assert_eq!(read("! ! !has(a)"), read("!has(a)"));
    assert_eq!(read("!!has(a)"), read("has(a)"));
    check("!a != '1'", &["a=1"], &["", "a=2"]);
}

#[test]
fn blanks_are_free_where_the_parts_are_plain() {
    let plain = read("k == 'v' && k in {'a', 'b'} || !has(x)");
    assert_eq!(read("k=='v'&&k in{'a','b'}||!has(x)"), plain);
    assert_eq!(
        read("\tk  ==\t'v' && k  in { 'a' , 'b' , } || ! has( x )"),
        plain
    );
    assert_eq!(read("k startswith 'v'"), read("k starts   with 'v'"));
    assert_eq!(read("k endswith'v'"), read("k ends with 'v'"));
    assert_eq!(read("k notin {'v'}"), read("k not in {'v'}"));
}

#[test]
fn either_quote_holds_the_other() {
    check(r#"k == "'""#, &["k='"], &["k=x"]);
    check(r#"k == '"'"#, &["k=\""], &["k=x"]);
    check(r#"k == 'a\'"#, &["k=a\\"], &["k=a"]);
    check("k == ''", &["k="], &["", "k=x"]);
}

#[test]
fn keys_have_slashes_dots_and_the_names_of_operators() {
    check(
        "kubernetes.io/metadata.name == 'x'",
        &["kubernetes.io/metadata.name=x"],
        &[""],
    );
    check("has(a-b_c.d/e)", &["a-b_c.d/e=1"], &["a-b_c.d=1"]);
    check("in in {'in'}", &["in=in"], &[""]);
    check(
        "has == 'x' || not == 'y' || all != 'z'",
        &["has=x", "not=y all=z", ""],
        &["all=z"],
    );
    check("starts starts with 'w'", &["starts=with"], &[""]);
}

#[test]
fn an_empty_set_holds_nothing() {
    check("k in {}", &[], &["", "k=v"]);
    check("k not in {}", &["", "k=v"], &[]);
}

#[test]
fn all_and_global_of_namespaces_ask_whether_there_is_one() {
    let all = parse_namespace_selector("all()").expect("an expression");
    let global = parse_namespace_selector(" global() ").expect("an expression");
    let inside = labels(&[("projectcalico.org/name", "x")]);
    assert!(all.matches(&inside) && !all.matches(&Labels::new()));
    assert!(!global.matches(&inside) && global.matches(&Labels::new()));
    let other = parse_namespace_selector("env == 'prod' && all()").expect("an expression");
    assert_eq!(
        other.to_string(),
        "env == 'prod' && has(projectcalico.org/name)"
    );
    assert_eq!(parse_namespace_selector("").expect("an expression"), all);
}

#[test]
fn keys_of_service_accounts_get_calicos_prefix() {
    let read = |dialect| {
        parse_as("has(team) && all()", dialect)
            .expect("good")
            .to_string()
    };
    assert_eq!(read(&Dialect::ACCOUNTS), "has(pcsa.team) && all()");
    assert_eq!(
        read(&Dialect::GLOBAL_POLICY_ACCOUNTS),
        "has(pcsa.team) && has(projectcalico.org/serviceaccount)"
    );
}
