"""What occlusion and Shapley values are by Captum in float64, for `tests/removal.rs`.

    python3 -m venv /tmp/removal
    /tmp/removal/bin/pip install torch==2.15.0 transformers==5.24.0 captum==0.9.0 numpy==2.4.6 sentencepiece
    cd REPOSITORY
    /tmp/removal/bin/python tests/reference/removal/make.py              # writes tests/reference/removal/demo-*.json again
    /tmp/removal/bin/python tests/reference/removal/make.py OUT DIR...   # the same of other checkpoints, into OUT

Each file says which checkpoint it is of, and has the scores of some units (lists of places of tokens) by Captum's FeatureAblation
and ShapleyValueSampling. The latter is given the orders that igsite draws: they are drawn here again, by the recipe in
src/attribution/methods/shapley.rs. Captum adds differences up in float32; the numbers kept are the same sums in float64, which
this program holds against Captum's. The prompt is the first of the checkpoint's own reference, or random tokens where there is none.
With OUT, `cargo test --test removal` reads OUT/*.json where IGSITE_REMOVAL_REFERENCE names that folder.
"""
import hashlib
import json
import pathlib
import random
import statistics
import sys

import torch
from captum.attr import FeatureAblation, ShapleyValueSampling
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PERMUTATIONS, SEED = 5, 11
MASK = (1 << 64) - 1


def splitmix64(state):
    while True:
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        yield z ^ (z >> 31)


def orders(units, count, seed):
    generator = splitmix64(seed)
    for _ in range(count):
        order = list(range(units))
        for i in range(units):
            j = i + (next(generator) * (units - i) >> 64)
            order[i], order[j] = order[j], order[i]
        yield order


def units_of(tokens):
    """Runs of one to four tokens with gaps between them, and one unit whose tokens lie apart. The first token, which may be
    special, is in none."""
    draw = random.Random(tokens)
    units, at = [], 2
    while at < tokens and len(units) < 11:
        size = min(draw.randint(1, 4), tokens - at)
        units.append(list(range(at, at + size)))
        at += size + draw.choice([0, 0, 1, 5])
    units.append([1, tokens - 1])
    return [unit for unit in units if tokens - 1 not in unit or unit[0] == 1]


def prompt_ids(folder, vocabulary):
    for path in [HERE.parent / f"{folder.name}.json", folder / "expected.json"]:
        if path.exists():
            prompts = json.loads(path.read_text()).get("prompts", [])
            if prompts and "ids" in prompts[0]:
                return prompts[0]["ids"]
    draw = random.Random(1)
    return [draw.randrange(vocabulary) for _ in range(40)]


class Checkpoint:
    def __init__(self, folder):
        self.model, self.single = (AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager").eval()
            for dtype in (torch.float64, torch.float32))
        self.table = self.model.get_input_embeddings()
        self.vocabulary = self.table.weight.shape[0]

    def embed(self, ids):
        with torch.no_grad():
            return self.table(torch.tensor([ids])).double()

    def baseline(self, name, own):
        if name == "zero":
            return torch.zeros_like(own)
        if name.startswith("zero from "):
            return own * float(name.removeprefix("zero from "))
        if name == "mean":
            row = self.embed(list(range(self.vocabulary))).mean(1, keepdim=True)
        else:
            row = self.embed([int(name.removeprefix("token "))])
        return row.expand_as(own).contiguous()

    def logits(self, embeddings):
        """In the precision of the embeddings; what follows is in float64."""
        model = self.model if embeddings.dtype == torch.float64 else self.single
        with torch.no_grad():
            return model(inputs_embeds=embeddings, use_cache=False).logits.double()


