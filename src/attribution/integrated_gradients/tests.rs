use super::*;
use crate::attribution::integral::Nodes;
use crate::attribution::quadrature;
use crate::checkpoint::config;
use crate::model::path::Path;
use crate::terms::{MethodWithSettings, PathStart, Quadrature};

fn explainer() -> Explainer {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
    });
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let backend = Backend::cpu();
    Explainer::new(CausalLm::init(&shape, &backend.device), &backend, DType::F32)
}

pub(super) fn task(ids: &[u32], start: BaselineVector, token: u32, rule: &Nodes) -> Task {
    let output = Output::LogProbability;
    let scalar = Scalar {
        token,
        output,
        minus: (token > 40).then_some(3),
    };
    Task {
        ids: ids.to_vec(),
        forced: vec![],
        given: 0,
        start,
        routing: Routing::Free,
        units: vec![],
        scalar,
        method: Prepared::Path(Arc::new(rule.clone())),
    }
}

pub(super) fn all(explainer: &mut Explainer, tasks: &[Task], batch: Batch) -> Vec<Attribution> {
    let mut found = vec![None; tasks.len()];
    let mut evaluations = 0;
    schedule::run(
        explainer,
        tasks,
        batch,
        &mut |count| evaluations += count,
        &mut |index, map| {
            assert!(
                found[index].replace(Attribution { seconds: 0.0, ..map }).is_none(),
                "told twice"
            );
            Ok(())
        },
    )
    .unwrap();
    let found: Vec<Attribution> = found.into_iter().map(Option::unwrap).collect();
    assert_eq!(evaluations, found.iter().map(|map| map.evaluations).sum::<usize>());
    found
}

#[test]
fn maps_are_the_same_alone_and_in_company() {
    let mut explainer = explainer();
    let adaptive = Nodes::Adaptive {
        tolerance: 1e-3,
        max_evaluations: 2000,
    };
    let fixed = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 24).into(),
        check: None,
    };
    let (first, second): (Vec<u32>, Vec<u32>) = ((0..30).collect(), (7..20).collect());
    let tasks = [
        task(&first, BaselineVector::Zero, 5, &adaptive),
        task(&first, BaselineVector::Zero, 45, &adaptive),
        task(&first, BaselineVector::Zero, 6, &fixed),
        task(&second, BaselineVector::Mean, 5, &adaptive),
        task(&second, BaselineVector::Token(4), 5, &fixed),
    ];
    let together = all(&mut explainer, &tasks, Batch::Auto);
    let is_adaptive = [true, true, false, true, false];
    for ((task, map), is_adaptive) in tasks.iter().zip(&together).zip(is_adaptive) {
        let alone = all(&mut explainer, std::slice::from_ref(task), Batch::Auto).remove(0);
        same(&alone, map);
        // And each is an integral: the scores sum to what F changed by.
        assert!(
            map.convergence_delta().unwrap().abs() < 2e-2 * map.change().unwrap().abs(),
            "{map:?}"
        );
        if is_adaptive {
            assert_eq!(
                (map.converged, map.history.last().unwrap().evaluations),
                (Some(true), map.evaluations)
            );
            assert!(map.error_estimate().unwrap() <= 1e-3);
        } else {
            assert_eq!((map.converged, &map.errors, map.evaluations), (None, &None, 24));
        }
    }
    for size in [1, 5, 1000] {
        for (one, other) in all(&mut explainer, &tasks, Batch::Fixed(size)).iter().zip(&together) {
            same(one, other);
        }
    }
}

