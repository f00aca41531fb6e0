//! A real deep model, which is no part of the project: the table of the adaptive rule on it, and igsite's float32 held
//! against float64.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::num::ParseIntError;
use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use igsite::attribution::integrated_gradients::{Points, Scalar};
use igsite::attribution::methods::Attribution;
use igsite::terms::{BaselineVector, Batch, Output, PathStart, Routing};
use serde_json::Value;

use crate::support::cases::{self, Family, Model, OUTPUTS, distance, size};
use crate::support::truth::Truth;
use crate::tables::percent;

/// One text, of which the prompts are beginnings: so many tokens each, all that are left in the last.
const TEXT: &str = "The capital of France is a city on the river Seine, and most of its visitors come to see the tower, the \
     museums and the old streets on the island. In the last century it grew quickly: new railway lines brought people \
     from the whole country to the factories at its edge, and whole towns of small houses rose where fields had been. The \
     mayor said yesterday that the city would build forty thousand flats by the end of the decade, that rents had fallen \
     for the first time in twelve years, and that not one school would be closed. Members of the opposition answered that \
     the number counts flats which were already there, that rents fell in two districts only, and that three schools in \
     the north have had no new pupils since the summer. A newspaper looked at the figures of the ministry and found that \
     both sides had chosen the year in which they began to count. Asked whether the first claim is true, the editor said";
const LENGTHS: [usize; 4] = [10, 27, 85, 170];
/// Where the path from the zero embedding is entered, as an experiment may ask for.
const ENTERED: f64 = 1e-4;
/// What the rule is asked for.
const ASKED: [f64; 2] = [0.05, 0.01];
/// Points of the fixed rules beside it.
const GAUSS: [usize; 2] = [50, 512];
/// What it is asked for where forms of one model are compared: less than they differ by.
const FORMS_ASKED: f64 = 0.002;
/// How far apart the two rules of a truth's panel may be, as a share of Σ|score|: enough for what it is held against. For
/// prompts of more tokens than [`LONG`] the second, since an evaluation takes so long there.
const EXACT: [f64; 2] = [2e-4, 1e-3];
/// See [`EXACT`].
const LONG: usize = 40;

/// Rows of the table: prompts of so many tokens, from which baseline and of which output, if not all.
#[derive(Debug)]
pub struct Asked {
    tokens: usize,
    baseline: Option<String>,
    output: Option<String>,
}

impl Asked {
    /// Those that a table has unless others are asked for.
    pub fn all() -> Vec<Self> {
        let of = |tokens| Self {
            tokens,
            baseline: None,
            output: None,
        };
        LENGTHS.into_iter().map(of).collect()
    }
}

/// As it is typed: `27`, `27:token`, or `27:token:logit`.
impl FromStr for Asked {
    type Err = ParseIntError;

    fn from_str(typed: &str) -> Result<Self, ParseIntError> {
        let mut parts = typed.splitn(3, ':');
        Ok(Self {
            tokens: parts.next().unwrap_or_default().parse()?,
            baseline: parts.next().map(str::to_owned),
            output: parts.next().map(str::to_owned),
        })
    }
}

/// The table, and what it took.
///
/// # Errors
/// A baseline or an output that is asked for is none of the table's.
pub fn table(folder: &Path, asked: &[Asked]) -> Result<String, Box<dyn Error>> {
    let mut model = cases::model("real".to_owned(), Family::Stories, folder, &[TEXT]);
    let text = model.prompts.remove(0);
    let entered = PathStart::new(ENTERED).ok_or("an α between 0 and 1")?;
    let [zero, mean, token] = model.starts;
    let starts = [
        zero,
        ("zero from 0.0001", BaselineVector::ZeroFrom(entered)),
        mean,
        token,
    ];
    let mut table =
        "| tokens | baseline | output | asked 5%: evaluations, stated, true | asked 1%: evaluations, stated, \
                     true | Gauss–Legendre 50, 512: true | share of the map below α = 10⁻³, 10⁻⁶, 10⁻⁹ |\n\
                     |---|---|---|---|---|---|---|\n"
            .to_owned();
    for Asked {
        tokens,
        baseline,
        output,
    } in asked
    {
        let ids = text[..*tokens.min(&text.len())].to_vec();
        let starts = named("a baseline", starts.to_vec(), baseline.as_deref(), |start| start.0)?;
        let outputs = named("an output", OUTPUTS.to_vec(), output.as_deref(), |output| *output)?;
        for start in starts {
            let began = Instant::now();
            let rows = rows(&mut model, &ids, start, &outputs);
            eprint!("{rows}");
            eprintln!(
                "{} tokens, {}: {:.0} s",
                ids.len(),
                start.0,
                began.elapsed().as_secs_f64()
            );
            table.push_str(&rows);
        }
    }
    Ok(table)
}

