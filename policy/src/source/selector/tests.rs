//! The language, its errors, and that what is displayed reads back.

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::model::Labels;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[track_caller]
fn read(text: &str) -> Selector {
    match parse(text) {
        Ok(selector) => selector,
        Err(error) => panic!("{}", error.pointed()),
    }
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
fn global_stands_alone_in_the_namespace_selector_of_a_rule() {
    for (text, column) in [
        ("global() && all()", 1),
        ("has(x) || global()", 11),
        ("!global()", 2),
        ("(global())", 2),
    ] {
        let error = parse_namespace_selector(text).expect_err("not alone");
        assert_eq!(
            (error.column, error.problem),
            (column, SelectorProblem::Global)
        );
    }
    let error = parse_as("a == 'b' || global()", &Dialect::ENDPOINTS).expect_err("elsewhere");
    assert_eq!((error.column, error.problem), (13, SelectorProblem::Global));
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

#[test]
fn every_mistake_is_pointed_at() {
    for (text, column, message) in [
        ("b == b", 6, "expected a value in quotes, found the word b"),
        (
            "b contains b",
            12,
            "expected a value in quotes, found the word b",
        ),
        ("b ends with {", 13, "expected a value in quotes, found {"),
        (
            "'b' == b",
            1,
            "expected a condition such as app == 'web', has(app) or all(), found the value \"b\"",
        ),
        (
            "b",
            2,
            "expected an operator after the label: ==, !=, in, not in, contains, starts with or ends with, found the end",
        ),
        (
            "a b",
            3,
            "expected an operator after the label: ==, !=, in, not in, contains, starts with or ends with, found the word b",
        ),
        ("a = 'b'", 3, "expected ==, found '='"),
        ("a === 'b'", 5, "expected ==, found '='"),
        (
            "!",
            2,
            "expected a condition such as app == 'web', has(app) or all(), found the end",
        ),
        ("a == 'b' &", 10, "expected &&, found '&'"),
        ("a == 'b' | has(c)", 10, "expected ||, found '|'"),
        (
            "a == 'b' has(c)",
            10,
            "expected &&, || or the end, found has(",
        ),
        ("a != ||", 6, "expected a value in quotes, found ||"),
        (
            "a in {'x', ||",
            12,
            "expected a value in quotes or }, found ||",
        ),
        (
            "a in {'x' 'y'}",
            11,
            "expected , or }, found the value \"y\"",
        ),
        (
            "a in {",
            7,
            "expected a value in quotes or }, found the end",
        ),
        (
            "a in 'x'",
            6,
            "expected a set such as {'a', 'b'}, found the value \"x\"",
        ),
        (
            "a not 'x'",
            7,
            "expected in, as in: app not in {'web'}, found the value \"x\"",
        ),
        (
            "a starts 'x'",
            10,
            "expected with, as in: app starts with 'web', found the value \"x\"",
        ),
        (
            "a == \"x'",
            6,
            "expected a closing quote for the value that begins here, found the end",
        ),
        (
            "(",
            2,
            "expected a condition such as app == 'web', has(app) or all(), found the end",
        ),
        ("(a == 'x'", 10, "expected &&, || or ), found the end"),
        (
            ")",
            1,
            "expected a condition such as app == 'web', has(app) or all(), found )",
        ),
        (
            "()",
            2,
            "expected a condition such as app == 'web', has(app) or all(), found )",
        ),
        ("a == 'x')", 9, "expected &&, || or the end, found )"),
        (
            "a == 'x' && ",
            13,
            "expected a condition such as app == 'web', has(app) or all(), found the end",
        ),
        ("has()", 5, "expected a label, found )"),
        ("has('x')", 5, "expected a label, found the value \"x\""),
        ("has(a b)", 7, "expected ), found the word b"),
        (
            "has (a)",
            5,
            "expected an operator after the label: ==, !=, in, not in, contains, starts with or ends with, found (",
        ),
        ("all(x)", 5, "expected ), found the word x"),
        (
            "a == 'x' % b",
            10,
            "expected a label, a value in quotes or an operator, found '%'",
        ),
        (
            "has(a)\n&& has(b)",
            7,
            "expected a label, a value in quotes or an operator, found '\\n'",
        ),
        (
            "größe == 'x'",
            3,
            "expected a label, a value in quotes or an operator, found 'ö'",
        ),
        (
            "a == 'größe' && b",
            18,
            "expected an operator after the label: ==, !=, in, not in, contains, starts with or ends with, found the end",
        ),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!(
            (error.column, error.problem.to_string().as_str()),
            (column, message),
            "{text}"
        );
        assert_eq!(
            error.to_string(),
            format!("column {column} of the selector: {message}")
        );
    }
}

#[test]
fn the_caret_stands_under_the_place() {
    let pointed = |text: &str| parse(text).expect_err("a mistake").pointed();
    assert_eq!(
        pointed("a == 'größe'\t&& b ~ 'c'"),
        "a == 'größe' && b ~ 'c'\n                  ^\n\
         expected a label, a value in quotes or an operator, found '~'"
    );
    assert!(pointed("a ==").starts_with("a ==\n    ^\n"));
}

#[test]
fn of_a_long_expression_the_surroundings_are_shown() {
    let text = format!("{}oops{}", "has(a) && ".repeat(50), " && has(b)".repeat(50));
    let pointed = parse(&text).expect_err("a mistake").pointed();
    let lines: Vec<&str> = pointed.lines().collect();
    assert_eq!(lines[0].chars().count(), 3 + 120 + 3);
    assert!(lines[0].starts_with("...") && lines[0].ends_with("..."));
    let caret = lines[1].find('^').expect("a caret");
    assert!(lines[0][..caret].ends_with("oops "));
}

#[test]
fn depth_and_length_have_bounds() {
    let nested = |depth: usize| format!("{}has(a){}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(read(&nested(MAX_DEPTH)), read("has(a)"));
    for depth in [MAX_DEPTH + 1, 30_000] {
        let error = parse(&nested(depth)).expect_err("too deep");
        assert_eq!(
            (error.column, error.problem),
            (MAX_DEPTH + 1, SelectorProblem::TooDeep)
        );
    }
    let siblings = ["((has(a)))"; 60].join(" && ");
    assert_eq!(read(&siblings), Selector::All(vec![read("has(a)"); 60]));

    let long = format!("a == '{}'", "x".repeat(MAX_LENGTH - 7));
    assert!(parse(&long).is_ok());
    let error = parse(&format!("{long} ")).expect_err("too long");
    assert_eq!(
        (error.column, error.problem.clone()),
        (MAX_LENGTH + 1, SelectorProblem::TooLong)
    );
    assert!(error.pointed().len() < 300);
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec!["a", "b", "in", "has", "not", "x.y/z-1_A"])
            .prop_map(str::to_owned),
        "[a-zA-Z0-9_./-]{1,8}",
    ]
}

/// No value holds both quotes: the language cannot write it.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[abv]{0,2}", "[^'\\n]{0,6}", "[^\"\\n]{0,6}"]
}

