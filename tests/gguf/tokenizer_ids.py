"""Expected ids of tests/gguf_tokenizers.rs: transformers' reading of the same files, or the model's own steps where
transformers passes over the name of the pre-tokenizer.

usage: IGSITE_WRITE=DIR cargo test --test gguf_tokenizers write_the_files -- --ignored
       tokenizer_ids.py DIR > tokenizer_ids.json        (python 3 with transformers 5.24, tokenizers 0.23, gguf)
       tokenizer_ids.py FILE.gguf TEXTS > ids.json      (TEXTS: a JSON list; transformers' reading of any file)
"""
import json, pathlib, sys

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers as pre
from transformers import AutoTokenizer

TEXTS = [
    "", " ", "  ", "a", "the", " the", "  the", "the  there and the", "There, in the end.", "then\n\nthe\n the", "\n", "\n\n\n", "a\tb\r\nc",
    "1 12 123 1234 12345 1234567", "x==1234.5 $1,234", "it's they're IT'S we'Re", "HTTPServer parseHTTP", "   and    and     and", "an and",
    "café the fé e\u0301", "日本語 日本 the日", "ไทย ภาษา", "привет Мир", "👍🏽 👩‍👩‍👧", "<s>the</s> and<s>", "the<|end|>the <|end|> the", "<think>the</think> <think>",
    "a whole whole the whole", "aaaaaaaaa aa", "----- ---// /////", "...!?...", "the.the,the;the", "«the» “the” the…", "\u00a0the\u200bthe", "if (x==1) {\n    return\t'an';\n}  ",
    "end of text   ", "١٢٣ ४५६ Ⅷ ½", "one\u2028two\u0085three", "a'an'the", "�the", "<unk>", "<|begin|>in<|pad|>", "▁the▁", "e.g. 1.5e-3/2", "naïve—the", "Ćwhole",
]

SPLIT = lambda regex: pre.Split(Regex(regex), "isolated")
BYTES = lambda: pre.ByteLevel(add_prefix_space=False, use_regex=False)
GPT2 = lambda: pre.ByteLevel(add_prefix_space=False, use_regex=True)
WORDS = r" ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+"
# Letters with cases.
CASED = (r"\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}"
         r"\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}"
         r"\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}"
         r"\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}"
         r"\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}"
         r"\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}"
         r"\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}"
         r"\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}"
         r"\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}"
         r"\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F}\x{A771}-\x{A787}"
         r"\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}"
         r"\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}"
         r"\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+")
LLAMA3 = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
GPT4O = ("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?"
         "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
# What transformers passes over: the steps of the model's own tokenizer.json, else llama.cpp's expressions.
OWN = {
    "llama-bpe": [SPLIT(LLAMA3), BYTES()],  # and whole words
    "tekken": [SPLIT("[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                     "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), BYTES()],
    "smollm": [pre.Digits(individual_digits=True), GPT2()],
    "falcon": [pre.Punctuation("contiguous"), GPT2(), pre.Digits(individual_digits=False), SPLIT("[0-9][0-9][0-9]")],
    "deepseek-llm": [SPLIT("[\r\n]"), SPLIT(CASED), SPLIT(r"\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+"), SPLIT("\\s+$"), SPLIT(r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"), pre.Digits(individual_digits=True), BYTES()],
    "deepseek-coder": [SPLIT("[\r\n]"), SPLIT("\\s?\\p{L}+"), SPLIT("\\s?\\p{P}+"), SPLIT(r"[\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+"), pre.Digits(individual_digits=True), BYTES()],
    "deepseek-v3": [SPLIT("\\p{N}{1,3}"), SPLIT(r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+"),
                    SPLIT("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), BYTES()],
    "tiny_aya": [SPLIT("\\d{1,3}(?=(?:\\d{3})*\\b)"), SPLIT(GPT4O), BYTES()],
    "bloom": [SPLIT(WORDS), BYTES()],
    "viking": [SPLIT(WORDS), pre.Digits(individual_digits=True), BYTES()],
    "seed-coder": [SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"), BYTES()],
    "minicpm5": [SPLIT("\\p{N}{1,3}"), SPLIT(LLAMA3.replace("{1,3}", "+")), BYTES()],
    "superbpe": [SPLIT("\\p{N}+"), SPLIT("(?=(\\d{3})+(?!\\d))"), BYTES()],
    "ufakzeka": [SPLIT("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"), BYTES()],
}
WHOLE = {"llama-bpe", "tekken", "minicpm5"}


def own(path, name):
    """The model's own pipeline over the file's vocabulary."""
    fields = {key: field.contents() for key, field in GGUFReader(str(path)).fields.items()}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    t = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, ignore_merges=name in WHOLE))
    t.pre_tokenizer, t.decoder = pre.Sequence(OWN[name]), decoders.ByteLevel()
    t.add_tokens([AddedToken(token, normalized=False, special=kind == 3) for token, kind in zip(tokens, types) if kind in (3, 4)])
    return lambda text: [fields["tokenizer.ggml.bos_token_id"]] + t.encode(text).ids


def prefixless(path):
    """What `add_space_prefix: false` means; transformers passes it over."""
    t = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
    t.backend_tokenizer.pre_tokenizer = pre.Metaspace(prepend_scheme="never", split=False)
    return lambda text: t(text)["input_ids"]


folder, result = pathlib.Path(sys.argv[1]), {}
if folder.is_file():
    t = AutoTokenizer.from_pretrained(str(folder.parent), gguf_file=folder.name)
    print(json.dumps([[text, list(t(text)["input_ids"])] for text in TEXTS + json.load(open(sys.argv[2]))]))
    sys.exit()
for path in sorted(folder.glob("*.gguf")):
    name = path.stem.removeprefix("bytes-")
    if name in OWN:
        encode = own(path, name)
    elif name == "spm-blank-forbidden":
        encode = prefixless(path)
    else:
        t = AutoTokenizer.from_pretrained(str(folder), gguf_file=path.name)
        encode = lambda text, t=t: t(text)["input_ids"]
    result[path.stem] = [[text, list(encode(text))] for text in TEXTS]
files = ",\n".join(json.dumps(name) + ": [\n" + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]" for name, rows in result.items())
print("{\n" + files + "\n}")
