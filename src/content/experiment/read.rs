//! An experiment as written: keys and types checked, nothing opened. Drafts that are not built end here.

use std::path::{Path, PathBuf};

use super::attribution::{self, Attribution, TARGET_WORDS};
use super::faithfulness::{self, Faithfulness};
use super::{AnswerOption, GenerateSpec, generate};
use crate::content::dataset::{Draw, Selector, Source, read_selector, read_source};
use crate::content::decode::{Decoder, Field, Located, Table};
use crate::content::names::{nearest, quoted, shortened};
use crate::content::prompt::{SegmentSource, TEMPLATE, Templates};
use crate::content::yaml;
use crate::terms::{Output, PromptStyle, Role};

const KEYS: [&str; 13] = [
    "title",
    "description",
    "draft",
    "models",
    "dataset",
    "prompt",
    "prompt_style",
    "shots",
    "options",
    "attribution",
    "generate",
    "faithfulness",
    "expected",
];
const DATASET_KEYS: [&str; 9] = [
    "source", "path", "split", "config", "revision", "rows", "id", "gold", "select",
];
/// More examples than this fit into no prompt.
const MOST_SHOTS: u64 = 1000;

/// The parts of an experiment. A part that could not be read is `None` and has been reported; the others are read too,
/// so that their errors are reported in the same run.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: String,
    pub path: PathBuf,
    pub yaml: String,
    pub title: String,
    pub description: String,
    pub draft: bool,
    pub models: Vec<Located<String>>,
    pub dataset: Option<Dataset>,
    pub prompt_style: PromptStyle,
    pub templates: Option<Templates>,
    /// Worked examples, with the place of the block; `None` for none.
    pub shots: Option<Draw>,
    pub options: Option<Vec<AnswerOption>>,
    pub attribution: Option<Attribution>,
    pub generate: Option<GenerateSpec>,
    pub faithfulness: Option<Faithfulness>,
    /// Names of segments of the prompt.
    pub expected: Option<Vec<String>>,
}

/// The `dataset` block.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub source: Source,
    pub id: Option<Located<String>>,
    pub gold: Option<Located<String>>,
    pub selector: Selector,
}

/// Reads the YAML of the experiment `id`. `None` only if it is no mapping at all.
pub fn read(id: &str, path: &Path, yaml: String, decoder: &mut Decoder) -> Option<Written> {
    let tree = match yaml::parse(path, &yaml, 1) {
        Ok(tree) => tree,
        Err(errors) => {
            decoder.diagnostics.extend(errors);
            return None;
        }
    };
    let table = decoder.table(&Field::top(&tree), &KEYS)?;
    for text in ["title", "description"].iter().filter_map(|key| table.get(key)) {
        decoder.watch_comment(&text, true);
    }
    let title = table.get("title").and_then(|title| decoder.text(&title, "a title"));
    let description = table.get("description").and_then(|text| decoder.written(&text, "text"));
    let draft = table
        .get("draft")
        .and_then(|draft| decoder.boolean(&draft))
        .unwrap_or_default();
    let models = decoder.require(
        &table,
        "models",
        "a list of model ids, the names of files in content/models/",
    );
    let models = models
        .and_then(|models| read_models(decoder, &models))
        .unwrap_or_default();
    let options = match table.get("options") {
        Some(options) => read_options(decoder, &options),
        None => Some(Vec::new()),
    };
    let dataset = decoder.require(&table, "dataset", "where the samples come from");
    let dataset = dataset.and_then(|dataset| read_dataset(decoder, path, &dataset));
    let prompt = decoder.require(
        &table,
        "prompt",
        "a list of segments, such as [{segment: claim, text: \"{{ statement }}\"}]",
    );
    let style = match table.get("prompt_style") {
        Some(style) => decoder.choice(&style, PromptStyle::WORDS),
        None => Some(PromptStyle::Plain),
    };
    let templates = prompt.and_then(|prompt| read_prompt(decoder, path, &prompt, style));
    let shots = table.get("shots").and_then(|shots| read_shots(decoder, &shots));
    let attribution = attribution::read(decoder, table.get("attribution"), options.as_deref());
    let generate = table
        .get("generate")
        .and_then(|field| generate::read(decoder, path, &field));
    let own = attribution.as_ref().map(|attribution| &attribution.spec);
    let faithfulness = table
        .get("faithfulness")
        .and_then(|field| faithfulness::read(decoder, &field, own));
    let expected = match table.get("expected") {
        Some(expected) => read_expected(decoder, &expected, templates.as_ref()),
        None => Some(Vec::new()),
    };
    if let (Some(dataset), Some(options)) = (&dataset, &options) {
        check_gold(
            decoder,
            dataset.gold.as_ref(),
            options,
            shots.as_ref(),
            attribution.as_ref(),
        );
    }
    let says = table.get("generate").is_some();
    if let Some(attribution) = &attribution {
        check_generated(decoder, attribution, says, generate.as_ref());
    }
    Some(Written {
        id: id.to_owned(),
        path: path.to_path_buf(),
        title: title.unwrap_or_else(|| id.to_owned()),
        description: description.unwrap_or_default(),
        draft,
        models,
        dataset,
        prompt_style: style.unwrap_or_default(),
        templates,
        shots,
        options,
        attribution,
        generate,
        faithfulness,
        expected,
        yaml,
    })
}

