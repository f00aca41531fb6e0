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
    r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ",
    r"Ὗ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ",
    r"𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
));

/// Words and the sentence marks of several scripts.
const BLOOM_WORDS: Cut = Cut::Regex(r" ?[^(\s|.,!?…。，、।۔،)]+");

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
            Cut::Regex(r"\s?[!-/:-~！-／：-～‘-‟　-。]+"),
            Cut::Regex(r"\s+$"),
            Cut::Regex("[一-龥ࠀ-一가-퟿]+"),
            Cut::Digit,
        ],
    ),
    own(
        &["deepseek-coder"],
        &[
            Cut::Regex(r"[\r\n]"),
            Cut::Regex(r"\s?\p{L}+"),
            Cut::Regex(r"\s?\p{P}+"),
            Cut::Regex("[一-龥ࠀ-一가-퟿]+"),
            Cut::Digit,
        ],
    ),
    own(
        &["deepseek-v3", "hunyuan-dense"],
        &[
            Cut::Regex(r"\p{N}{1,3}"),
            Cut::Regex("[一-龥぀-ゟ゠-ヿ]+"),
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
    use crate::tokenizer::pieces::{Writing, spelled};

    fn words(name: &str, text: &str) -> String {
        let steps = Split::named(name).unwrap().steps();
        let steps: PreTokenizerWrapper = serde_json::from_value(steps).unwrap();
        let mut text = PreTokenizedString::from(text);
        steps.pre_tokenize(&mut text).unwrap();
        let words = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let words: Vec<String> = words
            .iter()
            .map(|(word, ..)| spelled(&Writing::Bytes.bytes(word)))
            .collect();
        words.join("¦")
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
            assert_eq!(words(name, text).replace('¦', ""), text, "{name}");
        }
        assert!(Split::named("kimi-k2").is_none());
    }
}
