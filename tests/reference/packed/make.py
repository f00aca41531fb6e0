"""Makes `cases.json`: checkpoints whose linear layers are quantised, described tensor by tensor, and the SHA-256 of the float32 weights
that numpy expands them to. `tests/packed.rs` makes the same tensors from the description and expands them with igsite.

    pip install numpy
    python tests/reference/packed/make.py

The numbers of a tensor are bytes of a linear congruential generator whose seed is the tensor's place in its case, from 1. What is done to
them says the tensor's `kind`: see `bytes_of`. The expansions are written after the definitions of the formats, number by number, and
share no code with igsite's. `check.py` compares them with the libraries of the formats.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

HIDDEN, INNER, KEYS, VOCABULARY = 64, 96, 32, 20
MODULES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KEYS, HIDDEN), "self_attn.v_proj": (KEYS, HIDDEN),
    "self_attn.o_proj": (HIDDEN, HIDDEN), "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN), "mlp.down_proj": (HIDDEN, INNER),
}
# Stays as it is in every case.
IGNORED = "self_attn.v_proj"
LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=VOCABULARY, hidden_size=HIDDEN, intermediate_size=INNER,
             num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, hidden_act="silu", rms_norm_eps=1e-5, bos_token_id=1,
             eos_token_id=2, tie_word_embeddings=False, torch_dtype="float32")
SIZES = {"I64": 8, "I32": 4, "F32": 4, "F16": 2, "BF16": 2, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E8M0": 1}


def generator(seed):
    state = seed
    while True:
        state = (state * 1664525 + 1013904223) % 2**32
        yield state >> 24


def bytes_of(seed, dtype, shape, kind):
    """The bytes of a tensor."""
    count = int(np.prod(shape, dtype=int))
    random = generator(seed)
    size = SIZES[dtype]
    if kind == "code":  # any bytes; of E4M3 none that is no number
        raw = bytes(next(random) for _ in range(count * size))
        return bytes(b & 0xF0 if dtype == "F8_E4M3" and b & 0x7F == 0x7F else b for b in raw)
    if kind == "plain":  # float32 from -1 to 1, one byte each
        return np.array([next(random) / 128 - 1 for _ in range(count)], "<f4").tobytes()
    if kind == "scale":  # numbers from 2**-7 to 2**-3, or exponents
        if size == 1:
            return bytes(118 + next(random) % 8 for _ in range(count))
        out = bytearray()
        for _ in range(count):
            low, high = next(random), next(random)
            number = {"F16": [low, 0x20 | high & 0x0F], "BF16": [low, 0x3C], "F32": [high, high, low, 0x3C]}[dtype]
            out += bytes(number)
        return bytes(out)
    if kind == "small":  # signed, of 4 bits
        return bytes((next(random) % 16 - 8) % 256 for _ in range(count))
    if kind == "norm":
        return np.ones(count, "<f4").tobytes()
    what, number = kind.split(":")
    if what == "order":  # groups of this many columns, one after another
        return np.array([i // int(number) for i in range(count)], "<i4").tobytes()
    if what == "turned":  # the same in another order
        return np.array([i * 5 % count // int(number) for i in range(count)], "<i4").tobytes()
    if what == "none":
        return np.full(count, -1, "<i4").tobytes()
    if what == "numbers":
        return np.array([int(n) for n in number.split(",")], "<i8").tobytes()
    raise ValueError(kind)


def floats(data, dtype):
    if dtype == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if dtype == "F8_E8M0":
        return np.array([2.0 ** (b - 127) for b in data], np.float32)
    return np.frombuffer(data, {"F32": "<f4", "F16": "<f2"}[dtype]).astype(np.float32)


def code(data, index, bits):
    """The code at this place of a stream of bits."""
    return data[index * bits // 8] >> (index * bits % 8) & (2**bits - 1)


def word_code(words, index, bits):
    per = 32 // bits
    return int(words[index // per]) >> (index % per * bits) & (2**bits - 1)


def e4m3(byte):
    sign, exponent, fraction = (-1 if byte & 128 else 1), byte >> 3 & 15, byte & 7
    return sign * (fraction / 8 * 2.0**-6 if exponent == 0 else (1 + fraction / 8) * 2.0 ** (exponent - 7))


class Gptq:
    def __init__(self, bits, group, version, order=None, scale="F16"):
        self.bits, self.group, self.version, self.order, self.scale = bits, group, version, order, scale
        self.config = dict(quant_method="gptq", bits=bits, group_size=group, desc_act=order == "turned", sym=False)
        if version == 2:
            self.config["checkpoint_format"] = "gptq_v2"
        self.word, self.activations = f"gptq-{bits}", None

    def tensors(self, out, n):
        size = n if self.group == -1 else self.group
        groups = -(-n // size)
        tensors = {"qweight": ("I32", [n * self.bits // 32, out], "code"), "qzeros": ("I32", [groups, out * self.bits // 32], "code"),
                   "scales": (self.scale, [groups, out], "scale")}
        if self.order:
            tensors["g_idx"] = ("I32", [n], f"{self.order}:{size}")
        return tensors

    def expand(self, t, out, n):
        size = n if self.group == -1 else self.group
        words = np.frombuffer(t["qweight"], "<u4").reshape(-1, out)
        zeros = np.frombuffer(t["qzeros"], "<u4").reshape(-1, out * self.bits // 32)
        if self.version == 1:
            one = sum(1 << at for at in range(0, 32, self.bits))
            zeros = ((zeros.astype(np.uint64) + one) % 2**32).astype(np.uint32)
        scales = floats(t["scales"], self.scale).reshape(-1, out)
        group = np.frombuffer(t["g_idx"], "<i4") if self.order else np.arange(n) // size
        w = np.empty((out, n), np.float32)
        for o in range(out):
            for i in range(n):
                g = group[i]
                w[o, i] = scales[g, o] * np.float32(word_code(words[:, o], i, self.bits) - word_code(zeros[g], o, self.bits))
        return w


class Awq:
    word, activations = "awq-4", None
    config = dict(quant_method="awq", bits=4, group_size=32, zero_point=True, version="gemm", modules_to_not_convert=["v_proj"])

    def tensors(self, out, n):
        return {"qweight": ("I32", [n, out // 8], "code"), "qzeros": ("I32", [n // 32, out // 8], "code"),
                "scales": ("F16", [n // 32, out], "scale")}

    def expand(self, t, out, n):
        def unpack(data, rows):
            words = np.frombuffer(data, "<u4").reshape(rows, out // 8)
            codes = np.empty((rows, out), np.int64)
            for row in range(rows):
                for column in range(out // 8):
                    for at, o in enumerate([0, 2, 4, 6, 1, 3, 5, 7]):
                        codes[row, 8 * column + o] = int(words[row, column]) >> (4 * at) & 15
            return codes
        q, z = unpack(t["qweight"], n), unpack(t["qzeros"], n // 32)
        scales = floats(t["scales"], "F16").reshape(-1, out)
        return np.array([[scales[i // 32, o] * np.float32(q[i, o] - z[i // 32, o]) for i in range(n)] for o in range(out)], np.float32)


class Compressed:
    def __init__(self, bits, kind, group, zeros=None, order=None, scale="BF16", block=None, activations=None, inputs=None):
        strategy = "block" if block else {0: "tensor", -1: "channel"}.get(group, "group")
        weights = dict(num_bits=bits, type=kind, symmetric=zeros is None, strategy=strategy, group_size=group if group > 0 else None,
                       block_structure=block, actorder="group" if order else None, dynamic=False, observer="minmax", observer_kwargs={})
        self.bits, self.kind, self.group, self.zeros, self.order, self.scale, self.block = bits, kind, group, zeros, order, scale, block
        self.packed = kind == "int" and inputs is None
        form = "pack-quantized" if self.packed else f"{kind}-quantized"
        groups = {"group_0": dict(targets=["Linear"], weights=weights, input_activations=inputs, output_activations=None)}
        self.config = dict(quant_method="compressed-tensors", format=form, config_groups=groups, kv_cache_scheme=None,
                           ignore=["lm_head", "re:.*v_proj"], quantization_status="compressed", global_compression_ratio=1.5)
        self.word = "compressed-tensors-" + ("fp8" if kind == "float" else str(bits))
        self.activations = activations

    def scales(self, out, n):
        if self.block:
            return [-(-out // self.block[0]), -(-n // self.block[1])]
        return {0: [1], -1: [out, 1]}.get(self.group, [out, n // self.group if self.group > 0 else 1])

    def tensors(self, out, n):
        scales = self.scales(out, n)
        tensors = {"weight_scale": (self.scale, scales, "scale")}
        if self.packed:
            tensors["weight_packed"] = ("I32", [out, n * self.bits // 32], "code")
            tensors["weight_shape"] = ("I64", [2], f"numbers:{out},{n}")
            if self.zeros:
                tensors["weight_zero_point"] = ("I32", [out * self.bits // 32, scales[1]], "code") if self.zeros == "I32" else ("I8", scales, "small")
            if self.order:
                tensors["weight_g_idx"] = ("I32", [n], f"{self.order}:{self.group}")
        else:
            tensors["weight"] = ("F8_E4M3" if self.kind == "float" else "I8", [out, n], "code")
            if self.activations and "static" in self.activations:
                tensors["input_scale"] = ("F32", [1], "scale")
        return tensors

    def expand(self, t, out, n):
        scales = floats(t["weight_scale"], self.scale).reshape(self.scales(out, n))
        group = np.frombuffer(t["weight_g_idx"], "<i4") if self.order == "turned" else None
        middle = 2 ** (self.bits - 1)
        w = np.empty((out, n), np.float32)
        for o in range(out):
            for i in range(n):
                if self.block:
                    at = (o // self.block[0], i // self.block[1])
                elif self.group == 0:
                    at = (0,)
                elif self.group == -1:
                    at = (o, 0)
                else:
                    at = (o, i // self.group if group is None else group[i])
                if not self.packed:
                    byte = t["weight"][o * n + i]
                    value = e4m3(byte) if self.kind == "float" else np.int8(np.uint8(byte))
                    w[o, i] = np.float32(value) * scales[at]
                    continue
                words = np.frombuffer(t["weight_packed"], "<u4").reshape(out, -1)
                q, z = word_code(words[o], i, self.bits) - middle, 0
                if self.zeros == "I32":
                    z = word_code(np.frombuffer(t["weight_zero_point"], "<u4").reshape(-1, scales.shape[1])[:, at[1]], o, self.bits) - middle
                elif self.zeros:
                    z = int(np.frombuffer(t["weight_zero_point"], np.int8).reshape(scales.shape)[at])
                w[o, i] = scales[at] * np.float32(q - z)
        return w


class Fp8:
    word = "fp8"

    def __init__(self, block, scale, scheme="dynamic"):
        self.block, self.scale, self.scheme = block, scale, scheme
        self.config = dict(quant_method="fp8", activation_scheme=scheme, fmt="e4m3", weight_block_size=block, modules_to_not_convert=["v_proj"])
        self.activations = f"fp8, {scheme}"

    def scales(self, out, n):
        return [-(-out // self.block[0]), -(-n // self.block[1])] if self.block else []

    def tensors(self, out, n):
        tensors = {"weight": ("F8_E4M3", [out, n], "code"), "weight_scale_inv": (self.scale, self.scales(out, n), "scale")}
        if self.scheme == "static":
            tensors["activation_scale"] = (self.scale, [], "scale")
        return tensors

    def expand(self, t, out, n):
        scales = floats(t["weight_scale_inv"], self.scale).reshape(self.scales(out, n))
        w = np.empty((out, n), np.float32)
        for o in range(out):
            for i in range(n):
                w[o, i] = np.float32(e4m3(t["weight"][o * n + i])) * scales[(o // self.block[0], i // self.block[1]) if self.block else ()]
        return w


def mxfp4(blocks, scales, experts, out, n):
    """`[experts, in, out]`, as transformers has them, but for the sign of zeros."""
    numbers = [0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6]
    w = np.empty((experts, n, out), np.float32)
    for e in range(experts):
        for o in range(out):
            for i in range(n):
                at = (e * out + o) * n + i
                w[e, i, o] = np.float32(numbers[blocks[at // 2] >> (at % 2 * 4) & 15] * 2.0 ** (scales[at // 32] - 127))
    return w


DYNAMIC = dict(num_bits=8, type="int", dynamic=True, strategy="token", symmetric=True)
STATIC = dict(num_bits=8, type="float", dynamic=False, strategy="tensor", symmetric=True)
TOKENS = dict(STATIC, dynamic=True)
LLAMAS = {
    "gptq-4": Gptq(4, 32, 1),
    "gptq-4-order": Gptq(4, 32, 1, "order"),
    "gptq-4-act-order": Gptq(4, 32, 2, "turned"),
    "gptq-8": Gptq(8, -1, 1, scale="BF16"),
    "gptq-8-act-order": Gptq(8, 32, 1, "turned"),
    "gptq-2": Gptq(2, 16, 1, scale="F32"),
    "awq": Awq(),
    "compressed-4": Compressed(4, "int", 32),
    "compressed-4-zeros": Compressed(4, "int", 32, zeros="I32", order="turned", scale="F16"),
    "compressed-4-old-zeros": Compressed(4, "int", 16, zeros="I8", order="none"),
    "compressed-8": Compressed(8, "int", -1, zeros="I32", scale="F32"),
    "compressed-int8": Compressed(8, "int", -1, inputs=DYNAMIC, activations="int8, dynamic"),
    "compressed-fp8-tensor": Compressed(8, "float", 0, inputs=STATIC, activations="fp8, static", scale="F32"),
    "compressed-fp8-channel": Compressed(8, "float", -1, inputs=TOKENS, activations="fp8, dynamic"),
    "compressed-fp8-block": Compressed(8, "float", -1, block=[40, 24], inputs=TOKENS, activations="fp8, dynamic"),
    "fp8-block": Fp8([40, 24], "F32"),
    "fp8-powers": Fp8([32, 32], "F8_E8M0"),
    "fp8-static": Fp8(None, "BF16", "static"),
}


def llama(form):
    """Tensors of a case, and the names of those that are quantised."""
    tensors = {"model.embed_tokens.weight": ("F32", [VOCABULARY, HIDDEN], "plain"), "model.norm.weight": ("F32", [HIDDEN], "norm"),
               "lm_head.weight": ("F32", [VOCABULARY, HIDDEN], "plain"), "model.layers.0.input_layernorm.weight": ("F32", [HIDDEN], "norm"),
               "model.layers.0.post_attention_layernorm.weight": ("F32", [HIDDEN], "norm")}
    for module, (out, n) in MODULES.items():
        base = f"model.layers.0.{module}"
        if module == IGNORED:
            tensors[f"{base}.weight"] = ("F32", [out, n], "plain")
        else:
            tensors |= {f"{base}.{part}": what for part, what in form.tensors(out, n).items()}
    return tensors


def gpt_oss():
    hidden, inner, experts = 64, 32, 3
    config = dict(architectures=["GptOssForCausalLM"], model_type="gpt_oss", attention_bias=True, bos_token_id=1, eos_token_id=2,
                  head_dim=16, hidden_act="silu", hidden_size=hidden, intermediate_size=inner, layer_types=["full_attention"],
                  max_position_embeddings=512, num_attention_heads=4, num_experts_per_tok=2, num_hidden_layers=1, num_key_value_heads=2,
                  num_local_experts=experts, pad_token_id=0, rms_norm_eps=1e-5, sliding_window=24, swiglu_limit=7.0,
                  tie_word_embeddings=False, vocab_size=VOCABULARY,
                  rope_parameters=dict(rope_theta=150000.0, rope_type="default"),
                  quantization_config=dict(quant_method="mxfp4", modules_to_not_convert=["model.layers.*.self_attn"]))
    layer = "model.layers.0."
    attention = {"q": (64, hidden), "k": (32, hidden), "v": (32, hidden), "o": (hidden, 64)}
    tensors = {"model.embed_tokens.weight": ("F32", [VOCABULARY, hidden], "plain"), "model.norm.weight": ("F32", [hidden], "norm"),
               "lm_head.weight": ("F32", [VOCABULARY, hidden], "plain"), layer + "input_layernorm.weight": ("F32", [hidden], "norm"),
               layer + "post_attention_layernorm.weight": ("F32", [hidden], "norm"), layer + "self_attn.sinks": ("F32", [4], "plain"),
               layer + "mlp.router.weight": ("F32", [experts, hidden], "plain"), layer + "mlp.router.bias": ("F32", [experts], "plain")}
    for name, (out, n) in attention.items():
        tensors[f"{layer}self_attn.{name}_proj.weight"] = ("F32", [out, n], "plain")
        tensors[f"{layer}self_attn.{name}_proj.bias"] = ("F32", [out], "plain")
    matrices = {"gate_up_proj": (2 * inner, hidden), "down_proj": (hidden, inner)}
    for name, (out, n) in matrices.items():
        base = f"{layer}mlp.experts.{name}"
        tensors[f"{base}_blocks"] = ("U8", [experts, out, n // 32, 16], "code")
        tensors[f"{base}_scales"] = ("U8", [experts, out, n // 32], "scale")
        tensors[f"{base}_bias"] = ("F32", [experts, out], "plain")
    data = {name: bytes_of(seed, *what) for seed, (name, what) in enumerate(tensors.items(), 1)}
    bases = {f"{layer}mlp.experts.{name}": dims for name, dims in matrices.items()}
    weights = {base: mxfp4(data[f"{base}_blocks"], data[f"{base}_scales"], experts, *dims) for base, dims in bases.items()}
    return config, tensors, weights


def cases():
    """Config, tensors, and float32 weights, by name."""
    for name, form in LLAMAS.items():
        tensors = llama(form)
        data = {key: bytes_of(seed, *what) for seed, (key, what) in enumerate(tensors.items(), 1)}
        weights = {}
        for module, dims in MODULES.items():
            base = f"model.layers.0.{module}"
            if module != IGNORED:
                weights[f"{base}.weight"] = form.expand({part: data[f"{base}.{part}"] for part in form.tensors(*dims)}, *dims)
        yield name, dict(LLAMA, quantization_config=form.config), tensors, weights, form.word, form.activations
    yield "mxfp4", *gpt_oss(), "mxfp4", None


if __name__ == "__main__":
    lines = []
    for name, config, tensors, weights, word, activations in cases():
        numbers = b"".join(w.astype("<f4").tobytes() for w in weights.values())
        assert np.isfinite(np.frombuffer(numbers, "<f4")).all()
        lines.append(json.dumps(dict(
            name=name, config=config, tensors=[[key, *what] for key, what in tensors.items()], weights=list(weights), word=word,
            activations=activations, sha256=hashlib.sha256(numbers).hexdigest())))
    (Path(__file__).parent / "cases.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
