//! The written-out backward pass against automatic differentiation, and the kernels against Burn's operations.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde_json::json;

use super::backward::Gradients;
use super::decoder::{Decoder, Entry, Keep, Trace};
use super::known::Known;
use super::ops::cpu::Cpu;
use super::ops::tensor::OnDevice;
use super::ops::{Ops, Sequences, Stretch};
use super::path::Path;
use crate::attribution::integrated_gradients::{Explainer, Points, Scalar, argmax};
use crate::families::shape::{
    self, Activation, Attention, Block, Experts, Growth, Halves, Mlp, Norm, Over, Pairs, QkNorm, Rotary, Scaling, Shape,
};
use crate::families::tensors::{self, Order, Slot, one};
use crate::kernel::Threads;
use crate::model::CausalLm;
use crate::model::device::Backend;
use crate::random::SplitMix64;
use crate::tensor::host::floats;
use crate::terms::{BaselineVector, Batch, Output, Routing};

fn shape(config: &serde_json::Value) -> Shape {
    crate::checkpoint::config::parse(config.as_object().unwrap())
        .unwrap()
        .model
}

fn llama(key_heads: usize, window: Option<usize>, layers: usize) -> Shape {
    let kind = if window.is_some() { "mistral" } else { "llama" };
    shape(&json!({
        "model_type": kind, "vocab_size": 40, "hidden_size": 24, "intermediate_size": 44, "num_hidden_layers": layers,
        "num_attention_heads": 4, "num_key_value_heads": key_heads, "rms_norm_eps": 1e-5, "sliding_window": window,
    }))
}

/// A Mistral whose layers see a few positions only, but for one that sees all.
fn mixed(window: usize) -> Shape {
    let mut shape = llama(2, Some(window), 3);
    let mut full = shape.blocks[0];
    full.attention.window = None;
    shape.blocks.push(full);
    shape.pattern = vec![0, 1, 0];
    shape
}

fn falcon() -> Shape {
    shape(&json!({
        "model_type": "falcon", "vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 4,
    }))
}

/// Names for every weight that a decoder may have.
const ALL_TENSORS: &[tensors::Entry] = &[
    one("embedding", &[Slot::Embedding]),
    one("positions", &[Slot::Positions]),
    one("{}.before_attention", &[Slot::BeforeAttention]),
    one("{}.query", &[Slot::Query]),
    one("{}.key", &[Slot::Key]),
    one("{}.value", &[Slot::Value]),
    one("{}.query_norm", &[Slot::QueryNorm]),
    one("{}.key_norm", &[Slot::KeyNorm]),
    one("{}.output", &[Slot::AttentionOutput]),
    one("{}.after_attention", &[Slot::AfterAttention]),
    one("{}.before_mlp", &[Slot::BeforeMlp]),
    one("{}.gate", &[Slot::Gate]),
    one("{}.up", &[Slot::Up]),
    one("{}.down", &[Slot::Down]),
    one("{}.after_mlp", &[Slot::AfterMlp]),
    tensors::Entry {
        stem: "{}.sinks",
        slots: &[Slot::Sinks],
        order: Order::Bare,
    },
    one("{}.router", &[Slot::Router]),
    one("{}.{e}.gate", &[Slot::ExpertGate]),
    one("{}.{e}.up", &[Slot::ExpertUp]),
    one("{}.{e}.down", &[Slot::ExpertDown]),
    one("norm", &[Slot::Norm]),
    one("head", &[Slot::Output]),
];