def case(checkpoint, ids, units, baseline, output, target, minus=None, forced=()):
    """F, and the scores of units by both methods."""
    tokens = len(ids)
    own, behind = checkpoint.embed(ids), checkpoint.embed(list(forced)) if forced else None
    start = checkpoint.baseline(baseline, own)
    mask = torch.full((1, tokens, 1), len(units))
    for unit, places in enumerate(units):
        mask[0, places, 0] = unit
    # What is in no unit is replaced by itself.
    outside = (mask == len(units)).expand_as(own)
    start = torch.where(outside, own, start)

    def f(x):
        whole = x if behind is None else torch.cat([x, behind.expand(x.shape[0], -1, -1).to(x.dtype)], 1)
        logits = checkpoint.logits(whole)[:, tokens - 1:]
        value = {"logit": lambda z: z, "log_probability": lambda z: z.log_softmax(-1),
                 "probability": lambda z: z.softmax(-1)}[output](logits)
        answer = [*forced, target]
        total = sum(value[:, place, token] for place, token in enumerate(answer))
        return total - value[:, 0, minus] if minus is not None else total

    def of_units(attributions):
        return [attributions[0, places[0], 0].item() for places in units]

    occlusion = of_units(FeatureAblation(f).attribute(own, baselines=start, feature_mask=mask))
    captum = ShapleyValueSampling(f)
    drawn = list(orders(len(units), PERMUTATIONS, SEED))
    captum.permutation_generator = lambda features, count: ([*order, len(units)] for order in drawn)
    sampled = of_units(captum.attribute(own, baselines=start, feature_mask=mask, n_samples=PERMUTATIONS))

    def walked(own, start):
        """What F rises by as each unit gets its own embeddings, by order, units in a list each."""
        differences = [[] for _ in units]
        for order in drawn:
            x, before = start.clone(), f(start).item()
            for unit in order:
                x[0, units[unit]] = own[0, units[unit]]
                value = f(x).item()
                differences[unit].append(value - before)
                before = value
        return differences

    def left_out(own, start):
        for places in units:
            x = own.clone()
            x[0, places] = start[0, places]
            yield f(own).item() - f(x).item()

    def apart(found, expected):
        return max(abs(a - b) for a, b in zip(found, expected, strict=True)) / max(map(abs, expected))

    differences = walked(own, start)
    shapley = [statistics.fmean(of) for of in differences]
    assert apart(sampled, shapley) < 1e-6, (shapley, sampled)
    # What PyTorch's own float32 loses, in parts of the largest score.
    single = own.float(), start.float()
    deviation = max(apart(list(left_out(*single)), occlusion),
                    apart([statistics.fmean(of) for of in walked(*single)], shapley))
    return {"baseline": baseline, "output": output, "target": target, "minus": minus, "forced": list(forced),
            "f_input": f(own).item(), "f_baseline": f(start).item(), "occlusion": occlusion, "shapley": shapley,
            "float32_deviation": deviation,
            "errors": [statistics.stdev(of) / len(of) ** 0.5 for of in differences]}


def made(folder):
    checkpoint = Checkpoint(folder)
    ids = prompt_ids(folder, checkpoint.vocabulary)
    units = units_of(len(ids))
    logits = checkpoint.logits(checkpoint.embed(ids))[0, -1]
    first, second, third = logits.topk(3).indices.tolist()
    cases = [case(checkpoint, ids, units, "mean", "probability", first),
             case(checkpoint, ids, units, "zero", "log_probability", first, minus=second),
             case(checkpoint, ids, units, "token 5", "logit", second),
             case(checkpoint, ids, units, "zero from 0.25", "probability", second),
             case(checkpoint, ids, units, "mean", "log_probability", third, forced=(first, second))]
    return {"ids": ids, "units": units, "permutations": PERMUTATIONS, "seed": SEED, "cases": cases}


def main():
    if len(sys.argv) > 1:
        out, folders = pathlib.Path(sys.argv[1]), [pathlib.Path(path).resolve() for path in sys.argv[2:]]
    else:
        out, folders = HERE, sorted(path for path in (ROOT / "content/models").glob("demo-*") if path.is_dir())
    for folder in folders:
        print(folder, flush=True)
        if out == HERE:
            of = {"folder": str(folder.relative_to(ROOT)),
                  "config_sha256": hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()}
        else:
            of = {"folder": str(folder)}
        text = json.dumps({"of": of, **made(folder)})
        (out / f"{folder.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
