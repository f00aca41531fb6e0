//! What the samples of an experiment are about: the segments that tell them apart.

use super::experiment::Experiment;
use super::prompt::Prompt;
use super::units::CharText;

/// Segments that give a prompt its form; what is left is what a sample is about.
const FORM: [&str; 4] = ["instruction", "options", "answer", "shots"];

/// The segments that tell the samples apart, by name and in order: `claim` where there is one, else those that differ
/// and are not mere form (an instruction that names the speaker differs, too), else whatever differs.
pub fn subject_segments(experiment: &Experiment) -> Vec<String> {
    let Some(first) = experiment.samples.first().map(|sample| &sample.prompt) else {
        return Vec::new();
    };
    let text_of = |prompt: &Prompt, name: &str| {
        let segment = prompt.segments.iter().find(|segment| segment.name == name)?;
        Some(CharText::new(&prompt.text).slice(segment.start, segment.end).to_owned())
    };
    let differs = |name: &str| {
        let text = text_of(first, name);
        experiment.samples.len() == 1 || experiment.samples.iter().any(|s| text_of(&s.prompt, name) != text)
    };
    let mut names: Vec<&str> = first.segments.iter().map(|segment| segment.name.as_str()).collect();
    names.dedup();
    if names.contains(&"claim") {
        return vec!["claim".to_owned()];
    }
    names.retain(|name| differs(name));
    let form = |name: &&str| FORM.contains(name);
    if !names.iter().all(form) {
        names.retain(|name| !form(name));
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The text from the first to the last of the segments named; all of the prompt where it has none of them.
pub fn subject_text<'p>(prompt: &'p Prompt, names: &[String]) -> &'p str {
    let named = || prompt.segments.iter().filter(|segment| names.contains(&segment.name));
    match (named().map(|s| s.start).min(), named().map(|s| s.end).max()) {
        (Some(start), Some(end)) => CharText::new(&prompt.text).slice(start, end),
        _ => &prompt.text,
    }
}