/// A decoder with random switches: those that families use, and all others.
fn any_shape(from: &mut SplitMix64) -> Shape {
    let pick = |from: &mut SplitMix64, count: u64| from.next_u64() % count;
    let coin = |from: &mut SplitMix64| pick(from, 2) == 0;
    let norm = |from: &mut SplitMix64| match pick(from, 5) {
        0 | 1 => Norm::rms(1e-5),
        2 => Norm {
            offset: true,
            ..Norm::rms(1e-5)
        },
        3 => Norm::layer(1e-5),
        _ => Norm {
            bias: false,
            ..Norm::layer(1e-5)
        },
    };
    let block = |from: &mut SplitMix64| {
        let maybe = |from: &mut SplitMix64| coin(from).then(|| norm(from));
        let width = [4, 6, 10][pick(from, 3) as usize];
        let gated = coin(from);
        let halves = if coin(from) { Halves::Serial } else { Halves::Parallel };
        let experts = (halves == Halves::Serial && coin(from)).then(|| Experts {
            count: 5,
            chosen: 1 + pick(from, 3) as usize,
            renormalise: coin(from),
            router_bias: coin(from),
        });
        Block {
            attention: Attention {
                heads: shape::Heads {
                    query: 4,
                    key: [1, 2, 4][pick(from, 3) as usize],
                    width,
                },
                window: coin(from).then_some(5),
                rotary: [None, Some(0), Some(1)][pick(from, 3) as usize],
                scale: coin(from).then_some(0.4),
                scale_by_layer: coin(from),
                cap: coin(from).then_some(1.5),
                bias: coin(from),
                output_bias: coin(from),
                qk_norm: coin(from).then(|| QkNorm {
                    norm: norm(from),
                    over: if coin(from) { Over::Head } else { Over::All },
                    after_rotary: coin(from),
                }),
                query_rotary: coin(from).then_some(2),
                sinks: coin(from),
                alibi: coin(from),
            },
            mlp: Mlp {
                inner: 28,
                gated,
                activation: [
                    Activation::Silu,
                    Activation::Gelu,
                    Activation::GeluTanh,
                    Activation::Relu,
                    Activation::ReluSquared,
                    Activation::ClampedSwish { gain: 1.7, limit: 0.3 },
                ][pick(from, 6) as usize],
                bias: coin(from),
                output_bias: coin(from),
            },
            experts,
            halves,
            before_attention: maybe(from),
            after_attention: maybe(from),
            before_mlp: maybe(from),
            after_mlp: maybe(from),
            residual: if coin(from) { 1.0 } else { 0.6 },
        }
    };
    let rotary = |pairs, width| Rotary {
        theta: 100.0,
        width,
        pairs,
        scaling: Scaling::None,
        growth: None,
    };
    let layers = 1 + pick(from, 3) as usize;
    let blocks: Vec<Block> = (0..layers).map(|_| block(from)).collect();
    Shape {
        family: "any",
        tensors: ALL_TENSORS,
        vocabulary: 40,
        hidden: 24,
        embedding: shape::Embedding {
            scale: coin(from).then_some(1.7),
            positions: coin(from).then_some(70),
        },
        layers,
        pattern: (0..layers).collect(),
        blocks,
        rotary: vec![
            rotary(Pairs::Halves, 4),
            rotary(Pairs::Neighbours, 2),
            Rotary {
                growth: Some(Growth {
                    beta: 0.5,
                    original: 7.0,
                }),
                ..rotary(Pairs::Halves, 4)
            },
        ],
        norm: norm(from),
        output: shape::Output {
            tied: coin(from),
            bias: coin(from),
            scale: if coin(from) { 1.0 } else { 0.5 },
            cap: coin(from).then_some(3.0),
        },
    }
}

