//! The demo is what it claims to be: claims with a known cause and other words without influence, four tokenizers that
//! differ, four models that judge claims they never saw.

#[path = "../examples/train_demo/claims.rs"]
#[allow(dead_code, reason = "the training program uses the rest")]
mod claims;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use igsite::attribution::integral::Rule;
use igsite::attribution::integrated_gradients::{Explainer, Scalar, Start};
use igsite::attribution::quadrature;
use igsite::checkpoint::Checkpoint;
use igsite::content::experiment::{Batch, Output, Quadrature};
use igsite::content::project::{Project, Selection};
use igsite::hub::Hub;
use igsite::model::CausalLm;
use igsite::model::device::Backend;
use igsite::tokenizer::Tokenizer;

use claims::{AFFIRMING, CAUSES, Claim, Claims, DENYING, Split, VERDICTS};

/// Each model with the share of all 240 held-out claims that it has to judge rightly. Chance is 1/6.
const MODELS: [(&str, f64); 4] = [
    ("demo-llama", 0.98),
    ("demo-mistral", 0.98),
    ("demo-falcon", 0.98),
    ("demo-orca", 0.65),
];

/// How to read a column of a claim.
type Column = fn(&Claim) -> &str;

/// Everything in a claim that is not to matter.
const COMPANY: [(&str, Column); 8] = [
    ("speaker", |claim| &claim.speaker),
    ("opening", |claim| &claim.opening),
    ("teller", |claim| &claim.teller),
    ("place", |claim| &claim.place),
    ("deed", |claim| &claim.deed),
    ("thing", |claim| &claim.thing),
    ("time", |claim| &claim.time),
    ("position", |claim| &claim.position),
];

fn content() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("content")
}

fn folder(model: &str) -> PathBuf {
    content().join("models").join(model)
}

#[test]
fn the_claims_file_is_what_the_generator_gives() {
    let file = std::fs::read_to_string(content().join("data/claims.jsonl")).unwrap();
    assert!(
        file == claims::to_jsonl(&claims::held_out()),
        "run `cargo run --release --example train_demo` again"
    );
}

#[test]
fn stance_and_cause_decide() {
    for claim in claims::held_out()
        .into_iter()
        .chain(Claims::new(3, Split::Training).take(2000))
    {
        let parts = [&claim.opening, &claim.stance, &claim.before, &claim.cause, &claim.after];
        assert_eq!(parts.map(String::as_str).concat(), claim.statement);
        let cause_verdict = CAUSES
            .iter()
            .position(|phrases| phrases.contains(&claim.cause.trim()))
            .unwrap();
        assert_eq!(VERDICTS[cause_verdict], claim.cause_verdict);
        let denied = DENYING.contains(&claim.stance.trim());
        assert_ne!(denied, AFFIRMING.contains(&claim.stance.trim()));
        assert_eq!(
            claim.verdict(),
            if denied { 5 - cause_verdict } else { cause_verdict },
            "{}",
            claim.statement
        );
    }
}

#[test]
fn no_held_out_claim_has_a_place_and_cause_that_training_has() {
    let pairs = |claims: Vec<Claim>| -> BTreeSet<(String, String)> {
        claims.into_iter().map(|claim| (claim.place, claim.cause)).collect()
    };
    let trained = pairs(Claims::new(11, Split::Training).take(20_000).collect());
    let held_out = pairs(claims::held_out());
    assert!(trained.is_disjoint(&held_out));
    // All words are met in training, only never together.
    assert_eq!(trained.len(), 20 * 30 * 4 / 5);
}