/// GIM and gradient × input are of the same point; neither changes what the other, or a path integral, gives.
#[test]
fn methods_of_other_gradients_share_passes_and_nothing_else() {
    let mut explainer = explainer();
    let rule = Nodes::Fixed {
        // The right end is the input, which the others want too.
        points: quadrature::points(Quadrature::RiemannRight, 5).into(),
        check: None,
    };
    let mut tasks = Vec::new();
    for (length, start) in [(30, BaselineVector::Zero), (13, BaselineVector::Mean)] {
        let ids: Vec<u32> = (0..length).collect();
        for method in [MethodWithSettings::GradientXInput {}, MethodWithSettings::Gim {}] {
            tasks.push(Task {
                method: crate::attribution::methods::prepare(method),
                ..task(&ids, start, 5, &rule)
            });
        }
        tasks.push(task(&ids, start, 5, &rule));
    }
    let together = all(&mut explainer, &tasks, Batch::Auto);
    for (task, map) in tasks.iter().zip(&together) {
        same(&all(&mut explainer, std::slice::from_ref(task), Batch::Auto)[0], map);
    }
    for size in [1, 3, 100] {
        for (one, other) in all(&mut explainer, &tasks, Batch::Fixed(size)).iter().zip(&together) {
            same(one, other);
        }
    }
    for maps in together.chunks(3) {
        let [plain, gim, integral] = maps else {
            panic!("three methods")
        };
        assert_eq!((plain.f_input, plain.f_baseline), (gim.f_input, gim.f_baseline));
        assert_eq!((gim.evaluations, integral.evaluations), (1, 5));
        let largest = plain.scores.iter().fold(0.0f64, |most, score| most.max(score.abs()));
        let moved = plain.scores.iter().zip(&gim.scores).map(|(a, b)| (a - b).abs());
        assert!(
            moved.fold(0.0, f64::max) > 0.05 * largest,
            "{:?} {:?}",
            plain.scores,
            gim.scores
        );
    }
}

/// To the bit where the processor's product allows it, else but for rounding.
fn same(one: &Attribution, other: &Attribution) {
    if crate::kernel::gemm::rows_are_independent() {
        assert_eq!(one, other);
    }
    for (a, b) in one.scores.iter().zip(&other.scores) {
        assert!((a - b).abs() < 1e-4 * one.scores.iter().map(|s| s.abs()).sum::<f64>());
    }
}

#[test]
fn memory_that_runs_out_halves_the_batch_and_loses_nothing() {
    let mut explainer = explainer();
    let rule = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 64).into(),
        check: None,
    };
    let ids: Vec<u32> = (0..40).collect();
    let short: Vec<u32> = (0..5).collect();
    let tasks = [
        task(&ids, BaselineVector::Zero, 5, &rule),
        task(&short, BaselineVector::Mean, 5, &rule),
        task(&ids, BaselineVector::Mean, 5, &rule),
    ];
    let free = all(&mut explainer, &tasks, Batch::Auto);
    let budget = explainer.budget;
    explainer.most = 3;
    for (one, other) in all(&mut explainer, &tasks, Batch::Auto).iter().zip(&free) {
        same(one, other);
    }
    assert!(explainer.budget < budget, "remembered for the next map");
    explainer.most = 0;
    let told = schedule::run(&mut explainer, &tasks, Batch::Auto, &mut |_| (), &mut |_, _| Ok(())).unwrap_err();
    assert!(told.message.contains("out of memory"), "{told}");
    // A batch that was asked for is not made smaller.
    explainer.most = 3;
    assert!(
        schedule::run(
            &mut explainer,
            &tasks,
            Batch::Fixed(40),
            &mut |_| (),
            &mut |_, _| Ok(())
        )
        .is_err()
    );
}

