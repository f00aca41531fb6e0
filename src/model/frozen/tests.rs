//! The written-out backward pass against automatic differentiation, and the kernels against Burn's operations.

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};

use super::cpu::Cpu;
use super::device::OnDevice;
use super::ops::{Ops, Sequences, Stretch};
use super::path::Path;
use super::{Entry, Frozen};
use crate::attribution::integrated_gradients::{Explainer, Points, Scalar, argmax};
use crate::checkpoint::config::{FalconConfig, LlamaConfig, ModelConfig};
use crate::content::random::SplitMix64;
use crate::kernel::Threads;
use crate::model::CausalLm;
use crate::model::device::Backend;
use crate::tensor::host::floats;
use crate::terms::{BaselineVector, Batch, Output};

fn llama(key_heads: usize, window: Option<usize>, layers: usize) -> ModelConfig {
    ModelConfig::Llama(LlamaConfig {
        vocab_size: 40,
        hidden_size: 24,
        intermediate_size: 44,
        num_hidden_layers: layers,
        num_attention_heads: 4,
        num_key_value_heads: key_heads,
        head_dim: 6,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        sliding_window: window,
        full_layers: vec![],
        tie_word_embeddings: false,
        model_type: "llama".to_owned(),
    })
}

/// A Llama whose layers see a few positions only, but for one that sees all.
fn mixed(window: usize) -> ModelConfig {
    let ModelConfig::Llama(config) = llama(2, Some(window), 3) else {
        unreachable!()
    };
    ModelConfig::Llama(LlamaConfig {
        full_layers: vec![1],
        ..config
    })
}

fn falcon() -> ModelConfig {
    ModelConfig::Falcon(FalconConfig {
        vocab_size: 40,
        hidden_size: 24,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        layer_norm_epsilon: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
    })
}

/// Numbers between −`size` and `size`, the same in every run (Burn's own seed is shared by all tests of a process).
fn random<const D: usize>(shape: [usize; D], size: f64, from: &mut SplitMix64) -> Tensor<D> {
    let count = shape.iter().product();
    let value = |from: &mut SplitMix64| (from.next_u64() as f64 / u64::MAX as f64 * 2.0 - 1.0) * size;
    let values: Vec<f32> = (0..count).map(|_| value(from) as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), &Device::flex())
}

/// A model whose weights are large enough for attention to be uneven, with and without autodiff.
fn models(config: &ModelConfig) -> (CausalLm, CausalLm) {
    use burn::module::{Module, ModuleMapper, Param};

    struct Larger(SplitMix64);
    impl ModuleMapper for Larger {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            // Norms stay near one.
            let level = if D == 1 { 1.0 } else { 0.0 };
            param.map(|value| random(value.dims(), 0.25, &mut self.0) + level)
        }
    }
    let plain = CausalLm::init(config, &Device::flex()).map(&mut Larger(SplitMix64::new(1)));
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
    model: &Frozen,
    stretches: &[Stretch<'_>],
    count: usize,
    c: &Tensor<2>,
) -> (Vec<f32>, Vec<f32>) {
    let lengths = stretches
        .iter()
        .flat_map(|s| s.alphas.iter().map(|_| s.path.tokens()))
        .collect();
    let sequences = Sequences::new(lengths);
    let trace = model.forward(ops, &sequences, Entry::Paths(stretches), true);
    let gradient = c.clone().narrow(0, 0, count).matmul(model.head().tensor());
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
    let scores = model.backward(ops, &sequences.first(count), &trace, &first, ops.to_rows(gradient));
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

#[test]
fn equals_autodiff_on_every_architecture() {
    let device = Device::flex();
    for config in [
        llama(4, None, 3),
        llama(2, Some(5), 2),
        llama(1, None, 1),
        mixed(5),
        falcon(),
    ] {
        let (plain, tracked) = models(&config);
        let model = plain.frozen();
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
        let all = Sequences::new(vec![9, 9, 9, 61, 61, 1]);
        let on_device = OnDevice::new(&device, DType::F32, &rotary, &all);
        let mut logits = Vec::new();
        for count in [6, 4, 1] {
            let rows: usize = [9, 9, 9, 61, 61, 1].iter().take(count).sum();
            for threads in [Threads::One, Threads::All] {
                let ops = Cpu {
                    threads,
                    rotary: rotary.clone(),
                };
                let (all, scores) = by_hand(&ops, &model, &stretches, count, &c);
                close(&scores, &expected[..rows], 1e-4);
                logits.push(all);
            }
            let (all, scores) = by_hand(&on_device, &model, &stretches, count, &c);
            close(&scores, &expected[..rows], 1e-4);
            logits.push(all);
        }
        for other in &logits {
            close(other, &logits[0], 1e-5);
        }
    }
}

#[test]
fn a_row_does_not_depend_on_its_company() {
    let (plain, _) = models(&llama(2, None, 2));
    let model = plain.frozen();
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
    // On the way from zero, at α² · mean(x²) ≫ ε, a score is the small rest of two large terms in the first norm's gradient.
    let (plain, _) = models(&llama(4, None, 2));
    let model = plain.frozen();
    let device = Device::flex();
    let input = random([7, 24], 5.0, &mut SplitMix64::new(4));
    let path = Path::new(&model, input, Tensor::zeros([1, 24], &device), &[]);
    let at = path.projection.as_ref().unwrap().at(3, 1.0);
    // r³ ε exactly, which float32 differences could not give.
    assert!((at.along / (at.scale.powi(3) * 1e-5) - 1.0).abs() < 1e-6);
}

/// F = Σ log p(token | those before it), read at several positions, against autodiff through Burn's modules; beside a path that is read
/// at one.
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
        let path = explainer.path(&prompt, BaselineVector::Token(2), &answer[..2]).unwrap();
        let short = explainer.path(&other, BaselineVector::Mean, &[]).unwrap();
        let alphas = vec![0.25, 0.8];
        let wanted = [(&path, answer[2]), (&short, 7)].map(|(path, token)| Points {
            path,
            alphas: alphas.clone(),
            scalars: vec![scalar(token)],
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
            let logits = tracked.logits(tracked.hidden(x.clone()));
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
            .ends(&prompt, BaselineVector::Token(2), &answer[..2], &[scalar(answer[2])])
            .unwrap();
        assert!((ends[0].input - by_token).abs() < 1e-4);
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
