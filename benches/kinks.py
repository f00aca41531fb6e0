"""Where float32 takes the other side of a clamp: igsite's values at each point of a path against PyTorch's, in float64 and in float32.

usage: cargo run --release --example numerics -- points FOLDER > ours.json
       kinks.py FOLDER ours.json          (python with torch and transformers 5)

FOLDER is a checkpoint of gpt-oss with expected.json, as ../shared/tools/make_families.py writes it. Of every map that is off by more
than 1e-4 of its largest score it prints the points that are off by more than 2e-5: how far igsite and PyTorch's float32 are off
there, how near the next router is to a tie, and what is left if in float64 the slope of the one value nearest to the clamp is taken
from the clamp's other side.
"""
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

torch.set_num_threads(1)
folder, ours = pathlib.Path(sys.argv[1]), json.load(open(sys.argv[2]))
prompts = {prompt["row"]: prompt for prompt in json.loads((folder / "expected.json").read_text())["prompts"]}


class Clamp(torch.autograd.Function):
    """A clamp; the slope of one element may be that of the other side."""

    @staticmethod
    def forward(ctx, x, low, high, flipped):
        ctx.save_for_backward(x)
        ctx.bounds = low, high, flipped
        return x.clamp(min=low, max=high)

    @staticmethod
    def backward(ctx, gradient):
        (x,), (low, high, flipped) = ctx.saved_tensors, ctx.bounds
        slope = (x <= high).to(x.dtype)
        if low is not None:
            slope = slope * (x >= low)
        if flipped is not None:
            slope.view(-1)[flipped] = 1 - slope.view(-1)[flipped]
        return gradient * slope, None, None, None


class Model:
    def __init__(self, dtype):
        config = transformers.AutoConfig.from_pretrained(folder)
        config._attn_implementation = config._experts_implementation = "eager"
        self.model = transformers.AutoModelForCausalLM.from_config(config)
        # Loaded before it is made float64: the rotary table is float32's otherwise.
        self.model.load_state_dict({name: tensor.float() for name, tensor in load_file(folder / "model.safetensors").items()})
        self.model = self.model.to(dtype).eval().requires_grad_(False)
        self.dtype, self.limit, self.flips = dtype, config.swiglu_limit, {}
        for layer in self.model.model.layers:
            layer.mlp.router.register_forward_hook(self.router)
            layer.mlp.experts._apply_gate = lambda both, alpha=layer.mlp.experts.alpha: self.gate(both, alpha)

    def router(self, router, inputs, _):
        logits = torch.nn.functional.linear(inputs[0].reshape(-1, inputs[0].shape[-1]), router.weight, router.bias)
        ordered, chosen = logits.sort(-1, descending=True).values, self.model.config.num_experts_per_tok
        self.margin = min(self.margin, float((ordered[:, chosen - 1] - ordered[:, chosen]).min()))

    def gate(self, both, alpha):
        gate, up, call = both[..., ::2], both[..., 1::2], self.calls
        self.calls += 1
        for kind, distance in (("gate", (gate - self.limit).abs()), ("up", (up.abs() - self.limit).abs())):
            values, places = distance.reshape(-1).topk(2, largest=False)
            self.nearest += [(float(value), call, kind, int(place)) for value, place in zip(values, places)]
        gate = Clamp.apply(gate, None, self.limit, self.flips.get((call, "gate")))
        up = Clamp.apply(up, -self.limit, self.limit, self.flips.get((call, "up")))
        return (up + 1) * (gate * torch.sigmoid(gate * alpha))

    def scores(self, path, alpha, entry):
        (start, difference), self.calls, self.nearest, self.margin = path, 0, [], float("inf")
        x = (start + alpha * difference).to(self.dtype).requires_grad_(True)
        logits = self.model(inputs_embeds=x, use_cache=False, logits_to_keep=1).logits[:, -1]
        output = entry["case"]["output"]
        if output != "logit":
            logits = {"probability": torch.softmax, "log_probability": torch.log_softmax}[output](logits, -1)
        f = logits[0, entry["token"]] - (0 if entry["minus"] is None else logits[0, entry["minus"]])
        (gradient,) = torch.autograd.grad(f, x)
        return (difference * gradient.double()).sum(-1)[0]


exact, single = Model(torch.float64), Model(torch.float32)
table = exact.model.get_input_embeddings().weight
for entry in ours:
    case = entry["case"]
    embedded = table[torch.tensor([prompts[entry["row"]]["ids"]])]
    start = {"zero": 0 * table[:1], "mean": table.mean(0, keepdim=True), "eos": table[exact.model.config.eos_token_id][None]}
    start = start[case["baseline"]].expand_as(embedded)
    path = start, embedded - start
    truth = torch.tensor(case["attributions"], dtype=torch.float64)
    scores, weights = (torch.tensor(entry[key], dtype=torch.float64) for key in ("scores", "weights"))
    largest = truth.abs().max()
    off = float(((scores * weights[:, None]).sum(0) - truth).abs().max() / largest)
    if off < 1e-4:
        continue
    print(f"row {entry['row']}, {case['baseline']}, {case['output']} of {case['target']}: off by {off:.1e}")
    for alpha, weight, found in zip(entry["alphas"], weights, scores):
        off_by = lambda map, wanted: float(weight * (map - wanted).abs().max() / largest)
        exact.flips, wanted = {}, exact.scores(path, alpha, entry)
        if off_by(found, wanted) < 2e-5:
            continue
        margin, nearest = exact.margin, sorted(exact.nearest)[:3]
        left = []
        for distance, call, kind, place in nearest:
            exact.flips = {(call, kind): place}
            left.append((off_by(found, exact.scores(path, alpha, entry)), kind, distance))
        rest, kind, distance = min(left)
        print(f"  α = {alpha:.5f}: igsite off by {off_by(found, wanted):.1e}, PyTorch's float32 by "
              f"{off_by(single.scores(path, alpha, entry), wanted):.1e}; nearest tie of a router {margin:.1e}; "
              f"with one {kind} at {distance:.1e} from its clamp taken for the other side {rest:.1e}")