#[test]
fn little_memory_means_small_passes() {
    let mut explainer = explainer();
    let path = explainer
        .path(&(0..40).collect::<Vec<_>>(), BaselineVector::Zero, &[], Routing::Free)
        .unwrap();
    let one = explainer.kept(&path);
    let scalars = vec![
        task(
            &[1],
            BaselineVector::Zero,
            5,
            &Nodes::Fixed {
                points: [].into(),
                check: None,
            },
        )
        .scalar,
    ];
    let wanted = [Points {
        path: &path,
        alphas: vec![0.5; 64],
        asked: scalars.into_iter().map(Asked::from).collect(),
    }];
    let sequences: Vec<(usize, usize)> = (0..64).map(|alpha| (0, alpha)).collect();
    let size = |&(index, _): &(usize, usize)| Size {
        rows: wanted[index].path.tokens(),
        bytes: one,
        kind: 0,
    };
    for (budget, most) in [(usize::MAX / 4, 12), (6 * one, 6), (one, 1), (0, 1)] {
        explainer.limit_memory(budget);
        let (passes, _) = explainer.passes(&sequences, Batch::Auto, &size);
        let largest = passes.iter().map(|pass| pass.len()).max().unwrap();
        assert!(largest <= most && largest * passes.len().min(rayon::current_num_threads()) <= most * 64);
        assert!(
            largest * one <= budget.max(one),
            "{largest} points of {one} bytes in {budget}"
        );
    }
    let long = explainer
        .path(&[7; 2000], BaselineVector::Zero, &[], Routing::Free)
        .unwrap();
    assert!(explainer.kept(&long) > 40 * one);
}

#[test]
fn a_panic_of_tensor_code_is_an_error_that_names_the_remedies() {
    let error = guarded(|| -> () {
        assert!(guard::is_guarded(), "the panic hook would print it");
        panic!("out of memory: 12 GiB")
    })
    .unwrap_err();
    assert_eq!(error.message, "the device failed: out of memory: 12 GiB");
    assert!(error.help.unwrap().contains("attribution.batch"));
}

/// A model with weights that are large enough for its answers, and experts, to differ.
pub(super) fn drawn(config: &serde_json::Value) -> Explainer {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::TensorData;

    use crate::random::SplitMix64;

    /// The same in every run: Burn's own seed is shared by all tests of a process.
    struct Drawn(SplitMix64);
    impl ModuleMapper for Drawn {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if D == 1 {
                return param;
            }
            param.map(|value| {
                let shape = value.dims();
                let draw = |_| ((self.0.next_u64() as f64 / u64::MAX as f64 - 0.5) * 0.8) as f32;
                let values: Vec<f32> = (0..shape.iter().product()).map(draw).collect();
                Tensor::from_data(TensorData::new(values, shape), &value.device())
            })
        }
    }
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let backend = Backend::cpu();
    let model = CausalLm::init(&shape, &backend.device).map(&mut Drawn(SplitMix64::new(3)));
    Explainer::new(model, &backend, DType::F32)
}

fn mixture() -> Explainer {
    drawn(&serde_json::json!({
        "model_type": "mixtral", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 5, "num_experts_per_tok": 2,
    }))
}

#[test]
fn jumps_of_a_mixture_are_told_apart_and_a_frozen_choice_has_none() {
    let mut explainer = mixture();
    let adaptive = Nodes::Adaptive {
        tolerance: 0.02,
        max_evaluations: 3000,
    };
    let fixed = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 400).into(),
        check: None,
    };
    let ids: Vec<u32> = (3..15).collect();
    let with = |routing: Routing, rule: &Nodes| Task {
        routing,
        ..task(&ids, BaselineVector::Token(20), 5, rule)
    };
    let tasks = [
        with(Routing::Free, &adaptive),
        with(Routing::Frozen, &adaptive),
        with(Routing::Free, &fixed),
        with(Routing::Frozen, &fixed),
    ];
    let maps = all(&mut explainer, &tasks, Batch::Auto);
    let quality = |map: &Attribution| map.routing.unwrap();
    for (map, task) in maps.iter().zip(&tasks) {
        let (found, change) = (quality(map), map.change().unwrap());
        let size: f64 = map.scores.iter().map(|score| score.abs()).sum();
        let delta = map.convergence_delta().unwrap();
        assert_eq!(found.routing, task.routing);
        // What the sum lacks is what F jumps by.
        assert!(
            (delta + found.residual).abs() < 0.03 * size.max(change.abs()),
            "{found:?} {delta} {change} {size}"
        );
        if task.routing == Routing::Free {
            assert!(
                found.changes > 10 && found.residual.abs() > 0.01 * size,
                "{found:?} {size}"
            );
        } else {
            assert_eq!((found.changes, found.residual), (0, 0.0));
            assert!(delta.abs() < 0.03 * size.max(change.abs()), "{delta} {change}");
        }
    }
    assert_eq!([maps[0].converged, maps[1].converged], [Some(true); 2]);
    // At the input the choice is the model's own; at the baseline it is not.
    assert!((maps[0].f_input - maps[1].f_input).abs() < 1e-5);
    assert!((maps[0].f_baseline.unwrap() - maps[1].f_baseline.unwrap()).abs() > 1e-3);
    // A dense model has nothing to tell.
    let dense = all(&mut self::explainer(), &[with(Routing::Frozen, &fixed)], Batch::Auto);
    assert_eq!(dense[0].routing, None);
}

