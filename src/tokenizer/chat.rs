//! A checkpoint's chat template: Jinja, in the environment that Hugging Face's transformers gives it.
//!
//! This finds the template and renders it. What the rendered text means for a prompt's segments is [`crate::chat`]'s to say.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, context};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Tokenizer, read_map};
use crate::calendar;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

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
    /// Finds and parses the template in a checkpoint's folder: `chat_template.jinja`, else `chat_template` of
    /// `tokenizer_config.json` (of several, the one named `default`), else `chat_template.json`, in transformers' order.
    ///
    /// # Errors
    /// There is none, or it is no valid Jinja.
    pub fn open(folder: &Path, tokenizer: &Tokenizer) -> Result<Self> {
        let (file, source) = find(folder)?;
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| broken(&file, "cannot be read", &error))?);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        // A template that never ends must not hang a build.
        environment.set_fuel(Some(10_000_000));
        environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_function("strftime_now", |format: String| strftime(&format, now()));
        environment.add_filter("tojson", to_json);
        environment
            .add_template_owned("chat", source)
            .map_err(|error| broken(&file, "is no valid Jinja that igsite knows", &error))?;
        Ok(Self {
            environment,
            file,
            tokens: tokenizer.special_names(),
        })
    }

    /// The text of a conversation, up to where the model's answer begins.
    ///
    /// # Errors
    /// The template refuses these messages, or fails.
    pub fn render(&self, messages: &[Message]) -> Result<String> {
        let failed = |error: Error| broken(&self.file, "fails", &error);
        let template = self.environment.get_template("chat").map_err(failed)?;
        let messages = minijinja::Value::from(Serde(messages));
        let tokens = minijinja::Value::from(Serde(&self.tokens));
        // transformers hands these over when there are none; templates ask whether they are `none`.
        let (tools, documents) = ((), ());
        template
            .render(context! { messages, tools, documents, add_generation_prompt => true, ..tokens })
            .map_err(failed)
    }

    /// The file that it is from.
    pub fn file(&self) -> &Path {
        &self.file
    }
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

/// SHA-256 of a checkpoint's chat template; none where there is none.
pub fn template_sha256(folder: &Path) -> Result<Option<String>> {
    Ok(find(folder)
        .ok()
        .map(|(_, source)| crate::checkpoint::hash::of_bytes(source.as_bytes())))
}

/// The file with the template, and its source.
fn find(folder: &Path) -> Result<(PathBuf, String)> {
    let jinja = folder.join("chat_template.jinja");
    if jinja.is_file() {
        let source = input::read_text(&jinja, Kind::Checkpoint, "read")?;
        return Ok((jinja, source));
    }
    for name in ["tokenizer_config.json", "chat_template.json"] {
        let file = folder.join(name);
        let found = read_map(&file)?.and_then(|mut map| map.remove("chat_template"));
        match found {
            None | Some(Value::Null) => {}
            Some(Value::String(source)) => return Ok((file, source)),
            Some(Value::Array(several)) => return Ok((file.clone(), default_of(&file, &several)?)),
            Some(_) => {
                return Err(Diagnostic::checkpoint("`chat_template` is neither text nor a list")
                    .in_file(file)
                    .expected("the template, or a list of {name, template}"));
            }
        }
    }
    Err(Diagnostic::checkpoint("this model has no chat template")
        .in_file(folder)
        .expected("`chat_template` in tokenizer_config.json, or a file chat_template.jinja")
        .help(
            "write `prompt_style: plain`, or put the template that the model was trained with into chat_template.jinja",
        ))
}

fn default_of(file: &Path, several: &[Value]) -> Result<String> {
    let name = |one: &Value| one.get("name").and_then(Value::as_str).map(str::to_owned);
    let chosen = several.iter().find(|one| name(one).as_deref() == Some("default"));
    let template = chosen.and_then(|one| one.get("template")?.as_str());
    template.map(str::to_owned).ok_or_else(|| {
        let names: Vec<String> = several.iter().filter_map(name).collect();
        Diagnostic::checkpoint(format!(
            "none of the chat templates is named `default` (there are: {})",
            names.join(", ")
        ))
        .in_file(file)
        .help("put the one that is meant into chat_template.jinja")
    })
}

/// Python's `json.dumps`: blanks after `,` and `:`, nothing escaped that need not be. Jinja's own filter escapes for HTML.
fn to_json(value: minijinja::Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    // Templates pass `ensure_ascii=False` and `sort_keys=False`, which is what is done.
    let _: Option<bool> = options.get("ensure_ascii")?;
    let _: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let value = serde_json::to_value(&value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, format!("tojson: {error}")))?;
    let mut text = String::new();
    dump(&value, indent, 0, &mut text);
    Ok(text)
}

