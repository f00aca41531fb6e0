#!/usr/bin/env python3
"""Writes a checkpoint of transformers as a GGUF file, by the rules of llama.cpp's convert_hf_to_gguf.py.

    python make.py CHECKPOINT OUTPUT.gguf [TYPE]

TYPE is F32 (the default) or another type that gguf.quants can quantise to (Q8_0, Q4_0, ...); matrices are written in
it where their rows are whole blocks. Needs the packages gguf, numpy, safetensors and torch. Names of tensors are those
that the package gguf gives them, names of keys those of its GGUFWriter: neither is igsite's.

The tokenizer is written as a byte-level one split as Llama 3 does, which is what ../shared/families have.
"""
import json
import math
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf.constants import MODEL_ARCH, MODEL_ARCH_NAMES
from safetensors.torch import load_file

ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "mixtral": "llama", "ministral3": "mistral3", "falcon": "falcon",
    "cohere2": "cohere2", "exaone4": "exaone4", "gemma": "gemma", "gemma2": "gemma2", "gemma3_text": "gemma3",
    "glm4": "glm4", "gpt2": "gpt2", "gpt_neox": "gptneox", "granite": "granite", "olmo2": "olmo2", "olmo3": "olmo2",
    "phi": "phi2", "phi3": "phi3", "qwen2": "qwen2", "qwen3": "qwen3", "qwen3_moe": "qwen3moe", "smollm3": "smollm3",
    "stablelm": "stablelm", "starcoder2": "starcoder2", "gpt_oss": "gpt-oss",
}
PERMUTED = {"llama", "mistral3", "granite", "smollm3"}