/// What needs the right answers, without a way to know them.
fn check_gold(
    decoder: &mut Decoder,
    gold: Option<&Located<String>>,
    options: &[AnswerOption],
    shots: Option<&Draw>,
    attribution: Option<&Attribution>,
) {
    if let (Some(gold), true) = (gold, options.is_empty()) {
        let error = decoder.error(
            gold.position,
            "`gold` without `options`: nothing says which letter a value stands for",
        );
        decoder.push(error.place("dataset.gold").expected("`options`: {A: …, B: …}"));
        return;
    }
    if gold.is_some() {
        return;
    }
    const HELP: &str = "name the column with the right answer as `gold` in `dataset`, and its values in `options`";
    if let Some(shots) = shots {
        let error = decoder.error(
            shots.count.position,
            "worked examples end in their right option, and none is known",
        );
        decoder.push(error.place("shots").help(HELP));
    }
    if let Some(position) = attribution.and_then(|attribution| attribution.needs_gold) {
        let error = decoder.error(position, "the target `gold` needs right answers, and none is known");
        decoder.push(error.place("attribution.targets").help(HELP));
    }
}

/// What the target `generated` needs: that the model says something, and an output of so many tokens.
fn check_generated(decoder: &mut Decoder, attribution: &Attribution, says: bool, generate: Option<&GenerateSpec>) {
    let Some(position) = attribution.needs_generate else {
        return;
    };
    if !says {
        let error = decoder.error(
            position,
            "the target `generated`, and nothing says what the model goes on from",
        );
        decoder.push(
            error
                .place("attribution.targets")
                .expected("`generate: {prompt: \"{{ prompt }}\", max_new_tokens: 20}`"),
        );
    }
    let several = generate.map(|spec| spec.max_new_tokens).filter(|&most| most > 1);
    if let Some(most) = several.filter(|_| attribution.spec.output != Output::LogProbability) {
        let error = decoder.error(
            position,
            format!("what the model generates may be {most} tokens (`generate.max_new_tokens`)"),
        );
        decoder.push(error.place("attribution.targets").expected("`output: log_probability`").help(
            "it explains several tokens, by the sum of their log-probabilities; probabilities and logits are of one token",
        ));
    }
}

fn read_models(decoder: &mut Decoder, field: &Field) -> Option<Vec<Located<String>>> {
    let mut models: Vec<Located<String>> = Vec::new();
    for item in decoder.list(field, "a list of model ids, the names of files in content/models/")? {
        let Some(model) = decoder.located(&item, "a model id") else {
            continue;
        };
        if models.iter().any(|known| known.value == model.value) {
            let error = decoder.error(
                model.position,
                format!("the model `{}` is here twice", shortened(&model.value)),
            );
            decoder.push(error.place(&item.name));
        }
        models.push(model);
    }
    Some(models)
}