fn dump(value: &Value, indent: Option<usize>, depth: usize, text: &mut String) {
    let line = |depth: usize, text: &mut String| {
        if let Some(indent) = indent {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent * depth));
        }
    };
    let between = if indent.is_some() { "," } else { ", " };
    match value {
        Value::Array(items) if !items.is_empty() => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { between } else { "" });
                line(depth + 1, text);
                dump(item, indent, depth + 1, text);
            }
            line(depth, text);
            text.push(']');
        }
        Value::Object(fields) if !fields.is_empty() => {
            text.push('{');
            for (index, (name, item)) in fields.iter().enumerate() {
                text.push_str(if index > 0 { between } else { "" });
                line(depth + 1, text);
                *text += &format!("{}: ", Value::from(name.as_str()));
                dump(item, indent, depth + 1, text);
            }
            line(depth, text);
            text.push('}');
        }
        other => *text += &other.to_string(),
    }
}

/// Seconds since 1970: `SOURCE_DATE_EPOCH` where it is set, so that a build can be repeated on another day.
fn now() -> i64 {
    let set = std::env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok());
    set.unwrap_or_else(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs() as i64)
    })
}

/// The directives that templates use, in UTC and English; another is an error.
fn strftime(format: &str, seconds: i64) -> Result<String, Error> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    const DAYS: [&str; 7] = [
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
        "Monday",
        "Tuesday",
        "Wednesday",
    ];
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let date = calendar::date(days.into());
    let month = MONTHS[usize::from(date.month) - 1];
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        text += &match rest.next() {
            Some('Y') => date.year.to_string(),
            Some('y') => format!("{:02}", date.year.rem_euclid(100)),
            Some('m') => format!("{:02}", date.month),
            Some('d') => format!("{:02}", date.day),
            Some('e') => format!("{:2}", date.day),
            Some('B') => month.to_owned(),
            Some('b' | 'h') => month[..3].to_owned(),
            Some('A') => weekday.to_owned(),
            Some('a') => weekday[..3].to_owned(),
            Some('H') => format!("{:02}", second / 3600),
            Some('M') => format!("{:02}", second / 60 % 60),
            Some('S') => format!("{:02}", second % 60),
            Some('F') => date.to_string(),
            Some('%') => "%".to_owned(),
            other => {
                let directive = other.map_or_else(|| "%".to_owned(), |c| format!("%{c}"));
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("strftime_now: `{directive}` is not known"),
                ));
            }
        };
    }
    Ok(text)
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

    #[test]
    fn a_template_is_found_where_models_have_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, hello) = (
            folder.path(),
            [Message {
                role: "user",
                content: "x".into(),
            }],
        );
        write(path, &json!({}));
        assert_eq!(
            open(path).unwrap_err(),
            "FOLDER: this model has no chat template\n  expected: `chat_template` in tokenizer_config.json, or a file chat_template.jinja\n  help: write `prompt_style: plain`, or put the template that the model was trained with into chat_template.jinja"
        );
        std::fs::write(
            path.join("chat_template.json"),
            json!({"chat_template": "last"}).to_string(),
        )
        .unwrap();
        assert_eq!(open(path).unwrap().render(&hello).unwrap(), "last");
        let several = json!([{"name": "tool_use", "template": "a"}, {"name": "default", "template": "listed"}]);
        write(path, &json!({"chat_template": several}));
        assert_eq!(open(path).unwrap().render(&hello).unwrap(), "listed");
        write(path, &json!({"chat_template": [{"name": "rag", "template": "a"}]}));
        assert!(
            open(path)
                .unwrap_err()
                .contains("none of the chat templates is named `default` (there are: rag)")
        );
        std::fs::write(path.join("chat_template.jinja"), "first\n").unwrap();
        assert_eq!(open(path).unwrap().render(&hello).unwrap(), "first");
    }

    #[test]
    fn dates_are_as_python_writes_them() {
        let at = 1_700_000_000;
        assert_eq!(
            strftime("%d %b %Y, %A %H:%M:%S %%", at).unwrap(),
            "14 Nov 2023, Tuesday 22:13:20 %"
        );
        assert_eq!(
            strftime("%B %e %y %F %a %m", 0).unwrap(),
            "January  1 70 1970-01-01 Thu 01"
        );
        assert!(strftime("%Q", at).is_err());
    }
}