/// Numbers between −`size` and `size`, the same in every run (Burn's own seed is shared by all tests of a process).
fn random<const D: usize>(shape: [usize; D], size: f64, from: &mut SplitMix64) -> Tensor<D> {
    let count = shape.iter().product();
    let value = |from: &mut SplitMix64| (from.next_u64() as f64 / u64::MAX as f64 * 2.0 - 1.0) * size;
    let values: Vec<f32> = (0..count).map(|_| value(from) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A model whose weights are large enough for attention to be uneven, with and without autodiff.
fn models(shape: &Shape) -> (CausalLm, CausalLm) {
    use burn::module::{Module, ModuleMapper, Param};

    struct Larger(SplitMix64);
    impl ModuleMapper for Larger {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            // Norms stay near one.
            let level = if D == 1 { 1.0 } else { 0.0 };
            param.map(|value| random(value.dims(), 0.25, &mut self.0) + level)
        }
    }
    let plain = CausalLm::init(shape, &Device::flex()).map(&mut Larger(SplitMix64::new(1)));
    let tracked = plain.clone().to_device(&Device::flex().autodiff());
    (plain, tracked)
}

/// Scores of points, by autodiff: the gradient of Σ c · logits, times the difference.
fn by_autodiff(model: &CausalLm, paths: &[(Tensor<2>, Tensor<2>)], alphas: &[&[f64]], c: &Tensor<2>) -> Vec<f32> {
    let device = Device::flex().autodiff();
    let up = |x: &Tensor<2>| Tensor::<2>::from_data(x.clone().into_data(), &device);
    let mut scores = Vec::new();
    let mut row = 0;
    for ((baseline, input), alphas) in paths.iter().zip(alphas) {
        for &alpha in *alphas {
            let difference = up(input) - up(baseline).repeat_dim(0, input.dims()[0]);
            let x = (up(baseline).repeat_dim(0, input.dims()[0]) + difference.clone() * alpha)
                .detach()
                .require_grad();
            let logits = model.last_logits(x.clone().unsqueeze());
            let seed = up(c).narrow(0, row, 1);
            let gradients = (logits * seed).sum().backward();
            let gradient = x.grad(&gradients).unwrap();
            scores.extend(floats((gradient * difference.inner()).sum_dim(1)));
            row += 1;
        }
    }
    scores
}

fn by_hand<O: Ops>(
    ops: &O,
    model: &Decoder,
    stretches: &[Stretch<'_>],
    count: usize,
    c: &Tensor<2>,
    gradients: Gradients,
) -> (Vec<f32>, Vec<f32>) {
    let lengths = stretches
        .iter()
        .flat_map(|s| s.alphas.iter().map(|_| s.path.tokens()))
        .collect();
    let sequences = Sequences::new(lengths);
    let trace = model.forward(ops, &sequences, Entry::Paths(stretches), Keep::Everything);
    let c = c.clone().narrow(0, 0, count);
    let c = match model.logit_slope(&trace.logits) {
        Some(slope) => c * slope.narrow(0, 0, count),
        None => c,
    };
    let gradient = c.matmul(model.head().tensor());
    // For the first sequences alone: what is left of a pass when the others have no second output.
    let (mut first, mut left) = (Vec::new(), count);
    for stretch in stretches {
        let take = left.min(stretch.alphas.len());
        if take > 0 {
            first.push(Stretch {
                path: stretch.path,
                alphas: &stretch.alphas[..take],
            });
        }
        left -= take;
    }
    let back = |trace: &Trace<O>| {
        let gradient = ops.to_rows(gradient.clone());
        let scores = model.backward(ops, &sequences.first(count), trace, &first, gradient, gradients);
        scores.into_iter().map(|score| score as f32).collect::<Vec<f32>>()
    };
    let scores = back(&trace);
    // Layers computed again are the layers.
    let slim = model.forward(ops, &sequences, Entry::Paths(stretches), Keep::Inputs);
    close(&back(&slim), &scores, 1e-5);
    close(&floats(slim.logits), &floats(trace.logits.clone()), 0.0);
    (floats(trace.logits), scores)
}

fn close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * largest,
            "{index}: {a} for {b}, the largest is {largest}"
        );
    }
}

/// Logits and scores by the kernels and on a device, against automatic differentiation of the forward pass on a device.
fn equals_autodiff(shape: &Shape, tolerance: f32) {
    let device = Device::flex();
    let (plain, tracked) = models(shape);
    let model = plain.decoder();
    let mut from = SplitMix64::new(2);
    let mut some = |rows: usize| random([rows, 24], 0.6, &mut from);
    let ends = [
        (some(1), some(9)),
        (Tensor::zeros([1, 24], &device), some(61)),
        (some(1), some(1)),
    ];
    let paths: Vec<Path> = ends
        .iter()
        .map(|(baseline, input)| Path::new(&model, input.clone(), baseline.clone(), &[]))
        .collect();
    let alphas: [&[f64]; 3] = [&[0.2, 1.0, 0.7], &[1e-6, 0.03], &[0.5]];
    let stretches: Vec<Stretch<'_>> = paths
        .iter()
        .zip(alphas)
        .map(|(path, alphas)| Stretch { path, alphas })
        .collect();
    let c = random([6, 40], 1.0, &mut from);
    let expected = by_autodiff(&tracked, &ends, &alphas, &c);
    let rotary = model.rotary(61);
    let all_sequences = Sequences::new(vec![9, 9, 9, 61, 61, 1]);
    let on_device = OnDevice::new(&device, DType::F32, &rotary, &all_sequences);
    let mut logits = Vec::new();
    for count in [6, 4, 1] {
        let rows: usize = [9, 9, 9, 61, 61, 1].iter().take(count).sum();
        for threads in [Threads::One, Threads::All] {
            let ops = Cpu {
                threads,
                rotary: rotary.clone(),
            };
            let (all, scores) = by_hand(&ops, &model, &stretches, count, &c, Gradients::OWN);
            close(&scores, &expected[..rows], tolerance);
            logits.push(all);
        }
        let (all, scores) = by_hand(&on_device, &model, &stretches, count, &c, Gradients::OWN);
        close(&scores, &expected[..rows], tolerance);
        logits.push(all);
        // Attention of few heads, and of few sequences, at a time.
        for bytes in [1, 40_000] {
            let blocks = OnDevice::new(&device, DType::F32, &rotary, &all_sequences).with_attention(bytes);
            let (all, some) = by_hand(&blocks, &model, &stretches, count, &c, Gradients::OWN);
            close(&some, &scores, 1e-5);
            logits.push(all);
        }
    }
    for other in &logits {
        close(other, &logits[0], 1e-5);
    }
}

