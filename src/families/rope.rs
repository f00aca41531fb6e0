//! Rotary positions: where a `config.json` says their base, and that nothing but the plain form is asked for.
//!
//! After transformers 5 (`RotaryEmbeddingConfigMixin` in `modeling_rope_utils.py`): the settings are `rope_scaling` if it holds anything, else
//! `rope_parameters`; the base is `rope_theta` among them, else at the top, else 10,000. transformers 4 knows the top alone. Where the
//! two read a file differently, a warning says so.

use serde_json::{Map, Value};

use super::fields::{Fields, is_empty, positive, shown};
use crate::diagnostic::{Diagnostic, Result};

/// The base where the file says none.
const DEFAULT: f64 = 10_000.0;

/// The base of the rotary frequencies.
///
/// # Errors
/// A scaling that is not computed; a value that is no number above zero.
pub fn theta(fields: &Fields) -> Result<f64> {
    partial("partial_rotary_factor", fields.get("partial_rotary_factor"))?;
    // Only scalings read it.
    fields.get("original_max_position_embeddings");
    let top = match fields.get("rope_theta") {
        None => None,
        Some(_) => Some(fields.number("rope_theta", DEFAULT)?),
    };
    let scaling = settings(fields, "rope_scaling")?;
    let parameters = settings(fields, "rope_parameters")?;
    if let (Some(scaling), Some(parameters)) = (scaling, parameters)
        && scaling != parameters
    {
        fields.warn(
            Diagnostic::checkpoint("`rope_scaling` and `rope_parameters` say different things")
                .expected("one of them")
                .help("`rope_scaling` is taken, as transformers does"),
        );
    }
    let (name, settings) = match (scaling, parameters) {
        (Some(map), _) => ("rope_scaling", map),
        (None, Some(map)) => ("rope_parameters", map),
        (None, None) => return Ok(top.unwrap_or(DEFAULT)),
    };
    plain(name, settings)?;
    partial(
        &format!("{name}: partial_rotary_factor"),
        settings.get("partial_rotary_factor"),
    )?;
    unused(fields, name, settings);
    let Some(value) = settings.get("rope_theta") else {
        return Ok(top.unwrap_or(DEFAULT));
    };
    let inner = positive(value).ok_or_else(|| {
        Diagnostic::checkpoint(format!("`{name}: {{rope_theta: {}}}`", shown(value))).expected("a number above 0")
    })?;
    let beside = match (top, name) {
        (Some(top), _) if top != inner => format!("`rope_theta: {top}` beside it"),
        // A file of transformers 5 has no other place for it; one of transformers 4 has no reason to put it there.
        (None, "rope_scaling") if inner != DEFAULT => "transformers 4 does not look there and takes 10000".to_owned(),
        _ => return Ok(inner),
    };
    fields.warn(
        Diagnostic::checkpoint(format!("`{name}: {{rope_theta: {inner}}}`, and {beside}")).help(format!(
            "{inner} is taken, as transformers 5 does; transformers 4 does not"
        )),
    );
    Ok(inner)
}

/// Whether settings stand one level deeper, by kind of layer.
pub fn are_nested(fields: &Fields) -> bool {
    ["rope_scaling", "rope_parameters"].into_iter().any(|key| {
        let settings = fields.get(key).and_then(Value::as_object);
        settings.is_some_and(|map| map.contains_key("full_attention") || map.contains_key("sliding_attention"))
    })
}

/// Settings of rotary positions; none if there is nothing in them.
fn settings<'a>(fields: &Fields<'a>, key: &str) -> Result<Option<&'a Map<String, Value>>> {
    match fields.get(key) {
        Some(Value::Object(map)) if !map.is_empty() => Ok(Some(map)),
        Some(value) if !is_empty(value) => Err(fields.wrong(key, "an object, or null")),
        _ => Ok(None),
    }
}

/// Refuses every form but the plain one. A linear scaling by 1 is the plain one.
fn plain(name: &str, settings: &Map<String, Value>) -> Result<()> {
    let refused = |expected: &str| {
        let found = shown(&Value::Object(settings.clone()));
        Diagnostic::checkpoint(format!("`{name}: {found}`"))
            .expected(expected)
            .help("igsite does not compute this rotary scaling")
    };
    let (new, old) = (settings.get("rope_type"), settings.get("type"));
    if let (Some(new), Some(old)) = (new, old)
        && new != old
    {
        return Err(refused(
            "`rope_type` and `type` that are the same (transformers 5 goes by the first, 4 by the second)",
        ));
    }
    match new.or(old) {
        None => Ok(()),
        Some(kind) if kind == "default" => Ok(()),
        Some(kind) if kind == "linear" && settings.get("factor").and_then(Value::as_f64) == Some(1.0) => Ok(()),
        Some(_) => Err(refused("`rope_type: default`, or no scaling")),
    }
}

/// The share of a head's width that is turned.
fn partial(name: &str, value: Option<&Value>) -> Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_f64() == Some(1.0) => Ok(()),
        Some(value) => Err(Diagnostic::checkpoint(format!("`{name}: {}`", shown(value)))
            .expected("1: igsite turns the whole width of a head")
            .help(super::fields::NOT_COMPUTED)),
    }
}

/// Warns of settings that the plain form has no use for. Those that are nested by kind of layer are among them: transformers reads
/// them for families whose layers are of several kinds, which Llama and Falcon are not.
fn unused(fields: &Fields, name: &str, settings: &Map<String, Value>) {
    const USED: [&str; 6] = [
        "rope_type",
        "type",
        "rope_theta",
        "partial_rotary_factor",
        "original_max_position_embeddings",
        "max_position_embeddings",
    ];
    let linear = settings
        .get("rope_type")
        .or(settings.get("type"))
        .is_some_and(|kind| kind == "linear");
    let unused: Vec<String> = settings
        .iter()
        .filter(|(key, value)| !(USED.contains(&key.as_str()) || value.is_null() || linear && *key == "factor"))
        .map(|(key, value)| format!("`{key}: {}`", shown(value)))
        .collect();
    if !unused.is_empty() {
        fields.warn(
            Diagnostic::checkpoint(format!(
                "`{name}`: not used by plain rotary positions: {}",
                unused.join(", ")
            ))
            .help("passed over, as transformers does"),
        );
    }
}
