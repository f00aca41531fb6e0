use std::time::{Duration, Instant};

use serde_json::json;
use tera::{Context, Tera};

use super::super::meter::{self, Stopped};
use super::*;

const UNITS: u64 = 1 << 20;

/// What a template renders to as it is, and rewritten; or the first word on why not.
fn both(text: &str) -> (Result<String, String>, Result<String, String>) {
    let row = json!({"n": 3, "s": "a<b", "list": [3, 1, 2], "map": {"k": [1, {"x": "ä"}], "e": ""}, "yes": true});
    let context = Context::from_serialize(&row).expect("a context");
    let metered = Metered::new(text, &|_| None);
    let rendered = |text: &str, metered: Option<&Metered>| {
        let mut tera = Tera::new();
        // Beside Tera as it is, with filters of its own.
        if metered.is_some() {
            meter::register(&mut tera);
        }
        let added = tera.add_raw_templates([("t.html", text), ("part.html", "[{{ s }}{{ x }}]")]);
        added.map_err(|error| format!("not loaded: {error}"))?;
        tera.render("t.html", &context).map_err(|error| {
            let told = crate::content::templating::TemplateError::from(&error);
            let place = told
                .position
                .map(|place| metered.map_or(place, |metered| metered.original(place)));
            format!("{:?}: {}", place.map(|place| (place.line, place.column)), told.message)
        })
    };
    (rendered(text, None), rendered(&metered.text, Some(&metered)))
}

/// Templates of every kind of expression and tag.
const TEXTS: [&str; 49] = [
    "{{ s }}{{ map.k[1].x }}{{ map.e }}{{ n + 1 * 2 - -n }}{{ not yes }}",
    "a {{- s -}} b {{- s | upper -}} c {{- \"d\" -}} e",
    "{% for x in list -%}  {{ loop.index }}{{ x }}{% else %}none{%- endfor %}  z",
    "{% for k, v in map %}{{ k }}={{ v }};{% endfor %}",
    "{% for x in [1,[2,3],{\"a\": 4}] %}{{ x }}{% endfor %}",
    "{% for x in list | sort | reverse %}{% if x == 2 %}{% continue %}{% endif %}{{ x ~ s ~ x }}{% endfor %}",
    "{% for x in s %}{{ x }},{% if loop.first %}{% break %}{% endif %}{% endfor %}",
    "{{ [x ~ \"!\" for x in list if x > 1] | join(sep=\"-\") }}",
    "{{ [[y * x for y in list] for x in list] }}{{ [k ~ v | length for k, v in map] }}",
    "{{ [...list, ...[4, 5], n] | length }}{{ {...map, \"q\": s}[\"q\"] }}",
    "{% set m = {...map, \"q\": s} %}{{ m.q }}{{ m[\"q\"] }}{{ m?.nothing is undefined }}",
    "{{ list[0] }}{{ list[1:] }}{{ list[:-1] }}{{ list[::-1] }}{{ s[1] }}{{ s[0:2] }}{{ map.k[1].x[0] }}{{ map[\"k\"][0] }}",
    "{{ (list | sort)[0] }}{{ (s ~ s)[2:] }}{{ range(end=4)[1] }}{{ \"abc\"[1] }}{{ [7, 8][1] }}{{ list | first }}",
    "{% if 2 in list and \"a\" in s and not \"z\" in s and \"z\" not in s %}in{% endif %}{{ n in [3] }}",
    "{% if s is containing(pat=\"<\") and s is starting_with(pat=\"a\") and s is not ending_with(pat=\"q\") %}is{% endif %}",
    "{% if n is defined and q is undefined %}{{ q is defined }}{% elif n < 3 or n >= 4 %}b{% else %}c{% endif %}",
    "{{ n < 4 }}{{ n <= 3 }}{{ n > list[0] }}{{ n != 3 }}{{ s == \"a<b\" and list == [3, 1, 2] }}",
    "{% set x = s | replace(from=\"a\", to=\"<i>\") %}{{ x }}{{ x | safe }}{{ x | safe | replace(from=\"i\", to=s) }}",
    "{% set x %}<b>{{ s }}</b>{% endset %}{{ x }}{% set y | upper | replace(from=\"A\", to=\"z\") %}ab{% endset %}{{ y }}",
    "{% filter upper | trim %} a{{ s }} {% endfilter %}{% filter replace(from=\"a\", to=\"b\") %}aa{% endfilter %}",
    "{% include \"part.html\" %}",
    " a  {%- block one -%}  b {% block two %} c {%- endblock two %}  d {% endblock one -%}  e {%- include \"part.html\" %} f ",
    "{% set x = 5 %}{%- include \"part.html\" -%}  q",
    "{{ s | default(value=\"d\") }}{{ q | default(value=[1]) | length }}{{ q | default(value=\"x\") ~ s }}",
    "{{ s if yes else q }}{{ (n if not yes else s) ~ \"t\" }}{{ \"a\" if n == 3 else \"b\" }}",
    "{% component card(title, n=2) -%}  <h1>{{ title }}{{ n }}{{ body }}</h1>{% endcomponent card %}{{ <card title={s ~ \"!\"} /> }}",
    "{% component pair(...rest) %}{{ rest }}{% endcomponent pair %}{{ <pair a=\"1\" b={[n, list]} {...map} /> }}",
    "{% component box(title) %}<{{ title }}>{{ body }}{% endcomponent box %}{% <box title={s}> %}in {{ n }}{% </box> %}",
    "{% raw %}{{ s ~ s }}{% endraw %}{# {{ no }} #}{{- s }}",
    "{{ list | join(sep=\", \") }}{{ [s, s | safe] | join(sep=\"<\") }}{{ map | length }}{{ list | str }}",
    "{{ \"a\\nb\\n\" | indent(width=2, first=true) }}{{ \"a\\n\\nb\" | indent(blank=true, indentation=\"<\") }}{{ s | safe | indent }}",
    "{{ list | unique }}{{ [1, 1, 2] | unique }}{{ [{\"a\": 2}, {\"a\": 1}] | sort(attribute=\"a\") }}",
    "{{ list | nth(n=1) }}{{ map | keys }}{{ map | pairs }}{{ map | get(key=\"e\", default=\"f\") }}{{ \"1,2\" | split(pat=\",\") }}",
    "{% for x in range(end=2) %}{% for y in range(start=1, end=3) %}{{ x }}{{ y }} {% endfor %}{% endfor %}",
    "{% set_global g = \"\" %}{% for x in list %}{% set_global g = g ~ x %}{% endfor %}{{ g }}",
    "{{ 2 ** 3 ~ s }}{{ -n ~ s }}{{ n // 2 % 2 }}{{ 1.5 + n }}{{ n | float }}{{ true and none is none }}",
    "{{ n | safe }}{{ list | safe }}{{ nothing | safe }}{{ s | safe | safe }}{{ s | safe | upper }}{{ map | safe | length }}",
    "{{ \"aXbX\" | replace(from=\"X\", to=\"\") }}{{ s | replace(from=\"\", to=\"-\") }}{{ [] | join }}{{ [n, s] | join(sep=s | safe) }}",
    "{{ map?.k?[0] }}{{ nothing?.at.all is undefined }}",
    // Errors, with their places.
    "x {{ nothing }}",
    "x {{ nothing.at }}",
    "ä {{ map.nothing.at }}",
    "{{ s }}{{ list }} {{ s ~ nothing.x }}",
    "\n{{ s }} {{ n | upper }}",
    "{{ s }}{% for x in n %}{% endfor %}",
    "{{ s }} {{ n + s }}",
    "{{ list[0] }}{{ list[\"a\"] }}",
    "{{ s }}{% if list < s %}{% endif %}",
    "{{ s | upper }}{{ throw(message=\"mine\") }}",
];

