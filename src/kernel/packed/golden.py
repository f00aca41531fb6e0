"""The numbers of `tests.rs`: what the package `gguf` (PyPI) expands the test's blocks to.

    python golden.py
"""

import hashlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as Type
from gguf.quants import dequantize

# Where a block has float16 numbers.
HALVES = {
    "F16": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "MXFP4": [], "F32": [2], "BF16": [0],
}
BLOCKS = 40

for name, halves in HALVES.items():
    kind = Type[name]
    elements, size = GGML_QUANT_SIZES[kind]
    state, data = int(kind) + 1, bytearray()
    for _ in range(BLOCKS):
        block = bytearray()
        for _ in range(size):
            state = (state * 1664525 + 1013904223) % 2**32
            block.append(state >> 24)
        for at in halves:
            block[at + 1] &= 0xBF  # below 2
        data += block
    numbers = dequantize(np.frombuffer(bytes(data), np.uint8), kind).astype("<f4")
    assert numbers.size == BLOCKS * elements and not np.isnan(numbers).any()
    print(f'    (BlockType::{name}, &{halves}, "{hashlib.sha256(numbers.tobytes()).hexdigest()}"),')