fn selector() -> impl Strategy<Value = Selector> {
    let leaf = prop_oneof![
        (key(), btree_set(value(), 0..4)).prop_map(|(k, v)| Selector::In(k, v)),
        key().prop_map(Selector::Has),
        (key(), value()).prop_map(|(k, v)| Selector::StartsWith(k, v)),
        (key(), value()).prop_map(|(k, v)| Selector::EndsWith(k, v)),
        (key(), value()).prop_map(|(k, v)| Selector::Contains(k, v)),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|part| Selector::Not(Box::new(part))),
            vec(inner.clone(), 0..4).prop_map(Selector::All),
            vec(inner, 0..4).prop_map(Selector::Any),
        ]
    })
}

fn some_labels() -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map(key(), value(), 0..6)
}

/// The same tree without what leaves no trace in text: groups of one, and of none for a choice.
fn canonical(selector: Selector) -> Selector {
    let each = |parts: Vec<Selector>| parts.into_iter().map(canonical).collect::<Vec<_>>();
    match selector {
        Selector::All(mut parts) | Selector::Any(mut parts) if parts.len() == 1 => {
            canonical(parts.remove(0))
        }
        Selector::Any(parts) if parts.is_empty() => Selector::Not(Box::new(Selector::everything())),
        Selector::All(parts) => Selector::All(each(parts)),
        Selector::Any(parts) => Selector::Any(each(parts)),
        Selector::Not(inner) => Selector::Not(Box::new(canonical(*inner))),
        leaf => leaf,
    }
}

proptest! {
    #[test]
    fn what_is_displayed_reads_back(selector in selector(), labels in vec(some_labels(), 8)) {
        let shown = selector.to_string();
        let back = parse(&shown).map_err(|error| TestCaseError::fail(error.pointed()))?;
        prop_assert_eq!(&back, &canonical(selector.clone()), "{}", shown);
        for labels in labels {
            prop_assert_eq!(back.matches(&labels), selector.matches(&labels), "{}", &shown);
        }
    }

    #[test]
    fn any_text_is_read_or_pointed_at(text in "\\PC{0,40}|[ab'\"(){},!=&| \t]{0,30}") {
        for dialect in [Dialect::LABELS, Dialect::RULE_NAMESPACES, Dialect::ACCOUNTS] {
            if let Err(error) = parse_as(&text, &dialect) {
                prop_assert!((1..=text.chars().count() + 1).contains(&error.column));
                prop_assert_eq!(error.pointed().lines().count(), 3);
            }
        }
    }
}