#[test]
fn equals_autodiff_on_every_architecture() {
    for shape in [
        llama(4, None, 3),
        llama(2, Some(5), 2),
        llama(1, None, 1),
        mixed(5),
        falcon(),
    ] {
        equals_autodiff(&shape, 1e-4);
    }
}

/// Every switch of a decoder, also those that no family uses. `IGSITE_SEEDS=200` tries more.
#[test]
fn equals_autodiff_whatever_the_switches() {
    let seeds = std::env::var("IGSITE_SEEDS").ok().and_then(|text| text.parse().ok());
    let failed = |&seed: &u64| {
        let shape = any_shape(&mut SplitMix64::new(seed));
        let run = std::panic::AssertUnwindSafe(|| equals_autodiff(&shape, 3e-4));
        std::panic::catch_unwind(run).is_err()
    };
    let failed: Vec<u64> = (0..seeds.unwrap_or(24)).filter(failed).collect();
    let first = failed.first().map(|&seed| any_shape(&mut SplitMix64::new(seed)));
    assert!(failed.is_empty(), "seeds {failed:?}; the first is {first:?}");
}

/// In float64 the scores of a point are exact enough to be held against F beside it: they add up to its slope along the
/// path. And they are those of float32.
#[test]
fn in_float64_scores_add_up_to_the_slope_of_f_whatever_the_switches() {
    const STEP: f64 = 1e-5;
    let prompt = [5u32, 9, 1, 30, 22, 17, 3];
    let scalar = Scalar {
        token: 7,
        output: Output::LogProbability,
        minus: None,
    };
    for seed in 0..24 {
        let shape = any_shape(&mut SplitMix64::new(seed));
        let (plain, _) = models(&shape);
        let values = |dtype| {
            let model = plain.clone().map(&mut ToDtype(dtype));
            let mut explainer = Explainer::new(model, &Backend::cpu(), dtype);
            let path = explainer
                .path(&prompt, BaselineVector::Token(2), &[4], Routing::Frozen)
                .unwrap();
            let points = Points {
                path: &path,
                alphas: vec![0.4 - STEP, 0.4, 0.4 + STEP],
                asked: vec![scalar.into()],
            };
            let found = explainer.evaluate(&[points], Batch::Auto, &mut |_| ()).unwrap();
            found[0].iter().map(|of| of[0].clone()).collect::<Vec<_>>()
        };
        let [before, at, behind] = &values(DType::F64)[..] else {
            panic!("three points")
        };
        let slope = (behind.output - before.output) / (2.0 * STEP);
        let size: f64 = at.scores.iter().map(|score| score.abs()).sum();
        let sum: f64 = at.scores.iter().sum();
        assert!(
            (sum - slope).abs() < 1e-7 * size,
            "{seed}: {sum} for {slope}, of {size}; {shape:?}"
        );
        let single = &values(DType::F32)[1];
        let differences = single.scores.iter().zip(&at.scores).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f64::max) < 3e-4 * size, "{seed}");
        assert!((single.output - at.output).abs() < 1e-4, "{seed}");
        assert!(single.output != at.output, "{seed}: not computed in float64");
    }
}