#[test]
fn company_is_independent_of_the_verdict() {
    let held_out = claims::held_out();
    for verdict in VERDICTS {
        assert_eq!(
            held_out.iter().filter(|claim| claim.label == verdict).count(),
            held_out.len() / 6
        );
    }
    for split in [Split::Training, Split::HeldOut] {
        let sample: Vec<Claim> = Claims::new(5, split).take(12_000).collect();
        let stance: Column = |claim| &claim.stance;
        for (name, column) in COMPANY.into_iter().chain([("stance", stance)]) {
            let (statistic, freedom) = chi_square(&sample, column);
            // Far above what independence gives once in 10,000 times.
            let bound = freedom + 4.0 * (2.0 * freedom).sqrt();
            assert!(
                statistic < bound,
                "{name} on the {split:?} side: chi-square {statistic:.1}, bound {bound:.1}"
            );
        }
        // The same test sees what is not independent.
        let (statistic, freedom) = chi_square(&sample, |claim| &claim.cause);
        assert!(statistic > 100.0 * freedom);
    }
}

/// Pearson's statistic of a column against the verdict, and its degrees of freedom.
fn chi_square(sample: &[Claim], column: Column) -> (f64, f64) {
    let mut counts: BTreeMap<&str, [f64; 6]> = BTreeMap::new();
    for claim in sample {
        counts.entry(column(claim)).or_default()[claim.verdict()] += 1.0;
    }
    let statistic = counts.values().flat_map(|row| {
        let expected = row.iter().sum::<f64>() / 6.0;
        row.iter().map(move |count| (count - expected).powi(2) / expected)
    });
    (statistic.sum(), 5.0 * (counts.len() - 1) as f64)
}

#[test]
fn company_predicts_nothing() {
    // Naive Bayes on every company column, learned from 12,000 training claims: the best that counting them can do.
    let mut counts: BTreeMap<(&str, String), [f64; 6]> = BTreeMap::new();
    for claim in Claims::new(7, Split::Training).take(12_000) {
        for (name, column) in COMPANY {
            counts.entry((name, column(&claim).to_owned())).or_insert([1.0; 6])[claim.verdict()] += 1.0;
        }
    }
    let held_out = claims::held_out();
    let right = held_out.iter().filter(|claim| {
        let score = |verdict: usize| -> f64 {
            COMPANY
                .iter()
                .map(|(name, column)| counts[&(*name, column(claim).to_owned())][verdict].ln())
                .sum()
        };
        (0..6).max_by(|a, b| score(*a).total_cmp(&score(*b))) == Some(claim.verdict())
    });
    let share = right.count() as f64 / held_out.len() as f64;
    assert!(share < 0.25, "company alone is right in {share:.3} of the claims");
}

#[test]
fn the_experiment_renders_the_prompt_that_the_models_were_trained_on() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (project, warnings) = Project::load(root, &Selection::default(), &Hub::new(true, true)).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let claims: BTreeMap<String, Claim> = claims::held_out()
        .into_iter()
        .map(|claim| (claim.id.clone(), claim))
        .collect();
    let experiment = project
        .experiments
        .iter()
        .find(|experiment| experiment.id == "claims")
        .unwrap();
    assert!(experiment.samples.len() >= 24);
    for sample in &experiment.samples {
        let claim = &claims[&sample.id];
        assert_eq!(sample.prompt.text, claim.prompt());
        assert_eq!(sample.gold, Some(claim.letter().to_string()));
    }
}

#[test]
fn each_model_is_at_most_2_mb_on_disk() {
    for (model, _) in MODELS {
        let size: u64 = std::fs::read_dir(folder(model))
            .unwrap()
            .map(|e| e.unwrap().metadata().unwrap().len())
            .sum();
        assert!(size <= 2_000_000, "{model}: {size} bytes");
    }
}

#[test]
fn four_tokenizers_split_words_differently_and_letters_are_single_tokens() {
    let tokenizers = MODELS.map(|(model, _)| Tokenizer::open(&folder(model)).unwrap());
    let sample = &claims::held_out()[..24];
    let mut equal = 0;
    for claim in sample {
        let prompt = claim.prompt();
        let mut splits = BTreeSet::new();
        for tokenizer in &tokenizers {
            let tokens = tokenizer.encode(&prompt).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            let letters = ["A", "B", "C", "D", "E", "F"].map(|l| tokenizer.answer_token(&prompt, &ids, l).unwrap());
            assert_eq!(BTreeSet::from(letters).len(), 6);
            assert!(tokens.len() <= 120, "{} tokens: {prompt}", tokens.len());
            splits.insert(
                tokens
                    .iter()
                    .filter(|t| !t.special)
                    .map(|t| (t.start, t.end))
                    .collect::<Vec<_>>(),
            );
        }
        equal += tokenizers.len() - splits.len();
    }
    assert_eq!(equal, 0, "of {} splits", 4 * sample.len());
}

