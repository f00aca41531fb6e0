use std::path::Path;

use proptest::prelude::*;

use super::*;

fn tree(text: &str) -> Node {
    parse(Path::new("a.yaml"), text, 1).unwrap_or_else(|errors| panic!("{text:?}: {errors:?}"))
}

fn problems(text: &str) -> Vec<String> {
    parse(Path::new("a.yaml"), text, 1)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The value of a key of the top mapping.
fn value<'a>(tree: &'a Node, key: &str) -> &'a Node {
    let Content::Map(entries) = &tree.content else {
        panic!("no mapping")
    };
    &entries.iter().find(|entry| entry.key == key).unwrap().node
}

fn scalar(node: &Node) -> (&str, &ScalarKind) {
    let Content::Scalar(scalar) = &node.content else {
        panic!("no scalar: {node:?}")
    };
    (&scalar.text, &scalar.kind)
}

#[test]
fn scalars_keep_their_text_and_have_serde_yamls_kind() {
    let tree =
        tree("a: True\nb: 1.0\nc: 'true'\nd: ~\ne: 0x1F\nf: half-true\ng: 007\nh: 1_000\ni: |\n  x\n\n  y\nj:\n");
    assert_eq!(scalar(value(&tree, "a")), ("True", &ScalarKind::Bool(true)));
    assert_eq!(scalar(value(&tree, "b")), ("1.0", &ScalarKind::Number(1.0.into())));
    assert_eq!(scalar(value(&tree, "c")), ("true", &ScalarKind::Text));
    assert_eq!(scalar(value(&tree, "d")), ("~", &ScalarKind::Null));
    assert_eq!(scalar(value(&tree, "e")), ("0x1F", &ScalarKind::Number(31.into())));
    for (key, text) in [("f", "half-true"), ("g", "007"), ("h", "1_000"), ("i", "x\n\ny\n")] {
        assert_eq!(scalar(value(&tree, key)), (text, &ScalarKind::Text));
    }
    assert_eq!(scalar(value(&tree, "j")).1, &ScalarKind::Null);
}

#[test]
fn positions_count_lines_and_characters() {
    let tree = tree("é: [a, {b: c}]\n# remark\nd:\n  - 'e'\nf:\ng: |\n  text\n");
    let at = |node: &Node| (node.position.line, node.position.column);
    let Content::Map(entries) = &tree.content else { panic!() };
    assert_eq!((entries[0].position.line, entries[0].position.column), (1, 1));
    let Content::List(items) = &entries[0].node.content else {
        panic!()
    };
    assert_eq!((at(&items[0]), at(&items[1])), ((1, 5), (1, 8)));
    let Content::List(items) = &entries[1].node.content else {
        panic!()
    };
    assert_eq!(at(&items[0]), (4, 5));
    // Nothing is where its key is.
    assert_eq!(at(&entries[2].node), (5, 1));
    // Block text is where its first character is.
    assert_eq!(at(&entries[3].node), (7, 3));
}

#[test]
fn syntax_errors_are_serde_yamls() {
    assert_eq!(
        problems("title: a\ndescription: b: c\n"),
        [
            "a.yaml:2:15: this is not valid YAML: mapping values are not allowed in this context\n  help: put text that contains `: ` between quotes"
        ]
    );
    assert_eq!(
        problems("a: *nowhere\n"),
        [
            "a.yaml:1:4: this is not valid YAML: unknown anchor\n  help: write `&name` before the value that `*name` stands for"
        ]
    );
    assert!(
        problems("a: [1, 2\n")[0].starts_with("a.yaml:2:1: this is not valid YAML: did not find expected"),
        "{:?}",
        problems("a: [1, 2\n")
    );
    for (text, told) in [
        (
            "a: x\nb: [1,\n  2\nc: d\n",
            "; the `[` of line 2, column 4 is not closed",
        ),
        ("a: {b: [1, 2]\nc: d\n", "; the `{` of line 1, column 4 is not closed"),
    ] {
        assert!(problems(text)[0].contains(told), "{:?}", problems(text));
    }
    assert!(
        problems("a: b\nc: \"\u{1}\"\n")[0].starts_with("a.yaml:2:5: this is not valid YAML: control characters"),
        "{:?}",
        problems("a: b\nc: \"\u{1}\"\n")
    );
}

#[test]
fn what_would_trip_a_reader_is_refused() {
    assert_eq!(
        problems("a: 1\nb: 2\na: 3\nb: 4\n"),
        [
            "a.yaml:3:1: the key `a` is here twice; first on line 1",
            "a.yaml:4:1: the key `b` is here twice; first on line 2"
        ]
    );
    assert_eq!(
        problems("a: 1\n---\nb: 2\n"),
        ["a.yaml:2:1: a second YAML document begins here; one file holds one"]
    );
    assert_eq!(
        problems("a: !secret 1\n"),
        ["a.yaml:1:4: the tag `!secret` means nothing here"]
    );
    assert_eq!(
        problems("[a]: 1\n"),
        ["a.yaml:1:1: a key must be a single value, not a list or a mapping"]
    );
    assert_eq!(
        problems("a: &x [*x]\n"),
        ["a.yaml:1:8: this alias stands for a value that contains it"]
    );
    assert_eq!(
        problems(&("[".repeat(100) + &"]".repeat(100))),
        ["a.yaml:1:65: values are nested more than 64 deep"]
    );
    assert_eq!(
        problems(&"[".repeat(100_000)),
        ["a.yaml:1:256: values are nested more than 64 deep"]
    );
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(
        problems(&bomb)[0].ends_with("the aliases of this file stand for more than 100000 values"),
        "{:?}",
        problems(&bomb)
    );
}

