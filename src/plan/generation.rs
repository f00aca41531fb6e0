//! The text that a model continues (`generate`), and the key of what it writes.

use super::sample::around;
use super::{Job, OpenedModel, Run};
use crate::content::prompt::Prompt;
use crate::diagnostic::{Diagnostic, Result};
use crate::store::key::GenerationKey;
use crate::terms::Role;

/// The text that a model continues, once its prediction is known, and the key of the generated text.
///
/// In a chat, a text that begins with the prompt continues it, as the chat template has it: what follows is the
/// beginning of the model's own answer. Any other text is one message of the user, after the system's message; `prompt`
/// then stands for the text of the user and the assistant.
///
/// # Errors
/// The template fails on the sample, or the tokenizer or the chat template on the text.
pub fn generation(
    run: &Run,
    model: &OpenedModel,
    job: &Job,
    predicted: u32,
) -> Result<Option<(String, GenerationKey)>> {
    let Some(spec) = &run.experiment.generate else {
        return Ok(None);
    };
    let answer = model.tokenizer.text_of(predicted);
    let sample = &job.sample.prompt;
    let render = |prompt: &str| spec.prompt(&job.sample.fields, prompt, &answer);
    let plain = render(&sample.text)?;
    let text = match (&run.chat, plain.strip_prefix(&sample.text)) {
        (None, _) => plain,
        (Some(_), Some(more)) => format!("{}{more}", job.prompt.text),
        (Some(chat), None) => {
            let mut asked = Prompt::default();
            let mut others = String::new();
            for (name, role, text) in sample.parts() {
                match role {
                    Role::System => asked.push_as(name, role, &text),
                    Role::User | Role::Assistant => others.push_str(&text),
                }
            }
            asked.push("generate", &render(&others)?);
            chat.prompt(&asked)?.text
        }
    };
    let token_ids: Vec<u32> = model
        .tokenizer
        .encode_within(&text, around(run.chat.as_ref()))?
        .iter()
        .map(|token| token.id)
        .collect();
    let rows = model.checkpoint.config.model.vocabulary;
    if token_ids.is_empty() || token_ids.iter().any(|&id| id as usize >= rows) {
        return Err(Diagnostic::content(
            "the text for the model to go on from comes to no tokens, or to some that it does not have",
        )
        .help("the tokenizer's files may belong to another checkpoint"));
    }
    let key = GenerationKey {
        model: job.prediction.model.clone(),
        token_ids,
        max_new_tokens: spec.max_new_tokens,
        stop: model.stop(),
    };
    Ok(Some((text, key)))
}
