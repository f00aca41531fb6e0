"""What a path from the zero embedding meets in a deep model: F and the density of the map over ln α, in float64.

usage: deep_path.py FOLDER PICTURE.svg VALUES.json [PROMPT]

FOLDER holds a checkpoint of Gemma 3 (text) with its tokenizer.json; needs torch, safetensors and tokenizers. The model
is written out here in float64, since transformers takes norms, softmax and rotary angles in float32. VALUES.json has F
and the scores at each α, which `cargo run --release --example numerics -- values FOLDER VALUES.json` holds igsite's
against.
"""
import json
import math
import sys

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

torch.set_num_threads(2)
WIDE = torch.float64


class Gemma:
    def __init__(self, folder):
        self.config = json.load(open(folder + "/config.json"))
        weights = load_file(folder + "/model.safetensors")
        self.weights = {name: weight.to(WIDE) for name, weight in weights.items()}
        self.table = self.weights["model.embed_tokens.weight"]

    def embed(self, ids):
        return self.table[torch.tensor(ids)] * math.sqrt(self.config["hidden_size"])

    def norm(self, x, name):
        square = (x * x).mean(-1, keepdim=True)
        return x * torch.rsqrt(square + self.config["rms_norm_eps"]) * (1 + self.weights[name + ".weight"])

    def turned(self, x, kind):
        width = self.config["head_dim"]
        theta = self.config["rope_parameters"][kind]["rope_theta"]
        rates = theta ** (-torch.arange(0, width, 2, dtype=WIDE) / width)
        angles = torch.arange(x.shape[-2], dtype=WIDE)[:, None] * rates
        cos, sin = angles.cos(), angles.sin()
        a, b = x[..., : width // 2], x[..., width // 2 :]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def logits(self, x):
        config = self.config
        points, tokens, _ = x.shape
        width = config["head_dim"]
        mask = torch.full((tokens, tokens), -math.inf, dtype=WIDE).triu(1)
        for index, kind in enumerate(config["layer_types"]):
            layer = f"model.layers.{index}."
            linear = lambda x, name: x @ self.weights[layer + name + ".weight"].T
            heads = lambda x: x.view(points, tokens, -1, width).transpose(1, 2)
            read = self.norm(x, layer + "input_layernorm")
            q, k, v = (heads(linear(read, f"self_attn.{name}_proj")) for name in "qkv")
            q = self.turned(self.norm(q, layer + "self_attn.q_norm"), kind)
            k = self.turned(self.norm(k, layer + "self_attn.k_norm"), kind)
            scores = q @ k.transpose(-1, -2) * config["query_pre_attn_scalar"] ** -0.5 + mask
            seen = (scores.softmax(-1) @ v).transpose(1, 2).reshape(points, tokens, -1)
            x = x + self.norm(linear(seen, "self_attn.o_proj"), layer + "post_attention_layernorm")
            read = self.norm(x, layer + "pre_feedforward_layernorm")
            gate = torch.nn.functional.gelu(linear(read, "mlp.gate_proj"), approximate="tanh")
            x = x + self.norm(
                linear(gate * linear(read, "mlp.up_proj"), "mlp.down_proj"), layer + "post_feedforward_layernorm"
            )
        return self.norm(x[:, -1], "model.norm") @ self.table.T

    def integrand(self, x, alphas, token):
        """F at each α, and Σ_d x ∂F/∂x of each token."""
        points = (torch.tensor(alphas, dtype=WIDE)[:, None, None] * x).requires_grad_()
        output = self.logits(points).log_softmax(-1)[:, token]
        (gradient,) = torch.autograd.grad(output.sum(), points)
        return output.detach().tolist(), (gradient * x).sum(-1).tolist()


def drawn(us, outputs, densities, at_zero):
    """Two plots over ln α: F, and the L1 norm of the density."""
    wide, left, right = 860, 64, 16
    x = lambda u: left + (wide - left - right) * (u - us[0]) / (us[-1] - us[0])
    parts = []

    def plot(top, height, values, low, high, ticks, label, places, power=False):
        y = lambda v: top + height * (1 - (v - low) / (high - low))
        for tick in ticks:
            text = f"10<tspan dy='-4' font-size='9'>{tick}</tspan>" if power else f"{tick:g}".replace("-", "−")
            parts.append(f"<path d='M{left} {y(tick):.1f}H{wide - right}' stroke='#e3e6ea'/>")
            parts.append(f"<text x='{left - 6}' y='{y(tick) + 4:.1f}' text-anchor='end'>{text}</text>")
        points = " ".join(f"{x(u):.1f},{y(min(max(v, low), high)):.1f}" for u, v in zip(places, values))
        parts.append(f"<polyline points='{points}' fill='none' stroke='#0072b2' stroke-width='1.1'/>")
        parts.append(f"<text x='{left}' y='{top - 8}' font-weight='600'>{label}</text>")

    plot(26, 170, outputs, -120, 0, [-120, -80, -40, 0], "F, log-probability of the predicted token in nats", us)
    logs = [math.log10(max(d, 1e-3)) for d in densities]
    label = "α · Σ|S|, nats of the map for each unit of ln α (logarithmic)"
    plot(236, 170, logs, -3, 2, [-3, -2, -1, 0, 1, 2], label, us, True)
    for tick in range(math.ceil(us[0] / 100) * 100, 1, 100):
        parts.append(f"<path d='M{x(tick):.1f} 26V406' stroke='#e3e6ea'/>")
        parts.append(f"<text x='{x(tick):.1f}' y='424' text-anchor='middle'>{str(tick).replace('-', '−')}</text>")
    marks = ((math.log(1e-9), "α = 10⁻⁹"), (-64, "α = 10⁻²⁸, igsite’s end"), (math.log(2**-126), "float32 ends"))
    for alpha, name in marks:
        parts.append(f"<path d='M{x(alpha):.1f} 26V406' stroke='#d55e00' stroke-dasharray='4 3'/>")
        place = f"translate({x(alpha) - 4:.1f} 192) rotate(-90)"
        parts.append(f"<text transform='{place}' fill='#d55e00' font-size='10'>{name}</text>")
    zero = 26 + 170 * (1 - (at_zero + 120) / 120)
    parts.append(f"<path d='M{left} {zero:.1f}h14' stroke='#009e73' stroke-width='3'/>")
    parts.append(f"<text x='{left + 4}' y='{zero - 7:.1f}' fill='#009e73' font-size='10'>F at the zero vector</text>")
    parts.append(f"<text x='{wide - right}' y='440' text-anchor='end'>ln α</text>")
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {wide} 448' font-family='sans-serif' font-size='12' "
        "fill='#24292f'><rect width='100%' height='100%' fill='#fff'/>" + "\n".join(parts) + "</svg>\n"
    )


