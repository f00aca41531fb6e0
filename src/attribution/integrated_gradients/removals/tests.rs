use super::super::tests::{all, drawn, task};
use super::*;
use crate::attribution::integral::Nodes;
use crate::attribution::methods::{Attribution, prepare};
use crate::attribution::quadrature;
use crate::attribution::schedule::Task;
use crate::random::SplitMix64;
use crate::tensor::host::floats;
use crate::terms::{MethodWithSettings, Output, PathStart, Quadrature, UnitKind};

fn explainer(kind: &str) -> Explainer {
    let mut config = serde_json::json!({
        "model_type": kind, "vocab_size": 50, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2,
    });
    if kind == "mixtral" {
        config["num_local_experts"] = 5.into();
        config["num_experts_per_tok"] = 2.into();
    }
    drawn(&config)
}

fn scalar(token: u32, output: Output) -> Scalar {
    Scalar {
        token,
        output,
        minus: None,
    }
}

const IDS: [u32; 14] = [3, 17, 9, 41, 22, 8, 30, 2, 2, 19, 44, 5, 11, 28];

fn units() -> Vec<Vec<usize>> {
    vec![
        vec![1],
        vec![2, 3],
        vec![12],
        vec![5, 9],
        vec![10],
        vec![13],
        vec![6, 7, 8],
    ]
}

fn masks(count: usize) -> Vec<Vec<bool>> {
    let mut from = SplitMix64::new(4);
    (0..count)
        .map(|_| (0..7).map(|_| from.below(3) == 0).collect())
        .collect()
}

fn prompt<'a>(units: &'a [Vec<usize>], scalars: &'a [Scalar]) -> Replaceable<'a> {
    Replaceable {
        ids: &IDS,
        forced: &[],
        given: 0,
        units,
        replacement: BaselineVector::Mean,
        routing: Routing::Free,
        scalars,
    }
}

fn found(explainer: &mut Explainer, prompt: &Replaceable<'_>, masks: &[Vec<bool>], batch: Batch) -> Vec<Vec<f64>> {
    let masks: Vec<Mask> = masks.iter().map(|mask| Mask::of(mask)).collect();
    let mut removals = explainer.removals(prompt).unwrap();
    explainer
        .remove(&mut [(&mut removals, &masks[..])], batch, &mut |_| ())
        .unwrap();
    masks
        .iter()
        .map(|mask| removals.get(mask).unwrap().values.clone())
        .collect()
}

fn close(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (mask, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() <= tolerance * b.abs().max(1e-3),
                "mask {mask}: {a} for {b}"
            );
        }
    }
}

/// Whole forward passes, one at a time, over embeddings that are replaced row by row.
fn by_hand(explainer: &Explainer, prompt: &Replaceable<'_>, mask: &[bool]) -> Vec<f64> {
    let all = [prompt.ids, prompt.forced].concat();
    let mut rows = floats(explainer.embed(&all));
    let start = floats(explainer.start(prompt.replacement));
    for (tokens, _) in prompt.units.iter().zip(mask).filter(|(_, replaced)| **replaced) {
        for &token in tokens {
            for (d, value) in rows[token * 32..(token + 1) * 32].iter_mut().enumerate() {
                *value = match prompt.replacement {
                    BaselineVector::ZeroFrom(start) => *value * start.alpha() as f32,
                    _ => start[d],
                };
            }
        }
    }
    let x = crate::tensor::host::tensor(rows, [1, all.len(), 32]);
    let logits = floats(explainer.model.logits(x));
    let log_probability = |position: usize, token: u32| {
        let logits = &logits[position * 50..(position + 1) * 50];
        let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
        f64::from(logits[token as usize]) - sum.ln()
    };
    let last = prompt.ids.len() - 1;
    let of = |scalar: &Scalar| {
        let answer = prompt.forced.iter().chain([&scalar.token]);
        let sum: f64 = answer
            .enumerate()
            .map(|(said, &token)| log_probability(last + said, token))
            .sum();
        match scalar.output {
            Output::Probability => sum.exp(),
            Output::LogProbability => sum,
            Output::Logit => f64::from(logits[last * 50 + scalar.token as usize]),
        }
    };
    prompt.scalars.iter().map(of).collect()
}