/// A decoder of 18 layers with norms before and after each half, as Gemma 3 has them, with random weights.
fn deep_explainer() -> Explainer {
    use burn::module::{ModuleMapper, Param};

    struct Random(crate::random::SplitMix64);
    impl ModuleMapper for Random {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|value| {
                let dims = value.dims();
                // A gain of about 1 each; a norm's stored weight is less by 1.
                let size = if D == 1 { 0.2 } else { (3.0 / dims[D - 1] as f64).sqrt() };
                let mut next = || ((self.0.next_u64() as f64 / u64::MAX as f64 * 2.0 - 1.0) * size) as f32;
                let values: Vec<f32> = (0..dims.iter().product()).map(|_| next()).collect();
                Tensor::from_data(burn::tensor::TensorData::new(values, dims), &value.device())
            })
        }
    }

    let config = serde_json::json!({
        "model_type": "gemma3_text", "vocab_size": 60, "hidden_size": 24, "intermediate_size": 40,
        "num_hidden_layers": 18, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 12,
        "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 12, "sliding_window": 16, "tie_word_embeddings": true,
        "hidden_activation": "gelu_pytorch_tanh", "max_position_embeddings": 64,
    });
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    assert!(shape.lift() > 248.0 && shape.lift() < 249.0, "{}", shape.lift());
    let backend = Backend::cpu();
    let model = CausalLm::init(&shape, &backend.device);
    let model = burn::module::Module::map(model, &mut Random(crate::random::SplitMix64::new(5)));
    Explainer::new(model, &backend, DType::F32)
}

#[test]
fn a_deep_model_has_no_map_from_the_zero_vector_and_one_from_where_its_path_is_entered() {
    let mut explainer = deep_explainer();
    let ids = [3, 14, 15, 9, 26, 5];
    let adaptive = Nodes::Adaptive {
        tolerance: 0.01,
        max_evaluations: 4096,
    };
    let mut of = |start| {
        let task = task(&ids, start, 7, &adaptive);
        all(&mut explainer, &[task], Batch::Auto).remove(0)
    };
    let zero = of(BaselineVector::Zero);
    assert_eq!(zero.converged, Some(false));
    assert!(zero.evaluations < 1000, "it gives up early: {}", zero.evaluations);
    let lowest = zero.below.last().unwrap();
    assert_eq!(lowest.alpha, 1e-9);
    assert!(lowest.share.unwrap() > 0.3, "{:?}", zero.below);
    assert_eq!(zero.f_zero, None);

    let start = PathStart::new(1e-4).unwrap();
    let entered = of(BaselineVector::ZeroFrom(start));
    assert_eq!(entered.converged, Some(true), "{entered:?}");
    assert!(entered.error_estimate().unwrap() <= 0.01);
    assert!(entered.convergence_delta().unwrap().abs() <= 0.01 * entered.change().unwrap().abs().max(0.01));
    // What is left out is what F changes by from the zero vector to there.
    assert!((entered.f_zero.unwrap() - zero.f_baseline.unwrap()).abs() < 1e-4);
    assert!((entered.f_input - zero.f_input).abs() < 1e-4);
    assert_eq!(entered.below.iter().map(|part| part.alpha).collect::<Vec<_>>(), [1e-3]);
    let path = explainer.path(&ids, BaselineVector::Zero, &[], Routing::Free).unwrap();
    let points = Points {
        path: &path,
        alphas: vec![1e-4, 1e-3],
        asked: vec![task(&ids, BaselineVector::Zero, 7, &adaptive).scalar.into()],
    };
    let values = explainer
        .evaluate(&[points], Batch::Auto, &mut |_| ())
        .unwrap()
        .remove(0);
    let (at_start, at_level) = (values[0][0].output, values[1][0].output);
    assert!((entered.f_baseline.unwrap() - at_start).abs() < 1e-4);
    assert!((entered.below[0].change.unwrap() - (at_level - at_start)).abs() < 2e-4);
}

