"""Makes the files of this folder with the real inseq 0.7.1 on the demo's own model, and what is in them by inseq's own
reader: `expected.json` has tokens, targets and scores, reduced here with NumPy.

    python -m venv env && env/bin/pip install inseq==0.7.1 transformers==5.24 torch==2.15 captum==0.9
    env/bin/python tests/imports/make.py
"""

import json
import shutil
import tempfile
from pathlib import Path

import inseq
import numpy as np
import torch

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "content" / "models" / "demo-llama"
PROMPTS = ["The sky is blue.\nChoice: (", "Rents – all – have doubled. Choice: ("]
TOKENIZER = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": "</s>",
    "tokenizer_class": "PreTrainedTokenizerFast",
    "clean_up_tokenization_spaces": False,
}


def reduced(scores, method):
    """What docs/import.md says of scores that have more than tokens and steps."""
    scores = scores.double().numpy()
    if scores.ndim == 2:
        return scores
    if method == "saliency":
        return np.sqrt((scores**2).sum(-1))
    if method == "attention":
        return scores.reshape(*scores.shape[:2], -1).mean(-1)
    return scores.sum(-1)


def main():
    torch.manual_seed(0)
    expected = {}
    with tempfile.TemporaryDirectory() as folder:
        # As the demo has it, but in float32, and with the names of its special tokens, which inseq wants.
        folder = Path(folder) / "Demo Llama"
        shutil.copytree(MODEL, folder)
        config = json.loads((folder / "config.json").read_text())
        config["torch_dtype"] = "float32"
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))
        model = inseq.load_model(str(folder), "integrated_gradients", device="cpu")
        texts = []
        for prompt in PROMPTS:
            ids = model.tokenizer(prompt, return_tensors="pt").input_ids
            said = model.model.generate(ids, max_new_tokens=2, do_sample=False)
            # The prompt's own text: decoding may change blanks.
            texts.append(prompt + model.tokenizer.decode(said[0][ids.shape[1] :], skip_special_tokens=True))

        def save(name, method, prompts=2, aggregate=False, save=None, attribute=None):
            out = model.attribute(
                PROMPTS[:prompts], texts[:prompts], method=method, show_progress=False, **(attribute or {})
            )
            if aggregate:
                out = out.aggregate()
            out.info["model_name"] = "someone/Demo Llama"
            out.info["exec_time"] = 0.0
            save = save or {}
            out.save(HERE / name, overwrite=True, **save)
            told = []
            if not save.get("use_primitives"):
                # As inseq reads it back, roundings and all; primitives it cannot.
                out = inseq.FeatureAttributionOutput.load(HERE / name, decompress=save.get("compress", False))
            for sequence in out.sequence_attributions:
                scores = reduced(sequence.target_attributions, method)
                for step in range(scores.shape[1]):
                    place = sequence.attr_pos_start + step
                    probability = (sequence.step_scores or {}).get("probability")
                    told.append(
                        {
                            "ids": [token.id for token in sequence.target[:place]],
                            "target": sequence.target[place].id,
                            "scores": scores[:place, step].tolist(),
                            "probability": None if probability is None else float(probability[step]),
                        }
                    )
            expected[name] = told

        with_probability = {"n_steps": 50, "step_scores": ["probability"]}
        save("integrated-gradients.json.gz", "integrated_gradients", save={"compress": True}, attribute=with_probability)
        save("aggregated.json", "integrated_gradients", prompts=1, aggregate=True, attribute=with_probability)
        save("primitives.json", "integrated_gradients", prompts=1, aggregate=True, save={"use_primitives": True})
        one = {"prompts": 1, "save": {"compress": True}}
        save("input-x-gradient.json.gz", "input_x_gradient", **one)
        save("saliency.json.gz", "saliency", **one)
        save("attention.json.gz", "attention", **one)
        one["save"] = {"compress": True, "scores_precision": "float16"}
        save("float16.json.gz", "input_x_gradient", **one)
        one["save"] = {"compress": True, "scores_precision": "float8"}
        save("float8.json.gz", "saliency", **one)
    (HERE / "expected.json").write_text(json.dumps({"prompts": PROMPTS, "texts": texts, "files": expected}, indent=0) + "\n")


main()