#[test]
fn values_are_those_of_whole_passes_over_replaced_rows() {
    let units = units();
    let scalars = [Output::Probability, Output::Logit, Output::LogProbability].map(|output| scalar(7, output));
    let masks: Vec<Vec<bool>> = masks(20).into_iter().chain([vec![false; 7], vec![true; 7]]).collect();
    let entered = BaselineVector::ZeroFrom(PathStart::new(0.25).unwrap());
    for kernels in [true, false] {
        let mut explainer = explainer("llama");
        explainer.kernels = kernels;
        for replacement in [
            BaselineVector::Mean,
            BaselineVector::Zero,
            BaselineVector::Token(4),
            entered,
        ] {
            for forced in [&[][..], &[6, 31]] {
                let prompt = Replaceable {
                    forced,
                    replacement,
                    scalars: if forced.is_empty() { &scalars } else { &scalars[2..] },
                    ..prompt(&units, &scalars)
                };
                let expected: Vec<Vec<f64>> = masks.iter().map(|mask| by_hand(&explainer, &prompt, mask)).collect();
                let found = found(&mut explainer, &prompt, &masks, Batch::Auto);
                close(&found, &expected, 1e-4);
            }
        }
    }
}

#[test]
fn values_depend_on_no_batch_and_no_company_and_no_reuse() {
    let (units, short) = (units(), vec![vec![0], vec![2]]);
    let scalars = [scalar(7, Output::Probability), scalar(8, Output::LogProbability)];
    let masks = masks(40);
    for kernels in [true, false] {
        let mut explainer = explainer("llama");
        explainer.kernels = kernels;
        let prompt = prompt(&units, &scalars);
        let together = found(&mut explainer, &prompt, &masks, Batch::Auto);
        for size in [1, 3, 1000] {
            close(
                &found(&mut explainer, &prompt, &masks, Batch::Fixed(size)),
                &together,
                2e-5,
            );
        }
        let all: Vec<Mask> = masks.iter().map(|mask| Mask::of(mask)).collect();
        let mut whole = explainer.removals(&prompt).unwrap();
        whole.without_reuse();
        let other = Replaceable {
            ids: &IDS[..3],
            forced: &[9],
            given: 0,
            scalars: &scalars[1..],
            ..super::tests::prompt(&short, &scalars)
        };
        let mut beside = explainer.removals(&other).unwrap();
        let one = Mask::of(&[false, true]);
        let few = [one.clone(), one.clone()];
        let mut told = 0;
        let mut wanted = [(&mut beside, &few[..]), (&mut whole, &all[..])];
        explainer
            .remove(&mut wanted, Batch::Auto, &mut |count| told += count)
            .unwrap();
        let apart: Vec<Vec<f64>> = all.iter().map(|mask| whole.get(mask).unwrap().values.clone()).collect();
        close(&apart, &together, 2e-5);
        let alone = found(&mut explainer, &other, &[vec![false, true]], Batch::Fixed(1));
        close(&[beside.get(&one).unwrap().values.clone()], &alone, 2e-5);
        // Each mask once, and no pass for what is known.
        let distinct: HashSet<&Mask> = all.iter().collect();
        assert_eq!(told, distinct.len() + 1);
        explainer.most = 0;
        explainer
            .remove(&mut [(&mut whole, &all[..])], Batch::Auto, &mut |_| panic!("known"))
            .unwrap();
    }
}

#[test]
fn a_view_of_one_scalar_gives_its_values() {
    let mut explainer = explainer("llama");
    let units = units();
    let scalars = [scalar(7, Output::Probability), scalar(8, Output::LogProbability)];
    let masks = masks(5);
    let all = found(&mut explainer, &prompt(&units, &scalars), &masks, Batch::Auto);
    let mut removals = explainer.removals(&prompt(&units, &scalars)).unwrap();
    for scalar in [0, 1] {
        let mut view = RemovalOf {
            explainer: &mut explainer,
            removals: &mut removals,
            scalar,
            batch: Batch::Fixed(2),
        };
        assert_eq!(view.units(), 7);
        let values: Vec<Vec<f64>> = view
            .values(&masks)
            .unwrap()
            .into_iter()
            .map(|value| vec![value])
            .collect();
        let expected: Vec<Vec<f64>> = all.iter().map(|values| vec![values[scalar]]).collect();
        close(&values, &expected, 2e-5);
    }
    // The answer is the token with the largest logit.
    let every: Vec<Scalar> = (0..50).map(|token| scalar(token, Output::Logit)).collect();
    let logits = found(&mut explainer, &prompt(&units, &every), &masks, Batch::Auto);
    let largest = |logits: &Vec<f64>| (0..50).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as u32;
    let expected: Vec<u32> = logits.iter().map(largest).collect();
    let mut view = RemovalOf {
        explainer: &mut explainer,
        removals: &mut removals,
        scalar: 0,
        batch: Batch::Auto,
    };
    assert_eq!(view.answers(&masks).unwrap(), expected);
    let distinct: HashSet<u32> = expected.into_iter().collect();
    assert!(distinct.len() > 1, "a model that always says the same shows nothing");
}

