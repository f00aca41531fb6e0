//! The named pre-tokenizers of GGUF files (`tokenizer.ggml.pre`): how a byte-level tokenizer cuts a text into words
//! before it merges bytes.
//!
//! A name stands for the tokenizer of a model (llama.cpp's `convert_hf_to_gguf_update.py` says which). Each row has the
//! steps of that model's own `tokenizer.json`; where it is not at hand, llama.cpp's expressions (`llama-vocab.cpp`).
//! Transformers 5.24 knows the rows of Llama 3, Tekken, Qwen2, Qwen3.5 and GPT-4o, with the same steps, and cuts by
//! GPT-2's expression for every other name.

use serde_json::{Value, json};

/// A pre-tokenizer, and what goes with its name.
#[derive(Debug, PartialEq, Eq)]
pub struct Split {
    /// Its names.
    names: &'static [&'static str],
    /// Steps over the text.
    cuts: &'static [Cut],
    /// Whether the step that turns text into bytes also cuts by GPT-2's expression.
    gpt2: bool,
    /// Steps over the letters that stand for bytes.
    cuts_of_bytes: &'static [Cut],
    /// Whether a word that is a token is not built by merges (`ignore_merges`).
    pub whole_words: bool,
    /// Whether a token begins each text where no key says (`add_bos_token`).
    pub begins: bool,
}

/// A step; all cut out what they find and keep it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// What an expression matches.
    Regex(&'static str),
    /// Each character of Unicode's categories of numbers.
    Digit,
    /// Runs of numbers.
    Digits,
    /// Runs of punctuation, of ASCII or by Unicode's categories.
    Punctuation,
}

impl Cut {
    fn step(self) -> Value {
        match self {
            Self::Regex(regex) => {
                json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false})
            }
            Self::Digit => json!({"type": "Digits", "individual_digits": true}),
            Self::Digits => json!({"type": "Digits", "individual_digits": false}),
            Self::Punctuation => json!({"type": "Punctuation", "behavior": "Contiguous"}),
        }
    }
}

impl Split {
    /// By its name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SPLITS.iter().find(|split| split.names.contains(&name))
    }

    /// GPT-2's, for files that name none.
    pub fn of_gpt2() -> &'static Self {
        &GPT2
    }

    /// All names, for a message.
    pub fn names() -> String {
        let mut names: Vec<&str> = SPLITS.iter().flat_map(|split| split.names).copied().collect();
        names.sort_unstable();
        names.join(", ")
    }

    /// The pre-tokenizer as a `tokenizer.json` has it.
    pub fn steps(&self) -> Value {
        let bytes =
            json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": self.gpt2});
        let before = self.cuts.iter().map(|cut| cut.step());
        let behind = self.cuts_of_bytes.iter().map(|cut| cut.step());
        let steps: Vec<Value> = before.chain([bytes]).chain(behind).collect();
        json!({"type": "Sequence", "pretokenizers": steps})
    }
}

/// With GPT-2's expression.
const GPT2: Split = Split {
    names: &[
        "a.x-4.0",
        "exaone4",
        "gigachat",
        "gpt-2",
        "granite-docling",
        "jais",
        "mellum",
        "modern-bert",
        "mpt",
        "olmo",
        "phi-2",
        "trillion",
    ],
    cuts: &[],
    gpt2: true,
    cuts_of_bytes: &[],
    whole_words: false,
    begins: false,
};

/// With expressions of its own.
const fn own(names: &'static [&'static str], cuts: &'static [Cut]) -> Split {
    Split {
        names,
        cuts,
        gpt2: false,
        cuts_of_bytes: &[],
        whole_words: false,
        begins: false,
    }
}

/// Words of any case with a character before them, numbers of up to three digits.
const LLAMA3: &[Cut] = &[Cut::Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
))];

/// As Llama 3's, with single digits.
const QWEN2: &[Cut] = &[Cut::Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}",
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
))];

/// As Qwen2's, with marks as parts of words.
const QWEN35: &[Cut] = &[Cut::Regex(concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}",
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
))];

/// Words cut where upper case begins.
const TEKKEN: &[Cut] = &[Cut::Regex(concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
))];

/// As Tekken's, with English contractions and numbers of up to three digits.
const GPT4O_WORDS: Cut = Cut::Regex(concat!(
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
));

/// Letters that have cases, as DeepSeek's file lists them.
const DEEPSEEK_WORDS: Cut = Cut::Regex(concat!(
    r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}",
    r"\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}",
    r"\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}",
    r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}",
    r"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}",
    r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}",
    r"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}",
    r"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}",
    r"\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}",
    r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}",
    r"\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}",
    r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}",
    r"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+",
));