#[test]
fn a_path_that_is_entered_is_integrated_gradients_from_that_point() {
    // The same token at every position: the point is then one vector, as any baseline is.
    let mut explainer = explainer();
    let (ids, from) = ([7; 5], 0.2);
    let rule = |points: usize| Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, points).into(),
        check: None,
    };
    let start = BaselineVector::ZeroFrom(PathStart::new(from).unwrap());
    let entered = all(&mut explainer, &[task(&ids, start, 5, &rule(24))], Batch::Auto).remove(0);
    // By hand: the path from that vector, in its own α.
    let point = explainer.embed(&ids[..1]) * from;
    let path = Path::new(explainer.decoder(), explainer.embed(&ids), point, &[]);
    let nodes = quadrature::points(Quadrature::GaussLegendre, 24);
    let points = Points {
        path: &path,
        alphas: nodes.iter().map(|node| node.alpha).collect(),
        asked: vec![task(&ids, start, 5, &rule(24)).scalar.into()],
    };
    let values = explainer
        .evaluate(&[points], Batch::Auto, &mut |_| ())
        .unwrap()
        .remove(0);
    let mut scores = vec![0.0; ids.len()];
    for (value, node) in values.iter().zip(&nodes) {
        for (sum, score) in scores.iter_mut().zip(&value[0].scores) {
            *sum += node.weight * score;
        }
    }
    let size: f64 = scores.iter().map(|score| score.abs()).sum();
    for (one, other) in entered.scores.iter().zip(&scores) {
        assert!((one - other).abs() < 1e-5 * size, "{:?} {scores:?}", entered.scores);
    }
    assert!(entered.convergence_delta().unwrap().abs() < 1e-3 * entered.change().unwrap().abs());
    assert!(entered.f_zero.is_some() && entered.f_zero != entered.f_baseline);
    // The adaptive rule gives the same map, and gradient × input is that of the shorter way.
    let adaptive = Nodes::Adaptive {
        tolerance: 1e-3,
        max_evaluations: 1000,
    };
    let found = all(&mut explainer, &[task(&ids, start, 5, &adaptive)], Batch::Auto).remove(0);
    assert_eq!(found.converged, Some(true));
    for (one, other) in found.scores.iter().zip(&scores) {
        assert!((one - other).abs() < 1e-3 * size, "{:?} {scores:?}", found.scores);
    }
    let gradients = |explainer: &mut Explainer, start| {
        let gradient = crate::attribution::methods::prepare(MethodWithSettings::GradientXInput {});
        let task = Task {
            method: gradient,
            ..task(&ids, start, 5, &rule(2))
        };
        all(explainer, &[task], Batch::Auto).remove(0).scores
    };
    let (whole, shorter) = (
        gradients(&mut explainer, BaselineVector::Zero),
        gradients(&mut explainer, start),
    );
    for (whole, shorter) in whole.iter().zip(&shorter) {
        assert!((whole * (1.0 - from) - shorter).abs() < 1e-6 * size);
    }
}