#[test]
fn memory_that_runs_out_halves_the_batch_and_loses_nothing() {
    let mut explainer = explainer("llama");
    let units = units();
    let scalars = [scalar(7, Output::Probability)];
    let masks = masks(60);
    let free = found(&mut explainer, &prompt(&units, &scalars), &masks, Batch::Auto);
    let budget = explainer.budget;
    explainer.most = 2;
    close(
        &found(&mut explainer, &prompt(&units, &scalars), &masks, Batch::Auto),
        &free,
        2e-5,
    );
    assert!(explainer.budget < budget, "remembered for the next prompt");
    explainer.most = 0;
    let mut removals = explainer.removals(&prompt(&units, &scalars)).unwrap();
    let one = [Mask::all(7)];
    let told = explainer.remove(&mut [(&mut removals, &one[..])], Batch::Auto, &mut |_| ());
    assert!(told.unwrap_err().message.contains("out of memory"));
}

/// With frozen routing a replaced prompt has the experts of the prompt: those that [`Explainer::ends`] gives its end
/// of the path, where all tokens are replaced.
#[test]
fn experts_may_be_those_of_the_prompt() {
    let units: Vec<Vec<usize>> = (0..IDS.len()).map(|token| vec![token]).collect();
    let scalars = [scalar(7, Output::LogProbability)];
    let mut differ = false;
    for kernels in [true, false] {
        let mut explainer = explainer("mixtral");
        explainer.kernels = kernels;
        for forced in [&[][..], &[6]] {
            let mut of_each = vec![];
            for routing in [Routing::Free, Routing::Frozen] {
                let prompt = Replaceable {
                    forced,
                    routing,
                    ..prompt(&units, &scalars)
                };
                let path = explainer.path(&IDS, BaselineVector::Mean, forced, routing).unwrap();
                let frozen = path.frozen.as_deref();
                let ends = explainer
                    .ends(&IDS, BaselineVector::Mean, (forced, 0), frozen, &scalars)
                    .unwrap();
                let masks = [vec![false; 14], vec![true; 14]];
                let found = found(&mut explainer, &prompt, &masks, Batch::Auto);
                close(&found, &[vec![ends[0].input], vec![ends[0].baseline]], 2e-5);
                // With what stands before the first replaced token, and without.
                let half: Vec<bool> = (0..14).map(|token| token > 6 && token % 2 == 0).collect();
                let mask = [Mask::of(&half)];
                let mut whole = explainer.removals(&prompt).unwrap();
                whole.without_reuse();
                explainer
                    .remove(&mut [(&mut whole, &mask[..])], Batch::Auto, &mut |_| ())
                    .unwrap();
                let whole = vec![whole.get(&mask[0]).unwrap().values.clone()];
                close(
                    &super::tests::found(&mut explainer, &prompt, &[half], Batch::Auto),
                    &whole,
                    2e-5,
                );
                of_each.push(whole[0][0]);
            }
            differ |= (of_each[0] - of_each[1]).abs() > 1e-3;
        }
    }
    assert!(differ, "a model that always chooses the same experts shows nothing");
}

/// Tasks of several methods, scalars, baselines and prompts, some of which share passes.
fn tasks() -> Vec<Task> {
    let rule = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 8).into(),
        check: None,
    };
    let kind = UnitKind::Word;
    let occlusion = prepare(MethodWithSettings::Occlusion { units: kind });
    let shapley = |permutations, seed| {
        prepare(MethodWithSettings::Shapley {
            units: kind,
            permutations,
            seed,
        })
    };
    let mut tasks = Vec::new();
    for (ids, units) in [(&IDS[..], units()), (&IDS[2..8], vec![vec![0], vec![1, 2], vec![5]])] {
        for start in [BaselineVector::Mean, BaselineVector::Token(9)] {
            for token in [5, 45] {
                let path = task(ids, start, token, &rule);
                let methods = [occlusion.clone(), shapley(3, 1), shapley(4, 2)];
                tasks.push(path.clone());
                tasks.extend(methods.map(|method| Task {
                    units: units.clone(),
                    method,
                    ..path.clone()
                }));
            }
        }
    }
    tasks
}

