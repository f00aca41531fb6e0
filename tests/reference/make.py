"""The project's own numerical reference: Integrated Gradients in float64, written with JAX and sharing no code with igsite.

    python3.11 -m venv /tmp/reference
    /tmp/reference/bin/pip install jax==0.10.2 numpy==2.4.6 ml_dtypes==0.6.0 tokenizers==0.23.3 sentencepiece==0.2.3
    cd REPOSITORY
    /tmp/reference/bin/python tests/reference/make.py               # writes tests/reference/demo-*.json again
    /tmp/reference/bin/python tests/reference/make.py demo-orca     # only this one
    /tmp/reference/bin/python tests/reference/make.py --check DIR   # holds this program against DIR/expected.json

The JSON files hold what `tests/own_reference.rs` expects of igsite on the demo models: tokens, logits, scores. They have to be
written again whenever a demo model is trained again; each names the SHA-256 of the files it was made from.

`--check` is how this program itself was checked: DIR is a checkpoint with an `expected.json` that PyTorch, transformers and
Captum computed in float64. They agree to about 2e-6 of the largest score for Llama's layout and 2e-7 for Falcon's, no closer,
and the reason is not here: transformers computes rotary angles, and for Llama also RMSNorm and the attention's softmax, in
float32 whatever the model's dtype. Rounding the same places of this program to float32 moves its scores just as far (2.5e-6
and 2.5e-7). Where none of them matters, Falcon's F at a baseline of equal tokens, the two agree to 2e-15.
(One of Falcon's cases shows 9e-7: its largest score is 1e-6, and `expected.json` has 12 decimals.)
"""
import hashlib
import json
import math
import pathlib
import pickle
import re
import sys
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_enable_x64", True)

LETTERS = "ABCDEF"


# --- Files to arrays -----------------------------------------------------------------------------------------------------

SAFETENSORS_DTYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
TORCH_DTYPES = {"DoubleStorage": np.float64, "FloatStorage": np.float32, "HalfStorage": np.float16,
                "BFloat16Storage": ml_dtypes.bfloat16}


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    return {name: np.frombuffer(data[8 + length:][slice(*entry["data_offsets"])], SAFETENSORS_DTYPES[entry["dtype"]])
            .reshape(entry["shape"]) for name, entry in header.items()}


class TorchUnpickler(pickle.Unpickler):
    """Reads a state dict without PyTorch. A pickle can call anything; this one can call three things."""

    def __init__(self, archive):
        index = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        self.archive, self.root = archive, index.removesuffix("data.pkl")
        super().__init__(archive.open(index))

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return dict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if module == "torch" and name in TORCH_DTYPES:
            return TORCH_DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} has no place in a state dict")

    def persistent_load(self, what):
        _, dtype, key, _, _ = what
        return np.frombuffer(self.archive.read(f"{self.root}data/{key}"), dtype)

    @staticmethod
    def tensor(storage, offset, shape, stride, *_):
        assert all(s == math.prod(shape[i + 1:]) for i, s in enumerate(stride) if shape[i] > 1), "not in row-major order"
        return storage[offset:offset + math.prod(shape)].reshape(shape)


def read_weights(folder):
    """All tensors of a checkpoint in float64: exact, since every stored dtype is narrower."""
    for single, read in [("model.safetensors", read_safetensors),
                         ("pytorch_model.bin", lambda path: TorchUnpickler(zipfile.ZipFile(path)).load())]:
        index = folder / f"{single}.index.json"
        files = [single] if not index.exists() else sorted(set(json.loads(index.read_text())["weight_map"].values()))
        if (folder / files[0]).exists():
            tensors = {}
            for file in files:
                tensors |= read(folder / file)
            return {name: jnp.asarray(value.astype(np.float64)) for name, value in tensors.items()}
    sys.exit(f"{folder}: no weights")


# --- Text to tokens ------------------------------------------------------------------------------------------------------

