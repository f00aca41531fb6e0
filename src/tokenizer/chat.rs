//! A checkpoint's chat template: Jinja, in the environment that Hugging Face's transformers gives it.
//!
//! This module finds the template and renders it. What the rendered text means for a prompt's segments is decided in
//! [`crate::chat`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

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
/// Templates of models take less than a thousandth of this.
const LIMIT: Duration = Duration::from_secs(10);
const ENDLESS: &str = "it does not come to an end";

/// A chat template, parsed.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    /// The file that it is from.
    file: PathBuf,
    /// SHA-256 of its source.
    pub sha256: String,
    /// `bos_token`, `eos_token` and so on, by these names.
    tokens: Map<String, Value>,
    /// Whether it once did not come to an end.
    stuck: AtomicBool,
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
    /// Finds and parses the template of a checkpoint: in its folder, or in its GGUF file.
    ///
    /// # Errors
    /// There is none, or it is no valid Jinja.
    pub fn open(checkpoint: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let source = source::find(checkpoint)?.ok_or_else(|| source::none(checkpoint))?;
        let sha256 = source.sha256();
        let Source { file, text } = source;
        let text = scan::prepared(&text).map_err(|error| error.in_file(&file))?;
        let named = file.clone();
        let parse =
            move || environment(text).map_err(|error| broken(&named, "is no valid Jinja that igsite knows", &error));
        Ok(Self {
            environment: Arc::new(run(&file, LIMIT, parse)?),
            file,
            sha256,
            tokens: tokenizer.special_names().clone(),
            stuck: AtomicBool::new(false),
        })
    }

    /// The text of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// The template refuses these messages, fails, or does not come to an end.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        if self.stuck.load(Ordering::Relaxed) {
            return Err(stopped(&self.file, ENDLESS));
        }
        let (environment, file) = (Arc::clone(&self.environment), self.file.clone());
        let (messages, tokens) = (messages.to_vec(), self.tokens.clone());
        let work = move || {
            let failed = |error: Error| broken(&file, "fails", &error);
            let template = environment.get_template("chat").map_err(failed)?;
            let messages = minijinja::Value::from(Serde(messages));
            let tokens = minijinja::Value::from(Serde(tokens));
            // transformers passes these even when there are none; templates test whether they are `none`.
            let (tools, documents) = ((), ());
            template
                .render(context! { messages, tools, documents, add_generation_prompt => true, ..tokens })
                .map_err(failed)
        };
        let done = run(&self.file, LIMIT, work);
        let endless = done.as_ref().is_err_and(|error| error.message.ends_with(ENDLESS));
        self.stuck.fetch_or(endless, Ordering::Relaxed);
        done
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
    environment.set_unknown_method_callback(method);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| clock::strftime(&format, clock::now()));
    environment.add_filter("tojson", json::to_json);
    environment.add_template_owned("chat", source)?;
    Ok(environment)
}

/// Python's methods of texts, lists and maps. `'{:>9999999999}'.format(1)` would be as long as it says.
fn method(
    state: &mut minijinja::State,
    value: &minijinja::Value,
    name: &str,
    arguments: &[minijinja::Value],
) -> Result<minijinja::Value, Error> {
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    let wide = value.as_str().and_then(digits).is_some_and(|most| most > 3);
    if name == "format" && wide {
        let message = "`format` with a number of more than three digits is not computed";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments)
}

/// Runs work on a thread of its own, with a stack large enough for any nesting that [`scan`] and [`FUEL`] allow. Errors
/// hold nested values too, so they become messages there. Lists that are appended to themselves use no fuel (minijinja
/// 3.1), so time is bounded as well: work that does not finish is abandoned, and ends with the process.
///
/// # Errors
/// As `work`; it panics or takes longer than `limit`, or there is no memory for the stack.
fn run<T: Send + 'static>(
    file: &Path,
    limit: Duration,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = mpsc::channel();
    let started = thread::Builder::new().stack_size(STACK).spawn(move || {
        // Nobody may be waiting any more.
        _ = sender.send(guard::guarded(work));
    });
    if let Err(error) = started {
        return Err(stopped(file, &error.to_string()));
    }
    match receiver.recv_timeout(limit) {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => Err(stopped(file, &panic)),
        Err(_) => Err(stopped(file, ENDLESS)),
    }
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
    fn what_the_assistant_says_may_be_marked() {
        let source = "{% for m in messages %}{%- generation %}\n{% set x = 1 %}{{ m.role }}{% endgeneration %}{{ x }}.{% endfor %}";
        assert_eq!(rendered(source).as_deref(), Ok("user."));
    }

    /// Each ended the process, or filled memory.
    #[test]
    fn hostile_templates_are_errors() {
        let deep = "{% set ns = namespace(a=[]) %}{% for i in range(1000) %}{% for j in range(1000) %}{% set ns.a = [ns.a] %}{% endfor %}{% endfor %}";
        let shallow = deep.replace("1000", "50");
        for (source, message) in [
            (format!("{{{{ {} 1 }}}}", "not ".repeat(20_000)), "a tag of 20005 words"),
            (deep.to_owned(), "engine ran out of fuel"),
            (format!("{shallow}{{{{ ns.a | tojson }}}}"), "more than 100 levels"),
            (
                "{{ [1] | tojson(indent=10000000) }}".to_owned(),
                "indented by more than 100 blanks",
            ),
            (
                "{{ range(100000) | tojson(indent=100) }}".to_owned(),
                "more than 1048576 bytes",
            ),
        ] {
            let error = rendered(&source).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
        // As deep as may be parsed, and values as deep as may be made, are none.
        for source in [
            format!("{{{{ {} 1 }}}}", "not ".repeat(4900)),
            format!("{{{{ {}1 }}}}", "-".repeat(4900)),
            shallow,
        ] {
            assert!(rendered(&source).is_ok(), "{source:.60}");
        }
    }

    #[test]
    fn work_without_end_is_left_behind() {
        let work = || {
            thread::sleep(Duration::from_secs(2));
            Ok(())
        };
        let error = run(Path::new("a"), Duration::from_millis(20), work).unwrap_err();
        assert!(error.message.ends_with(ENDLESS), "{error}");
        let error = run(Path::new("a"), LIMIT, || -> Result<()> { panic!("so it is") }).unwrap_err();
        assert!(error.message.ends_with("so it is"), "{error}");
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
