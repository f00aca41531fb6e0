use super::*;
use crate::attribution::integral::Nodes;
use crate::attribution::quadrature;
use crate::checkpoint::config;
use crate::terms::Quadrature;

fn explainer() -> Explainer {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
    });
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let backend = Backend::cpu();
    Explainer::new(CausalLm::init(&shape, &backend.device), &backend, DType::F32)
}

fn task(ids: &[u32], start: BaselineVector, token: u32, rule: &Nodes) -> Task {
    let output = Output::LogProbability;
    let scalar = Scalar {
        token,
        output,
        minus: (token > 40).then_some(3),
    };
    Task {
        ids: ids.to_vec(),
        forced: vec![],
        start,
        routing: Routing::Free,
        scalar,
        method: Arc::new(rule.clone()),
    }
}

fn all(explainer: &mut Explainer, tasks: &[Task], batch: Batch) -> Vec<Attribution> {
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
        scalars,
    }];
    let sequences: Vec<(usize, usize)> = (0..64).map(|alpha| (0, alpha)).collect();
    for (budget, most) in [(usize::MAX / 4, 12), (6 * one, 6), (one, 1), (0, 1)] {
        explainer.limit_memory(budget);
        let (passes, _) = explainer.passes(&wanted, &sequences, Batch::Auto);
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

/// A mixture of experts whose weights are large enough for its experts to differ.
fn mixture() -> Explainer {
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::TensorData;

    use crate::content::random::SplitMix64;

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
    let config = serde_json::json!({
        "model_type": "mixtral", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "num_local_experts": 5, "num_experts_per_tok": 2,
    });
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let backend = Backend::cpu();
    let model = CausalLm::init(&shape, &backend.device).map(&mut Drawn(SplitMix64::new(3)));
    Explainer::new(model, &backend, DType::F32)
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
            assert!(delta.abs() < 0.03 * change.abs(), "{delta} {change}");
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