/// The kernels and Burn's operations agree on other gradients too, with every switch; and each change matters.
#[test]
fn other_gradients_are_alike_on_every_device() {
    let own = Gradients::OWN;
    let temperature = Gradients {
        temperature: 2.0,
        ..own
    };
    let norms = Gradients {
        norms_detached: true,
        ..own
    };
    let queries = Gradients {
        queries_and_keys: 0.25,
        ..own
    };
    let values = Gradients { values: 0.5, ..own };
    let gated = Gradients { gated: 0.5, ..own };
    let all = Gradients {
        temperature: 3.0,
        norms_detached: true,
        queries_and_keys: 0.25,
        values: 0.5,
        gated: 0.5,
    };
    let alphas: &[f64] = &[0.3, 1.0];
    let mut moved = [0; 5];
    for seed in 0..24 {
        let shape = any_shape(&mut SplitMix64::new(seed));
        let (plain, _) = models(&shape);
        let model = plain.decoder();
        let mut from = SplitMix64::new(2);
        let input = random([50, 24], 0.6, &mut from);
        let path = Path::new(&model, input, random([1, 24], 0.6, &mut from), &[]);
        let stretches = [Stretch { path: &path, alphas }];
        let c = random([2, 40], 1.0, &mut from);
        let rotary = model.rotary(50);
        let cpu = Cpu {
            threads: Threads::All,
            rotary: rotary.clone(),
        };
        let on_device = OnDevice::new(&Device::flex(), DType::F32, &rotary, &Sequences::new(vec![50; 2]));
        let by = |gradients| {
            let ours = by_hand(&cpu, &model, &stretches, 2, &c, gradients).1;
            close(
                &by_hand(&on_device, &model, &stretches, 2, &c, gradients).1,
                &ours,
                3e-4,
            );
            ours
        };
        let usual = by(own);
        let largest = usual.iter().fold(0.0f32, |most, score| most.max(score.abs()));
        by(all);
        for (moved, gradients) in moved.iter_mut().zip([temperature, norms, queries, values, gated]) {
            let other = by(gradients);
            let most = other.iter().zip(&usual).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            *moved += usize::from(most > 1e-2 * largest);
        }
    }
    // One shape in two has no gate, or no norm worth the name.
    assert!(moved.iter().all(|&count| count >= 6), "{moved:?} of 24 shapes");
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    let (plain, _) = models(&llama(2, None, 2));
    let model = plain.decoder();
    let device = Device::flex();
    let mut from = SplitMix64::new(3);
    let input = random([20, 24], 0.6, &mut from);
    let path = Path::new(&model, input, Tensor::zeros([1, 24], &device), &[]);
    let ops = Cpu {
        threads: Threads::One,
        rotary: model.rotary(20),
    };
    let c = random([3, 40], 1.0, &mut from);
    let c = Tensor::cat(vec![c.clone(), c], 0);
    let alphas = [0.1, 0.4, 0.9, 0.1, 0.4, 0.9];
    let all = by_hand(
        &ops,
        &model,
        &[Stretch {
            path: &path,
            alphas: &alphas,
        }],
        6,
        &c,
        Gradients::OWN,
    )
    .1;
    let alone = by_hand(
        &ops,
        &model,
        &[Stretch {
            path: &path,
            alphas: &alphas[..3],
        }],
        3,
        &c,
        Gradients::OWN,
    )
    .1;
    if crate::kernel::gemm::rows_are_independent() {
        assert_eq!(all[..60], alone[..]);
        assert_eq!(all[60..], alone[..]);
    }
    close(&all[..60], &alone, 1e-4);
}

#[test]
fn near_zero_the_first_norm_keeps_its_digits() {
    // On the way from zero, at α² · mean(x²) ≫ ε, a score is the small rest of two large terms in the first norm's
    // gradient.
    let (plain, _) = models(&llama(4, None, 2));
    let model = plain.decoder();
    let device = Device::flex();
    let input = random([7, 24], 5.0, &mut SplitMix64::new(4));
    let path = Path::new(&model, input, Tensor::zeros([1, 24], &device), &[]);
    let at = path.projection.as_ref().unwrap().at(3, 1.0);
    // r³ ε exactly, which float32 differences could not give.
    assert!((at.along / (at.scale.powi(3) * 1e-5) - 1.0).abs() < 1e-6);
}

