//! Maps, each by itself, to an experiment: models × samples, with the same prompt and facts wherever they are told.

use std::collections::HashMap;
use std::path::Path;

use indexmap::{IndexMap, IndexSet};

use super::form::{ImportHead, ImportedMap, ModelLine};
use super::{Import, MOST_TOLD, Placed};
use crate::content::dataset::Sample;
use crate::content::experiment::{AnswerOption, AttributionSpec, Experiment};
use crate::content::names::{quoted, shortened, slugs};
use crate::content::prompt::Prompt;
use crate::diagnostic::{Diagnostic, Diagnostics, Result};
use crate::terms::{Output, PromptStyle, Role};

/// Puts the maps of an experiment together.
///
/// # Errors
/// Maps contradict one another, or one is missing: every model must have every sample.
pub fn resolve(id: &str, path: &Path, head: ImportHead, placed: Vec<Placed>) -> Result<Import, Diagnostics> {
    let Some(first) = placed.first() else {
        let error = Diagnostic::content("there is no map in it").in_file(path);
        return Err(error.expected("a map a line, as docs/import.md describes").into());
    };
    let output = first.map.output;
    let mut errors = Told::default();
    let mut models: IndexMap<String, (ModelLine, usize)> = IndexMap::new();
    let mut samples: IndexMap<String, usize> = IndexMap::new();
    let mut cells: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
    // In the order of first sight: the first is the one that pages with several models show.
    let mut methods: IndexSet<(&str, &str)> = IndexSet::new();
    for (index, one) in placed.iter().enumerate() {
        let map = &one.map;
        methods.insert((&map.method.tool, &map.method.name));
        if let Err(error) = agrees(one, id, output) {
            errors.push(one.place(error));
        }
        let model = models.entry(map.model.id.clone());
        let (model, (told, first)) = (model.index(), model.or_insert_with(|| (map.model.clone(), index)));
        if *told != map.model {
            let what = "the title or source of this model";
            errors.push(one.place(contradiction("model", what, &placed[*first])));
        }
        let sample = samples.entry(map.sample.clone());
        let (place, sample) = (sample.index(), *sample.or_insert(index));
        if let Err((key, what)) = same_sample(&placed[sample].map, map) {
            errors.push(one.place(contradiction(key, what, &placed[sample])));
        }
        let cell = cells.entry((model, place)).or_default();
        if let Some(&before) = cell.first()
            && let Err((key, what)) = same_record(&placed[before].map, map)
        {
            errors.push(one.place(contradiction(key, what, &placed[before])));
        }
        if let Some(&twin) = cell.iter().find(|&&before| is_same_map(&placed[before].map, map)) {
            let found = format!(
                "this map is there twice: it is the same as {}",
                place_text(&placed[twin])
            );
            let error = Diagnostic::content(found);
            errors
                .push(one.place(error.expected("one map for each method, target and baseline of a model and sample")));
        }
        cell.push(index);
    }
    let main = methods.first().copied();
    for (model, (name, _)) in models.values().enumerate() {
        for (place, (sample, of)) in samples.iter().enumerate() {
            let maps = cells.get(&(model, place));
            let error = if maps.is_none() {
                let found = format!("model `{}` has no map of sample `{}`", name.id, shortened(sample));
                let help = "leave the sample out for all models, or import each model by itself; of what inseq \
                            saved, `--steps N` takes the first N generated tokens only";
                Diagnostic::content(found)
                    .expected("a map of each sample for each model")
                    .help(help)
            } else {
                let mut methods = maps.into_iter().flatten().map(|&map| &placed[map].map.method);
                if methods.any(|method| Some((method.tool.as_str(), method.name.as_str())) == main) {
                    continue;
                }
                let (tool, method) = main.unwrap_or_default();
                let found = format!(
                    "model `{}` has no map of sample `{}` by `{method}` of {tool}",
                    name.id,
                    shortened(sample)
                );
                let expected = "the method of the first map for each model and sample: pages that compare show it";
                Diagnostic::content(found).expected(expected)
            };
            errors.push(placed[*of].place(error));
        }
    }
    let options = options(&head, &placed, &mut errors);
    if errors.count > 0 {
        return Err(errors.all(path));
    }
    let order: Vec<(String, String)> = methods
        .iter()
        .map(|(tool, name)| ((*tool).to_owned(), (*name).to_owned()))
        .collect();
    let rank = |map: &ImportedMap| {
        let known = order
            .iter()
            .position(|(tool, name)| (tool, name) == (&map.method.tool, &map.method.name));
        known.unwrap_or(usize::MAX)
    };
    let ids: Vec<&str> = samples.keys().map(String::as_str).collect();
    let slugs = slugs(&ids);
    let of_sample = samples.values().map(|&first| &placed[first].map);
    let resolved = of_sample.zip(slugs).map(|(map, slug)| Sample {
        id: map.sample.clone(),
        slug,
        gold: map.gold.clone(),
        fields: map.fields.clone(),
        prompt: Prompt {
            text: map.prompt.clone(),
            segments: map.segments.clone(),
            roles: vec![Role::User; map.segments.len()],
        },
    });
    let experiment = Experiment {
        id: id.to_owned(),
        path: path.to_path_buf(),
        yaml: String::new(),
        title: head.title.clone().unwrap_or_else(|| id.to_owned()),
        description: head.description.clone(),
        draft: false,
        models: models.keys().cloned().collect(),
        prompt_style: PromptStyle::Plain,
        origin: None,
        samples: resolved.collect(),
        options,
        attribution: spec(output),
        generate: None,
        faithfulness: None,
        expected: Vec::new(),
        imported: Some(head),
    };
    let mut left: Vec<Option<ImportedMap>> = placed.into_iter().map(|one| Some(one.map)).collect();
    let mut maps = Vec::with_capacity(models.len());
    for model in 0..models.len() {
        let mut of_model = Vec::with_capacity(samples.len());
        for sample in 0..samples.len() {
            let cell = cells.remove(&(model, sample)).unwrap_or_default();
            let mut of_cell: Vec<ImportedMap> = cell.into_iter().filter_map(|index| left[index].take()).collect();
            of_cell.sort_by_key(rank);
            of_model.push(of_cell);
        }
        maps.push(of_model);
    }
    Ok(Import {
        experiment,
        models: models.into_values().map(|(model, _)| model).collect(),
        maps,
    })
}

