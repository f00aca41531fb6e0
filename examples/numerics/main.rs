//! Measures how exact the engine's maps are, and writes the tables of `docs/numerics.md` and its pictures again:
//!
//! ```text
//! cargo run --release --example numerics
//! ```
//!
//! The cases are those of `tests/exactness.rs`, here with fixed rules beside them. The same processor gives the same files.

mod figures;
mod svg;
#[path = "../../tests/support"]
mod support {
    pub mod cases;
    pub mod shared;
}
mod tables;

use std::error::Error;
use std::fs;
use std::path::Path;

use support::cases::{self, Case, Family, Model};

/// Gauss–Legendre rules to hold the adaptive one against.
const GAUSS: [usize; 3] = [50, 512, 2048];

const DOCUMENT: &str = "docs/numerics.md";
const PICTURES: &str = "docs/images";

fn main() -> Result<(), Box<dyn Error>> {
    if !Path::new(DOCUMENT).is_file() {
        return Err(format!("run this in the root of the repository: there is no {DOCUMENT}").into());
    }
    let mut models = cases::models();
    let mut all: Vec<Case> = Vec::new();
    for model in &mut models {
        for prompt in 0..model.prompts.len() {
            for start in model.starts {
                eprintln!("{}, prompt {prompt}, {} baseline", model.name, start.0);
                all.extend(model.cases(prompt, start, &GAUSS));
            }
        }
    }
    let mut example = figures::Example {
        model: shown(&mut models),
        prompt: 0,
    };
    eprintln!("pictures");
    for (name, picture) in [
        ("path", figures::path(&mut example)),
        ("convergence", figures::convergence(&mut example)),
        ("honesty", figures::honesty(&all)),
    ] {
        fs::write(Path::new(PICTURES).join(format!("numerics-{name}.svg")), picture)?;
    }
    let mut text = fs::read_to_string(DOCUMENT)?;
    for (name, part) in [
        ("extent", tables::extent(&all)),
        ("honesty", tables::honesty(&all)),
        ("exceptions", tables::exceptions(&all)),
        ("settings", tables::settings(&all)),
    ] {
        text = replaced(&text, name, &part)?;
    }
    fs::write(DOCUMENT, text)?;
    Ok(())
}

/// The model that the first two pictures are about: the real one, where it is here.
fn shown(models: &mut [Model]) -> &mut Model {
    let real = models.iter().position(|model| model.family == Family::Stories);
    &mut models[real.unwrap_or(0)]
}

/// The text with what stands between the marks of this name replaced.
fn replaced(text: &str, name: &str, part: &str) -> Result<String, String> {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let found = text.find(&begin).zip(text.find(&end)).filter(|(from, to)| from < to);
    let (from, to) = found.ok_or_else(|| format!("{DOCUMENT} has no marks `{name}:begin` and `{name}:end`"))?;
    Ok(format!("{}{part}{}", &text[..from + begin.len()], &text[to..]))
}
