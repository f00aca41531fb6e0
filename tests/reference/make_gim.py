"""What GIM's authors' own package computes, in float64, on models of transformers: the numbers of `tests/one_pass.rs`.

    python3 -m venv /tmp/gim
    /tmp/gim/bin/pip install torch==2.15.0 transformers==5.24.0 gim-explain==0.1.4
    cd REPOSITORY
    /tmp/gim/bin/python tests/reference/make_gim.py own              # writes tests/reference/gim.json again
    /tmp/gim/bin/python tests/reference/make_gim.py shared SHARED    # writes tests/reference/gim-shared.json again

`own` takes the demo models and the prompts of demo-*.json. `shared` takes the checkpoints of SHARED/reference and
SHARED/families, which are not part of the project; of them only scores are kept here.

The package changes gradients by replacing functions of PyTorch and modules of a model while `gim.GIM(model)` is open. As
they are, models of transformers 5 go past most of that: their norms are classes of their own, which the package does not
know; their fused attention calls no softmax that could be replaced, and their eager attention calls it with `dtype=`,
which the package's replacement does not take. So this program puts in the package's way what it looks for, and changes
no number of a forward pass: every norm becomes PyTorch's RMSNorm or LayerNorm, and attention is written out in the place
of `scaled_dot_product_attention`, with `torch.softmax`. The three changes are then the package's own code. A router's
softmax, and that of F, stay as they are (the package replaces every softmax of the process, for attention's sake).

The fourth change, of gated MLPs, is not in the package. It is `scale_mlp_gate` of the paper's program
(github.com/JoakimEdin/gim, src/gim/mlp.py): the gradient that leaves a gated MLP is halved. Here by the package's own
`scale_grad` on what the MLP reads; in a mixture on what the experts read, and not the router.
"""
import contextlib
import hashlib
import json
import pathlib
import sys

import gim
import torch
import torch.nn.functional as F
import transformers
from gim.context.attention import scale_grad
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModelForCausalLM
from transformers.masking_utils import eager_mask

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
OWN_SOFTMAX = torch.Tensor.softmax
ALL = {"freeze_norm": True, "softmax_temperature": 2.0, "q_scale": 0.25, "k_scale": 0.25, "v_scale": 0.5}
NONE = {"freeze_norm": False, "softmax_temperature": None, "q_scale": None, "k_scale": None, "v_scale": None}
# Each change alone: (the package's arguments, whether gated MLPs are halved).
ALONE = {
    "softmax": (NONE | {"softmax_temperature": 2.0}, False),
    "norms": (NONE | {"freeze_norm": True}, False),
    "attention": (NONE | {"q_scale": 0.25, "k_scale": 0.25, "v_scale": 0.5}, False),
    "gated": (NONE, True),
}


# --- What the package looks for ------------------------------------------------------------------------------------------

def written_out(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, softcap=None, sinks=None, **_):
    """Attention by its definition. `torch.softmax` is looked up at the call, and may be the package's."""
    group = q.shape[1] // k.shape[1]
    k, v = (x.repeat_interleave(group, 1) for x in (k, v))
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if is_causal:
        seen = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(scores.shape[-1] - scores.shape[-2])
        scores = scores.masked_fill(~seen, float("-inf"))
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
    if sinks is not None:
        column = sinks.reshape(1, -1, 1, 1).expand(scores.shape[0], -1, scores.shape[2], 1)
        scores = torch.cat([scores, column], -1)
    weights = torch.softmax(scores, -1)
    return weights[..., :k.shape[2]] @ v


def interface(module, q, k, v, attention_mask, scaling=None, dropout=0.0, softcap=None, s_aux=None, **kwargs):
    sinks = s_aux if s_aux is not None else getattr(module, "sinks", None)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask, scale=scaling, softcap=softcap, sinks=sinks)
    return out.transpose(1, 2).contiguous(), None


AttentionInterface.register("written_out", interface)
AttentionMaskInterface.register("written_out", eager_mask)


def known_norms(model):
    """Every norm as the class of PyTorch that the package replaces."""
    for parent in list(model.modules()):
        for name, norm in list(parent.named_children()):
            kind = type(norm).__name__
            if isinstance(norm, nn.LayerNorm) and norm.bias is not None:
                continue
            epsilon = getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
            if kind.endswith("RMSNorm"):
                weight = norm.weight + 1 if kind.startswith("Gemma") else norm.weight
                new = nn.RMSNorm(weight.shape, eps=epsilon, dtype=weight.dtype)
            elif kind.endswith("LayerNorm"):
                weight = norm.weight
                new = nn.LayerNorm(weight.shape, eps=epsilon, dtype=weight.dtype)
                new.bias.data.zero_()
            else:
                assert "norm" not in kind.lower(), kind
                continue
            new.weight.data.copy_(weight)
            setattr(parent, name, new)


