//! Rotary position embeddings as a `config.json` describes them.
//!
//! After transformers 5 (`RotaryEmbeddingConfigMixin` in `modeling_rope_utils.py`): the settings are `rope_scaling` if
//! it holds anything, else `rope_parameters`; the base is `rope_theta` among them, else at the top, else the family's
//! default. transformers 4 knows the top alone. Where the two read a file differently, a warning says so. Families
//! whose layers are of several kinds may have settings for each kind (`full_attention`, `sliding_attention`).

use serde_json::{Map, Value};

use super::fields::{Fields, NOT_COMPUTED, is_empty, positive, shown};
use super::shape::{Growth, Pairs, Rotary, Scaling};
use crate::diagnostic::{Diagnostic, Result};

/// What a family has before its file says anything.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Width of a head.
    pub head: usize,
    /// The base where the file says none.
    pub theta: f64,
    /// The share of a head's width that turns, where the file says none; none: all of it, whatever the file says.
    pub partial: Option<f64>,
    /// Which dimensions are a pair.
    pub pairs: Pairs,
    /// The context that the model was trained with, where the file says none at the top, whatever its settings say
    /// (Phi-3); none: the settings say it.
    pub original: Option<usize>,
    /// What the base and the share that turns are called at the top of the file.
    pub names: [&'static str; 2],
}

impl Wanted {
    /// As in Llama: the whole head turns.
    pub fn whole(head: usize, theta: f64) -> Self {
        Self {
            head,
            theta,
            partial: None,
            pairs: Pairs::Halves,
            original: None,
            names: NAMES,
        }
    }
}

/// What most families call the base and the share that turns.
pub const NAMES: [&str; 2] = ["rope_theta", "partial_rotary_factor"];

/// The context that a model was trained with, before it was stretched.
const ORIGINAL: &str = "original_max_position_embeddings";

/// How fast queries grow.
const BETA: &str = "llama_4_scaling_beta";

/// Settings for all layers.
///
/// # Errors
/// A form that is not computed; a value that is not a number above zero.
pub fn read(fields: &Fields, wanted: &Wanted) -> Result<Rotary> {
    read_or(fields, wanted, &Map::new())
}

/// As [`read`], with the settings of a family whose file has none.
///
/// # Errors
/// As [`read`].
pub fn read_or(fields: &Fields, wanted: &Wanted, default: &Map<String, Value>) -> Result<Rotary> {
    one_for_all(fields, wanted, default, false)
}

/// As [`read_or`], where queries grow with their position (`llama_4_scaling_beta`).
///
/// # Errors
/// As [`read`]; or the settings do not say how they grow.
pub fn read_growing(fields: &Fields, wanted: &Wanted, default: &Map<String, Value>) -> Result<Rotary> {
    one_for_all(fields, wanted, default, true)
}

fn one_for_all(fields: &Fields, wanted: &Wanted, default: &Map<String, Value>, grows: bool) -> Result<Rotary> {
    let share = fields.get(wanted.names[1]);
    let top = theta_at_the_top(fields, wanted.names[0], wanted.theta)?;
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
    let (name, map) = match (scaling, parameters) {
        (Some(map), _) => ("rope_scaling", Some(map)),
        (None, Some(map)) => ("rope_parameters", Some(map)),
        (None, None) => ("rope_scaling", None),
    };
    // An object with nothing in it is not the same as none.
    let default = match fields.some("rope_parameters") {
        None => default,
        Some(_) => &Map::new(),
    };
    let source = Source {
        fields,
        name,
        map: map.unwrap_or(default),
        grows,
        nested: false,
        original: wanted.original,
    };
    let theta = source.theta()?;
    // A file of transformers 5 without a base at the top says it among `rope_parameters` alone.
    if let Some(inner) = theta.filter(|_| (name == "rope_scaling" && map.is_some()) || top.is_some()) {
        elsewhere(fields, inner, top, wanted, name);
    }
    source.rotary(wanted, theta.or(top).unwrap_or(wanted.theta), share)
}