def permute(weights, heads):
    """Rows of each head from halves to neighbours (LlamaModel.permute)."""
    shape = weights.shape
    return weights.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def main(folder, output, kind="F32"):
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_text())
    name = ARCHITECTURES[config["model_type"]]
    get = lambda *keys, default=None: next((config[k] for k in keys if config.get(k) is not None), default)
    layers = get("num_hidden_layers", "n_layer")
    hidden = get("hidden_size", "n_embd")
    heads = get("num_attention_heads", "n_head")
    key_heads = get("num_key_value_heads", "num_kv_heads", default=heads)
    head = get("head_dim", default=hidden // heads)
    rope = config.get("rope_parameters") or {}
    full = rope.get("full_attention", rope)
    w = gguf.GGUFWriter(output, name)
    w.add_block_count(layers)
    w.add_context_length(get("max_position_embeddings", "n_positions", default=2048))
    w.add_embedding_length(hidden)
    w.add_feed_forward_length(get("intermediate_size", "ffn_hidden_size", "n_inner", default=4 * hidden))
    w.add_head_count(heads)
    if name != "gpt2":
        w.add_head_count_kv(key_heads)
    if (epsilon := get("rms_norm_eps")) is not None:
        w.add_layer_norm_rms_eps(epsilon)
    if (epsilon := get("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")) is not None:
        w.add_layer_norm_eps(epsilon)
    if get("head_dim") is not None and name != "granite":
        w.add_key_length(head)
        w.add_value_length(head)
    if name not in ("gptneox", "falcon", "gpt2", "phi2", "gemma", "gemma2"):
        w.add_rope_freq_base(full.get("rope_theta", 10000.0))
    if "sliding_attention" in rope:
        w.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
    scaling = full.get("rope_type")
    if scaling == "linear":
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(full["factor"])
    elif scaling == "yarn":
        w.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        w.add_rope_scaling_factor(full["factor"])
        w.add_rope_scaling_orig_ctx_len(full["original_max_position_embeddings"])
        if full.get("attention_factor") is not None:
            w.add_rope_scaling_yarn_attn_factor(full["attention_factor"])
        if full.get("beta_fast") is not None:
            w.add_rope_scaling_yarn_beta_fast(full["beta_fast"])
        if full.get("beta_slow") is not None:
            w.add_rope_scaling_yarn_beta_slow(full["beta_slow"])
    share = full.get("partial_rotary_factor", 1.0)
    if name in ("llama", "mistral3", "granite", "smollm3", "cohere2"):
        w.add_rope_dimension_count(head)
    if name in ("gptneox", "phi2", "phi3", "stablelm", "glm4"):
        w.add_rope_dimension_count(int(share * head))
    if name in ("gptneox", "stablelm"):
        w.add_parallel_residual(config.get("use_parallel_residual", True))
    if name in ("llama", "granite", "smollm3", "cohere2", "exaone4"):
        w.add_vocab_size(config["vocab_size"])
    window = config.get("sliding_window")
    if name in ("gemma2", "gemma3", "cohere2", "gpt-oss") or (name in ("olmo2", "exaone4") and window is not None):
        w.add_sliding_window(window)
    if name in ("olmo2", "exaone4") and window is not None:
        w.add_sliding_window_pattern([kind == "sliding_attention" for kind in config["layer_types"]])
    # What llama.cpp's converter leaves out, since llama.cpp has it as a constant or not at all.
    if config["model_type"] in ("mistral", "starcoder2", "qwen2") and window is not None:
        w.add_sliding_window(window)
    if config["model_type"] == "qwen2" and config.get("use_sliding_window"):
        w.add_sliding_window_pattern([kind == "sliding_attention" for kind in config["layer_types"]])
    if name in ("gemma2", "gemma3") and config["query_pre_attn_scalar"] != head:
        w.add_attention_scale(config["query_pre_attn_scalar"] ** -0.5)
    if name == "gemma2":
        w.add_attn_logit_softcapping(config["attn_logit_softcapping"])
        w.add_final_logit_softcapping(config["final_logit_softcapping"])
    if name == "cohere2":
        w.add_logit_scale(config["logit_scale"])
        w.add_rope_scaling_type(gguf.RopeScalingType.NONE)
    if name == "granite":
        w.add_attention_scale(config["attention_multiplier"])
        w.add_embedding_scale(config["embedding_multiplier"])
        w.add_residual_scale(config["residual_multiplier"])
        w.add_logit_scale(config["logits_scaling"])
    if name == "phi3":
        original = full["original_max_position_embeddings"] if "original_max_position_embeddings" in full \
            else config["original_max_position_embeddings"]
        w.add_rope_scaling_orig_ctx_len(original)
        w.add_sliding_window(window or 0)
    if name == "falcon":
        w.add_tensor_data_layout("jploski")
    if name == "mistral3" and config["model_type"] == "ministral3":
        w.add_rope_scaling_yarn_log_mul(full["mscale_all_dim"])
        w.add_attn_temperature_scale(full["llama_4_scaling_beta"])
    if (experts := get("num_local_experts", "num_experts")) is not None:
        w.add_expert_count(experts)
        w.add_expert_used_count(config["num_experts_per_tok"])
        if name == "qwen3moe":
            w.add_expert_feed_forward_length(config["moe_intermediate_size"])
        if name == "gpt-oss":
            w.add_expert_feed_forward_length(config["intermediate_size"])
    tokenizer(w, folder, config)

    quant = gguf.GGMLQuantizationType[kind]
    names = gguf.get_tensor_name_map(next(a for a, n in MODEL_ARCH_NAMES.items() if n == name), layers)
    tensors = {n: t.float().numpy() for f in sorted(folder.glob("*.safetensors")) for n, t in load_file(f).items()}

    def add(tensor, data):
        quantised = quant
        elements, _ = gguf.GGML_QUANT_SIZES[quant]
        if data.ndim == 1 or tensor.endswith("_norm.weight") or "ffn_gate_inp" in tensor or data.shape[-1] % elements:
            quantised = gguf.GGMLQuantizationType.F32
        data = np.ascontiguousarray(data, dtype=np.float32)
        w.add_tensor(tensor, gguf.quants.quantize(data, quantised), raw_dtype=quantised)

    if scaling == "llama3":
        base, factor = full["rope_theta"], full["factor"]
        low, high = full["low_freq_factor"], full["high_freq_factor"]
        original = full["original_max_position_embeddings"]
        factors = []
        for frequency in 1.0 / (base ** (np.arange(0, head, 2, dtype=np.float32) / head)):
            length = 2 * math.pi / frequency
            if length < original / high:
                factors.append(1)
            elif length > original / low:
                factors.append(factor)
            else:
                smooth = (original / length - low) / (high - low)
                factors.append(1 / ((1 - smooth) / factor + smooth))
        w.add_tensor("rope_freqs.weight", np.array(factors, dtype=np.float32))
    if scaling == "longrope":
        context = config["max_position_embeddings"]
        scale = context / original
        w.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0)
        w.add_tensor("rope_factors_long.weight", np.array(full["long_factor"], dtype=np.float32))
        w.add_tensor("rope_factors_short.weight", np.array(full["short_factor"], dtype=np.float32))

    stacked = {}
    for tensor, data in tensors.items():
        if tensor == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        if tensor.endswith((".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")):
            continue
        if name.startswith("gemma") and tensor.endswith("norm.weight"):
            data = data + 1
        if name == "gpt2" and tensor.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
            data = data.T
        if name in PERMUTED and tensor.endswith(("q_proj.weight", "q_proj.bias")):
            data = permute(data, heads)
        if name in PERMUTED and tensor.endswith(("k_proj.weight", "k_proj.bias")):
            data = permute(data, key_heads)
        if name == "falcon" and "query_key_value" in tensor:
            grouped = data.reshape(key_heads, heads // key_heads + 2, head, hidden)
            parts = grouped[:, :-2], grouped[:, [-2]], grouped[:, [-1]]
            data = np.concatenate([part.reshape(-1, hidden) for part in parts])
        if name == "gptneox" and "query_key_value" in tensor:
            grouped = data.reshape(heads, 3, head, *data.shape[1:])
            data = np.concatenate([grouped[:, part].reshape(hidden, *data.shape[1:]) for part in range(3)])
        if ".experts." in tensor and name != "gpt-oss":
            parts = tensor.split(".")
            at = parts.index("experts")
            whole = ".".join(parts[: at + 1] + parts[at + 2 :])
            stacked.setdefault(whole, {})[int(parts[at + 1])] = data
            continue
        if name == "gpt-oss" and "sinks" in tensor:
            tensor += ".weight"
        if name == "gpt-oss" and ".experts." in tensor:
            if tensor.endswith("_bias"):
                bias = lambda n: n.replace("_proj_bias", "_proj.bias")
                if "gate_up" in tensor:
                    add(mapped(names, bias(tensor.replace("gate_up", "gate"))), data[..., ::2])
                    add(mapped(names, bias(tensor.replace("gate_up", "up"))), data[..., 1::2])
                else:
                    add(mapped(names, bias(tensor)), data)
            else:
                data = data.swapaxes(-1, -2)
                if "gate_up" in tensor:
                    add(mapped(names, tensor.replace("gate_up", "gate") + ".weight"), data[:, ::2])
                    add(mapped(names, tensor.replace("gate_up", "up") + ".weight"), data[:, 1::2])
                else:
                    add(mapped(names, tensor + ".weight"), data)
            continue
        add(mapped(names, tensor), data)
    for tensor, experts in stacked.items():
        if "block_sparse_moe" in tensor:
            # The merged name of llama.cpp's converter.
            tensor = tensor.replace("model.layers", "layers").replace("block_sparse_moe", "feed_forward")
        add(mapped(names, tensor), np.stack([experts[index] for index in sorted(experts)]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def mapped(names, tensor):
    found = names.get_name(tensor, try_suffixes=(".weight", ".bias"))
    if found is None:
        raise SystemExit(f"gguf knows no name for {tensor}")
    return found


def tokenizer(w, folder, config):
    """Tokens, merges and special tokens of a byte-level tokenizer."""
    file = json.loads((folder / "tokenizer.json").read_text())
    tokens, kinds = [f"[PAD{i}]" for i in range(config["vocab_size"])], [gguf.TokenType.UNUSED] * config["vocab_size"]
    for token, at in file["model"]["vocab"].items():
        tokens[at], kinds[at] = token, gguf.TokenType.NORMAL
    for added in file["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("llama-bpe")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    merges = file["model"]["merges"]
    w.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    for key, add in [("bos_token_id", w.add_bos_token_id), ("eos_token_id", w.add_eos_token_id),
                     ("pad_token_id", w.add_pad_token_id)]:
        if isinstance(config.get(key), int):
            add(config[key])
    w.add_add_bos_token(True)


if __name__ == "__main__":
    main(*sys.argv[1:])