#[test]
fn a_rewritten_template_says_the_same() {
    let mut wrong = String::new();
    for text in TEXTS {
        let (plain, metered) = both(text);
        // Places may be those of a neighbour, but lines are right and so is what is said.
        let line = |error: &String| error.split(',').next().map(str::to_owned);
        let said = |error: &String| error.split(": ").nth(1).map(str::to_owned);
        let same = match (&plain, &metered) {
            (Ok(one), Ok(other)) => one == other,
            (Err(one), Err(other)) => {
                !one.starts_with("not loaded") && (line(one), said(one)) == (line(other), said(other))
            }
            _ => false,
        };
        if !same {
            let rewritten = Metered::new(text, &|_| None).text;
            wrong += &format!("{text}\n{rewritten}\n  {plain:?}\n  {metered:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_place_of_a_variable_that_there_is_not_is_exact() {
    for text in [
        "x {{ nothing }}",
        "x {{ nothing.at }}",
        "{{ s }}{{ n }} ä {{ nothing }}",
        "{{ s | upper }}  {{ nothing }}",
    ] {
        let (plain, metered) = both(text);
        assert_eq!(plain, metered, "{text}");
        assert!(plain.is_err());
    }
}

#[test]
fn what_has_no_end_is_stopped() {
    let ten = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = |head: &str, depth: usize| head.repeat(depth) + &"{% endfor %}".repeat(depth);
    let hostile = [
        nested(&format!("{{% for x in {ten} %}}"), 12),
        nested("{% for x in range(end=100000) %}", 3),
        nested("{% for x in list %}", 30),
        format!("{{% set s = \"ab\" %}}{}", "{% set s = s ~ s %}".repeat(40)),
        format!("{{% set s = \"ab\" %}}{}", "{% set s = [s, s] | join(sep=\",\") %}".repeat(40)),
        format!("{{% set s = \"ab\" %}}{}{{{{ s }}}}", "{% set s = [s, s] %}".repeat(60)),
        format!("{{% set s = \"ab\" %}}{}", "{% set s = [...s, ...s] %}".repeat(60).replacen("...s", "s", 2)),
        format!("{{% set s = \"aa\" %}}{}", "{% set s = s | replace(from=\"a\", to=s) %}".repeat(40)),
        format!("{{% set s = \"a\nb\" %}}{}", "{% set s = s | indent(width=1000) | replace(from=\" \", to=\"\n\") %}".repeat(9)),
        format!("{{% set s = \"ab\" %}}{}", "{% set s %}{{ s }}{{ s }}{% endset %}".repeat(40)),
        format!("{{% set s = \"ab\" %}}{}", "{% set s %}{{ s | safe }}{{ s | upper }}{% endset %}".repeat(40)),
        format!("{{% set l = {ten} %}}{{{{ {} }}}}", nested_comprehension("l", 12)),
        "{% set l = range(end=100000) %}{{ [1 for x in l if [1 for y in l if false]] }}".to_owned(),
        "{% component a() %}{{ <a/> }}{{ <a/> }}{{ <a/> }}{% endcomponent a %}{{ <a/> }}".to_owned().replace("a()", "a(n=1)"),
        "{% set_global l = [] %}{% for x in range(end=1000) %}{% set_global l = [l] %}{% endfor %}".to_owned(),
        "{% set t %}{% for x in range(end=4000) %}abcdefghijklmnopqrstuvwxyz{% endfor %}{% endset %}{% for x in range(end=9000) %}{% if t[5] == t %}{% endif %}{% endfor %}".to_owned(),
        "{% set t %}{% for x in range(end=4000) %}abcdefghijklmnopqrstuvwxyz{% endfor %}{% endset %}{% for x in range(end=9000) %}{% if t | length > 5 and t is containing(pat=\"é\") %}{% endif %}{% endfor %}".to_owned(),
    ];
    let mut wrong = String::new();
    for text in hostile {
        let began = Instant::now();
        let mut tera = Tera::new();
        meter::register(&mut tera);
        let metered = Metered::new(&text, &|_| None).text;
        let added = tera.add_raw_template("t.html", &text);
        if let Err(error) = added.and_then(|()| tera.add_raw_template("t.html", &metered)) {
            wrong += &format!("{metered}: {error}\n");
            continue;
        }
        let context = Context::from_serialize(&json!({"list": [1, 2, 3, 4]})).expect("a context");
        let (done, why) = meter::within(UNITS, || tera.render("t.html", &context));
        let expected = if text.contains("[l]") {
            Stopped::TooDeep
        } else {
            Stopped::Spent
        };
        // Tera has a bound of its own on components within each other.
        let stopped = why == Some(expected) || why.is_none() && text.contains("component");
        if done.is_ok() || !stopped || began.elapsed() > Duration::from_secs(10) {
            wrong += &format!(
                "{text}\n{:?} {why:?} {:?}\n",
                done.map(|text| text.len()),
                began.elapsed()
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn nested_comprehension(list: &str, depth: usize) -> String {
    (0..depth).fold("1".to_owned(), |inner, _| format!("[1 for x in {list} if {inner}]"))
}

#[test]
fn a_template_that_is_honest_has_units_to_spare() {
    let (_, metered) = both("{% for x in range(end=2000) %}<tr><td>{{ s }}</td><td>{{ x }}</td></tr>{% endfor %}");
    let mut tera = Tera::new();
    meter::register(&mut tera);
    let text = "{% for x in range(end=2000) %}<tr><td>{{ s }}</td><td>{{ x }}</td></tr>{% endfor %}";
    tera.add_raw_template("t.html", &Metered::new(text, &|_| None).text)
        .expect("loads");
    let context = Context::from_serialize(&json!({"s": "some text"})).expect("a context");
    let (done, why) = meter::within(UNITS, || tera.render("t.html", &context));
    assert!(done.is_ok() && why.is_none() && metered.is_ok());
}

#[test]
fn what_only_shows_values_is_left_as_it_is() {
    for text in ["a", "{{ s }}", "x {{- a.b | trim | upper -}} y {{ s | after_says }}"] {
        assert_eq!(Metered::new(text, &|_| None).text, text);
    }
    for text in [
        "{{ s ~ s }}".to_owned(),
        "{{ s | replace(from=\"a\", to=\"b\") }}".to_owned(),
        "{{ s | trim | trim | trim }}".to_owned(),
        "{{ list[0] }}".to_owned(),
        "{% if s %}{{ s }}{% endif %}".to_owned(),
        "{{ s | json_encode }}".to_owned(),
        "{{ s }}".repeat(33),
    ] {
        assert_ne!(Metered::new(&text, &|_| None).text, text, "{text}");
    }
}