/// Chinese, Japanese and Korean, as DeepSeek's first files list them.
const DEEPSEEK_CJK: Cut = Cut::Regex(r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+");

/// Words and the sentence marks of several scripts.
const BLOOM_WORDS: Cut = Cut::Regex(r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+");

const SPLITS: &[Split] = &[
    GPT2,
    Split {
        names: &[
            "codeshell",
            "command-r",
            "exaone",
            "mellum2",
            "minerva-7b",
            "refact",
            "smollm",
            "starcoder",
        ],
        cuts: &[Cut::Digit],
        ..GPT2
    },
    Split {
        names: &["falcon"],
        cuts: &[Cut::Punctuation],
        cuts_of_bytes: &[Cut::Digits, Cut::Regex("[0-9][0-9][0-9]")],
        ..GPT2
    },
    Split {
        whole_words: true,
        begins: true,
        ..own(
            &[
                "falcon-h1",
                "falcon3",
                "jina-v5-nano",
                "lfm2",
                "llama-bpe",
                "llama-v3",
                "llama3",
                "midm-2.0",
                "pixtral",
            ],
            LLAMA3,
        )
    },
    own(&["chatglm-bpe", "dbrx", "glm4", "smaug-bpe"], LLAMA3),
    own(
        &[
            "deepseek-r1-qwen",
            "f2llmv2",
            "hunyuan",
            "kormo",
            "megrez",
            "qwen2",
            "solar-open",
            "stablelm2",
        ],
        QWEN2,
    ),
    own(&["qwen35"], QWEN35),
    Split {
        whole_words: true,
        begins: true,
        ..own(&["tekken"], TEKKEN)
    },
    own(&["gpt-4o", "kanana2", "llama4", "minimax-m2", "talkie"], &[GPT4O_WORDS]),
    own(
        &["cohere2moe", "tiny_aya"],
        &[Cut::Regex(r"\d{1,3}(?=(?:\d{3})*\b)"), GPT4O_WORDS],
    ),
    own(
        &["deepseek-llm"],
        &[
            Cut::Regex(r"[\r\n]"),
            DEEPSEEK_WORDS,
            Cut::Regex(r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"),
            Cut::Regex(r"\s+$"),
            DEEPSEEK_CJK,
            Cut::Digit,
        ],
    ),
    own(
        &["deepseek-coder"],
        &[
            Cut::Regex(r"[\r\n]"),
            Cut::Regex(r"\s?\p{L}+"),
            Cut::Regex(r"\s?\p{P}+"),
            DEEPSEEK_CJK,
            Cut::Digit,
        ],
    ),
    own(
        &["deepseek-v3", "hunyuan-dense"],
        &[
            Cut::Regex(r"\p{N}{1,3}"),
            Cut::Regex(r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"),
            Cut::Regex(concat!(
                r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"##,
                r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
            )),
        ],
    ),
    own(&["bloom", "gpt3-finnish", "poro-chat"], &[BLOOM_WORDS]),
    own(&["viking"], &[BLOOM_WORDS, Cut::Digit]),
    own(
        &["seed-coder"],
        &[Cut::Regex(concat!(
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}",
            r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
        ))],
    ),
    Split {
        whole_words: true,
        ..own(
            &["minicpm5"],
            &[
                Cut::Regex(r"\p{N}{1,3}"),
                Cut::Regex(concat!(
                    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+",
                    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
                )),
            ],
        )
    },
    own(
        &["superbpe"],
        &[Cut::Regex(r"\p{N}+"), Cut::Regex(r"(?=(\d{3})+(?!\d))")],
    ),
    own(
        &["ufakzeka"],
        &[Cut::Regex(concat!(
            r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
            r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        ))],
    ),
];

#[cfg(test)]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper};

    use super::*;
    use crate::tokenizer::pieces::Writing;

    /// The words' bytes.
    fn words(name: &str, text: &str) -> Vec<Vec<u8>> {
        let steps = Split::named(name).unwrap().steps();
        let steps: PreTokenizerWrapper = serde_json::from_value(steps).unwrap();
        let mut text = PreTokenizedString::from(text);
        steps.pre_tokenize(&mut text).unwrap();
        let words = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        words.iter().map(|(word, ..)| Writing::Bytes.bytes(word)).collect()
    }

    #[test]
    fn each_name_has_one_row_and_steps_that_can_be_read() {
        let mut names: Vec<&str> = SPLITS.iter().flat_map(|split| split.names).copied().collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in names {
            // All that is cut is kept.
            let text = "I'LL  see 12345 x1,2\r\n\n  naïve é 東京タワー…\t¡no! HTTPServer ";
            assert_eq!(words(name, text).concat(), text.as_bytes(), "{name}");
        }
        assert!(Split::named("kimi-k2").is_none());
    }

    #[test]
    fn the_documentation_lists_the_names() {
        let page = include_str!("../../../docs/models.md");
        let names: Vec<String> = Split::names().split(", ").map(|name| format!("`{name}`")).collect();
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(&format!("{}. Any other name is an error", names.join(", "))));
    }
}
