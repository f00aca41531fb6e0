"""Integrated Gradients of a text of several tokens, by Captum on models of transformers in float64: the numbers of
`tests/text_targets.rs`.

    python3 -m venv /tmp/text
    /tmp/text/bin/pip install torch==2.15.0 transformers==5.24.0 captum==0.9.0
    cd REPOSITORY
    /tmp/text/bin/python tests/reference/make_text.py      # writes tests/reference/text.json again

F is the sum of the log-probabilities of a text's tokens behind the prompt, each given those before it. The tokens' own
embeddings stand at both ends of the path, so that their attributions are zero; those of the prompt are kept. Of some
texts the first tokens are given and not counted, as what stands between a prompt and a generated text. The texts are
token ids of the model's vocabulary, chosen without regard to what they read as.
"""
import hashlib
import json
import pathlib

import torch
import transformers
from captum.attr import IntegratedGradients
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
MODELS = ["demo-llama", "demo-falcon"]
# (tokens of the text, how many of them are given, baseline, points)
CASES = [([40, 7, 133, 21], 0, "mean", 24), ([40, 7, 133, 21], 2, "mean", 24), ([15, 90], 0, "zero", 40), ([15, 90], 1, "zero", 40)]


def explained(model, ids, text, given, baseline, points):
    embed = model.get_input_embeddings()
    forced = text[:-1]
    whole = embed(torch.tensor([ids + forced])).detach()
    table = embed(torch.arange(embed.weight.shape[0])).detach()
    vector = {"mean": table.mean(0), "zero": torch.zeros_like(table[0])}[baseline]
    start = whole.clone()
    start[:, :len(ids)] = vector

    def f(x):
        # The text's first token is read at the prompt's last position.
        logs = torch.log_softmax(model(inputs_embeds=x, use_cache=False).logits[:, len(ids) - 1:], -1)
        return sum(logs[:, index, token] for index, token in enumerate(text) if index >= given)

    found = IntegratedGradients(f).attribute(whole, baselines=start, n_steps=points, method="gausslegendre", internal_batch_size=8)
    scores = found.sum(-1)[0].detach()
    assert scores[len(ids):].abs().max() < 1e-12 if forced else True
    with torch.no_grad():
        return float(f(whole)), float(f(start)), [float(f"{s:.9g}") for s in scores[:len(ids)].tolist()]


models = {}
for name in MODELS:
    folder = HERE.parent.parent / "content/models" / name
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    ids = json.loads((HERE / f"{name}.json").read_text())["prompts"][0]["ids"]
    cases = []
    for text, given, baseline, points in CASES:
        f_input, f_baseline, scores = explained(model, ids, text, given, baseline, points)
        cases.append({"text": text, "given": given, "baseline": baseline, "steps": points, "f_input": f_input, "f_baseline": f_baseline, "attributions": scores})
    files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
    models[name] = {"files": files, "cases": cases}
about = f"float64: Captum 0.9.0, PyTorch {torch.__version__}, transformers {transformers.__version__}; by tests/reference/make_text.py"
text = json.dumps({"about": about, "models": models})
(HERE / "text.json").write_text(text.replace("], ", "],\n").replace("}, ", "},\n") + "\n")