/// F = Σ log p(token | those before it), read at several positions, against autodiff through Burn's modules; beside a
/// path that is read at one.
#[test]
fn an_answer_of_several_tokens_is_that_of_autodiff() {
    for config in [llama(2, None, 3), llama(4, Some(4), 1), mixed(4), falcon()] {
        let (plain, tracked) = models(&config);
        let backend = Backend::cpu();
        let explainer = Explainer::new(plain, &backend, DType::F32);
        let (prompt, answer, other) = ([5u32, 9, 1, 30, 22, 8, 17], [3u32, 11, 29], [1u32, 4, 6, 2]);
        let scalar = |token| Scalar {
            token,
            output: Output::LogProbability,
            minus: None,
        };
        let path = explainer
            .path(&prompt, BaselineVector::Token(2), &answer[..2], Routing::Free)
            .unwrap();
        let short = explainer
            .path(&other, BaselineVector::Mean, &[], Routing::Free)
            .unwrap();
        let alphas = vec![0.25, 0.8];
        let wanted = [(&path, answer[2]), (&short, 7)].map(|(path, token)| Points {
            path,
            alphas: alphas.clone(),
            asked: vec![scalar(token).into()],
        });
        let mut explainer = explainer;
        let found = explainer.evaluate(&wanted, Batch::Fixed(4), &mut |_| ()).unwrap();

        let device = Device::flex().autodiff();
        let ids = |ids: &[u32]| {
            let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
            let shape = [1, ids.len()];
            Tensor::<2, Int>::from_data(TensorData::new(ids, shape), &device)
        };
        let whole = [&prompt[..], &answer[..2]].concat();
        let input = tracked.embed(ids(&whole));
        let start = tracked.embed(ids(&[2; 7]));
        let baseline = Tensor::cat(vec![start, input.clone().narrow(1, 7, 2)], 1);
        let difference = (input - baseline.clone()).detach();
        for (alpha, value) in alphas.iter().zip(&found[0]) {
            let x = (baseline.clone() + difference.clone() * *alpha).detach().require_grad();
            let logits = tracked.logits(x.clone());
            let logs = log_softmax(logits, 2).narrow(1, 6, 3).reshape([3, 40]);
            let tokens: Vec<i64> = answer.iter().map(|&id| i64::from(id)).collect();
            let tokens = Tensor::<2, Int>::from_data(TensorData::new(tokens, [3, 1]), &device);
            let f = logs.gather(1, tokens).sum();
            let expected = f64::from(floats(f.clone().inner())[0]);
            assert!(
                (value[0].output - expected).abs() < 1e-4,
                "{} for {expected}",
                value[0].output
            );
            let gradients = f.backward();
            let scores = x.grad(&gradients).unwrap() * difference.clone().inner();
            let scores = floats(scores.sum_dim(2).reshape([9]));
            assert_eq!(value[0].scores.len(), 7);
            for (ours, theirs) in value[0].scores.iter().zip(&scores) {
                assert!(
                    (ours - f64::from(*theirs)).abs() < 2e-4,
                    "{:?} for {scores:?}",
                    value[0].scores
                );
            }
            assert_eq!(&scores[7..], [0.0; 2]);
        }
        // The other path is what it is alone.
        let alone = explainer.evaluate(&wanted[1..], Batch::Fixed(2), &mut |_| ()).unwrap();
        for (value, alone) in found[1].iter().zip(&alone[0]) {
            assert!((value[0].output - alone[0].output).abs() < 1e-5);
            for (a, b) in value[0].scores.iter().zip(&alone[0].scores) {
                assert!((a - b).abs() < 1e-5, "{:?} for {:?}", value[0].scores, alone[0].scores);
            }
        }
        // At the end of the path F is the answer's log-probability, token by token.
        let by_token: f64 = (0..3)
            .map(|said| {
                let logits = explainer.logits(&[&prompt[..], &answer[..said]].concat()).unwrap();
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f64 = logits.iter().map(|&logit| f64::from(logit - largest).exp()).sum();
                f64::from(logits[answer[said] as usize] - largest) - sum.ln()
            })
            .sum();
        let ours = explainer.log_probability(&prompt, &answer).unwrap();
        assert!((ours - by_token).abs() < 1e-4, "{ours} for {by_token}");
        let ends = explainer
            .ends(
                &prompt,
                BaselineVector::Token(2),
                (&answer[..2], 0),
                None,
                &[scalar(answer[2])],
            )
            .unwrap();
        assert!((ends[0].input - by_token).abs() < 1e-4);
        // A token that is given stays where it is, and counts no more: what is left is the whole less its own share.
        let of = |forced: &[u32], given, token| {
            let path = explainer.path(&prompt, BaselineVector::Token(2), forced, Routing::Free);
            (path.unwrap().with_given(given), scalar(token))
        };
        let paths = [
            of(&answer[..2], 0, answer[2]),
            of(&answer[..2], 1, answer[2]),
            of(&[], 0, answer[0]),
        ];
        let wanted = paths.each_ref().map(|(path, scalar)| Points {
            path,
            alphas: vec![0.4],
            asked: vec![(*scalar).into()],
        });
        let found = explainer.evaluate(&wanted, Batch::Auto, &mut |_| ()).unwrap();
        let [whole, behind, first] = [0, 1, 2].map(|index| &found[index][0][0]);
        assert!((whole.output - behind.output - first.output).abs() < 1e-4);
        for ((whole, behind), first) in whole.scores.iter().zip(&behind.scores).zip(&first.scores) {
            assert!((whole - behind - first).abs() < 2e-4, "{whole} {behind} {first}");
        }
        let ends = explainer.ends(
            &prompt,
            BaselineVector::Token(2),
            (&answer[..2], 1),
            None,
            &[scalar(answer[2])],
        );
        let alone = explainer.log_probability(&prompt, &answer[..1]).unwrap();
        assert!((ends.unwrap()[0].input - (by_token - alone)).abs() < 1e-4);
    }
}

