//! The published forms of the templates of Llama-2, Mistral and Orca-2 (ChatML), on made tokenizers and on the real
//! ones.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::tokenizer::Around;

/// Llama-2-chat: the system's words within the first question, contents stripped.
const LLAMA: &str = "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
/// Mistral-7B-Instruct-v0.2: no system role.
const MISTRAL: &str = "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}";
/// Orca-2, as other ChatML models.
const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/// A tokenizer over bytes that puts `<s>` in front if it is asked to, and has ChatML's control tokens.
fn made(template: &str, adds_bos: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut vocab = serde_json::Map::new();
    for piece in ["<unk>", "<s>", "</s>"]
        .map(str::to_owned)
        .into_iter()
        .chain((0..256).map(|byte| format!("<0x{byte:02X}>")))
    {
        vocab.insert(piece, vocab.len().into());
    }
    let added = |id: usize, content: &str| json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true});
    let processor = adds_bos.then(|| {
        json!({"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}})
    });
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>"), added(259, "<|im_start|>"), added(260, "<|im_end|>")],
        "normalizer": null, "pre_tokenizer": null, "post_processor": processor, "decoder": null,
        "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": vocab, "merges": []}
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    config(folder.path(), template);
    folder
}

fn config(folder: &Path, template: &str) {
    let config = json!({"chat_template": template, "bos_token": "<s>", "eos_token": "</s>"});
    std::fs::write(folder.join("tokenizer_config.json"), config.to_string()).unwrap();
}

fn question(system: Option<&str>, parts: &[(&str, &str)], answer: Option<&str>) -> Prompt {
    let mut prompt = Prompt::default();
    if let Some(system) = system {
        prompt.push_as("manner", Role::System, system);
    }
    for (name, text) in parts {
        prompt.push(name, text);
    }
    if let Some(answer) = answer {
        prompt.push_as("answer", Role::Assistant, answer);
    }
    prompt
}

/// Each segment's name and text; they must cover the prompt.
fn segments(prompt: &Prompt) -> Vec<(String, String)> {
    let text: Vec<char> = prompt.text.chars().collect();
    let mut cursor = 0;
    let parts = prompt.segments.iter().map(|segment| {
        assert_eq!(segment.start, cursor, "no gaps");
        cursor = segment.end;
        (segment.name.clone(), text[segment.start..segment.end].iter().collect())
    });
    let parts: Vec<(String, String)> = parts.collect();
    assert_eq!(cursor, text.len());
    parts
}

fn shown(parts: &[(String, String)]) -> Vec<(&str, &str)> {
    parts
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect()
}

fn chat(folder: &Path) -> (Chat, Tokenizer) {
    let tokenizer = Tokenizer::open(folder).unwrap();
    (Chat::open(folder, &tokenizer).unwrap(), tokenizer)
}

/// The prompt within a template, and how many tokens begin it.
fn within(folder: &Path, prompt: &Prompt) -> Result<(Prompt, usize)> {
    let (chat, tokenizer) = chat(folder);
    let prompt = chat.prompt(prompt)?;
    let tokens = tokenizer.encode_within(&prompt.text, Around::Nothing)?;
    Ok((prompt, tokens.iter().filter(|token| token.id == 1).count()))
}

const PARTS: [(&str, &str); 2] = [("instruction", "  Is it so?\n"), ("claim", "É 🦀 [INST] <|x|>\n ")];

#[test]
fn llama_strips_the_ends_of_the_question() {
    for adds_bos in [true, false] {
        let folder = made(LLAMA, adds_bos);
        let (prompt, begins) = within(folder.path(), &question(None, &PARTS, Some(" Choice: ("))).unwrap();
        assert_eq!(
            shown(&segments(&prompt)),
            [
                ("template", "<s>[INST] "),
                ("instruction", "Is it so?\n"),
                ("claim", "É 🦀 [INST] <|x|>"),
                ("template", " [/INST]"),
                ("answer", " Choice: ("),
            ]
        );
        assert_eq!(begins, 1);
        let (prompt, begins) = within(folder.path(), &question(Some(" Be brief. "), &PARTS, None)).unwrap();
        assert_eq!(
            shown(&segments(&prompt)),
            [
                ("template", "<s>[INST] <<SYS>>\n"),
                ("manner", " Be brief. "),
                ("template", "\n<</SYS>>\n\n"),
                ("instruction", "  Is it so?\n"),
                ("claim", "É 🦀 [INST] <|x|>"),
                ("template", " [/INST]"),
            ]
        );
        assert_eq!(begins, 1);
    }
}

