"""What Captum's InputXGradient computes, in float64, on models of transformers: the numbers of `tests/one_pass.rs`.

    python3 -m venv /tmp/gradient
    /tmp/gradient/bin/pip install torch==2.15.0 transformers==5.24.0 captum==0.9.0
    cd REPOSITORY
    /tmp/gradient/bin/python tests/reference/make_input_x_gradient.py own              # input_x_gradient.json
    /tmp/gradient/bin/python tests/reference/make_input_x_gradient.py shared SHARED    # input_x_gradient-shared.json

`own` takes the demo models and the prompts of demo-*.json; `shared` the checkpoints of SHARED/reference and SHARED/families,
which are not part of the project: of them only scores are kept here. The input is the embeddings; a token's score is the sum
over their elements. Captum's method has no baseline, so igsite's has the zero vector.
"""
import hashlib
import json
import pathlib
import sys

import torch
import transformers
from captum.attr import InputXGradient
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
CASES = [{"baseline": "zero", "output": "logit", "target": "predicted"},
         {"baseline": "zero", "output": "probability", "target": "predicted"},
         {"baseline": "zero", "output": "log_probability", "target": "C"}]


def rounded(value):
    return float(f"{value:.8g}")


def reference(folder, prompts):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager", experts_implementation="eager").eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    found = []
    for prompt in prompts:
        embeddings = model.get_input_embeddings()(torch.tensor([prompt["ids"]])).detach()
        cases = []
        for case in CASES:
            token = prompt["predicted_id"] if case["target"] == "predicted" else prompt["option_ids"][case["target"]]

            def f(x):
                logits = model(inputs_embeds=x, use_cache=False).logits[:, -1].double()
                return {"logit": lambda z: z, "probability": lambda z: z.softmax(-1),
                        "log_probability": lambda z: z.log_softmax(-1)}[case["output"]](logits)[:, token]

            scores = InputXGradient(f).attribute(embeddings.clone().requires_grad_(True)).sum(-1)[0].tolist()
            cases.append({**case, "f_input": rounded(f(embeddings).item()), "attributions": [rounded(s) for s in scores]})
        found.append({"cases": cases})
    print(folder, flush=True)
    return found


def write(path, models):
    about = (f"float64: InputXGradient of Captum 0.9.0, PyTorch {torch.__version__}, transformers {transformers.__version__}; "
             "by tests/reference/make_input_x_gradient.py")
    text = json.dumps({"about": about, "models": models}, ensure_ascii=False)
    path.write_text(text.replace("], ", "],\n").replace("}, ", "},\n") + "\n")


def main():
    models = {}
    if sys.argv[1] == "own":
        for path in sorted(HERE.glob("demo-*.json")):
            expected = json.loads(path.read_text())
            folder = HERE.parent.parent / "content/models" / path.stem
            files = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}
            assert files == expected["files"], f"{path} was made from another model"
            models[path.stem] = {"files": files, "prompts": reference(folder, expected["prompts"][:2])}
        write(HERE / "input_x_gradient.json", models)
    else:
        for part in ("reference", "families"):
            for path in sorted((pathlib.Path(sys.argv[2]) / part).glob("*/expected.json")):
                prompts = json.loads(path.read_text())["prompts"][:1]
                models[f"{part}/{path.parent.name}"] = {"prompts": reference(path.parent, prompts)}
        write(HERE / "input_x_gradient-shared.json", models)


main()