/// With kept keys and values the model says what it says when it reads everything again for each token.
#[test]
fn a_token_at_a_time_is_the_whole_again() {
    let mut said = vec![];
    for config in [
        llama(2, None, 3),
        llama(4, Some(3), 2),
        llama(1, None, 1),
        mixed(3),
        falcon(),
    ] {
        let (plain, _) = models(&config);
        let backend = Backend::cpu();
        let prompt = [5u32, 9, 1, 30, 22];
        // The kernels, and Burn's operations in half precision.
        for dtype in [DType::F32, DType::F16] {
            let plain = plain.clone().map(&mut ToDtype(dtype));
            let explainer = Explainer::new(plain, &backend, dtype);
            let mut told = 0;
            let ours = explainer.generate(&prompt, &[], 12, &mut || told += 1).unwrap();
            assert_eq!((ours.len(), told), (12, 12));
            let mut again = vec![];
            for _ in 0..12 {
                again.push(argmax(&explainer.logits(&[&prompt[..], &again].concat()).unwrap()));
            }
            assert_eq!(ours, again, "{dtype:?}");
            // It ends before a token that means the end.
            let stop = ours[5];
            let first = ours.iter().position(|&token| token == stop).unwrap();
            assert_eq!(
                explainer.generate(&prompt, &[stop], 12, &mut || ()).unwrap(),
                &ours[..first]
            );
            said.push(ours);
        }
        assert!(
            said[0].iter().any(|token| token != &said[0][0]),
            "a model that says one word shows nothing: {said:?}"
        );
    }
}

struct ToDtype(DType);

impl burn::module::ModuleMapper for ToDtype {
    fn map_float<const D: usize>(&mut self, param: burn::module::Param<Tensor<D>>) -> burn::module::Param<Tensor<D>> {
        param.map(|value| value.cast(self.0))
    }
}

/// With every switch: logits of a prompt that is read token by token are those of the whole prompt.
#[test]
fn a_token_behind_others_is_that_of_a_forward_pass_whatever_the_switches() {
    fn by_token<O: Ops>(model: &Decoder, ops: impl Fn(&Sequences) -> O, x: &Tensor<2>) -> Tensor<2> {
        let read = |rows: std::ops::Range<usize>, known: Option<&Known<O>>| {
            let sequence = Sequences::behind(vec![rows.start], vec![rows.len()], vec![1]);
            let x = x.clone().narrow(0, rows.start, rows.len());
            model.read(&ops(&sequence), &sequence, Entry::Embeddings(&x), known)
        };
        let (mut logits, mut known) = read(0..3, None);
        for token in 3..x.dims()[0] {
            (logits, known) = read(token..token + 1, Some(&known));
        }
        logits
    }
    let device = Device::flex();
    for seed in 0..24 {
        let shape = any_shape(&mut SplitMix64::new(seed));
        let (plain, _) = models(&shape);
        let model = plain.decoder();
        let x = random([11, 24], 0.6, &mut SplitMix64::new(5));
        let rotary = model.rotary(11);
        let cpu = Cpu {
            threads: Threads::One,
            rotary: rotary.clone(),
        };
        let on_device = |sequences: &Sequences| OnDevice::new(&device, DType::F32, &rotary, sequences);
        let whole = model.forward(&cpu, &Sequences::new(vec![11]), Entry::Embeddings(&x), Keep::Nothing);
        let whole = floats(whole.logits);
        close(&floats(by_token(&model, |_| cpu.clone(), &x)), &whole, 2e-5);
        close(&floats(by_token(&model, on_device, &x)), &whole, 2e-5);
    }
}