/// What an imported experiment has of a specification: its output. Of the rest nothing is read.
fn spec(output: Output) -> AttributionSpec {
    AttributionSpec {
        methods: Vec::new(),
        targets: Vec::new(),
        baselines: Vec::new(),
        output,
        ..AttributionSpec::default()
    }
}

/// The first errors, and how many there are.
#[derive(Default)]
struct Told {
    errors: Diagnostics,
    count: usize,
}

impl Told {
    fn push(&mut self, error: Diagnostic) {
        self.count += 1;
        if self.count <= MOST_TOLD {
            self.errors.push(error);
        }
    }

    fn all(mut self, path: &Path) -> Diagnostics {
        if self.count > MOST_TOLD {
            let message = format!("there are {} such errors; the first {MOST_TOLD} are told", self.count);
            self.errors.push(Diagnostic::content(message).in_file(path));
        }
        self.errors
    }
}

fn place_text(placed: &Placed) -> String {
    match placed.line {
        Some(line) => format!("{}:{line}", placed.file.display()),
        None => format!(
            "sample `{}` of {}",
            shortened(&placed.map.sample),
            placed.file.display()
        ),
    }
}

fn contradiction(key: &str, what: &str, before: &Placed) -> Diagnostic {
    Diagnostic::content(format!("{what} is not what {} says", place_text(before)))
        .place(key)
        .expected("the same wherever it is told")
}

/// Whether a map is of this experiment.
fn agrees(placed: &Placed, id: &str, output: Output) -> Result<()> {
    if let Some(named) = &placed.experiment
        && named != id
    {
        let found = format!("this map is of the experiment `{}`", shortened(named));
        let error = Diagnostic::content(found)
            .place("experiment")
            .expected(format!("`{id}`"));
        return Err(error.help("a file has one experiment, which is called as the file is"));
    }
    if placed.map.output != output {
        let found = format!(
            "this map explains the {}, the first one the {output}",
            placed.map.output
        );
        let error = Diagnostic::content(found).place("output");
        return Err(error
            .expected("one output in an experiment")
            .help("import the others as another experiment"));
    }
    Ok(())
}

type Contradiction = (&'static str, &'static str);

fn same_sample(a: &ImportedMap, b: &ImportedMap) -> Result<(), Contradiction> {
    if a.prompt != b.prompt {
        return Err(("prompt", "the prompt of this sample"));
    }
    if a.segments != b.segments {
        return Err(("segments", "the segments of this sample"));
    }
    if a.gold != b.gold {
        return Err(("gold", "the right option of this sample"));
    }
    if a.fields != b.fields {
        return Err(("fields", "a field of this sample"));
    }
    Ok(())
}

fn same_record(a: &ImportedMap, b: &ImportedMap) -> Result<(), Contradiction> {
    if a.tokens != b.tokens {
        return Err(("tokens", "a token of this model and sample"));
    }
    if a.prediction != b.prediction {
        return Err(("prediction", "the prediction of this model and sample"));
    }
    if a.options != b.options {
        return Err(("options", "an option of this model and sample"));
    }
    Ok(())
}

fn is_same_map(a: &ImportedMap, b: &ImportedMap) -> bool {
    (&a.method, &a.target, &a.baseline) == (&b.method, &b.target, &b.baseline)
}

/// The options of all maps, in the order of the head or of first sight; every map that has any has all of them.
fn options(head: &ImportHead, placed: &[Placed], errors: &mut Told) -> Vec<AnswerOption> {
    let told = placed.iter().flat_map(|one| one.map.options.keys());
    let letters: IndexSet<&String> = head.options.keys().chain(told).collect();
    for one in placed {
        let own = &one.map.options;
        if !own.is_empty() && own.len() < letters.len() {
            let lacking = letters.iter().filter(|letter| !own.contains_key(**letter));
            let found = format!("there is no option {}", quoted(lacking.map(|letter| letter.as_str())));
            let error = Diagnostic::content(found).place("options");
            errors.push(one.place(error.expected("the same options in every map that has any")));
        }
        if let Some(gold) = one.map.gold.as_ref().filter(|gold| !letters.contains(gold)) {
            let found = format!("`{}` is the letter of no option", shortened(gold));
            let error = Diagnostic::content(found).place("gold");
            errors.push(one.place(error.expected("`options`, the right one among them, where there is `gold`")));
        }
    }
    let option = |letter: &String| AnswerOption {
        letter: letter.clone(),
        gold: head.options.get(letter).unwrap_or(letter).clone(),
    };
    letters.into_iter().map(option).collect()
}
