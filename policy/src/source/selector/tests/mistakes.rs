//! Every mistake is pointed at.

use super::{
    Dialect, MAX_DEPTH, MAX_LENGTH, Selector, SelectorProblem, parse, parse_as,
    parse_namespace_selector, read,
};

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