/// With every switch: several sequences in one pass, each with rows of its own behind a part of one of two prompts that
/// were read before. `IGSITE_SEEDS=200` tries more.
#[test]
fn rows_behind_a_known_part_are_those_of_a_forward_pass_whatever_the_switches() {
    fn both<O: Ops>(
        model: &Decoder,
        ops: impl Fn(&Sequences) -> O,
        prompts: &[Tensor<2>; 2],
        sequences: &[(usize, usize, Tensor<2>)],
        tails: &[usize],
    ) -> [Vec<f32>; 2] {
        let known = prompts.each_ref().map(|x| {
            let one = Sequences::new(vec![x.dims()[0]]);
            model.read(&ops(&one), &one, Entry::Embeddings(x), None).1
        });
        let known: Vec<&Known<O>> = sequences.iter().map(|(prompt, ..)| &known[*prompt]).collect();
        let lengths = sequences.iter().map(|(.., rows)| rows.dims()[0]).collect();
        let before: Vec<usize> = sequences.iter().map(|(_, before, _)| *before).collect();
        let parts = Sequences::behind(before, lengths, tails.to_vec());
        let rows = Tensor::cat(sequences.iter().map(|(.., rows)| rows.clone()).collect(), 0);
        let behind = model.behind(&ops(&parts), &parts, Entry::Embeddings(&rows), &known);
        let whole = |(prompt, before, rows): &(usize, usize, Tensor<2>)| match before {
            0 => rows.clone(),
            _ => Tensor::cat(vec![prompts[*prompt].clone().narrow(0, 0, *before), rows.clone()], 0),
        };
        let rows = Tensor::cat(sequences.iter().map(whole).collect(), 0);
        let wholes = Sequences::with_tails(parts.wholes().to_vec(), tails.to_vec());
        let all = model.forward(&ops(&wholes), &wholes, Entry::Embeddings(&rows), Keep::Nothing);
        [floats(behind), floats(all.logits)]
    }
    let device = Device::flex();
    let seeds = std::env::var("IGSITE_SEEDS").ok().and_then(|text| text.parse().ok());
    for seed in 0..seeds.unwrap_or(24) {
        let shape = any_shape(&mut SplitMix64::new(seed));
        let (plain, _) = models(&shape);
        let model = plain.decoder();
        let from = &mut SplitMix64::new(6);
        let prompts = [11, 7].map(|rows| random([rows, 24], 0.6, from));
        let ends = [(0, 4), (0, 4), (0, 9), (0, 0), (1, 4), (1, 3), (1, 6)];
        let sequences = ends.map(|(prompt, before): (usize, usize)| {
            let length = prompts[prompt].dims()[0] - before;
            (prompt, before, random([length, 24], 0.6, from))
        });
        let rotary = model.rotary(11);
        let on_device = |sequences: &Sequences| OnDevice::new(&device, DType::F32, &rotary, sequences);
        for tails in [[1; 7], [2, 1, 2, 3, 1, 4, 1]] {
            for threads in [Threads::One, Threads::All] {
                let cpu = |_: &Sequences| Cpu {
                    threads,
                    rotary: rotary.clone(),
                };
                let [behind, whole] = both(&model, cpu, &prompts, &sequences, &tails);
                close(&behind, &whole, 2e-5);
            }
            let [behind, whole] = both(&model, on_device, &prompts, &sequences, &tails);
            close(&behind, &whole, 2e-5);
        }
    }
}