@contextlib.contextmanager
def changed(model, arguments, gated):
    """The package's context, and the change that it has not."""
    hooks = []
    halve = lambda _, given: (scale_grad(given[0], 0.5), *given[1:])
    if gated:
        for module in model.modules():
            dense = type(module).__name__.endswith("MLP") and any(hasattr(module, n) for n in ("gate_proj", "gate_up_proj"))
            if dense or type(module).__name__.endswith("Experts"):
                hooks.append(module.register_forward_pre_hook(halve))
    fused = F.scaled_dot_product_attention
    F.scaled_dot_product_attention = written_out
    try:
        with gim.GIM(model, **arguments):
            package_softmax = torch.softmax
            # Attention alone: rows of heads have four dimensions.
            by_use = lambda x, dim=None, dtype=None, **_: (package_softmax(x, dim) if x.ndim == 4 else OWN_SOFTMAX(x, dim, dtype=dtype))
            package = F.softmax, torch.softmax, torch.Tensor.softmax
            F.softmax = torch.softmax = torch.Tensor.softmax = by_use
            try:
                yield len(hooks)
            finally:
                F.softmax, torch.softmax, torch.Tensor.softmax = package
    finally:
        F.scaled_dot_product_attention = fused
        for hook in hooks:
            hook.remove()


# --- Numbers -------------------------------------------------------------------------------------------------------------

def load(folder):
    config = AutoConfig.from_pretrained(folder)
    kind = "sdpa" if config.model_type == "falcon" else "written_out"
    config._experts_implementation = "eager"
    plain = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float64, attn_implementation="eager").eval()
    config = AutoConfig.from_pretrained(folder)
    config._experts_implementation = "eager"
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float64, attn_implementation=kind).eval()
    for parameter in [*model.parameters(), *plain.parameters()]:
        parameter.requires_grad_(False)
    known_norms(model)
    return plain, model


def rounded(value):
    return float(f"{value:.8g}")


def explained(model, ids, case, predicted, options, arguments=ALL, gated=True):
    embed = model.get_input_embeddings()
    table = embed(torch.arange(embed.weight.shape[0]))
    x = embed(torch.tensor([ids])).detach()
    base = {"zero": torch.zeros_like(x), "mean": table.mean(0).expand_as(x)}[case["baseline"]]
    token = predicted if case["target"] == "predicted" else options[case["target"]]
    leaf = x.clone().requires_grad_(True)
    with changed(model, arguments, gated):
        logits = model(inputs_embeds=leaf, use_cache=False).logits[0, -1]
        f = {"logit": lambda z: z, "probability": lambda z: OWN_SOFTMAX(z, -1), "log_probability": lambda z: F.log_softmax(z, -1)}[case["output"]](logits)[token]
        f.backward()
    return float(f), (leaf.grad * (x - base)).sum(-1)[0].tolist(), logits.detach()


CASES = [{"baseline": "zero", "output": "logit", "target": "predicted"},
         {"baseline": "mean", "output": "probability", "target": "predicted"},
         {"baseline": "zero", "output": "log_probability", "target": "C"}]


def reference(folder, prompts, alone):
    plain, model = load(folder)
    found = []
    for prompt in prompts:
        ids, predicted, options = prompt["ids"], prompt["predicted_id"], prompt["option_ids"]
        with torch.no_grad():
            usual = plain(torch.tensor([ids]), use_cache=False).logits[0, -1]
        cases = []
        for case in CASES:
            f, scores, logits = explained(model, ids, case, predicted, options)
            # The forward pass is the model's own, but for what transformers rounds to float32 on the way.
            assert (logits - usual).abs().max() < 1e-4 * usual.abs().max(), (folder, (logits - usual).abs().max())
            cases.append({**case, "f_input": rounded(f), "attributions": [rounded(s) for s in scores]})
        for name, (arguments, gated) in ALONE.items() if alone else ():
            f, scores, _ = explained(model, ids, CASES[1], predicted, options, arguments, gated)
            cases.append({**CASES[1], "alone": name, "f_input": rounded(f), "attributions": [rounded(s) for s in scores]})
        found.append({"cases": cases})
    print(folder, flush=True)
    return found


def write(path, models):
    about = f"float64: gim-explain 0.1.4, PyTorch {torch.__version__}, transformers {transformers.__version__}; by tests/reference/make_gim.py"
    text = json.dumps({"about": about, "models": models}, ensure_ascii=False)
    path.write_text(text.replace("], ", "],\n").replace("}, ", "},\n") + "\n")


def main():
    if sys.argv[1] == "own":
        models = {}
        for path in sorted(HERE.glob("demo-*.json")):
            expected = json.loads(path.read_text())
            folder = HERE.parent.parent / "content/models" / path.stem
            files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
            assert files == expected["files"], f"{path} was made from another model"
            prompts = expected["prompts"][:2]
            models[path.stem] = {"files": files, "prompts": reference(folder, prompts, True)}
        write(HERE / "gim.json", models)
    else:
        models = {}
        for part in ("reference", "families"):
            for path in sorted((pathlib.Path(sys.argv[2]) / part).glob("*/expected.json")):
                prompts = json.loads(path.read_text())["prompts"][:1]
                models[f"{part}/{path.parent.name}"] = {"prompts": reference(path.parent, prompts, False)}
        write(HERE / "gim-shared.json", models)


main()
