//! Measures how exact the engine's maps are, and writes the tables of `docs/numerics.md` and its pictures again:
//!
//! ```text
//! cargo run --release --example numerics                # everything
//! cargo run --release --example numerics -- pictures    # only the two pictures that need no study
//! cargo run --release --example numerics -- real FOLDER # the table of a real deep model, which takes hours
//! cargo run --release --example numerics -- values FOLDER VALUES.json  # float32 against benches/deep_path.py
//! cargo run --release --example numerics -- points FOLDER      # float32 by point, for benches/kinks.py
//! cargo run --release --example numerics -- forms FIRST OTHER… # maps of one model from a GGUF file and from folders
//! ```
//!
//! `real` takes the rows that are wanted behind the folder: tokens of the prompt, and a baseline and an output if not
//! all (`27 85:token 170:mean:logit`), and prints the table instead of writing it, if there are any.
//!
//! The cases are those of `tests/exactness.rs`, here with fixed rules beside them. The same processor gives the same
//! files.

#![allow(clippy::print_stdout, reason = "a command that prints a table")]

mod figures;
mod points;
mod real;
mod svg;
#[path = "../../tests/support"]
mod support {
    pub mod cases;
    pub mod needs;
    pub mod truth;
}
mod tables;

use std::error::Error;
use std::fs;
use std::path::Path;

use real::Asked;
use support::cases::{self, Case, Family, Model};

/// Gauss–Legendre rules to hold the adaptive one against: from zero all but the last, which is for the real model,
/// elsewhere the first, which takes about as long.
const GAUSS: [usize; 3] = [50, 512, 2048];

/// The prompt that the first two pictures are about, where there are so many.
const SHOWN: usize = 3;

/// What is written again, between its marks.
const DOCUMENT: &str = "docs/numerics.md";
/// Where the pictures go.
const PICTURES: &str = "docs/images";

fn main() -> Result<(), Box<dyn Error>> {
    if !Path::new(DOCUMENT).is_file() {
        return Err(format!("run this in the root of the repository: there is no {DOCUMENT}").into());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["values", folder, file] => {
            print!("{}", real::values(Path::new(folder), Path::new(file))?);
            return Ok(());
        }
        ["points", folder] => {
            println!("{}", points::of(Path::new(folder))?);
            return Ok(());
        }
        ["real", folder] => {
            let table = real::table(Path::new(folder), &Asked::all())?;
            fs::write(DOCUMENT, replaced(&fs::read_to_string(DOCUMENT)?, "real", &table)?)?;
            return Ok(());
        }
        ["real", folder, asked @ ..] => {
            let asked: Result<Vec<Asked>, _> = asked.iter().map(|asked| asked.parse()).collect();
            print!("{}", real::table(Path::new(folder), &asked?)?);
            return Ok(());
        }
        ["forms", first, others @ ..] => {
            print!("{}", real::forms(Path::new(first), others)?);
            return Ok(());
        }
        _ => {}
    }
    let mut models = cases::models();
    let model = shown(&mut models);
    let prompt = SHOWN.min(model.prompts.len() - 1);
    let mut example = figures::Example { model, prompt };
    draw("path", &figures::path(&mut example))?;
    draw("convergence", &figures::convergence(&mut example))?;

    if arguments.first().map(String::as_str) == Some("pictures") {
        return Ok(());
    }
    let mut all: Vec<Case> = Vec::new();
    for model in &mut models {
        for prompt in 0..model.prompts.len() {
            for start in model.starts {
                eprintln!("{}, prompt {prompt}, {} baseline", model.name, start.0);
                let gauss = match (start.0, model.family) {
                    ("zero", Family::Stories) => &GAUSS[..],
                    ("zero", _) => &GAUSS[..2],
                    _ => &GAUSS[..1],
                };
                all.extend(model.cases(prompt, start, gauss));
            }
        }
    }
    draw("honesty", &figures::honesty(&all))?;
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

fn draw(name: &str, picture: &str) -> std::io::Result<()> {
    fs::write(format!("{PICTURES}/numerics-{name}.svg"), picture)
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
