//! How values are written on pages: the filters that templates have besides Tera's own.
//!
//! Templates get the values of records as they are; a filter writes one of them for people. The docs list all of them
//! (`documented.rs`). A number that is not known is a dash, or what the argument `or` says.

use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

use crate::analysis::text::target_text;
use crate::render::text::{
    correlation, decimals, excerpt, interval, list, number, percent, plus_minus, points, signed,
};
use crate::render::{chart, heatmap, labels};
use crate::site::urls::{self, Links};
use crate::terms::TargetKind;

/// Gives a Tera these filters.
pub fn register(tera: &mut Tera) {
    for (name, write) in NUMBERS {
        tera.register_filter(name, move |value: &Value, given: Kwargs, _: &State| {
            numeric(value, &given, write)
        });
    }
    tera.register_filter("decimals", |value: &Value, given: Kwargs, _: &State| {
        let places = given.get::<usize>("places")?.unwrap_or(0).min(MOST_PLACES);
        numeric(value, &given, |x| decimals(x, places))
    });
    tera.register_filter("written", written);
    tera.register_filter("interval", |value: &Value, given: Kwargs, _: &State| {
        an_interval(value, &given)
    });
    tera.register_filter("verdict", |value: &Value, _: Kwargs, _: &State| match value.as_bool() {
        Some(true) => "right",
        Some(false) => "wrong",
        None => "",
    });
    tera.register_filter("json", |value: &Value, _: Kwargs, _: &State| match value.as_str() {
        Some(_) => Ok(value.clone()),
        None => serde_json::to_string(value)
            .map(Value::from)
            .map_err(|error| Error::message(error.to_string())),
    });
    tera.register_filter("bar", |value: &Value, _: Kwargs, _: &State| match value.as_f64() {
        Some(share) => Ok(Value::safe_string(&chart::bar(share))),
        None => known_or_nothing(value).map(|()| Value::from("")),
    });
    tera.register_filter("interval_bar", |value: &Value, given: Kwargs, _: &State| {
        let share = value.get_from_path("value").and_then(Value::as_f64);
        let range = value.get_from_path("interval").and_then(ends);
        match share.zip(range) {
            Some((share, range)) => {
                let guessing = given.get::<&Value>("guessing")?.and_then(Value::as_f64);
                Ok(Value::safe_string(&chart::interval(share, range, guessing)))
            }
            None => Ok(Value::from("")),
        }
    });
    tera.register_filter("shade", |shade: i32, _: Kwargs, _: &State| heatmap::shade_class(shade));
    tera.register_filter("list", |texts: Vec<String>, _: Kwargs, _: &State| list(&texts));
    tera.register_filter("excerpt", |text: &str, given: Kwargs, _: &State| {
        given.must_get::<usize>("length").map(|length| excerpt(text, length))
    });
    tera.register_filter("target", |value: &Value, _: Kwargs, _: &State| target(value));
    tera.register_filter("unit", |output: &str, _: Kwargs, _: &State| {
        labels::unit_named(output).ok_or_else(|| unheard_of("output", output))
    });
    tera.register_filter("baseline", |value: &Value, _: Kwargs, _: &State| {
        if imported(value).is_some() {
            return Ok(text_at(value, "imported.baseline").unwrap_or_else(|| "baseline that is not told".to_owned()));
        }
        let text = word_of(value, "baseline")?;
        labels::baseline_named(&text).ok_or_else(|| unheard_of("baseline", &text))
    });
    tera.register_filter("method", |value: &Value, _: Kwargs, _: &State| {
        if let Some(method) = text_at(value, "imported.method") {
            return Ok(method);
        }
        let method = word_of(value, "method")?;
        let name = labels::method_named(&method).map(str::to_owned);
        name.ok_or_else(|| unheard_of("method", &method))
    });
    tera.register_filter("quadrature", |rule: &str, _: Kwargs, _: &State| {
        labels::rule_named(rule).ok_or_else(|| unheard_of("quadrature rule", rule))
    });
    tera.register_filter("badge", |state: &str, _: Kwargs, _: &State| {
        let (text, class) = labels::badge_named(state).ok_or_else(|| unheard_of("state of a map", state))?;
        Ok::<_, Error>(Value::safe_string(&format!(
            "<span class=\"badge {class}\">{text}</span>"
        )))
    });
    tera.register_filter("standing", |value: &Value, _: Kwargs, _: &State| {
        let Some(standing) = value.as_str() else {
            return known_or_nothing(value).map(|()| Value::from("–"));
        };
        let (text, class) = labels::standing_named(standing).ok_or_else(|| unheard_of("standing of maps", standing))?;
        Ok::<_, Error>(Value::safe_string(&format!(
            "<span class=\"badge {class}\">{text}</span>"
        )))
    });
    tera.register_filter("encode", |text: &str, _: Kwargs, _: &State| urls::encode(text));
    tera.register_filter("link", |path: &str, _: Kwargs, state: &State| {
        let page = state.get::<Value>("page")?.ok_or_else(|| {
            Error::message("the filter `link` needs the variable `page`, which templates of shortcodes do not have")
        })?;
        let part = |name: &str| page.get_from_path(name).and_then(Value::as_str).map(str::to_owned);
        let from = part("path").unwrap_or_default();
        Ok::<_, Error>(Links::of(from, part("root")).to(path))
    });
}

/// As many decimals as [`decimals`] knows.
const MOST_PLACES: usize = 7;

/// A number as text.
type Write = fn(f64) -> String;

/// The filters that write one number.
pub(super) const NUMBERS: [(&str, Write); 7] = [
    ("shortest", |x| x.to_string()),
    ("number", number),
    ("signed", signed),
    ("plus_minus", plus_minus),
    ("percent", percent),
    ("points", points),
    ("correlation", correlation),
];

