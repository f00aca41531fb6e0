use super::*;
use crate::attribution::quadrature;
use crate::checkpoint::config;
use crate::content::experiment::Quadrature;

fn explainer() -> Explainer {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5,
    });
    let shape = config::parse(config.as_object().unwrap()).unwrap().model;
    let backend = Backend::cpu();
    Explainer::new(CausalLm::init(&shape, &backend.device), &backend, DType::F32)
}

fn task(ids: &[u32], start: Start, token: u32, rule: &Rule) -> Task {
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
        scalar,
        rule: rule.clone(),
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
    let adaptive = Rule::Adaptive {
        tolerance: 1e-3,
        max_evaluations: 2000,
    };
    let fixed = Rule::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 24).into(),
        check: None,
    };
    let (first, second): (Vec<u32>, Vec<u32>) = ((0..30).collect(), (7..20).collect());
    let tasks = [
        task(&first, Start::Zero, 5, &adaptive),
        task(&first, Start::Zero, 45, &adaptive),
        task(&first, Start::Zero, 6, &fixed),
        task(&second, Start::Mean, 5, &adaptive),
        task(&second, Start::Token(4), 5, &fixed),
    ];
    let together = all(&mut explainer, &tasks, Batch::Auto);
    for (task, map) in tasks.iter().zip(&together) {
        let alone = all(&mut explainer, std::slice::from_ref(task), Batch::Auto).remove(0);
        same(&alone, map);
        // And each is an integral: the scores sum to what F changed by.
        assert!(
            map.convergence_delta().abs() < 2e-2 * (map.f_input - map.f_baseline).abs(),
            "{map:?}"
        );
        if task.rule == adaptive {
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
    let rule = Rule::Fixed {
        points: quadrature::points(Quadrature::GaussLegendre, 64).into(),
        check: None,
    };
    let ids: Vec<u32> = (0..40).collect();
    let short: Vec<u32> = (0..5).collect();
    let tasks = [
        task(&ids, Start::Zero, 5, &rule),
        task(&short, Start::Mean, 5, &rule),
        task(&ids, Start::Mean, 5, &rule),
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
    let path = explainer.path(&(0..40).collect::<Vec<_>>(), Start::Zero, &[]).unwrap();
    let one = explainer.kept(&path);
    let scalars = vec![
        task(
            &[1],
            Start::Zero,
            5,
            &Rule::Fixed {
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
    let long = explainer.path(&[7; 2000], Start::Zero, &[]).unwrap();
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
