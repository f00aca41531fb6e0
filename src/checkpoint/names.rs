//! Tensors under the names that a family's table has: some checkpoints put a prefix in front of them, or leave one out.
//!
//! A language model within a model of texts and images has `language_model.` in front (transformers 4) or within (5); a
//! model that was saved without its output layer (`GPT2Model`, `LlamaModel`) has no `transformer.` or `model.` in
//! front. transformers loads all of them.

use std::collections::BTreeMap;

use super::stored::TensorEntry;
use crate::diagnostic::Diagnostic;
use crate::families::shape::Shape;

/// What belongs to the other parts of a model of texts and images.
const OTHER_PARTS: [&str; 5] = [
    "vision_tower.",
    "multi_modal_projector.",
    "model.vision_tower.",
    "model.multi_modal_projector.",
    "model.vision_model.",
];

/// Takes the other parts of a model of texts and images away, and says what was left out.
pub fn language_part(entries: &mut BTreeMap<String, TensorEntry>) -> Option<Diagnostic> {
    let other = |name: &str| OTHER_PARTS.iter().any(|prefix| name.starts_with(prefix));
    let first = entries.iter().find(|(name, _)| other(name))?;
    let count = entries.keys().filter(|name| other(name)).count();
    let told = match count {
        1 => "1 tensor of images is left out".to_owned(),
        _ => format!("{count} tensors of images are left out"),
    };
    let warning = Diagnostic::checkpoint(told)
        .in_file(&first.1.file)
        .place(format!("tensor `{}`", first.0))
        .help("igsite explains the language model alone, on prompts of text")
        .as_warning();
    entries.retain(|name, _| !other(name));
    Some(warning)
}

/// Gives tensors the names of the family's table, where a known prefix is all that differs.
pub fn with_prefixes(entries: BTreeMap<String, TensorEntry>, shape: &Shape) -> BTreeMap<String, TensorEntry> {
    let (table, output) = (shape.embedding_name(), shape.output_name());
    if entries.contains_key(&table) {
        return entries;
    }
    let base = table.split('.').next().unwrap_or_default();
    let within = format!("{base}.language_model.");
    type Rule<'a> = &'a dyn Fn(&str) -> Option<String>;
    let rules: [Rule; 3] = [
        &|name| name.strip_prefix("language_model.").map(str::to_owned),
        &|name| name.strip_prefix(&within).map(|rest| format!("{base}.{rest}")),
        &|name| (name != output).then(|| format!("{base}.{name}")),
    ];
    for rule in rules {
        if entries
            .keys()
            .any(|name| rule(name).is_some_and(|renamed| renamed == table))
        {
            return entries
                .into_iter()
                .map(|(name, entry)| (rule(&name).unwrap_or(name), entry))
                .collect();
        }
    }
    entries
}