class JsonTokenizer:
    """A `tokenizer.json`, by Hugging Face's own package."""

    def __init__(self, folder):
        from tokenizers import Tokenizer
        self.inner = Tokenizer.from_file(str(folder / "tokenizer.json"))
        unknown = json.loads(self.inner.to_str())["model"].get("unk_token")
        self.unk = unknown and self.inner.token_to_id(unknown)
        self.id_of = self.inner.token_to_id

    def __call__(self, text):
        encoding = self.inner.encode(text)
        return encoding.ids, [list(span) for span in encoding.offsets]


class SentencePieceTokenizer:
    """A `tokenizer.model`, by Google's own package; spans put into the form that Hugging Face's fast tokenizers give them."""

    def __init__(self, folder):
        import sentencepiece
        optional = lambda file: json.loads((folder / file).read_text()) if (folder / file).exists() else {}
        self.inner = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        self.bos = [self.inner.bos_id()] if optional("tokenizer_config.json").get("add_bos_token", True) else []
        self.unk = self.inner.unk_id()
        size = self.inner.get_piece_size()
        self.added = {self.inner.id_to_piece(i): i for i in range(size)
                      if self.inner.is_control(i) or self.inner.is_unknown(i)} | optional("added_tokens.json")
        longest_first = sorted(self.added, key=len, reverse=True)
        self.split = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
        self.id_of = lambda text: self.added[text] if text in self.added else self.inner.piece_to_id(text)

    def __call__(self, text):
        ids, spans, start = list(self.bos), [[0, 0] for _ in self.bos], 0
        # SentencePiece never finds `</s>` in a text; Hugging Face's tokenizers do, and take what is between as texts.
        for part in self.split.split(text):
            if part in self.added:
                ids.append(self.added[part])
                spans.append([start, start + len(part)])
            elif part:
                for piece_id, begin, end in self.pieces(part):
                    ids.append(piece_id)
                    spans.append([start + begin, start + end])
            start += len(part)
        return ids, spans

    def pieces(self, text):
        left_in_character = 0
        found = self.inner.encode_as_offset_mapping(text)
        for piece_id, piece, (begin, end) in zip(found["ids"], found["pieces"], found["offsets"]):
            if self.inner.is_byte(piece_id):
                # All bytes of a character span it; SentencePiece gives it to the last of them alone.
                byte = int(piece[1:-1], 16)
                if left_in_character == 0:
                    left_in_character = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
                    character = begin
                left_in_character -= 1
                begin, end = character, character + 1
            # The `▁` put in front of a text spans the text's first character where it is a token by itself.
            yield piece_id, begin, max(end, begin + 1)


def open_tokenizer(folder):
    return (JsonTokenizer if (folder / "tokenizer.json").exists() else SentencePieceTokenizer)(folder)


# --- The two architectures -----------------------------------------------------------------------------------------------

def normalised(x, weight, bias, eps):
    """LayerNorm, or RMSNorm where there is no bias."""
    if bias is not None:
        x = x - x.mean(-1, keepdims=True)
    x = x / jnp.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight
    return x if bias is None else x + bias


def rotary(tokens, width, theta):
    """Cosines and sines of position × frequency, [tokens, width / 2]."""
    angles = np.arange(tokens)[:, None] * theta ** (-np.arange(0, width, 2) / width)
    return np.cos(angles), np.sin(angles)