/// Settings for the layers that see all before them, and for those with a window. `local` is the key of the latter's
/// base in files of transformers 4.
///
/// # Errors
/// As [`read`].
pub fn read_by_kind(fields: &Fields, full: &Wanted, sliding: &Wanted, local: Option<&str>) -> Result<[Rotary; 2]> {
    let share = fields.get("partial_rotary_factor");
    let top = theta_at_the_top(fields, "rope_theta", full.theta)?;
    let below = match local {
        Some(key) => theta_at_the_top(fields, key, sliding.theta)?,
        None => top,
    };
    let scaling = settings(fields, "rope_scaling")?;
    let parameters = settings(fields, "rope_parameters")?;
    let empty = Map::new();
    let kind = |kind: &str| -> Result<Option<&Map<String, Value>>> {
        match parameters.and_then(|map| map.get(kind)) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(value) => Err(
                Diagnostic::checkpoint(format!("`rope_parameters: {{{kind}: {}}}`", shown(value)))
                    .expected("an object, or null"),
            ),
        }
    };
    if let Some(map) = parameters
        && !are_nested(fields)
    {
        return Err(
            Diagnostic::checkpoint(format!("`rope_parameters: {}`", shown(&Value::Object(map.clone()))))
                .expected("settings for `full_attention` and for `sliding_attention`"),
        );
    }
    let one = |name: &'static str, map: Option<&Map<String, Value>>, wanted: &Wanted, top: Option<f64>| {
        let source = Source {
            fields,
            name,
            map: map.unwrap_or(&empty),
            grows: false,
            nested: true,
            original: wanted.original,
        };
        let theta = source.theta()?;
        source.rotary(wanted, theta.or(top).unwrap_or(wanted.theta), share)
    };
    // What transformers 4 scales are the layers that see all; 5 puts it over what the file says of them.
    let parts = [kind("full_attention")?, scaling];
    let name = match scaling {
        Some(_) => "rope_scaling",
        None => "rope_parameters: full_attention",
    };
    let map: Map<String, Value> = parts.into_iter().flatten().flatten().map(owned).collect();
    Ok([
        one(name, Some(&map), full, top)?,
        one(
            "rope_parameters: sliding_attention",
            kind("sliding_attention")?,
            sliding,
            below,
        )?,
    ])
}