def main():
    folder, picture, values = sys.argv[1:4]
    prompt = sys.argv[4] if len(sys.argv) > 4 else "The capital of France is"
    ids = Tokenizer.from_file(folder + "/tokenizer.json").encode(prompt).ids
    model = Gemma(folder)
    x = model.embed(ids)
    with torch.no_grad():
        token = int(model.logits(x[None])[0].argmax())
        at_zero = float(model.logits(torch.zeros_like(x)[None])[0].log_softmax(-1)[token])
    # Finer where igsite looks; below that to where Gemma 3 270M comes to rest.
    us = [-420 + 2.0 * i for i in range(164)] + [-92 + i for i in range(28)] + [-64 + 0.25 * i for i in range(257)]
    outputs, scores = [], []
    for first in range(0, len(us), 8):
        alphas = [math.exp(u) for u in us[first : first + 8]]
        f, s = model.integrand(x, alphas, token)
        outputs += f
        scores += s
        print(f"{first + len(f)} of {len(us)}: ln α = {us[first]:g}, F = {f[0]:.3f}", file=sys.stderr, flush=True)
    densities = [math.exp(u) * sum(map(abs, s)) for u, s in zip(us, scores)]
    with open(picture, "w") as file:
        file.write(drawn(us, outputs, densities, at_zero))
    with open(values, "w") as file:
        json.dump({"ids": ids, "token": token, "f_zero": at_zero, "ln_alpha": us, "f": outputs, "scores": scores}, file)


main()
