"""Integrated Gradients of one model by three programs in one run: Captum, PyTorch at its best, and igsite.

    python3 -m venv /tmp/bench
    /tmp/bench/bin/pip install torch==2.15.0 transformers==5.23.0 captum==0.9.0 numpy==2.4.6
    cd REPOSITORY && cargo build --release --example bench
    /tmp/bench/bin/python benches/captum.py --shape llama-25m --tokens 81 --points 50
    /tmp/bench/bin/python benches/captum.py --shape mistral-7b --tokens 81 --points 512 --device cuda --dtype bf16
    /tmp/bench/bin/python benches/captum.py --model DIR --tokens 40 --points 50      # a checkpoint, and do the scores agree

The work: random tokens (fixed by a seed), zero baseline, Gauss-Legendre rule, F = probability of the most probable token at the
last position. An evaluation is a forward and a backward pass at one path point. A shape's weights are random, normal with
standard deviation 0.02. The rows:

    captum      as people call it: IntegratedGradients on inputs_embeds through AutoModelForCausalLM as transformers hands it
                out (its own choice of attention, not compiled, every weight asking for a gradient), all logits computed,
                internal_batch_size 8
    torch best  what a patient user could write with PyTorch and transformers' modules: weights frozen, no key/value cache,
                logits of the last position only, scores summed in the same pass, and the fastest found of: sdpa or eager
                attention, the batch (unless --batch), no torch.compile, each layer compiled, the whole body compiled
    igsite      `examples/bench` with the same shape, tokens, points, dtype, device, and --batch if given

The timed rounds take the programs in turn, so that a noisy machine hits all of them. Warming up, the search for the best variant,
and every compilation are not in the figures; `speed` is evaluations per second over torch best's, from the best round of each.
igsite repeats inside each of its rounds: its best is the best of all, its median that of the rounds' medians.
Peak memory: on the CPU that of the process (Python and PyTorch themselves are some 0.5 GB of it, with torch.compile 0.3 GB more),
on CUDA torch.cuda.max_memory_allocated; igsite's is what it says of itself.
"""
import argparse
import ctypes
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, FalconConfig, LlamaConfig, MistralConfig

# This file's folder comes first in the path, and this file has the library's name.
sys.path = [folder for folder in sys.path if pathlib.Path(folder).resolve() != pathlib.Path(__file__).resolve().parent]
try:
    import captum
    from captum.attr import IntegratedGradients
except ImportError:
    captum = None

SEED = 1
CAPTUM_BATCH = 8
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
AGREEMENT = 1e-4  # of the largest score, in float32


def say(text):
    """Progress; stdout is kept for the result."""
    print(text, file=sys.stderr, flush=True)


# --- The models ----------------------------------------------------------------------------------------------------------

def llama(hidden, layers, heads, mlp, vocabulary, kind=LlamaConfig, kv_heads=None, theta=10000.0, **more):
    return kind(hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads or heads,
                intermediate_size=mlp, vocab_size=vocabulary, rms_norm_eps=1e-5, max_position_embeddings=4096,
                rope_parameters={"rope_type": "default", "rope_theta": theta}, tie_word_embeddings=False,
                initializer_range=0.02, **more)


SHAPES = {
    "llama-25m": lambda: llama(512, 8, 8, 1376, 32000),
    "llama-2048": lambda: llama(2048, 4, 16, 5504, 32000),
    "llama-2-7b": lambda: llama(4096, 32, 32, 11008, 32000),
    "orca-2-7b": lambda: llama(4096, 32, 32, 11008, 32003),
    "mistral-7b": lambda: llama(4096, 32, 32, 14336, 32000, MistralConfig, 8, 1e6, sliding_window=None),
    "falcon-7b": lambda: FalconConfig(
        vocab_size=65024, hidden_size=4544, num_hidden_layers=32, num_attention_heads=71, layer_norm_epsilon=1e-5,
        multi_query=True, parallel_attn=True, new_decoder_architecture=False, bias=False, alibi=False, tie_word_embeddings=True,
        initializer_range=0.02),
}