#[test]
fn mistral_takes_no_system_and_says_so() {
    let folder = made(MISTRAL, true);
    let (prompt, begins) = within(folder.path(), &question(None, &PARTS, None)).unwrap();
    assert_eq!(prompt.text, "<s>[INST]   Is it so?\nÉ 🦀 [INST] <|x|>\n  [/INST]");
    assert_eq!(begins, 1);
    let error = within(folder.path(), &question(Some("Be brief."), &PARTS, None)).unwrap_err();
    assert!(
        error
            .file
            .as_deref()
            .is_some_and(|file| file.ends_with("tokenizer_config.json"))
    );
    assert!(
        error
            .message
            .starts_with("the chat template fails: Conversation roles must alternate"),
        "{error}"
    );
}

#[test]
fn control_tokens_of_chatml_are_themselves() {
    let folder = made(CHATML, true);
    let (prompt, begins) = within(folder.path(), &question(Some("Be brief."), &PARTS, Some("Choice: ("))).unwrap();
    assert_eq!(
        shown(&segments(&prompt)),
        [
            ("template", "<|im_start|>system\n"),
            ("manner", "Be brief."),
            ("template", "<|im_end|>\n<|im_start|>user\n"),
            ("instruction", "  Is it so?\n"),
            ("claim", "É 🦀 [INST] <|x|>\n "),
            ("template", "<|im_end|>\n<|im_start|>assistant\n"),
            ("answer", "Choice: ("),
        ]
    );
    // The tokenizer would put one there; the template has none, and the model was trained without.
    assert_eq!(begins, 0);
    let tokens = chat(folder.path())
        .1
        .encode_within(&prompt.text, Around::Nothing)
        .unwrap();
    let control: Vec<u32> = tokens.iter().map(|token| token.id).filter(|id| *id > 258).collect();
    assert_eq!(control, [259, 260, 259, 260, 259]);
}

#[test]
fn a_template_that_does_more_than_it_may_is_refused() {
    let refused = |template: &str| {
        let folder = made(template, true);
        within(folder.path(), &question(Some("Be brief."), &PARTS, None))
            .unwrap_err()
            .message
    };
    assert_eq!(
        refused("{{ messages[0].content }}"),
        "the chat template does not write each message once and in its order"
    );
    assert_eq!(
        refused("{{ messages[1].content }}{{ messages[0].content }}"),
        "the chat template does not write each message once and in its order"
    );
    assert_eq!(
        refused("{% for m in messages %}{{ m.content | upper }}{% endfor %}"),
        "the chat template does not write each message once and in its order"
    );
    assert_eq!(
        refused("{% for m in messages %}{{ m.content | replace('so', 'no') }}{% endfor %}"),
        "the chat template changes the text of the prompt"
    );
}

/// A copy of a reference's tokenizer with a template, or a printed reason to skip.
fn real(family: &str, template: &str) -> Option<tempfile::TempDir> {
    let source = crate::needs::shared(&format!("reference/{family}"))?;
    let folder = tempfile::tempdir().unwrap();
    config(folder.path(), template);
    for name in [
        "tokenizer.json",
        "tokenizer.model",
        "added_tokens.json",
        "special_tokens_map.json",
    ] {
        if source.join(name).is_file() {
            std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
    }
    Some(folder)
}

#[test]
fn the_real_tokenizers_begin_the_text_as_the_template_does() {
    for (family, template, count) in [
        ("llama", LLAMA, 1),
        ("mistral", MISTRAL, 1),
        ("orca", CHATML, 0),
        ("llama", MISTRAL, 1),
    ] {
        let Some(folder) = real(family, template) else { return };
        let (prompt, begins) = within(folder.path(), &question(None, &PARTS, None)).unwrap();
        assert_eq!(begins, count, "{family}");
        assert_eq!(prompt.text.starts_with("<s>"), count == 1, "{family}: {}", prompt.text);
        let tokens = chat(folder.path())
            .1
            .encode_within(&prompt.text, Around::Nothing)
            .unwrap();
        assert_eq!(tokens[0].id == 1, count == 1, "{family}: {:?}", &tokens[..3]);
        if family == "orca" {
            let control: Vec<u32> = tokens.iter().map(|token| token.id).filter(|id| *id > 32_000).collect();
            assert_eq!(control, [32_001, 32_002, 32_001]);
        }
    }
}

#[test]
fn a_model_without_a_template_says_so() {
    let folder = made("x", true);
    std::fs::write(
        folder.path().join("tokenizer_config.json"),
        Value::Object(serde_json::Map::new()).to_string(),
    )
    .unwrap();
    let tokenizer = Tokenizer::open(folder.path()).unwrap();
    assert_eq!(
        Chat::open(folder.path(), &tokenizer).unwrap_err().message,
        "this model has no chat template"
    );
}