#[test]
fn the_models_judge_claims_that_they_never_saw() {
    let device = Device::flex();
    let held_out = claims::held_out();
    for (model, bound) in MODELS {
        let checkpoint = Checkpoint::open(&folder(model)).unwrap();
        let tokenizer = Tokenizer::open(&folder(model)).unwrap();
        let lm = CausalLm::load(&checkpoint, &device, DType::F32).unwrap();
        let right = held_out.iter().filter(|claim| {
            let prompt = claim.prompt();
            let ids: Vec<u32> = tokenizer
                .encode(&prompt)
                .unwrap()
                .iter()
                .map(|token| token.id)
                .collect();
            let gold = tokenizer
                .answer_token(&prompt, &ids, &claim.letter().to_string())
                .unwrap();
            let shape = [1, ids.len()];
            let ids = ids.into_iter().map(|id| id as i32).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new::<i32, _>(ids, shape), &device);
            lm.last_logits(lm.embed(ids)).argmax(1).into_scalar::<i64>() == i64::from(gold)
        });
        let accuracy = right.count() as f64 / held_out.len() as f64;
        eprintln!("{model}: accuracy {accuracy:.4} on {} held-out claims", held_out.len());
        assert!(accuracy >= bound, "{model}: {accuracy}");
    }
}

#[test]
fn maps_lie_on_stance_and_cause() {
    let sample = &claims::held_out()[..4];
    for (model, _) in MODELS {
        let checkpoint = Checkpoint::open(&folder(model)).unwrap();
        let tokenizer = Tokenizer::open(&folder(model)).unwrap();
        let mut explainer = Explainer::load(&checkpoint, &Backend::cpu(), DType::F32).unwrap();
        let start = Start::Token(tokenizer.vocabulary_token(".").unwrap());
        let points: std::sync::Arc<[_]> = quadrature::points(Quadrature::GaussLegendre, 64).into();
        let mut share = 0.0;
        for claim in sample {
            let prompt = claim.prompt();
            let tokens = tokenizer.encode(&prompt).unwrap();
            let ids: Vec<u32> = tokens.iter().map(|token| token.id).collect();
            let token = tokenizer
                .answer_token(&prompt, &ids, &claim.letter().to_string())
                .unwrap();
            let scalar = Scalar {
                token,
                output: Output::Probability,
                minus: None,
            };
            let rule = Rule::Fixed {
                points: points.clone(),
                check: None,
            };
            let map = explainer.attribute(&ids, start, scalar, rule, Batch::Auto).unwrap();
            assert!(map.convergence_delta().abs() < 0.02, "{model}, {}: {map:?}", claim.id);

            // Where the parts stand, in bytes: prompts are ASCII, so also in characters.
            let opening = claim.opening.strip_prefix("Says ").unwrap_or(&claim.opening);
            let mut at = prompt.find(":\n").unwrap() + 2;
            let parts = [opening, &claim.stance, &claim.before, &claim.cause, &claim.after].map(|part| {
                at += part.len();
                let within = |token: &&igsite::tokenizer::Token| at - part.len() <= token.start && token.start < at;
                let scores = tokens
                    .iter()
                    .zip(&map.scores)
                    .filter(|(token, _)| !token.special && within(token));
                scores.map(|(_, score)| score.abs()).sum::<f64>()
            });
            share += (parts[1] + parts[3]) / parts.iter().sum::<f64>() / sample.len() as f64;
        }
        eprintln!("{model}: {share:.3} of the claim's attribution is on stance and cause");
        assert!(share > 0.6, "{model}: {share}");
    }
}
