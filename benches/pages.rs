//! `cargo bench --bench pages`: what is computed and drawn for every page of a map or a pair of maps.
//! `benches/render.rs` measures whole sites.

use divan::{Bencher, black_box};
use igsite::analysis::agreement::{Scored, agreement};
use igsite::analysis::map::RoundInProportion;
use igsite::render::plot::{convergence, score_against_error};
use igsite::terms::Round;

fn main() {
    divan::main();
}

/// Agreement of two maps of so many words, with errors: what certain pairs cost grows with the square of the words.
#[divan::bench(args = [25, 100, 400])]
fn agreement_of_a_pair(bencher: Bencher, words: i32) {
    let a: Vec<f64> = (0..words).map(|i| f64::from(i * 7919 % 997) - 500.0).collect();
    let b: Vec<f64> = (0..words).map(|i| f64::from(i * 104_729 % 991) - 500.0).collect();
    let errors = vec![5.0; words as usize];
    let scored = |scores| Scored {
        scores,
        errors: Some(&errors),
    };
    bencher.bench_local(|| agreement(black_box(scored(&a)), black_box(scored(&b))));
}

#[divan::bench]
fn plot_of_convergence(bencher: Bencher) {
    let round = |n: usize| RoundInProportion {
        round: Round {
            evaluations: 50 * n,
            error_estimate: Some(1.0 / n as f64),
            convergence_delta: 0.3 / n as f64,
        },
        relative_delta: Some(0.3 / n as f64),
    };
    let rounds: Vec<RoundInProportion> = (1..=8).map(round).collect();
    bencher.bench_local(|| convergence(black_box(&rounds), 0.01, "in words"));
}

#[divan::bench]
fn plot_of_score_against_error(bencher: Bencher) {
    let point = |n: i32| (f64::from(n) * 0.001, 1e-5 * f64::from(n % 13 + 1));
    let points: Vec<(f64, f64)> = (1..=100).map(point).collect();
    bencher.bench_local(|| score_against_error(black_box(&points), "in words"));
}