/// But for rounding.
fn same(one: &Attribution, other: &Attribution) {
    let size: f64 = one.scores.iter().map(|score| score.abs()).sum();
    assert_eq!(one.scores.len(), other.scores.len());
    for (a, b) in one.scores.iter().zip(&other.scores) {
        assert!((a - b).abs() < 1e-4 * size, "{:?} {:?}", one.scores, other.scores);
    }
}

#[test]
fn maps_are_the_same_alone_and_in_company() {
    let tasks = tasks();
    for kernels in [true, false] {
        let mut explainer = explainer("llama");
        explainer.kernels = kernels;
        let together = all(&mut explainer, &tasks, Batch::Auto);
        for size in [1, 6] {
            for (one, other) in all(&mut explainer, &tasks, Batch::Fixed(size)).iter().zip(&together) {
                same(one, other);
            }
        }
        for (task, map) in tasks.iter().zip(&together) {
            let alone = all(&mut explainer, std::slice::from_ref(task), Batch::Auto).remove(0);
            same(&alone, map);
            assert_eq!(alone.evaluations, map.evaluations);
        }
        for of_path in together.chunks(4) {
            let [path, occlusion, shapley, other] = of_path else {
                unreachable!("four methods")
            };
            let change = shapley.change().unwrap();
            assert_eq!((occlusion.change(), other.change()), (Some(change), Some(change)));
            for map in [shapley, other] {
                let delta = map.convergence_delta().unwrap();
                assert!(
                    delta.abs() < 1e-12 * change.abs().max(1.0),
                    "exact additivity: {delta:e}"
                );
                assert_eq!(
                    map.unit_errors.as_ref().map(Vec::len),
                    map.unit_scores.as_ref().map(Vec::len)
                );
            }
            assert_eq!(
                (&occlusion.unit_errors, &occlusion.errors, path.unit_scores.is_none()),
                (&None, &None, true)
            );
        }
    }
}

#[test]
fn occlusion_is_what_whole_passes_say() {
    let mut explainer = explainer("llama");
    let tasks = tasks();
    let occlusion = all(&mut explainer, &tasks[1..2], Batch::Auto).remove(0);
    let units = units();
    let scalars = [Scalar {
        minus: None,
        ..tasks[1].scalar
    }];
    let prompt = prompt(&units, &scalars);
    let f = |mask: &[bool]| by_hand(&explainer, &prompt, mask)[0];
    let input = f(&[false; 7]);
    let expected = (0..7).map(|unit| input - f(&std::array::from_fn::<bool, 7, _>(|other| other == unit)));
    close(&[occlusion.unit_scores.unwrap()], &[expected.collect()], 1e-3);
    assert_eq!(occlusion.evaluations, 9);
}

/// What a model is given before what is explained is no part of F, whatever is replaced; its own answer stays that
/// behind the prompt.
#[test]
fn tokens_that_are_given_do_not_count() {
    let (units, masks) = (units(), masks(12));
    for kernels in [true, false] {
        let mut explainer = explainer("llama");
        explainer.kernels = kernels;
        let of = |forced, given, scalars| Replaceable {
            forced,
            given,
            ..prompt(&units, scalars)
        };
        let (last, first) = ([scalar(7, Output::LogProbability)], [scalar(9, Output::LogProbability)]);
        let mut read = |prompt: &Replaceable<'_>| found(&mut explainer, prompt, &masks, Batch::Auto);
        let whole = read(&of(&[9, 31], 0, &last));
        let behind = read(&of(&[9, 31], 1, &last));
        let own = read(&of(&[], 0, &first));
        let rest: Vec<Vec<f64>> = whole.iter().zip(&own).map(|(all, own)| vec![all[0] - own[0]]).collect();
        close(&behind, &rest, 1e-4);
        // Beside a prompt of which all is counted.
        let (given, counted) = (of(&[9, 31], 1, &last), of(&[], 0, &first));
        let mut two = [
            explainer.removals(&given).unwrap(),
            explainer.removals(&counted).unwrap(),
        ];
        let masks: Vec<Mask> = masks.iter().map(|mask| Mask::of(mask)).collect();
        let [one, other] = &mut two;
        let mut wanted = [(one, &masks[..]), (other, &masks[..])];
        explainer.remove(&mut wanted, Batch::Auto, &mut |_| ()).unwrap();
        for (mask, (behind, own)) in masks.iter().zip(behind.iter().zip(&own)) {
            let [given, counted] = two.each_ref().map(|removals| removals.get(mask).unwrap());
            close(
                &[given.values.clone(), counted.values.clone()],
                &[behind.clone(), own.clone()],
                1e-4,
            );
            assert_eq!(given.answer, counted.answer);
        }
    }
}
