"""Makes the checkpoints in this folder: a tiny random Llama as it is (`plain`), and with its linear layers quantised and saved by
bitsandbytes (`nf4`, `fp4`, and `nested`: nf4 with double quantisation), and `expected.json`: PyTorch's logits in float64.

    pip install torch transformers bitsandbytes safetensors
    python tests/reference/bitsandbytes/make.py

Widths are multiples of 64: for others bitsandbytes 0.50.2 expands wrongly on the CPU (it takes the scale `row * (width // 64) + column // 64`
instead of `(row * width + column) // 64`). No weight is on the edge between two codes: there bitsandbytes' code for CPUs and that for CUDA take different ones.
The plain weights are quantised by igsite in tests/quantized.rs, and must come to the same logits as bitsandbytes' own codes.
"""

import json
from pathlib import Path

import bitsandbytes.functional as bnb
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent
IDS = [1, 17, 5, 60, 33, 2, 48, 9, 9, 21]
CONFIG = dict(vocab_size=64, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
              max_position_embeddings=128, tie_word_embeddings=False)


def is_linear(name):
    return name.endswith("_proj.weight")


def off_edges(tensor):
    """Zeros in place of what is (all but) on an edge."""
    for kind in ["fp4", "nf4"]:
        values = bnb.get_4bit_type(kind, device="cpu").sort().values
        edges = (values[1:] + values[:-1]) / 2
        blocks = tensor.float().view(-1, 64)
        scaled = blocks / blocks.abs().max(dim=1, keepdim=True).values
        on_edge = ((scaled.unsqueeze(-1) - edges).abs() < 1e-6).any(dim=-1)
        tensor = torch.where(on_edge.view_as(tensor), 0, tensor)
    return tensor


def logits(weights):
    model = LlamaForCausalLM(LlamaConfig(**CONFIG)).double()
    model.load_state_dict({name: tensor.double() for name, tensor in weights.items()})
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0, -1].tolist()


def write(name, tensors, **more):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    config = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", rms_norm_eps=1e-6, **CONFIG, **more)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


torch.manual_seed(3)
plain = {}
for name, tensor in LlamaForCausalLM(LlamaConfig(**CONFIG)).state_dict().items():
    # Large enough for attention to be uneven; heavy tails, as real weights have.
    tensor = torch.randn_like(tensor) ** 3 * 0.08 if tensor.dim() == 2 else 1 + 0.1 * torch.randn_like(tensor)
    tensor = tensor.to(torch.bfloat16)
    if is_linear(name):
        tensor = off_edges(tensor)
    plain[name] = tensor
write("plain", plain)

expected = {"ids": IDS, "plain": logits(plain)}
for name, kind, nested in [("nf4", "nf4", False), ("fp4", "fp4", False), ("nested", "nf4", True)]:
    stored, used = {}, {}
    for key, tensor in plain.items():
        if not is_linear(key):
            stored[key] = used[key] = tensor
            continue
        codes, state = bnb.quantize_4bit(tensor.float(), blocksize=64, compress_statistics=nested, quant_type=kind)
        stored[key] = codes
        for part, value in state.as_dict(packed=True).items():
            stored[f"{key}.{part}"] = value
        used[key] = bnb.dequantize_4bit(codes, state)
    write(name, stored, quantization_config=dict(quant_method="bitsandbytes", load_in_4bit=True, load_in_8bit=False,
                                                 bnb_4bit_quant_type=kind, bnb_4bit_use_double_quant=nested,
                                                 bnb_4bit_compute_dtype="bfloat16"))
    expected[name] = logits(used)
(HERE / "expected.json").write_text(json.dumps(expected) + "\n")
