"""Compares the expansions of `make.py` with the libraries of the formats: compressed-tensors' own, and what transformers has for FP8 and
MXFP4. (GPTQ's and AWQ's libraries need a GPU, or are gone.)

    pip install numpy torch transformers compressed-tensors
    python tests/reference/packed/check.py
"""

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

import make

TYPES = {"I64": torch.int64, "I32": torch.int32, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "U8": torch.uint8,
         "I8": torch.int8, "F8_E4M3": torch.float8_e4m3fn}


def tensor(data, dtype, shape):
    return torch.frombuffer(bytearray(data), dtype=TYPES[dtype]).reshape(shape)


def compressed(form, t, out, n):
    """By compressed-tensors' own arithmetic, in float32."""
    weights = {k: v for k, v in form.config["config_groups"]["group_0"]["weights"].items() if k in QuantizationArgs.model_fields and k != "actorder"}
    args = QuantizationArgs(**weights)
    scale = t["weight_scale"].float()
    zero = t.get("weight_zero_point")
    if form.packed:
        q = unpack_from_int32(t["weight_packed"], form.bits, torch.Size([out, n]))
        if zero is not None and zero.dtype == torch.int32:
            zero = unpack_from_int32(zero, form.bits, torch.Size([out, scale.shape[1]]), packed_dim=0)
    else:
        q = t["weight"]
    if form.order != "turned":
        return dequantize(q, scale, zero, args=args, dtype=torch.float32)
    # As compressed-tensors did it while it knew `g_idx`: columns sorted by group, and back.
    order = torch.argsort(t["weight_g_idx"], stable=True)
    return dequantize(q[:, order], scale, zero, args=args, dtype=torch.float32)[:, torch.argsort(order)]


def fp8(form, t, out, n):
    scale, w = t["weight_scale_inv"].float(), t["weight"].float()
    if form.block:
        rows, columns = form.block
        scale = scale.repeat_interleave(rows, 0)[:out].repeat_interleave(columns, 1)[:, :n]
    return w * scale


for name, config, tensors, weights, *_ in make.cases():
    data = {key: (make.bytes_of(seed, *what), what) for seed, (key, what) in enumerate(tensors.items(), 1)}
    form = make.LLAMAS.get(name)
    worst = 0.0
    for key, w in weights.items():
        if name == "mxfp4":
            blocks, scales = (tensor(data[f"{key}_{part}"][0], "U8", data[f"{key}_{part}"][1][1]) for part in ["blocks", "scales"])
            theirs = convert_moe_packed_tensors(blocks, scales, dtype=torch.float32).numpy()
        elif isinstance(form, (make.Compressed, make.Fp8)) and name != "fp8-powers":
            base = key.removesuffix(".weight")
            t = {part: tensor(data[f"{base}.{part}"][0], what[0], what[1]) for part, what in form.tensors(*w.shape).items()}
            theirs = (compressed if isinstance(form, make.Compressed) else fp8)(form, t, *w.shape).numpy()
        else:
            theirs = None
            break
        assert theirs.shape == w.shape, (theirs.shape, w.shape)
        worst = max(worst, np.abs(theirs - w).max() / np.abs(w).max())
    print(f"{name}: " + ("no library here" if theirs is None else f"within {worst:.1e} of the largest"))