/// The one of `all` that is asked for by its name; all, if none is.
fn named<T>(
    what: &str,
    mut all: Vec<T>,
    asked: Option<&str>,
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<T>, String> {
    let Some(asked) = asked else { return Ok(all) };
    let names = all.iter().map(&name).collect::<Vec<_>>().join(", ");
    all.retain(|one| name(one) == asked);
    if all.is_empty() {
        return Err(format!("{what} is one of {names}, not {asked}"));
    }
    Ok(all)
}

fn rows(
    model: &mut Model,
    ids: &[u32],
    (name, start): (&'static str, BaselineVector),
    outputs: &[&'static str],
) -> String {
    let scalars: Vec<(&str, Scalar)> = model
        .scalars(ids)
        .into_iter()
        .zip(OUTPUTS)
        .map(|((_, scalar), output)| (output, scalar))
        .filter(|(output, _)| outputs.contains(output))
        .collect();
    // Unbounded outputs have no map from the zero vector that could be known.
    let known = |scalar: &Scalar| start != BaselineVector::Zero || scalar.output == Output::Probability;
    let mut asked = Vec::new();
    for (_, scalar) in &scalars {
        asked.extend(ASKED.map(|tolerance| (*scalar, cases::adaptive(tolerance))));
        if known(scalar) {
            asked.extend(GAUSS.map(|count| (*scalar, cases::gauss_legendre(count))));
        }
    }
    let mut maps = model.along(ids, start, asked).into_iter();
    let of: Vec<Scalar> = scalars.iter().map(|(_, scalar)| *scalar).filter(known).collect();
    let exact = EXACT[usize::from(ids.len() > LONG)];
    let mut truths = model.truths_to(ids, start, &of, exact).into_iter();
    let mut told = String::new();
    for (output, scalar) in &scalars {
        let adaptive: Vec<Attribution> = maps.by_ref().take(ASKED.len()).collect();
        let (fixed, truth) = if known(scalar) {
            let fixed: Vec<Attribution> = maps.by_ref().take(GAUSS.len()).collect();
            (fixed, truths.next())
        } else {
            (vec![], None)
        };
        if let Some(truth) = &truth {
            eprintln!("the truth of the {output} itself: {} at most", percent(truth.error));
        }
        let error = |map: &Attribution| {
            let error = |truth: &Truth| percent(distance(&map.scores, &truth.scores) / size(&truth.scores));
            truth.as_ref().map_or_else(|| "–".to_owned(), error)
        };
        let by_rule = |map: &Attribution| {
            let stated = map.error_estimate().map_or("unknown".to_owned(), percent);
            let mark = if map.converged == Some(true) {
                ""
            } else {
                ": **not converged**"
            };
            format!("{}, {stated}, {}{mark}", map.evaluations, error(map))
        };
        let fixed: Vec<String> = (0..GAUSS.len())
            .map(|i| fixed.get(i).map_or("–".to_owned(), &error))
            .collect();
        let below = adaptive.last().map_or(vec![], |map| map.below.clone());
        let below: Vec<String> = below
            .iter()
            .map(|part| part.share.map_or("–".to_owned(), percent))
            .collect();
        let below = if below.is_empty() {
            "–".to_owned()
        } else {
            below.join(", ")
        };
        let _ = writeln!(
            told,
            "| {} | {name} | {output} | {} | {} | {} | {below} |",
            ids.len(),
            by_rule(&adaptive[0]),
            by_rule(&adaptive[1]),
            fixed.join(", ")
        );
    }
    told
}

/// Maps of one model from files of several forms, held against those of the first: the beginning of the text, mean
/// embedding, every output. How far apart they are is Σ|difference| / Σ|score|.
///
/// # Errors
/// The files have other tokens.
pub fn forms(first: &Path, others: &[&str]) -> Result<String, Box<dyn Error>> {
    let mut model = cases::model("first".to_owned(), Family::Stories, first, &[TEXT]);
    let ids = model.prompts[0][..LENGTHS[0]].to_vec();
    let scalars = model.scalars(&ids);
    let maps = |model: &mut Model| {
        let asked = scalars
            .iter()
            .map(|(_, scalar)| (*scalar, cases::adaptive(FORMS_ASKED)));
        model.along(&ids, BaselineVector::Mean, asked.collect())
    };
    let expected = maps(&mut model);
    drop(model);
    let mut table = "| form | output | evaluations | stated | difference of F(input) | difference of the maps |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    for other in others {
        let mut model = cases::model((*other).to_owned(), Family::Stories, Path::new(other), &[TEXT]);
        if model.prompts[0][..LENGTHS[0]] != ids {
            return Err(format!("the tokens of {other} are not those of {}", first.display()).into());
        }
        for (((output, _), map), expected) in scalars.iter().zip(maps(&mut model)).zip(&expected) {
            let stated = [expected, &map].map(|map| map.error_estimate().map_or("unknown".to_owned(), percent));
            let _ = writeln!(
                table,
                "| {other} | {output} | {}, {} | {}, {} | {:.1e} | {} |",
                expected.evaluations,
                map.evaluations,
                stated[0],
                stated[1],
                (map.f_input - expected.f_input).abs(),
                percent(distance(&map.scores, &expected.scores) / size(&expected.scores)),
            );
        }
    }
    Ok(table)
}

/// Igsite's values on a path from the zero embedding against those of `benches/deep_path.py`, by stretch of ln α.
///
/// # Errors
/// A file cannot be read.
pub fn values(folder: &Path, file: &Path) -> Result<String, Box<dyn Error>> {
    let exact: Value = serde_json::from_slice(&fs::read(file)?)?;
    let numbers = |value: &Value| -> Vec<f64> {
        let list = value.as_array().into_iter().flatten();
        list.filter_map(Value::as_f64).collect()
    };
    let ids: Vec<u32> = numbers(&exact["ids"]).into_iter().map(|id| id as u32).collect();
    let token = exact["token"].as_u64().ok_or("no token")? as u32;
    let mut model = cases::model("real".to_owned(), Family::Stories, folder, &[]);
    let places: Vec<(f64, f64, Vec<f64>)> = numbers(&exact["ln_alpha"])
        .into_iter()
        .zip(numbers(&exact["f"]))
        .zip(exact["scores"].as_array().into_iter().flatten())
        .map(|((u, f), scores)| (u, f, numbers(scores)))
        .filter(|(u, ..)| *u >= -92.0)
        .collect();
    let path = model.explainer.path(&ids, BaselineVector::Zero, &[], Routing::Free)?;
    let points = Points {
        path: &path,
        alphas: places.iter().map(|(u, ..)| u.exp()).collect(),
        asked: vec![
            Scalar {
                token,
                output: Output::LogProbability,
                minus: None,
            }
            .into(),
        ],
    };
    let found = model.explainer.evaluate(&[points], Batch::Auto, &mut |_| ())?.remove(0);
    let mut table =
        "| ln α | points | F, largest difference in nats | scores, Σ\\|difference\\| / Σ\\|score\\|: median, \
                     largest |\n|---|---|---|---|\n"
            .to_owned();
    for (from, to) in [
        (-92.0, -86.0),
        (-86.0, -64.0),
        (-64.0, -40.0),
        (-40.0, -20.0),
        (-20.0, -7.0),
        (-7.0, 0.1),
    ] {
        let of: Vec<(f64, f64)> = places
            .iter()
            .zip(&found)
            .filter(|((u, ..), _)| (from..to).contains(u))
            .map(|((_, f, scores), found)| {
                let found = &found[0];
                ((found.output - f).abs(), distance(&found.scores, scores) / size(scores))
            })
            .collect();
        let Some(_) = of.first() else { continue };
        let scores = of.iter().map(|(_, scores)| *scores);
        let _ = writeln!(
            table,
            "| {from} to {} | {} | {:.1e} | {:.1e}, {:.1e} |",
            to.min(0.0),
            of.len(),
            cases::largest(of.iter().map(|(f, _)| *f)),
            cases::quantile(scores.clone(), 0.5),
            cases::largest(scores),
        );
    }
    Ok(table)
}
