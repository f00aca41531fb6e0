use super::super::yaml;
use super::*;

/// Runs a decoding of the value of `a` and gives the messages.
fn told<T>(yaml: &str, decode: impl Fn(&mut Decoder, &Field) -> T) -> (T, Vec<String>) {
    let tree = yaml::parse(Path::new("a.yaml"), yaml, 1).unwrap();
    let mut decoder = Decoder::new(Path::new("a.yaml"));
    let table = decoder.table(&Field::top(&tree), &["a", "title"]).unwrap();
    let value = decode(&mut decoder, &table.get("a").unwrap());
    (value, decoder.diagnostics.iter().map(ToString::to_string).collect())
}

#[test]
fn wrong_types_say_what_was_found_and_expected() {
    let whole = |decoder: &mut Decoder, field: &Field| decoder.whole(field, 1..=9);
    assert_eq!(told("a: 9", whole), (Some(9), vec![]));
    for (yaml, found) in [
        ("a: abc", "text `abc`"),
        ("a: '3'", "text `3`"),
        ("a: 0", "the number `0`"),
        ("a: 1.0", "the number `1.0`"),
        ("a: -1", "the number `-1`"),
        ("a: True", "the truth value `True`"),
        ("a:", "nothing"),
        ("a: []", "an empty list"),
        ("a: [1]", "a list"),
        ("a: {b: 1}", "a mapping"),
        ("a: ' '", "blank text"),
    ] {
        let (value, messages) = told(yaml, whole);
        assert_eq!(value, None);
        assert_eq!(messages.len(), 1);
        assert!(
            messages[0].ends_with(&format!(": a: found {found}\n  expected: a whole number from 1 to 9")),
            "{messages:?}"
        );
    }
    assert!(told("a: yes", Decoder::boolean).1[0].contains("found text `yes`\n  expected: `true` or `false`"));
    assert!(told("a: .inf", Decoder::positive).1[0].contains("expected: a number above 0"));
    assert_eq!(told("a: 1e-3", Decoder::positive).0, Some(0.001));
    assert_eq!(told("a: -3", Decoder::integer).0, Some(-3));
    assert!(told("a: 1.5", Decoder::integer).1[0].contains("expected: a whole number"));
    assert_eq!(
        told("a: 2024", |decoder, field| decoder.text(field, "a title"))
            .0
            .unwrap(),
        "2024"
    );
}

#[test]
fn an_unknown_key_is_told_with_the_one_that_was_meant() {
    let (_, messages) = told("a: 1\ntilte: x\nnonsense: y\n", |_, _| ());
    assert_eq!(
        messages,
        [
            "a.yaml:2:1: unknown key `tilte`\n  expected: one of `a`, `title`\n  help: did you mean `title`?",
            "a.yaml:3:1: unknown key `nonsense`\n  expected: one of `a`, `title`"
        ]
    );
}

#[test]
fn a_choice_says_its_words() {
    let (value, messages) = told("a: logits", |decoder, field| {
        decoder.choice(field, &[("probability", 1), ("logit", 2)])
    });
    assert_eq!(value, None);
    assert_eq!(
        messages,
        [
            "a.yaml:1:4: a: found text `logits`\n  expected: one of `probability`, `logit`\n  help: did you mean `logit`?"
        ]
    );
}

#[test]
fn a_missing_key_and_a_list_that_is_none() {
    let (_, messages) = told("a: {b: 1}", |decoder, field| {
        let table = decoder.table(field, &["b", "c"]).unwrap();
        decoder.require(&table, "c", "text");
        decoder.list(&table.get("b").unwrap(), "a list, such as [x]");
    });
    assert_eq!(
        messages,
        [
            "a.yaml:1:4: a: the key `c` is missing\n  expected: `c`: text",
            "a.yaml:1:8: a.b: found the number `1`\n  expected: a list, such as [x]"
        ]
    );
}