fn read_dataset(decoder: &mut Decoder, path: &Path, field: &Field) -> Option<Dataset> {
    let table = decoder.table(field, &DATASET_KEYS)?;
    let source = read_source(decoder, path, &table);
    // Absent is fine; present but wrong has been reported, and is `None`.
    let mut column = |key| match table.get(key) {
        Some(column) => decoder.located(&column, "the name of a column").map(Some),
        None => Some(None),
    };
    let (id, gold) = (column("id"), column("gold"));
    let selector = read_selector(decoder, table.get("select"));
    Some(Dataset {
        source: source?,
        id: id?,
        gold: gold?,
        selector: selector?,
    })
}

/// Letters to the values that they stand for, in the author's order.
fn read_options(decoder: &mut Decoder, field: &Field) -> Option<Vec<AnswerOption>> {
    const EXPECTED: &str = "a mapping from letters to values of the gold column, such as {A: true, B: false}";
    let entries = decoder.entries(field, EXPECTED)?;
    let mut options: Vec<AnswerOption> = Vec::new();
    let before = decoder.diagnostics.error_count();
    for entry in entries {
        let letter = entry.key.as_str();
        if letter.trim() != letter || letter.is_empty() || letter.chars().any(char::is_control) {
            let error = decoder.error(
                entry.position,
                format!("`{}` cannot be an option's letter", shortened(letter)),
            );
            decoder.push(
                error
                    .place("options")
                    .expected("text without blanks around it, usually one letter"),
            );
        } else if TARGET_WORDS.contains(&letter) {
            let error = decoder.error(
                entry.position,
                format!("`{letter}` is a word for a target, not a letter"),
            );
            decoder.push(error.place("options"));
        }
        let value = Field {
            name: format!("options.{}", shortened(letter)),
            node: &entry.node,
        };
        let Some(gold) = decoder.written(&value, "the value of the gold column that this letter stands for") else {
            continue;
        };
        if let Some(other) = options.iter().find(|option| option.gold == gold) {
            let message = format!(
                "`{}` is the value of `{}` too",
                shortened(&gold),
                shortened(&other.letter)
            );
            let error = decoder.error(value.node.position, message);
            decoder.push(error.place(&value.name).expected("a value of its own"));
        }
        options.push(AnswerOption {
            letter: letter.to_owned(),
            gold,
        });
    }
    if entries.is_empty() {
        decoder.wrong(field, EXPECTED);
    }
    (decoder.diagnostics.error_count() == before).then_some(options)
}

/// The segments of the prompt; `style` is `None` when it could not be read.
fn read_prompt(decoder: &mut Decoder, path: &Path, field: &Field, style: Option<PromptStyle>) -> Option<Templates> {
    let mut segments = Vec::new();
    let before = decoder.diagnostics.error_count();
    let mut latest = Role::System;
    for item in decoder.list(
        field,
        "a list of segments, such as [{segment: claim, text: \"{{ statement }}\"}]",
    )? {
        let Some(table) = decoder.table(&item, &["segment", "role", "text"]) else {
            continue;
        };
        let name = decoder.require(&table, "segment", "the name of this part");
        let name = name.and_then(|name| decoder.located(&name, "the name of this part"));
        let role = read_role(decoder, &table, style, &mut latest);
        let text = decoder.require(&table, "text", "the template of this part");
        let taken = [
            ("shots", "the worked examples"),
            (TEMPLATE, "what a chat template adds"),
        ];
        for (word, of) in taken.iter().take(if style == Some(PromptStyle::Chat) { 2 } else { 1 }) {
            if let Some(name) = name.as_ref().filter(|name| name.value == *word) {
                let error = decoder.error(name.position, format!("`{word}` is the segment of {of}"));
                decoder.push(error.place(format!("{}.segment", item.name)).expected("another name"));
            }
        }
        if let Some(text) = &text {
            decoder.watch_comment(text, false);
        }
        if let Some(text) = text.as_ref().filter(|text| text.is_map()) {
            let error = decoder.error(
                text.node.position,
                "found a mapping: to YAML, what begins with `{` is one",
            );
            let error = error.place(&text.name).expected("text");
            decoder.push(error.help("put a template between quotes: \"{{ statement }}\""));
        } else if let Some(text) = text
            && let Some(template) = decoder.written(&text, "text")
            && let Some(name) = name
        {
            segments.push(SegmentSource {
                name: name.value,
                role,
                text: template,
                position: text.node.position,
            });
        }
    }
    // Templates are made for questions; some refuse anything else.
    let asks = segments
        .iter()
        .any(|segment: &SegmentSource| segment.role == Role::User);
    if style == Some(PromptStyle::Chat) && !asks && decoder.diagnostics.error_count() == before {
        let error = decoder.error(
            field.node.position,
            "no segment is the user's, and a chat is an answer to the user",
        );
        decoder.push(
            error
                .place("prompt")
                .expected("a segment without `role`, or with `role: user`"),
        );
    }
    match Templates::parse(path, segments) {
        Ok(templates) => (decoder.diagnostics.error_count() == before).then_some(templates),
        Err(errors) => {
            decoder.diagnostics.extend(errors);
            None
        }
    }
}