def rotated(x, cos_sin):
    """Turns the pair (i, i + width / 2) of every head; x is [heads, tokens, width]."""
    (cos, sin), (a, b) = cos_sin, jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def attended(q, k, v, cos_sin, window):
    """Causal attention, [heads, tokens, width] to [tokens, heads × width]. Key head i serves a run of query heads. With a
    window a token sees that many tokens: itself and those just before it."""
    heads, tokens, width = q.shape
    q, k = rotated(q, cos_sin), rotated(k, cos_sin)
    k, v = (jnp.repeat(t, heads // t.shape[0], axis=0) for t in (k, v))
    back = np.arange(tokens)[:, None] - np.arange(tokens)
    seen = (back >= 0) & (back < (window or tokens))
    weights = jax.nn.softmax(jnp.where(seen, q @ k.swapaxes(1, 2) / math.sqrt(width), -jnp.inf), axis=-1)
    return (weights @ v).swapaxes(0, 1).reshape(tokens, heads * width)


def by_head(x, heads):
    return x.reshape(x.shape[0], heads, -1).swapaxes(0, 1)


def llama(config, w, x):
    """Last-position logits of embeddings [tokens, hidden]: modeling_llama.py and modeling_mistral.py of transformers."""
    heads, eps = config["num_attention_heads"], config["rms_norm_eps"]
    key_heads = config.get("num_key_value_heads") or heads
    width = config.get("head_dim") or config["hidden_size"] // heads
    # transformers' Llama has no window, whatever its config says.
    window = config.get("sliding_window") if config["architectures"] == ["MistralForCausalLM"] else None
    cos_sin = rotary(len(x), width, config.get("rope_theta", 10_000.0))
    for layer in range(config["num_hidden_layers"]):
        at = lambda name: w[f"model.layers.{layer}.{name}.weight"]
        h = normalised(x, at("input_layernorm"), None, eps)
        q, k, v = (by_head(h @ at(f"self_attn.{name}_proj").T, n)
                   for name, n in [("q", heads), ("k", key_heads), ("v", key_heads)])
        x = x + attended(q, k, v, cos_sin, window) @ at("self_attn.o_proj").T
        h = normalised(x, at("post_attention_layernorm"), None, eps)
        x = x + (jax.nn.silu(h @ at("mlp.gate_proj").T) * (h @ at("mlp.up_proj").T)) @ at("mlp.down_proj").T
    head = w["model.embed_tokens.weight" if config.get("tie_word_embeddings") else "lm_head.weight"]
    return head @ normalised(x[-1], w["model.norm.weight"], None, eps)


def falcon(config, w, x):
    """Last-position logits of embeddings [tokens, hidden]: modeling_falcon.py of transformers, the layout of the 7B model."""
    heads, eps = config["num_attention_heads"], config["layer_norm_epsilon"]
    width = config["hidden_size"] // heads
    cos_sin = rotary(len(x), width, config.get("rope_theta", 10_000.0))
    for layer in range(config["num_hidden_layers"]):
        at = lambda name: w[f"transformer.h.{layer}.{name}"]
        # One norm feeds both halves, and both are added to the same x.
        h = normalised(x, at("input_layernorm.weight"), at("input_layernorm.bias"), eps)
        fused = by_head(h @ at("self_attention.query_key_value.weight").T, heads + 2)
        attention = attended(fused[:-2], fused[-2:-1], fused[-1:], cos_sin, None) @ at("self_attention.dense.weight").T
        up = jax.nn.gelu(h @ at("mlp.dense_h_to_4h.weight").T, approximate=False)
        x = x + attention + up @ at("mlp.dense_4h_to_h.weight").T
    head = w.get("lm_head.weight", w["transformer.word_embeddings.weight"])
    return head @ normalised(x[-1], w["transformer.ln_f.weight"], w["transformer.ln_f.bias"], eps)


# --- Integrated Gradients ------------------------------------------------------------------------------------------------

def quadrature(rule, n):
    """Nodes and weights on [0, 1]. All but the trapezoid as in Captum's `approximation_methods`; Captum's trapezoid has weights
    that sum to 1 − 1/n, igsite's sum to 1."""
    if rule == "gauss_legendre":
        nodes, weights = np.polynomial.legendre.leggauss(n)
        return (1 + nodes) / 2, weights / 2
    if rule == "trapezoid":
        weights = np.full(n, 1 / (n - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, n), weights
    first, last = {"riemann_left": (0, 1 - 1 / n), "riemann_middle": (1 / (2 * n), 1 - 1 / (2 * n)),
                   "riemann_right": (1 / n, 1)}[rule]
    return np.linspace(first, last, n), np.full(n, 1 / n)


class Model:
    def __init__(self, folder, override=None):
        self.config = json.loads((folder / "config.json").read_text()) | (override or {})
        assert not self.config.get("rope_scaling"), "rotary scaling is not computed here"
        forward = {"FalconForCausalLM": falcon, "LlamaForCausalLM": llama, "MistralForCausalLM": llama}
        forward = forward[self.config["architectures"][0]]
        self.weights = read_weights(folder)
        self.tokenizer = open_tokenizer(folder)
        self.embeddings = self.weights["transformer.word_embeddings.weight" if forward is falcon
                                       else "model.embed_tokens.weight"]
        self.logits = jax.jit(lambda weights, x: forward(self.config, weights, x))

        def scalar(x, weights, output, token, minus):
            z = self.logits(weights, x)
            z = {"logit": lambda z: z, "probability": jax.nn.softmax, "log_probability": jax.nn.log_softmax}[output](z)
            return z[token] if minus is None else z[token] - z[minus]

        self.scalar = jax.jit(scalar, static_argnums=2)
        over_points = (0, None, None, None, None)
        self.gradients = jax.jit(jax.vmap(jax.grad(scalar), in_axes=over_points), static_argnums=2)

    def baseline(self, name):
        """The vector of a baseline and, if it is a token's, the token."""
        hidden = self.embeddings.shape[1]
        if name == "zero":
            return jnp.zeros(hidden), None
        if name == "mean":
            return self.embeddings.mean(0), None
        if name.startswith("token:"):
            token = self.tokenizer.id_of(name.removeprefix("token:"))
        else:
            token = self.tokenizer.unk if name == "unk" else self.config[f"{name}_token_id"]
        return self.embeddings[token], token

    def case(self, x, base, rule, steps, output, token, minus):
        alphas, shares = quadrature(rule, steps)
        total = jnp.zeros_like(x)
        for at in range(0, steps, 32):
            # The last batch is filled up with points of weight 0, so that all have one shape and compile once.
            part, share = (np.pad(values[at:at + 32], (0, max(0, at + 32 - steps))) for values in (alphas, shares))
            path = base + part[:, None, None] * (x - base)
            # A point of weight 0 still counts as 0 if its gradient overflows.
            gradients = self.gradients(path, self.weights, output, token, minus)
            total += jnp.where(share[:, None, None] > 0, share[:, None, None] * gradients, 0).sum(0)
        scores = ((x - base) * total).sum(-1)
        ends = [float(self.scalar(at, self.weights, output, token, minus)) for at in (x, jnp.broadcast_to(base, x.shape))]
        return {"f_input": ends[0], "f_baseline": ends[1], "sum": float(scores.sum()),
                "convergence_delta": float(scores.sum()) - (ends[0] - ends[1]),
                "attributions": [round(score, 12) for score in scores.tolist()]}

    def prompt(self, text, cases):
        """Everything that is expected of one prompt, in the order and under the names of the files."""
        ids, offsets = self.tokenizer(text)
        options = {}
        for letter in LETTERS:
            # An option's token is what follows when the letter is appended, not what the letter is by itself.
            longer = self.tokenizer(text + letter)[0]
            assert longer[:-1] == ids, f"{letter!r} does not follow as one token"
            options[letter] = longer[-1]
        x = self.embeddings[np.array(ids)]
        logits = self.logits(self.weights, x)
        probabilities = jax.nn.softmax(logits)
        predicted = int(logits.argmax())
        token = lambda name: predicted if name == "predicted" else options[name]
        found = []
        for rule, steps, base_name, target, output in cases:
            base, base_id = self.baseline(base_name)
            pair = [token(name) for name in target] if isinstance(target, (list, tuple)) else [token(target), None]
            case = {"quadrature": rule, "steps": steps, "baseline": base_name, "target": target, "output": output}
            found.append(case | ({} if base_id is None else {"baseline_id": base_id})
                         | self.case(x, base, rule, steps, output, *pair))
        top = np.argsort(-np.asarray(logits), kind="stable")[:10]
        return {"prompt": text, "ids": ids, "offsets": offsets, "predicted_id": predicted,
                "predicted_probability": float(probabilities[predicted]),
                "top10": {str(i): float(logits[i]) for i in top}, "option_ids": options,
                "option_probabilities": {letter: float(probabilities[i]) for letter, i in options.items()}, "cases": found}


# --- This program against PyTorch and Captum -----------------------------------------------------------------------------

def check(folder, tolerance=1e-5):
    """Worst deviations from `expected.json`; scores, sums and deltas are measured against the case's largest score."""
    expected = json.loads((folder / "expected.json").read_text())
    worst = {}

    def compare(what, ours, theirs, scale):
        worst[what] = max(worst.get(what, 0), abs(ours - theirs) / scale)

    model = Model(folder)
    for theirs in expected["prompts"]:
        keys = ["quadrature", "steps", "baseline", "target", "output"]
        ours = model.prompt(theirs["prompt"], [[case[key] for key in keys] for case in theirs["cases"]])
        for key in ["ids", "offsets", "predicted_id", "option_ids"]:
            assert ours[key] == theirs[key], f"{folder}: {key}\n{ours[key]}\n{theirs[key]}"
        for token, logit in theirs["top10"].items():
            compare("logits", ours["top10"][token], logit, abs(logit))
        for letter, probability in theirs["option_probabilities"].items():
            compare("probabilities", ours["option_probabilities"][letter], probability, probability)
        for mine, case in zip(ours["cases"], theirs["cases"]):
            largest = max(map(abs, case["attributions"]))
            for a, b in zip(mine["attributions"], case["attributions"], strict=True):
                compare("scores", a, b, largest)
            for key in ["f_input", "f_baseline"]:
                # F of a zero embedding may be 0 itself.
                compare(key, mine[key], case[key], max(abs(case["f_input"]), abs(case["f_baseline"])))
            for key in ["sum", "convergence_delta"]:
                compare(key, mine[key], case[key], largest)
    print(f"{folder.name}: tokens, offsets, predictions equal;", ", ".join(f"{k} {v:.1e}" for k, v in worst.items()))
    return max(worst.values()) < tolerance


# --- What is expected of igsite on the demo models -----------------------------------------------------------------------

OPTIONS = ["True", "Mostly True", "Half True", "Barely True", "False", "Pants on Fire (absurd lie)"]

# (rule, steps, baseline, target, output); SPECIAL stands for a special token that the model at hand has. Rules of very few
# points and ends on the zero embedding are there because they go wrong first.
CASES = [
    [("gauss_legendre", 64, "mean", "predicted", "probability"),
     ("gauss_legendre", 50, "zero", "predicted", "probability"),
     ("gauss_legendre", 256, "mean", "predicted", "log_probability"),
     ("gauss_legendre", 33, "SPECIAL", ["A", "E"], "logit"),
     ("riemann_left", 32, "eos", "B", "logit"),
     ("riemann_right", 32, "zero", "C", "logit"),
     ("riemann_middle", 64, "zero", "A", "log_probability"),
     ("riemann_middle", 1, "mean", "D", "logit"),
     ("trapezoid", 33, "mean", ["A", "F"], "logit"),
     ("trapezoid", 17, "zero", "predicted", "logit")],
    [("gauss_legendre", 1, "mean", "predicted", "logit"),
     ("gauss_legendre", 128, "zero", ["B", "D"], "log_probability"),
     ("gauss_legendre", 50, "eos", "predicted", "log_probability"),
     ("gauss_legendre", 64, "token:)", "E", "log_probability"),
     ("riemann_left", 20, "zero", "D", "log_probability"),
     ("riemann_left", 48, "SPECIAL", "predicted", "probability"),
     ("riemann_right", 24, "mean", ["E", "C"], "probability"),
     ("riemann_middle", 40, "eos", ["F", "D"], "logit"),
     ("trapezoid", 2, "SPECIAL", "F", "logit"),
     ("trapezoid", 40, "eos", "predicted", "probability")]]
SPECIAL = {"demo-llama": "unk", "demo-mistral": "bos", "demo-falcon": "token:Choice", "demo-orca": "pad"}

# Texts that tokenizers stumble over: ids and spans only.
TEXTS = ["", " ", "\t\r\n", "  two  blanks  ", "tab\tand\0NUL", "\ufeffmark", "a\ufeff", "caf\u00e9 and cafe\u0301", "\U0001f980",
         "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1eb\U0001f1f7", "1 23 4567", "\u2581low\u2581line", "\u202eleft",
         "<s> </s>", "a<|im_end|> b [PAD]<unk>", "<|endoftext|>", "<0x41>", "\u4f60\u597d, \u4e16\u754c!"]


def claim_prompt(claim):
    """The prompt of content/experiments/claims.yaml."""
    speaker = claim["speaker"].replace("-", " ").title()
    opening = claim["opening"].split("Says ", 1)[-1]
    options = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, OPTIONS))
    return (f"Please select the option that most closely describes the following claim by {speaker}:\n{opening}"
            f"{claim['stance']}{claim['before']}{claim['cause']}{claim['after']}\n\n{options}\n\nChoice: (")


def layout(value, indent=""):
    """JSON with one line for each list of numbers: as short as can be, and a diff still says where."""
    deep = indent + " "
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{deep}{json.dumps(k)}: {layout(v, deep)}" for k, v in value.items()) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n" + ",\n".join(deep + layout(item, deep) for item in value) + f"\n{indent}]"
    return json.dumps(value, separators=(",", ":"))


def make(name, content, out):
    folder = content / "models" / name
    claims = [json.loads(line) for line in (content / "data/claims.jsonl").read_text().splitlines()]
    # claim-002's speaker begins with a digit, claim-004 with "Says".
    texts = [claim_prompt(claim) for claim in claims if claim["id"] in ("claim-002", "claim-004")]
    cases = [[tuple(SPECIAL[name] if part == "SPECIAL" else part for part in case) for case in some] for some in CASES]
    model = Model(folder)
    found = {"about": f"float64 reference by tests/reference/make.py, jax {jax.__version__}", "model": name,
             "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())},
             "prompts": [model.prompt(*both) for both in zip(texts, cases, strict=True)],
             "texts": [dict(zip(("text", "ids", "offsets"), (text, *model.tokenizer(text)))) for text in TEXTS]}
    if name == "demo-mistral":
        config = {"sliding_window": 16}
        found["sliding_window"] = {"config": config, "prompts": [Model(folder, config).prompt(texts[0], cases[0][:4])]}
        assert found["sliding_window"]["prompts"][0]["top10"] != found["prompts"][0]["top10"]
    for case in (case for prompt in found["prompts"] for case in prompt["cases"]):
        # 12 decimals are then fine enough by far.
        assert max(map(abs, case["attributions"])) > 1e-6, case
    (out / f"{name}.json").write_text(layout(found) + "\n")
    print(f"{name}: {(out / name).with_suffix('.json').stat().st_size} bytes;", "; ".join(
        f"{len(prompt['ids'])} tokens, predicts {prompt['predicted_id']} at {prompt['predicted_probability']:.3f}, deltas "
        + " ".join(f"{case['convergence_delta']:.0e}" for case in prompt["cases"]) for prompt in found["prompts"]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        sys.exit(not all([check(pathlib.Path(folder)) for folder in sys.argv[2:]]))
    here = pathlib.Path(__file__).parent
    for demo in sys.argv[1:] or SPECIAL:
        make(demo, here.parent.parent / "content", here)