class Case:
    """What all rows have in common: the model, the embedded tokens, the target."""

    def __init__(self, args):
        self.device, self.points, self.dtype = torch.device(args.device), args.points, DTYPES[args.dtype]
        torch.manual_seed(SEED)
        with self.device:
            if args.model:
                self.model = AutoModelForCausalLM.from_pretrained(args.model, dtype=self.dtype)
            else:
                self.model = AutoModelForCausalLM.from_config(SHAPES[args.shape](), dtype=self.dtype)
        self.model.to(self.device).eval()
        self.body = self.model.base_model
        self.layers = self.body.layers if hasattr(self.body, "layers") else self.body.h
        self.attention = self.model.config._attn_implementation  # what transformers chose
        self.compilations = {}
        ids = torch.randint(self.model.config.vocab_size, (1, args.tokens), generator=torch.Generator().manual_seed(SEED))
        with torch.no_grad():
            self.embedded = self.model.get_input_embeddings()(ids.to(self.device)).detach()
            self.target = int(self.model(inputs_embeds=self.embedded).logits[0, -1].argmax())
        self.parameters = sum(p.numel() for p in self.model.parameters())
        ends = {self.model.get_input_embeddings().weight, self.model.get_output_embeddings().weight}
        self.body_parameters = self.parameters - sum(p.numel() for p in ends)

    def prepare(self, attention, frozen, compiled):
        """The one model as a row wants it. Layers are compiled one by one: they are alike, and share one compilation."""
        self.model.config._attn_implementation = attention
        self.model.requires_grad_(not frozen)
        for module in [self.body, *self.layers]:
            if compiled == ("body" if module is self.body else "layers"):
                if module not in self.compilations:
                    module.compile(dynamic=False)
                    self.compilations[module] = module._compiled_call_impl
                module._compiled_call_impl = self.compilations[module]
            else:
                module._compiled_call_impl = None  # as if it had never been compiled

    def synchronise(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def timed(self, work):
        self.synchronise()
        start = time.perf_counter()
        result = work()
        self.synchronise()
        return time.perf_counter() - start, result


# --- Peak memory ---------------------------------------------------------------------------------------------------------

def reset_peak(device):
    """Forgets the peak so far. Freed memory is given back first, or the next row would be charged for it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        say("the peak of memory cannot be reset here: each row's is the peak since the start")


def peak(device):
    return torch.cuda.max_memory_allocated() if device.type == "cuda" else kibibytes("/proc/self/status", "VmHWM")


def kibibytes(file, key):
    """A value of a Linux status file in bytes; 0 on other systems."""
    try:
        lines = pathlib.Path(file).read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":")), 0)


# --- The rows: each warms up when made, and does the whole work once per call of `round` -----------------------------------

class Captum:
    name = "captum"

    def __init__(self, case):
        self.case, self.batch = case, min(CAPTUM_BATCH, case.points)
        self.how = f"{case.attention} attention"
        self.method = IntegratedGradients(self.score)
        self.prepare()
        reset_peak(case.device)
        self.attribute(self.batch)
        self.peak = peak(case.device)  # now, before torch.compile has made the process larger

    def prepare(self):
        self.case.prepare(self.case.attention, frozen=False, compiled="")

    def score(self, embedded):
        return torch.softmax(self.case.model(inputs_embeds=embedded).logits[:, -1], dim=-1)

    def attribute(self, points):
        return self.method.attribute(self.case.embedded, baselines=torch.zeros_like(self.case.embedded), target=self.case.target,
                                     n_steps=points, method="gausslegendre", internal_batch_size=self.batch)

    def round(self):
        self.prepare()
        seconds, attributions = self.case.timed(lambda: self.attribute(self.case.points))
        self.scores = attributions[0].double().sum(-1).cpu()
        return seconds, seconds


class TorchBest:
    name = "torch best"

    def __init__(self, case, batch, compiling, until):
        self.case, self.tried, self.until = case, [], until
        self.grown, self.grown_at = 0, 1  # bytes that a pass of so many points took, for `search`
        nodes, weights = np.polynomial.legendre.leggauss(case.points)
        self.alphas = torch.tensor((1 + nodes) / 2, dtype=torch.float32, device=case.device)
        self.weights = torch.tensor(weights / 2, dtype=torch.float32, device=case.device)
        self.search(batch, compiling)
        for size in {self.batch, case.points % self.batch or self.batch}:
            self.evaluate(slice(0, size))
        self.peak = 0

    def evaluate(self, chunk):
        """The weighted sum of the gradients at a chunk of path points."""
        alphas, weights = self.alphas[chunk], self.weights[chunk]
        x = (alphas[:, None, None] * self.case.embedded.float()).to(self.case.dtype).requires_grad_()
        last = self.case.body(inputs_embeds=x, use_cache=False).last_hidden_state[:, -1]
        probability = torch.softmax(self.case.model.lm_head(last).float(), dim=-1)[:, self.case.target]
        gradient, = torch.autograd.grad(probability.sum(), x)
        return torch.einsum("k,ktd->td", weights, gradient.float())

    def round(self):
        self.case.prepare(self.attention, frozen=True, compiled=self.compiled)
        reset_peak(self.case.device)
        starts = range(0, self.case.points, self.batch)
        seconds, scores = self.case.timed(
            lambda: (sum(self.evaluate(slice(at, at + self.batch)) for at in starts) * self.case.embedded[0].float()).sum(-1))
        self.peak = max(self.peak, peak(self.case.device))
        self.scores = scores.double().cpu()
        return seconds, seconds

    def search(self, batch, compiling):
        """Finds the fastest variant: the attention first, with it the batch, with that what to compile; then a play-off."""
        cuda = self.case.device.type == "cuda"
        start = batch or even(self.case.points, 32 if cuda else 8)
        found = [self.try_out(attention, "", start) for attention in ("sdpa", "eager")]
        first = max(found)
        if not batch:
            for size in sorted({even(self.case.points, 2 ** n) for n in range(3 if cuda else 0, 10)} - {start}):
                spare = kibibytes("/proc/meminfo", "MemAvailable")
                if not cuda and self.grown * size / self.grown_at > 0.7 * spare > 0:
                    break  # a GPU says that it is full; a CPU's machine ends the process
                found.append(self.try_out(first[1], "", size))
                if size > start and found[-1][0] < 0.8 * max(found)[0]:
                    break
        _, attention, _, size = max(found)
        other = "eager" if attention == "sdpa" else "sdpa"
        # A whole body of 32 layers takes minutes to compile, and gains next to nothing over its layers.
        variants = [(attention, "layers"), (other, "layers")] + [(attention, "body")] * (len(self.case.layers) <= 8)
        for variant in variants if compiling else []:
            if time.perf_counter() > self.until:
                self.tried.append({"failed": "no time left to compile", "attention": variant[0], "compiled": variant[1], "batch": size})
                say("  no time left to compile: " + " ".join(variant))
            else:
                found.append(self.try_out(*variant, size))
        finalists = [variant for variant in sorted(found, reverse=True)[:3] if variant[0] > 0]
        if not finalists:
            raise SystemExit("PyTorch cannot run this case: " + self.tried[0]["failed"])
        _, self.attention, self.compiled, self.batch = max(self.play_off(finalists))
        self.how = f"{self.attention} attention, {self.compiled or 'not'} compiled"
        self.case.prepare(self.attention, frozen=True, compiled=self.compiled)

    def try_out(self, attention, compiled, batch):
        """A variant as (evaluations per second, attention, compiled, batch): a pass to warm up, then the best of a few."""
        told = {"attention": attention, "compiled": compiled, "batch": batch}
        start = time.perf_counter()
        try:
            self.case.prepare(attention, frozen=True, compiled=compiled)
            reset_peak(self.case.device)
            before = peak(self.case.device)
            self.evaluate(slice(0, batch))
            self.grown, self.grown_at = max(peak(self.case.device) - before, 1), batch
            self.case.synchronise()
            told["warm_up_seconds"] = time.perf_counter() - start
            seconds = []
            while len(seconds) < 2 or (sum(seconds) < 0.5 and len(seconds) < 10):
                seconds.append(self.case.timed(lambda: self.evaluate(slice(0, batch)))[0])
            rate = batch / min(seconds)
        except Exception as error:  # the compiler fails in many ways, and memory may be out: then this variant is no candidate
            told["failed"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            rate = 0.0
        told["evaluations_per_second"] = rate
        self.tried.append(told)
        say(f"  {attention:5}  {compiled or 'not':>6} compiled  batch {batch:4}  " + told.get("failed", f"{rate:.2f} evaluations/s"))
        return rate, attention, compiled, batch

    def play_off(self, finalists):
        """The best variants once more, in turn: on a noisy machine a single look could have picked the wrong one."""
        seconds = {variant: [] for variant in finalists}
        for _ in range(3 if len(finalists) > 1 else 0):
            for variant in finalists:
                _, attention, compiled, size = variant
                self.case.prepare(attention, frozen=True, compiled=compiled)
                seconds[variant].append(self.case.timed(lambda: self.evaluate(slice(0, size)))[0])
        return [(max(rate, size / min(seconds[rate, attention, compiled, size], default=math.inf)), attention, compiled, size)
                for rate, attention, compiled, size in finalists]


def even(points, about):
    """A batch of about this size that divides the points if there is one, so that no short pass is left over."""
    near = [size for size in range(1, points + 1) if points % size == 0 and 0.6 * about <= size <= 1.5 * about]
    return max(near) if near else math.ceil(points / math.ceil(points / about))


class Igsite:
    name = "igsite"

    def __init__(self, args):
        model = ["--model", args.model] if args.model else ["--shape", args.shape]
        batch = ["--batch", str(args.batch)] if args.batch else []
        self.command = [args.igsite, *model, "--tokens", str(args.tokens), "--points", str(args.points),
                        "--dtype", args.dtype, "--device", args.device, *batch, "--json"]
        self.wanted = {"tokens": args.tokens, "points": args.points, "dtype": args.dtype}
        self.cuda, self.peak, self.body_parameters = args.device == "cuda", 0, None
        self.batch, self.how = None, " ".join(self.command)

    def round(self):
        if self.cuda:
            torch.cuda.empty_cache()  # PyTorch keeps what it freed, and igsite is another process
        done = subprocess.run(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"exit status {done.returncode}: " + (done.stderr.strip() or done.stdout.strip())[-300:])
        found = json.loads(done.stdout)
        for key, value in {"schema": "igsite/bench/1", **self.wanted}.items():
            if found[key] != value:
                raise RuntimeError(f"it answered with {key} {found[key]!r}, not {value!r}")
        self.batch, self.body_parameters = found["batch"], found["body_parameters"]
        self.peak = max(self.peak, found["peak_memory_bytes"] or 0)
        return float(found["seconds"]), float(found["median_seconds"])


# --- The run -------------------------------------------------------------------------------------------------------------

def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--shape", choices=SHAPES, help="a model of this shape with random weights")
    which.add_argument("--model", metavar="DIR", help="a checkpoint's folder, laid out as on the Hugging Face hub")
    parser.add_argument("--tokens", type=positive, default=81)
    parser.add_argument("--points", type=positive, default=50)
    parser.add_argument("--batch", default="auto", help="path points a pass, for torch best and igsite; or auto (default)")
    parser.add_argument("--dtype", choices=DTYPES, default="f32")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--repeat", type=positive, default=3, help="timed rounds (default 3)")
    parser.add_argument("--seconds", type=positive, default=3600,
                        help="begin no compilation after a third of these, no second round after all of them (default 3600)")
    parser.add_argument("--igsite", metavar="FILE", default="target/release/examples/bench",
                        help="igsite's own measurement (default target/release/examples/bench)")
    parser.add_argument("--no-compile", action="store_true", help="do not try torch.compile (it takes minutes on few cores)")
    parser.add_argument("--tf32", action="store_true", help="let float32 products on CUDA run in TF32")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout in place of the table")
    args = parser.parse_args()
    try:
        args.batch = None if args.batch == "auto" else min(positive(args.batch), args.points)
    except ValueError:
        parser.error(f"--batch {args.batch} is neither a positive number nor auto")
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: PyTorch sees no CUDA device here")
    return args


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def device_name(device):
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = "unknown CPU"
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def rounds(rows, repeat, until, skipped):
    """The seconds of every round, the rows in turn. Only igsite may drop out here; the others have run before."""
    seconds = {row.name: [] for row in rows}
    for number in range(1, repeat + 1):
        if number > 1 and time.perf_counter() > until:
            say("no time left for another round")
            break
        for row in [row for row in rows if row.name not in skipped]:
            try:
                seconds[row.name].append(row.round())
            except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
                if row.name != "igsite":
                    raise
                skipped[row.name] = f"{row.how}: {error!r}"
                continue
            say(f"  round {number}  {row.name:10}  {seconds[row.name][-1][0]:.3f} s")
    return {name: all_rounds for name, all_rounds in seconds.items() if name not in skipped}


def main():
    start, args = time.perf_counter(), arguments()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_float32_matmul_precision("high" if args.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = args.tf32
    torch._dynamo.config.recompile_limit = 64  # each batch and attention is a compilation of its own; eight is the default
    case = Case(args)

    rows, skipped = [], {}
    if captum is None:
        skipped["captum"] = "Python has no captum here"
    else:
        try:
            rows.append(Captum(case))
        except torch.OutOfMemoryError:
            skipped["captum"] = f"out of memory at a batch of {CAPTUM_BATCH}"
    say("searching PyTorch's best variant")
    best = TorchBest(case, args.batch, not args.no_compile, start + args.seconds / 3)
    rows.append(best)
    if pathlib.Path(args.igsite).is_file():
        rows.append(Igsite(args))
    else:
        skipped["igsite"] = f"{args.igsite} is not there (cargo build --release --example bench, or --igsite FILE)"

    say("timed rounds")
    seconds = rounds(rows, args.repeat, start + args.seconds, skipped)
    fastest = {name: min(s for s, _ in of) for name, of in seconds.items()}
    result = {
        "schema": "igsite/bench-pytorch/1",
        "torch": torch.__version__, "captum": captum and captum.__version__, "transformers": transformers.__version__,
        "device": args.device, "device_name": device_name(case.device), "threads": torch.get_num_threads(), "tf32": args.tf32,
        "shape": args.shape, "model": args.model, "dtype": args.dtype, "tokens": args.tokens, "points": args.points,
        "parameters": case.parameters, "body_parameters": case.body_parameters, "target": case.target,
        "rows": [{
            "name": row.name, "how": row.how, "batch": row.batch, "repeats": len(seconds[row.name]),
            "seconds": fastest[row.name], "median_seconds": statistics.median(m for _, m in seconds[row.name]),
            "evaluations_per_second": args.points / fastest[row.name],
            "speed_to_torch_best": fastest[best.name] / fastest[row.name], "peak_memory_bytes": row.peak,
        } for row in rows if row.name in seconds],
        "skipped": skipped,
        "igsite_to_torch_best": fastest[best.name] / fastest["igsite"] if "igsite" in fastest else None,
        "tried": best.tried, "notes": [],
    }
    agrees = compare(case, rows, args, result)
    print(json.dumps(result) if args.json else table(result))
    return 0 if agrees else 1


def compare(case, rows, args, result):
    """Notes what the programs should have in common. False where a checkpoint's scores in float32 differ."""
    by_name = {row.name: row for row in rows}
    igsite, captum_row, notes = by_name.get("igsite"), by_name.get("captum"), result["notes"]
    if igsite and igsite.body_parameters and abs(igsite.body_parameters / case.body_parameters - 1) > 0.01:
        notes.append(f"igsite's model has {igsite.body_parameters:,} body parameters: not the same model")
    if captum_row is None:
        return True
    scores, theirs = by_name["torch best"].scores, captum_row.scores
    deviation = float((scores - theirs).abs().max() / theirs.abs().max())
    result["deviation"] = deviation if math.isfinite(deviation) else None
    notes.append(f"torch best's scores deviate from captum's by {deviation:.1e} of the largest")
    if not args.model or args.dtype != "f32" or args.tf32 or deviation <= AGREEMENT:
        return True
    notes.append(f"FAIL: that is more than {AGREEMENT}")
    return False


def table(result):
    lines = [
        f"torch {result['torch']}, captum {result['captum'] or 'missing'}, transformers {result['transformers']}; "
        f"{result['threads']} threads",
        f"{result['device']}: {result['device_name']}" + ", TF32" * result["tf32"],
        f"{result['shape'] or result['model']}: {result['parameters']:,} parameters ({result['body_parameters']:,} in the body), "
        f"{result['dtype']}, {result['tokens']} tokens, {result['points']} points, probability of token {result['target']}",
        "",
        f"{'':10}  {'best s':>9}  {'median s':>9}  {'eval/s':>8}  {'speed':>6}  {'peak GB':>7}  batch",
    ]
    for row in result["rows"]:
        lines.append(f"{row['name']:10}  {row['seconds']:9.3f}  {row['median_seconds']:9.3f}  "
                     f"{row['evaluations_per_second']:8.2f}  {row['speed_to_torch_best']:5.2f}x  "
                     f"{row['peak_memory_bytes'] / 1e9:7.2f}  {row['batch']}")
    lines += [""] + [f"{row['name']}: {row['how']}" for row in result["rows"]]
    lines += [f"{name}: skipped, {reason}" for name, reason in result["skipped"].items()]
    return "\n".join(lines + result["notes"])


if __name__ == "__main__":
    sys.exit(main())