/// Who says a segment. `latest` is the role of the segment before: the system speaks first, the assistant last.
fn read_role(decoder: &mut Decoder, table: &Table, style: Option<PromptStyle>, latest: &mut Role) -> Role {
    let field = table.get("role");
    let role = match &field {
        Some(field) => decoder.choice(field, Role::WORDS),
        None => Some(Role::User),
    };
    let position = field.as_ref().map_or(table.position(), |field| field.node.position);
    if let (Some(field), Some(PromptStyle::Plain)) = (&field, style) {
        let error = decoder.error(position, "`role` goes with `prompt_style: chat` only");
        decoder.push(
            error
                .place(&field.name)
                .help("write `prompt_style: chat`, or leave `role` out"),
        );
    }
    let Some(role) = role else { return Role::User };
    if role < *latest {
        let message = format!("a segment of the {} after one of the {}", role.word(), latest.word());
        let error = decoder.error(position, message);
        decoder.push(
            error
                .place("prompt")
                .expected("first what the system says, then the user, then the assistant"),
        );
    }
    *latest = role;
    role
}

/// The segments in which the cause lies; `templates` is `None` when the prompt could not be read.
fn read_expected(decoder: &mut Decoder, field: &Field, templates: Option<&Templates>) -> Option<Vec<String>> {
    const EXPECTED: &str = "a list of segments of the prompt, such as [cause]";
    let mut expected: Vec<String> = Vec::new();
    let items = decoder.list(field, EXPECTED)?;
    let before = decoder.diagnostics.error_count();
    for item in items {
        let Some(name) = decoder.located(&item, "the name of a segment of the prompt") else {
            continue;
        };
        let known = || {
            templates
                .into_iter()
                .flat_map(|templates| templates.names().map(|(name, _)| name))
        };
        if templates.is_some() && !known().any(|known| known == name.value) {
            let message = format!("the prompt has no segment `{}`", shortened(&name.value));
            let error = decoder.error(name.position, message).place(&item.name);
            let mut error = error.expected(format!("one of {}", quoted(known())));
            error.help = nearest(&name.value, known()).map(|meant| format!("did you mean `{meant}`?"));
            decoder.push(error);
        } else if expected.contains(&name.value) {
            let error = decoder.error(
                name.position,
                format!("the segment `{}` is here twice", shortened(&name.value)),
            );
            decoder.push(error.place(&item.name));
        }
        expected.push(name.value);
    }
    (decoder.diagnostics.error_count() == before).then_some(expected)
}

fn read_shots(decoder: &mut Decoder, field: &Field) -> Option<Draw> {
    let table = decoder.table(field, &["count", "seed"])?;
    let count = decoder.require(&table, "count", "how many worked examples come before the prompt")?;
    let seed = table
        .get("seed")
        .map_or(Some(0), |seed| decoder.whole(&seed, 0..=u64::MAX));
    let value = decoder.whole(&count, 0..=MOST_SHOTS)? as usize;
    (value > 0).then_some(Draw {
        count: Located {
            value,
            position: count.node.position,
        },
        seed: seed?,
    })
}
