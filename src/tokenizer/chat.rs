//! A checkpoint's chat template: Jinja, in the environment that Hugging Face's transformers gives it.
//!
//! This finds the template and renders it. What the rendered text means for a prompt's segments is [`crate::chat`]'s to say.

use std::path::{Path, PathBuf};
use std::thread;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, context};
use serde::Serialize;
use serde_json::{Map, Value};

use self::source::Source;
use super::Tokenizer;
use crate::diagnostic::{Diagnostic, Result};
use crate::guard;

mod clock;
mod json;
mod scan;
mod source;

pub use source::template_sha256;

/// Steps of a template, and bytes that it makes. Templates of models take some thousand for a prompt.
const FUEL: u64 = 2_000_000;
/// Bytes of stack; only what is used takes memory.
const STACK: usize = 256 << 20;

/// A chat template, parsed.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// The file that it is from.
    file: PathBuf,
    /// `bos_token`, `eos_token` and so on, by these names.
    tokens: Map<String, Value>,
}

/// What somebody says.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

impl ChatTemplate {
    /// Finds and parses the template in a checkpoint's folder.
    ///
    /// # Errors
    /// There is none, or it is no valid Jinja.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let Source { file, text } = source::find(folder)?.ok_or_else(|| source::none(folder))?;
        let text = scan::prepared(&text).map_err(|error| error.in_file(&file))?;
        let environment = on_a_large_stack(|| environment(text))
            .map_err(|failure| stopped(&file, &failure))?
            .map_err(|error| broken(&file, "is no valid Jinja that igsite knows", &error))?;
        Ok(Self {
            environment,
            file,
            tokens: tokenizer.special_names().clone(),
        })
    }

    /// The text of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// The template refuses these messages, fails, or does not come to an end.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let work = || {
            let template = self.environment.get_template("chat")?;
            let messages = minijinja::Value::from(Serde(messages));
            let tokens = minijinja::Value::from(Serde(&self.tokens));
            // transformers hands these over when there are none; templates ask whether they are `none`.
            let (tools, documents) = ((), ());
            template.render(context! { messages, tools, documents, add_generation_prompt => true, ..tokens })
        };
        on_a_large_stack(work)
            .map_err(|failure| stopped(&self.file, &failure))?
            .map_err(|error| broken(&self.file, "fails", &error))
    }

    /// The file that it is from.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// What transformers gives a template, and bounds that no template of a model meets.
fn environment(source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| clock::strftime(&format, clock::now()));
    environment.add_filter("tojson", json::to_json);
    environment.add_template_owned("chat", source)?;
    Ok(environment)
}

/// Runs work that may go as deep as a template's nesting, which [`scan`] and [`FUEL`] bound.
///
/// # Errors
/// There is no memory for the stack, or the work panics.
fn on_a_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    let run = || {
        thread::scope(|scope| {
            let started = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
            match started.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(done)) => Ok(done),
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                Err(error) => Err(error.to_string()),
            }
        })
    };
    guard::guarded(run)?
}

fn stopped(file: &Path, failure: &str) -> Diagnostic {
    Diagnostic::checkpoint(format!("the chat template cannot be run: {failure}"))
        .in_file(file)
        .help("write `prompt_style: plain`, or get the file from where the model is published")
}

/// What the template itself says by `raise_exception` is the heart of the message.
fn broken(file: &Path, what: &str, error: &Error) -> Diagnostic {
    let line = error
        .line()
        .map_or_else(String::new, |line| format!(" (line {line} of the template)"));
    let said = match error.detail() {
        Some(detail) => detail.to_owned(),
        None => error.kind().to_string(),
    };
    Diagnostic::checkpoint(format!("the chat template {what}: {said}{line}"))
        .in_file(file)
        .help("give the model what its template takes (some know no `system` role), or write `prompt_style: plain`")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rendered(source: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        write(
            folder.path(),
            &json!({"chat_template": source, "bos_token": "<s>", "eos_token": {"content": "</s>"}}),
        );
        open(folder.path())?
            .render(&[Message {
                role: "user",
                content: " Hi <b>&'\" ".into(),
            }])
            .map_err(|e| e.to_string().replace(&folder.path().display().to_string(), "FOLDER"))
    }

    fn write(folder: &Path, config: &Value) {
        std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
        let tokenizer = json!({"version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null, "post_processor": null,
            "decoder": null, "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}});
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    }

    fn open(folder: &Path) -> Result<ChatTemplate, String> {
        let tokenizer = Tokenizer::open(folder).unwrap();
        ChatTemplate::open(folder, &tokenizer)
            .map_err(|e| e.to_string().replace(&folder.display().to_string(), "FOLDER"))
    }

    #[test]
    fn the_environment_is_that_of_transformers() {
        for (source, expected) in [
            (
                "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ nothing }}",
                "<s> Hi <b>&'\" </s>",
            ),
            (
                "{{ messages[0]['content'].strip().upper() }}{{ messages[1:] | length }}",
                "HI <B>&'\"0",
            ),
            (
                "{% for m in messages %}\n  {% if true %}\nx\n  {% endif %}\n{% endfor %}\n",
                "x\n",
            ),
            (
                "{{ messages | tojson }}",
                "[{\"role\": \"user\", \"content\": \" Hi <b>&'\\\" \"}]",
            ),
            (
                "{{ {'a': [1, {}]} | tojson(indent=2) }}",
                "{\n  \"a\": [\n    1,\n    {}\n  ]\n}",
            ),
            (
                "{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i > 2 %}{% break %}{% endif %}{{ i }}{% endfor %}",
                "02",
            ),
            ("{% if add_generation_prompt %}on{% endif %}", "on"),
            (
                "{% if 'system' in messages[0].role or tools is not none or documents or others is defined %}x{% else %}y{% endif %}",
                "y",
            ),
        ] {
            assert_eq!(rendered(source).as_deref(), Ok(expected), "{source}");
        }
    }

    #[test]
    fn a_template_that_refuses_or_fails_says_so_with_its_file() {
        assert_eq!(
            rendered("a\n{{ raise_exception('No system role!') }}").unwrap_err(),
            "FOLDER/tokenizer_config.json: the chat template fails: No system role! (line 2 of the template)\n  help: give the model what its template takes (some know no `system` role), or write `prompt_style: plain`"
        );
        let error = rendered("{% for %}").unwrap_err();
        assert!(
            error.starts_with("FOLDER/tokenizer_config.json: the chat template is no valid Jinja"),
            "{error}"
        );
        let error =
            rendered("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}").unwrap_err();
        assert!(error.contains("the chat template fails"), "{error}");
    }
}