#[test]
fn fixed_rules_tell_what_f_changes_by_near_the_zero_vector() {
    let mut explainer = deep_explainer();
    let ids = [3, 14, 15, 9];
    let rule = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 8).into(),
        check: None,
    };
    let map = all(
        &mut explainer,
        &[task(&ids, BaselineVector::Zero, 7, &rule)],
        Batch::Auto,
    )
    .remove(0);
    assert_eq!(
        map.below.iter().map(|part| part.alpha).collect::<Vec<_>>(),
        [1e-3, 1e-6, 1e-9]
    );
    for part in &map.below {
        assert_eq!(part.share, None);
        let path = explainer.path(&ids, BaselineVector::Zero, &[], Routing::Free).unwrap();
        let points = Points {
            path: &path,
            alphas: vec![part.alpha],
            asked: vec![task(&ids, BaselineVector::Zero, 7, &rule).scalar.into()],
        };
        let value = explainer.evaluate(&[points], Batch::Auto, &mut |_| ()).unwrap()[0][0][0].output;
        let change = value - map.f_baseline.unwrap();
        assert!((part.change.unwrap() - change).abs() < 2e-4, "{part:?} {change}");
    }
    // From another baseline there is nothing of that.
    let mean = all(
        &mut explainer,
        &[task(&ids, BaselineVector::Mean, 7, &rule)],
        Batch::Auto,
    )
    .remove(0);
    assert!(mean.below.is_empty() && mean.f_zero.is_none());
}

/// The shape that a config of Hugging Face describes.
fn shape_of(config: &serde_json::Value) -> crate::families::shape::Shape {
    config::parse(config.as_object().unwrap()).unwrap().model
}

#[test]
fn two_thousand_tokens_at_batch_8_fit_into_24_gb_beside_a_7b_models_packed_weights() {
    // Mistral-7B.
    let shape = shape_of(&serde_json::json!({
        "model_type": "mistral", "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
        "sliding_window": null,
    }));
    let memory = PassMemory {
        footprint: Footprint::of(&shape),
        element: 2,
        attention: Some(ATTENTION_BYTES),
    };
    let of_eight = |keep| 8 * memory.bytes(keep, 2000, 1);
    // What a pass would hold that keeps all of every layer: more than such a card has.
    assert!(
        of_eight(Keep::Everything) > 40_000_000_000,
        "{}",
        of_eight(Keep::Everything)
    );
    // 7.0e9 weights of linear layers in 4.5 bits each, and two tables in 16.
    let packed = 6_979_321_856 / 16 * 9 + 2 * 2 * 32_000 * 4096;
    let whole = packed + of_eight(Keep::Inputs);
    assert!(whole < 24_000_000_000, "{whole}");
    // The probabilities of all heads and layers, had they been kept.
    let probabilities: usize = 8 * 32 * 32 * 2000 * 2000 * 2;
    assert!(probabilities > 60_000_000_000);
}

#[test]
fn layers_are_computed_again_where_memory_asks_for_it_with_the_same_maps() {
    let mut explainer = explainer();
    // As on a GPU: by Burn's operations.
    explainer.kernels = false;
    let rule = Nodes::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 6).into(),
        check: None,
    };
    let ids: Vec<u32> = (1..30).collect();
    let tasks = [
        task(&ids, BaselineVector::Zero, 5, &rule),
        task(&ids, BaselineVector::Zero, 44, &rule),
    ];
    explainer.limit_memory(1 << 40);
    let path = explainer.path(&ids, BaselineVector::Zero, &[], Routing::Free).unwrap();
    let (whole, inputs) = explainer.both_kept(&path);
    assert!(!explainer.recomputes(path.tokens(), whole) && explainer.kept(&path) == whole);
    let kept = all(&mut explainer, &tasks, Batch::Auto);
    explainer.limit_memory(whole - 1);
    assert!(explainer.recomputes(path.tokens(), whole) && explainer.kept(&path) == inputs);
    let again = all(&mut explainer, &tasks, Batch::Auto);
    for (kept, again) in kept.iter().zip(&again) {
        let largest = kept.scores.iter().fold(0.0f64, |most, score| most.max(score.abs()));
        for (a, b) in kept.scores.iter().zip(&again.scores) {
            assert!((a - b).abs() < 1e-6 * largest, "{a} {b}");
        }
    }
}