fn owned((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

fn theta_at_the_top(fields: &Fields, key: &str, default: f64) -> Result<Option<f64>> {
    match fields.get(key) {
        None => Ok(None),
        Some(_) => fields.number(key, default).map(Some),
    }
}

/// Warns where transformers 4 reads another base.
fn elsewhere(fields: &Fields, inner: f64, top: Option<f64>, wanted: &Wanted, name: &str) {
    let default = wanted.theta;
    let beside = match top {
        Some(top) if top != inner => format!("`{}: {top}` beside it", wanted.names[0]),
        // A file of transformers 5 has no other place for it; one of transformers 4 has no reason to put it there.
        None if inner != default => format!("transformers 4 does not look there and takes {default}"),
        _ => return,
    };
    fields.warn(
        Diagnostic::checkpoint(format!("`{name}: {{rope_theta: {inner}}}`, and {beside}")).help(format!(
            "{inner} is taken, as transformers 5 does; transformers 4 does not"
        )),
    );
}

/// Settings and where they stand.
struct Source<'a> {
    fields: &'a Fields<'a>,
    name: &'static str,
    map: &'a Map<String, Value>,
    /// Queries grow with their position.
    grows: bool,
    /// They are of one kind of layer, of several.
    nested: bool,
    /// See [`Wanted::original`].
    original: Option<usize>,
}

impl Source<'_> {
    fn wrong(&self, expected: impl Into<String>) -> Diagnostic {
        let found = shown(&Value::Object(self.map.clone()));
        Diagnostic::checkpoint(format!("`{}: {found}`", self.name))
            .expected(expected.into())
            .help("igsite does not compute this rotary scaling")
    }

    /// The base among the settings.
    fn theta(&self) -> Result<Option<f64>> {
        let Some(value) = self.map.get("rope_theta").filter(|value| !value.is_null()) else {
            return Ok(None);
        };
        let wrong = || {
            Diagnostic::checkpoint(format!("`{}: {{rope_theta: {}}}`", self.name, shown(value)))
                .expected("a number above 0")
        };
        positive(value).map(Some).ok_or_else(wrong)
    }

    /// A number above zero that must be there, or has a default.
    fn number(&self, key: &str, default: Option<f64>) -> Result<f64> {
        match self.map.get(key).filter(|value| !value.is_null()) {
            Some(value) => positive(value).ok_or_else(|| self.wrong(format!("a number above 0 at `{key}`"))),
            None => default.ok_or_else(|| self.wrong(format!("a number above 0 at `{key}`"))),
        }
    }

    fn optional(&self, key: &str) -> Result<Option<f64>> {
        match self.map.get(key).filter(|value| !value.is_null()) {
            Some(_) => self.number(key, None).map(Some),
            None => Ok(None),
        }
    }

    /// The context that the model was trained with.
    fn original(&self) -> Result<f64> {
        match self.original_if_said()? {
            Some(original) => Ok(original),
            None => self.longest(),
        }
    }

    /// As transformers, the value at the top comes first (Phi-3's), but not where layers are of several kinds.
    fn original_if_said(&self) -> Result<Option<f64>> {
        let top = match (self.fields.get(ORIGINAL), self.original) {
            (None, default) => default,
            (Some(_), _) => self.fields.optional_count(ORIGINAL)?,
        };
        let top = top.map(|top| top as f64);
        let inner = self.optional(ORIGINAL)?;
        Ok(if self.nested { inner.or(top) } else { top.or(inner) })
    }

    fn longest(&self) -> Result<f64> {
        match self.fields.optional_count("max_position_embeddings")? {
            Some(longest) => Ok(longest as f64),
            None => Err(self.wrong("`max_position_embeddings` beside it")),
        }
    }

    fn divisors(&self, key: &str, count: usize) -> Result<Vec<f64>> {
        let list = self.map.get(key).and_then(Value::as_array);
        let numbers: Option<Vec<f64>> = list.and_then(|all| all.iter().map(positive).collect());
        numbers
            .filter(|all| all.len() == count)
            .ok_or_else(|| self.wrong(format!("{count} numbers above 0 at `{key}`, one for each pair")))
    }

    fn rotary(&self, wanted: &Wanted, theta: f64, share: Option<&Value>) -> Result<Rotary> {
        // Only scalings read it.
        self.fields.get(ORIGINAL);
        let inner = self.map.get("partial_rotary_factor");
        let place = format!("{}: partial_rotary_factor", self.name);
        let width = match wanted.partial {
            None => {
                whole(wanted.names[1], share)?;
                whole(&place, inner)?;
                wanted.head
            }
            Some(default) => {
                let said = inner.filter(|value| !value.is_null());
                let (place, said) = match said {
                    Some(value) => (place.as_str(), Some(value)),
                    None => (wanted.names[1], share.filter(|value| !value.is_null())),
                };
                let share = match said {
                    None => default,
                    Some(value) => positive(value).filter(|share| *share <= 1.0).ok_or_else(|| {
                        Diagnostic::checkpoint(format!("`{place}: {}`", shown(value)))
                            .expected("a number above 0, at most 1")
                    })?,
                };
                (wanted.head as f64 * share) as usize
            }
        };
        super::even("the rotary part of a head's width", width)?;
        if width == 0 {
            return Err(self.wrong("at least one pair of dimensions that turns"));
        }
        let scaling = self.scaling(theta, width)?;
        self.unused(&scaling);
        Ok(Rotary {
            theta,
            width,
            pairs: wanted.pairs,
            scaling,
            growth: self.growth()?,
        })
    }

    fn scaling(&self, theta: f64, width: usize) -> Result<Scaling> {
        let (new, old) = (self.map.get("rope_type"), self.map.get("type"));
        if let (Some(new), Some(old)) = (new, old)
            && new != old
        {
            return Err(self.wrong(
                "`rope_type` and `type` that are the same (transformers 5 goes by the first, 4 by the second)",
            ));
        }
        let unknown =
            || self.wrong("`rope_type` one of default, linear, dynamic, llama3, yarn, longrope; or no scaling");
        let kind = match new.or(old) {
            None => "default",
            // What the first files of Phi-3 call it, which transformers reads so too.
            Some(Value::String(kind))
                if ["su", "yarn"].contains(&kind.as_str()) && self.map.contains_key("short_factor") =>
            {
                "longrope"
            }
            Some(Value::String(kind)) => kind,
            Some(_) => return Err(unknown()),
        };
        match kind {
            "default" => Ok(Scaling::None),
            "linear" => {
                let factor = self.number("factor", None)?;
                Ok(if factor == 1.0 {
                    Scaling::None
                } else {
                    Scaling::Linear(factor)
                })
            }
            "dynamic" if width > 2 => Ok(Scaling::Dynamic {
                factor: self.number("factor", None)?,
                longest: self.longest()? as usize,
            }),
            "llama3" => {
                let scaling = Scaling::Llama3 {
                    factor: self.number("factor", None)?,
                    low: self.number("low_freq_factor", None)?,
                    high: self.number("high_freq_factor", None)?,
                    original: self.original()?,
                };
                match scaling {
                    Scaling::Llama3 { low, high, .. } if low >= high => {
                        Err(self.wrong("a `low_freq_factor` below the `high_freq_factor`"))
                    }
                    scaling => Ok(scaling),
                }
            }
            "yarn" if theta > 1.0 => self.yarn(),
            "longrope" => {
                let original = self.original()?;
                let factor = match self.optional("factor")? {
                    Some(factor) => factor,
                    None => self.longest()? / original,
                };
                let attention = match self.optional("attention_factor")? {
                    Some(factor) => factor,
                    None if factor <= 1.0 => 1.0,
                    None => (1.0 + factor.ln() / original.ln()).sqrt(),
                };
                if !attention.is_finite() {
                    return Err(self.wrong("an `original_max_position_embeddings` above 1"));
                }
                Ok(Scaling::Long {
                    short: self.divisors("short_factor", width / 2)?,
                    long: self.divisors("long_factor", width / 2)?,
                    original: original as usize,
                    attention,
                })
            }
            _ => Err(unknown()),
        }
    }

    fn growth(&self) -> Result<Option<Growth>> {
        if !self.grows {
            return Ok(None);
        }
        Ok(Some(Growth {
            beta: self.number(BETA, None)?,
            original: match self.original_if_said()? {
                Some(original) => original,
                None => self.number(ORIGINAL, None)?,
            },
        }))
    }

    fn yarn(&self) -> Result<Scaling> {
        let factor = self.number("factor", None)?;
        let scale = |scale: f64, by: f64| if scale <= 1.0 { 1.0 } else { 0.1 * by * scale.ln() + 1.0 };
        let attention = match self.optional("attention_factor")? {
            Some(factor) => factor,
            None => match (self.optional("mscale")?, self.optional("mscale_all_dim")?) {
                (Some(one), Some(all)) => scale(factor, one) / scale(factor, all),
                _ => scale(factor, 1.0),
            },
        };
        let truncate = match self.map.get("truncate") {
            None => true,
            Some(Value::Bool(false)) if self.nested => {
                self.fields.warn(
                    Diagnostic::checkpoint(format!("`{}`: `truncate: false`", self.name))
                        .expected("true: transformers does not look for it in settings for one kind of layer")
                        .help("passed over, as transformers does"),
                );
                true
            }
            Some(Value::Bool(flag)) => *flag,
            Some(_) => return Err(self.wrong("true or false at `truncate`")),
        };
        Ok(Scaling::Yarn {
            factor,
            original: self.original()?,
            fast: self.number("beta_fast", Some(32.0))?,
            slow: self.number("beta_slow", Some(1.0))?,
            truncate,
            attention,
        })
    }

    /// Warns of settings that this form has no use for.
    fn unused(&self, scaling: &Scaling) {
        const ALL: [&str; 6] = [
            "rope_type",
            "type",
            "rope_theta",
            "partial_rotary_factor",
            ORIGINAL,
            "max_position_embeddings",
        ];
        let own: &[&str] = match scaling {
            Scaling::None
                if self
                    .map
                    .get("rope_type")
                    .or(self.map.get("type"))
                    .is_some_and(|kind| kind == "linear") =>
            {
                &["factor"]
            }
            Scaling::None => &[],
            Scaling::Linear(_) | Scaling::Dynamic { .. } => &["factor"],
            Scaling::Llama3 { .. } => &["factor", "low_freq_factor", "high_freq_factor"],
            Scaling::Yarn { .. } => &[
                "factor",
                "attention_factor",
                "mscale",
                "mscale_all_dim",
                "beta_fast",
                "beta_slow",
                "truncate",
            ],
            Scaling::Long { .. } => &["factor", "attention_factor", "short_factor", "long_factor"],
        };
        let unused: Vec<String> = self
            .map
            .iter()
            .filter(|(key, value)| {
                !(ALL.contains(&key.as_str())
                    || (self.grows && *key == BETA)
                    || own.contains(&key.as_str())
                    || value.is_null())
            })
            .map(|(key, value)| format!("`{key}: {}`", shown(value)))
            .collect();
        if unused.is_empty() {
            return;
        }
        let form = match scaling {
            Scaling::None => "plain rotary positions",
            _ => "this rotary scaling",
        };
        self.fields.warn(
            Diagnostic::checkpoint(format!("`{}`: not used by {form}: {}", self.name, unused.join(", ")))
                .help("passed over, as transformers does"),
        );
    }
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

/// Refuses a share below 1, for families whose code turns the whole head.
fn whole(name: &str, value: Option<&Value>) -> Result<()> {
    match value {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_f64() == Some(1.0) => Ok(()),
        Some(value) => Err(Diagnostic::checkpoint(format!("`{name}: {}`", shown(value)))
            .expected("1: this family turns the whole width of a head")
            .help(NOT_COMPUTED)),
    }
}