#[test]
fn text_that_needs_quotes_is_told_so() {
    for text in [
        "a: {{ statement }}\n",
        "a: {{ x }} and {{ y }}\nb: 1\n",
        "- b: {{ x }}\n",
    ] {
        let told = problems(text);
        assert!(
            told[0].contains("help: put a template between quotes"),
            "{text}: {told:?}"
        );
    }
    for text in ["a: [INST] x [/INST]\nb: 1\n", "a: \"x\" y\n", "a: > x\n", "a: 'it's'\n"] {
        let told = problems(text);
        assert!(told[0].contains("between quotes"), "{text}: {told:?}");
    }
    assert_eq!(
        problems("a: &amp is a sign\n"),
        [
            "a.yaml:1:4: the anchor of this text is used nowhere: to YAML, what begins with `&` is a name and no text\n  help: put text that begins with `&` between quotes; or take the anchor away"
        ]
    );
}

#[test]
fn a_comment_behind_an_unquoted_text_is_kept() {
    let tree = tree(
        "a: Rule #1 is é\nb: 'x' # no\nc: C# x#y\nd: é  \t # two\ne: |\n  x #3\nf: [a, b #4\n ]\ng: # five\n  x\n",
    );
    let comment = |key: &str| match &value(&tree, key).content {
        Content::Scalar(scalar) => scalar.comment.clone(),
        _ => None,
    };
    let found: Vec<_> = "abcdeg".chars().map(|key| comment(&key.to_string())).collect();
    assert_eq!(found[0].as_deref(), Some("#1 is é"));
    assert_eq!(found[3].as_deref(), Some("# two"));
    assert_eq!(found.iter().flatten().count(), 2, "{found:?}");
    let Content::List(items) = &value(&tree, "f").content else {
        panic!()
    };
    assert!(matches!(&items[1].content, Content::Scalar(b) if b.comment.as_deref() == Some("#4")));
}

#[test]
fn time_and_memory_grow_with_the_file() {
    let began = std::time::Instant::now();
    for text in [
        "[".repeat(400_000),
        "{a: [".repeat(100_000),
        "- ".repeat(200_000),
        "? ".repeat(200_000),
        format!("]{}", "[".repeat(400_000)),
    ] {
        assert!(!problems(&text).is_empty());
    }
    let long = format!("a: &x {}\nb: [{}]\n", "long ".repeat(20_000), "*x, ".repeat(1000));
    assert!(problems(&long)[0].ends_with("the aliases of this file stand for more than 100000 values"));
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn aliases_and_empty_files_are_fine() {
    let tree = tree("a: &x {b: 1.50}\nc: *x\n");
    assert_eq!(value(&tree, "a").content, value(&tree, "c").content);
    assert_eq!(value(&tree, "c").position, Position { line: 2, column: 4 });
    for empty in ["", "\n\n", "# only a remark\n", "---\n", "\u{feff}"] {
        let tree = parse(Path::new("a.yaml"), empty, 1).unwrap();
        assert_eq!(scalar(&tree).1, &ScalarKind::Null, "{empty:?}");
    }
}

#[test]
fn front_matter_counts_the_lines_of_its_file() {
    let errors = parse(Path::new("a.md"), "a: 1\na: 2\n", 2).unwrap_err();
    assert_eq!(
        errors.iter().next().unwrap().to_string(),
        "a.md:3:1: the key `a` is here twice; first on line 2"
    );
    assert_eq!(parse(Path::new("a.md"), "a: 1\n", 2).unwrap().position.line, 2);
}

fn check_positions(node: &Node, lines: &[usize]) {
    let inside = |position: Position| {
        assert!(position.line >= 1 && position.line <= lines.len(), "{position:?}");
        assert!(
            position.column >= 1 && position.column <= lines[position.line - 1] + 1,
            "{position:?}"
        );
    };
    inside(node.position);
    match &node.content {
        Content::Scalar(_) => {}
        Content::List(items) => items.iter().for_each(|item| check_positions(item, lines)),
        Content::Map(entries) => entries.iter().for_each(|entry| {
            inside(entry.position);
            check_positions(&entry.node, lines);
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_text_is_read_or_refused_within_its_lines(text in "([a-c1é:\\-\\[\\]{},\"'#&*!|>%@?~. \n\t\r]|: |\n  |- |true|---\n){0,40}") {
        let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
        match parse(Path::new("a.yaml"), &text, 1) {
            Ok(tree) => check_positions(&tree, &lines),
            Err(errors) => {
                prop_assert!(errors.has_errors());
                for error in errors.iter() {
                    let position = error.position.unwrap();
                    prop_assert!(position.line >= 1 && position.line <= lines.len(), "{error}");
                    prop_assert!(position.column >= 1 && position.column <= lines[position.line - 1] + 1, "{error}");
                }
            }
        }
    }

    #[test]
    fn quoted_text_comes_back(key in "[a-z]{1,9}", text in any::<String>()) {
        let text = text.replace(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}'..='\u{ffff}'), "");
        let tree = tree(&format!("{key}: {}\n", serde_json::to_string(&text).unwrap()));
        prop_assert_eq!(scalar(value(&tree, &key)).0, text);
    }
}

#[test]
fn line_separators_are_kept_or_refused() {
    assert_eq!(
        scalar(value(&tree("a: \"x\\L y\\N z\"\n"), "a")).0,
        "x\u{2028} y\u{85} z"
    );
    assert_eq!(
        problems("a: \"x\u{2028} y\"\n"),
        [
            "a.yaml:1:4: this text holds a line separator (U+0085, U+2028 or U+2029), which YAML folds\n  help: put the text between double quotes, with `\\N`, `\\L` or `\\P` for the separator"
        ]
    );
}