/// A number as `write` has it. Nothing known is the argument `or`, or a dash.
fn numeric(value: &Value, given: &Kwargs, write: impl Fn(f64) -> String) -> TeraResult<Value> {
    match value.as_f64() {
        Some(number) => Ok(Value::from(write(number))),
        None => unknown(value, given, "–"),
    }
}

/// An interval; nothing known is the argument `or`, or nothing.
fn an_interval(value: &Value, given: &Kwargs) -> TeraResult<Value> {
    match ends(value) {
        Some(ends) => Ok(Value::from(interval(ends))),
        None => unknown(value, given, ""),
    }
}

fn unknown(value: &Value, given: &Kwargs, otherwise: &str) -> TeraResult<Value> {
    known_or_nothing(value)?;
    Ok(Value::from(given.get::<&str>("or")?.unwrap_or(otherwise)))
}

/// What is no number must be nothing.
fn known_or_nothing(value: &Value) -> TeraResult<()> {
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }
    Err(Error::message(format!(
        "a number was expected, found a value of type {}",
        value.name()
    )))
}

/// A cell of a table whose column says how its numbers are written; texts are what they are.
fn written(value: &Value, given: Kwargs, _: &State) -> TeraResult<Value> {
    if value.is_string() {
        return Ok(value.clone());
    }
    match given.get::<&Value>("as")?.and_then(Value::as_str) {
        None => Ok(value.clone()),
        Some("interval") => an_interval(value, &given),
        Some("decimals") => numeric(value, &given, |x| decimals(x, 0)),
        Some(name) => match NUMBERS.iter().find(|(known, _)| *known == name) {
            Some((_, write)) => numeric(value, &given, write),
            None => Err(unheard_of("filter that writes numbers", name)),
        },
    }
}

/// The two ends of an interval.
fn ends(value: &Value) -> Option<(f64, f64)> {
    match value.as_array()? {
        [low, high] => low.as_f64().zip(high.as_f64()),
        _ => None,
    }
}

/// A word, or that of a map: a map that was imported has its own words for it.
fn word_of(value: &Value, field: &str) -> TeraResult<String> {
    let word = value.as_str().or_else(|| value.get_from_path(field)?.as_str());
    word.map(str::to_owned).ok_or_else(|| {
        Error::message(format!(
            "a {field} or a map was expected, found a value of type {}",
            value.name()
        ))
    })
}

/// What a map explains, as headings have it.
fn target(value: &Value) -> TeraResult<String> {
    let [kind, text] = ["kind", "text"].map(|part| value.get_from_path(part).and_then(Value::as_str));
    let (Some(kind), Some(text)) = (kind, text) else {
        return Err(Error::message(format!(
            "a target with `kind` and `text` was expected, found a value of type {}",
            value.name()
        )));
    };
    let known = TargetKind::WORDS.iter().find(|(word, _)| *word == kind);
    let (_, kind) = known.ok_or_else(|| unheard_of("kind of target", kind))?;
    Ok(target_text(*kind, text))
}

/// Who computed a map that igsite did not.
fn imported(value: &Value) -> Option<&Value> {
    value.get_from_path("imported").filter(|imported| !imported.is_none())
}

fn text_at(value: &Value, path: &str) -> Option<String> {
    Some(value.get_from_path(path)?.as_str()?.to_owned())
}

fn unheard_of(what: &str, name: &str) -> Error {
    Error::message(format!("`{name}` is no {what}"))
}

#[cfg(test)]
mod tests {
    use tera::Context;

    use super::*;

    fn shown(template: &str, context: &serde_json::Value) -> Result<String, String> {
        let mut tera = Tera::new();
        register(&mut tera);
        let context = Context::from_serialize(context).expect("an object");
        tera.add_raw_template("it", template)
            .map_err(|error| error.to_string())?;
        tera.render("it", &context).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_what_is_no_number_an_error() {
        let context =
            serde_json::json!({"none": null, "text": "x", "count": 3, "share": {"value": null, "interval": null}});
        let shown = |template: &str| shown(template, &context);
        assert_eq!(shown("{{ none | percent }}").as_deref(), Ok("–"));
        assert_eq!(shown("{{ none | percent(or=\"unknown\") }}").as_deref(), Ok("unknown"));
        assert_eq!(shown("{{ count | number }}").as_deref(), Ok("3.000"));
        assert_eq!(
            shown("{{ none | interval }}{{ none | bar }}{{ share | interval_bar }}").as_deref(),
            Ok("")
        );
        assert!(shown("{{ text | percent }}").is_err_and(|error| error.contains("a number was expected")));
        assert!(shown("{{ text | baseline }}").is_err_and(|error| error.contains("no baseline")));
        assert!(shown("{{ text | target }}").is_err_and(|error| error.contains("a target with `kind` and `text`")));
        assert!(shown("{{ text | method }}").is_err_and(|error| error.contains("no method")));
        assert!(shown("{{ text | badge }}").is_err_and(|error| error.contains("no state of a map")));
        assert!(shown("{{ \"a\" | link }}").is_err_and(|error| error.contains("needs the variable `page`")));
    }

    #[test]
    fn a_link_begins_at_its_page() {
        let on = |path: &str, root: Option<&str>| {
            let page = serde_json::json!({"page": {"path": path, "root": root}});
            shown("{{ \"assets/ours.css\" | link }}", &page).expect("rendered")
        };
        assert_eq!(on("index.html", None), "assets/ours.css");
        assert_eq!(on("models/a/index.html", None), "../../assets/ours.css");
        assert_eq!(on("404.html", Some("/repo/")), "/repo/assets/ours.css");
    }
}
