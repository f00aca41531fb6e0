//! Fabricated experiments for tests: claims, models and scores that nobody measured, in the shape of real ones.

mod methods;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::content::dataset::Sample;
use crate::content::experiment::*;
use crate::content::imports::{ImportFile, ImportHead};
use crate::content::model::{ModelSource, ModelSpec};
use crate::content::page::{Page, SiteSettings};
use crate::content::project::Project;
use crate::content::prompt::Prompt;
use crate::render::{ExperimentResults, Site};
use crate::store::record::*;
use crate::terms::*;

/// Claim, speaker, right option, and the words that decide it.
const CLAIMS: [(&str, &str, &str, [&str; 2]); 6] = [
    (
        "The harbour bridge was paid for twice, once by the toll and once by the county's own savings, and nobody was told.",
        "Ada Merton",
        "D",
        ["twice", "nobody"],
    ),
    (
        "Rents in the old town have doubled since the ferry stopped.",
        "Jonas Pell",
        "B",
        ["doubled", "ferry"],
    ),
    (
        "Every single school in the valley has lost its library.",
        "Irina Vogt",
        "E",
        ["Every", "single"],
    ),
    (
        "The mayor's budget spends more on lamps than on clinics, according to the auditor's report of last autumn.",
        "Tom Okafor",
        "A",
        ["auditor's", "lamps"],
    ),
    (
        "We were the first district to count the votes by hand.",
        "Lena Brandt",
        "C",
        ["first", "hand"],
    ),
    (
        "The new canal will make the desert rain, and the fish will walk to market by themselves.",
        "Sid Quill",
        "F",
        ["rain", "themselves"],
    ),
];
const OPTIONS: [(&str, &str); 6] = [
    ("A", "true"),
    ("B", "mostly-true"),
    ("C", "half-true"),
    ("D", "barely-true"),
    ("E", "false"),
    ("F", "pants-fire"),
];
const MODELS: [(&str, &str, &str, usize); 4] = [
    ("falcon-toy", "Falcon Toy", "falcon", 6),
    ("llama-toy", "Llama Toy", "llama", 4),
    ("mistral-toy", "Mistral Toy", "mistral", 5),
    ("orca-toy", "Orca Toy", "llama", 3),
];

/// A project with its experiments' records, ready to be rendered.
pub struct Fixture {
    /// The project.
    pub project: Project,
    /// `[experiment][model][sample]`
    pub records: Vec<Vec<Vec<SampleRecord>>>,
}

impl Fixture {
    /// Four models, six claims, one experiment and two pages.
    pub fn demo() -> Self {
        let samples: Vec<Sample> = (0..CLAIMS.len()).map(claim).collect();
        Self::of(samples, &MODELS.map(|(id, ..)| id))
    }

    /// The samples given, for the models given.
    pub fn of(samples: Vec<Sample>, models: &[&str]) -> Self {
        let experiment = Experiment {
            generate: None,
            faithfulness: None,
            imported: None,
            expected: vec![],
            id: "claims".into(),
            path: "content/experiments/claims.yaml".into(),
            yaml: "title: Claims, zero shot\nmodels: [falcon-toy, llama-toy]\n".into(),
            title: "Claims, zero shot".into(),
            description: "How toy models judge claims that were made up for a test.\n\nThe *numbers* are fabricated."
                .into(),
            draft: false,
            models: models.iter().map(|id| (*id).to_owned()).collect(),
            prompt_style: PromptStyle::Plain,
            origin: None,
            options: OPTIONS
                .map(|(letter, gold)| AnswerOption {
                    letter: letter.into(),
                    gold: gold.into(),
                })
                .to_vec(),
            attribution: AttributionSpec {
                methods: vec![Method::IntegratedGradients],
                targets: vec![Target::Predicted, Target::Gold],
                output: Output::Probability,
                baselines: vec![Baseline::Zero],
                routing: Routing::Free,
                quadrature: Quadrature::GaussLegendre,
                steps: 512,
                estimate_error: false,
                tolerance: 0.01,
                max_evaluations: 4096,
                margin: 0.1,
                batch: Batch::Auto,
                ..AttributionSpec::default()
            },
            samples,
        };
        let records = experiment
            .models
            .iter()
            .map(|id| experiment.samples.iter().map(|sample| record(id, sample)).collect())
            .collect();
        let page = |path: &str, route: &[&str], title: &str, markdown: &str| Page {
            path: path.into(),
            route: route.iter().map(|part| (*part).to_owned()).collect(),
            title: title.into(),
            description: None,
            order: Some(1),
            draft: false,
            toc: false,
            template: None,
            site: SiteSettings::default(),
            markdown: markdown.into(),
            first_line: 4,
        };
        let project = Project {
            imports: vec![],
            book: None,
            left_out: BTreeMap::new(),
            root: PathBuf::from("/nonexistent/igsite-fixture"),
            models: experiment
                .models
                .iter()
                .map(|id| (id.clone(), model(id)))
                .collect::<BTreeMap<_, _>>(),
            experiments: vec![experiment],
            pages: vec![
                page(
                    "content/index.md",
                    &["index"],
                    "Which words decide?",
                    "# Which words decide?\n\nToy models judge made-up claims. Read [how](method.md) the maps are made.\n",
                ),
                page(
                    "content/method.md",
                    &["method"],
                    "Method",
                    "# Method\n\nIntegrated Gradients.[^1]\n\n## Scores\n\n| rule | points |\n|---|--:|\n| Gauss–Legendre | 512 |\n\nSee [the experiment](/experiments/claims#samples).\n\n[^1]: Sundararajan, Taly and Yan, 2017.\n",
                ),
            ],
        };
        Self {
            project,
            records: vec![records],
        }
    }

    /// The same maps as if by the adaptive rule: those of the prediction converged if the model's luck is not too bad,
    /// those of the right answer never.
    pub fn adaptive(mut self) -> Self {
        self.project.experiments[0].attribution.quadrature = Quadrature::Adaptive;
        for record in self.records.iter_mut().flatten().flatten() {
            let luck = noise(&format!("l{}{}", record.model.id, record.sample.id));
            for attribution in &mut record.attributions {
                let converged = attribution.target.kind == TargetKind::Predicted && luck > 0.15;
                let (error, delta) = if converged { (0.0042, 0.0017) } else { (0.034, 0.019) };
                set_errors(attribution, error, delta);
                (attribution.steps, attribution.estimate_error) = (None, None);
                (attribution.quadrature, attribution.max_evaluations) = (Some(Quadrature::Adaptive), Some(4096));
                let last = if converged { 705 } else { 4095 };
                attribution.history = rounds(attribution, last, error);
                attribution.evaluations = last;
                attribution.converged = Some(converged);
            }
        }
        self
    }

    /// The adaptive maps of a deep model: those of the prediction have paths that are entered, those of the right answer
    /// are lost near the zero vector.
    pub fn near_zero(self) -> Self {
        let mut fixture = self.adaptive();
        let start = PathStart::new(1e-4).expect("an α");
        for attribution in fixture
            .records
            .iter_mut()
            .flatten()
            .flatten()
            .flat_map(|record| &mut record.attributions)
        {
            let below = |alpha, share| Below {
                alpha,
                share: Some(share),
                change: Some(0.02 * share),
            };
            if attribution.target.kind == TargetKind::Predicted {
                attribution.baseline = Some(Baseline::ZeroFrom(start));
                attribution.from = Some(start.alpha());
                attribution.f_zero = Some(0.00005);
                attribution.remainder = attribution.f_baseline.map(|start| start - 0.00005);
                attribution.below = vec![below(1e-3, 0.0371)];
            } else {
                attribution.below = vec![below(1e-3, 1.21), below(1e-6, 0.93), below(1e-9, 0.82)];
            }
        }
        fixture
    }

    /// The adaptive maps of a mixture of experts: of the prediction as the model chooses, of the right answer with the
    /// experts of the input. F jumps by 73% of what it changes by; those of Orca Toy by next to nothing.
    pub fn routed(self) -> Self {
        let mut fixture = self.adaptive();
        for record in fixture.records.iter_mut().flatten().flatten() {
            let jumps = if record.model.id == "orca-toy" { 0.0012 } else { 0.73 };
            for attribution in &mut record.attributions {
                let change = attribution.f_input.unwrap_or_default() - attribution.f_baseline.unwrap_or_default();
                let is_free = attribution.target.kind == TargetKind::Predicted;
                attribution.routing = Some(RoutingQuality {
                    routing: if is_free { Routing::Free } else { Routing::Frozen },
                    changes: if is_free { 1234 } else { 0 },
                    residual: if is_free { jumps * change } else { 0.0 },
                });
                if is_free {
                    let (error, evaluations) =
                        (attribution.error_estimate.unwrap_or_default(), attribution.evaluations);
                    set_errors(attribution, error, 0.0017 - jumps);
                    attribution.history = rounds(attribution, evaluations, error);
                }
            }
        }
        fixture
    }

    /// The maps as if another program had computed them, of models of which nothing but the source is known; without a
    /// prediction for the last model.
    pub fn imported(mut self) -> Self {
        let experiment = &mut self.project.experiments[0];
        experiment.path = "content/imports/claims.jsonl".into();
        experiment.yaml.clear();
        experiment.imported = Some(ImportHead {
            files: vec![ImportFile {
                name: "theirs.json".into(),
                sha256: "00".repeat(32),
            }],
            igsite: Some("0.1.0".into()),
            created: Some("2026-01-02T03:04:05Z".into()),
            ..ImportHead::default()
        });
        let last = self.records[0].len() - 1;
        for (model, records) in self.records[0].iter_mut().enumerate() {
            for record in records {
                record.provenance = None;
                record.imported = Some(ImportedRecord {
                    file: "content/imports/claims.jsonl".into(),
                    igsite: Some("0.1.0".into()),
                    created: Some("2026-01-02T03:04:05Z".into()),
                });
                let known = &mut record.model;
                (known.architecture, known.dtype, known.quantization) = (None, None, None);
                (known.weights_sha256, known.tokenizer_sha256) = (None, None);
                if model == last {
                    record.options.clear();
                    (record.prediction, record.correct) = (None, None);
                }
                record.attributions.iter_mut().for_each(import);
            }
        }
        self
    }

    /// The same maps with their error by the same rule at half the points.
    pub fn estimated(mut self) -> Self {
        self.project.experiments[0].attribution.estimate_error = true;
        for record in self.records.iter_mut().flatten().flatten() {
            for attribution in &mut record.attributions {
                let error = if attribution.target.kind == TargetKind::Predicted {
                    0.0031
                } else {
                    0.24
                };
                set_errors(attribution, error, 0.0008);
                let delta = attribution.convergence_delta.unwrap_or_default();
                let half = Round {
                    evaluations: 256,
                    error_estimate: None,
                    convergence_delta: -3.0 * delta,
                };
                attribution.estimate_error = Some(true);
                attribution.evaluations = 768;
                attribution.history = vec![
                    half,
                    Round {
                        evaluations: 768,
                        error_estimate: Some(error),
                        convergence_delta: delta,
                    },
                ];
                attribution.converged = Some(error <= 0.01);
            }
        }
        self
    }

    /// The site of it.
    pub fn site(&self, base_url: Option<&str>) -> Site<'_> {
        let results = self.project.experiments.iter().zip(&self.records);
        Site {
            project: &self.project,
            results: results
                .map(|(experiment, records)| ExperimentResults {
                    experiment,
                    records: records.clone(),
                })
                .collect(),
            base_url: base_url.map(str::to_owned),
        }
    }
}

/// Records of one made-up model for the first `count` claims.
pub fn records(model: &str, count: usize) -> Vec<SampleRecord> {
    (0..count).map(|index| record(model, &claim(index))).collect()
}

/// Gives a map errors that come to `error` of its L1 norm, and another delta.
fn set_errors(attribution: &mut AttributionRecord, error: f64, delta: f64) {
    let change = attribution.f_input.unwrap_or_default() - attribution.f_baseline.unwrap_or_default();
    let sum: f64 = attribution.scores.iter().sum();
    let last = attribution.scores.len() - 1;
    attribution.scores[last] += change * (1.0 + delta) - sum;
    attribution.sum = Some(attribution.scores.iter().sum());
    attribution.convergence_delta = attribution.sum.map(|sum| sum - change);
    attribution.errors = Some(attribution.scores.iter().map(|score| score.abs() * error).collect());
    attribution.error_estimate = Some(error);
    attribution.within_tolerance = Some(delta.abs() <= 0.01);
}

/// Rounds that go down to a map's error and delta by `last` evaluations.
fn rounds(attribution: &AttributionRecord, last: usize, error: f64) -> Vec<Round> {
    let delta = attribution.convergence_delta.unwrap_or_default();
    let mut rounds: Vec<Round> = [
        (120, 90.0, -70.0),
        (210, 31.0, 45.0),
        (390, 8.0, -11.0),
        (570, 2.6, 3.1),
    ]
    .iter()
    .map(|&(evaluations, more_error, more_delta)| Round {
        evaluations: evaluations * last / 705,
        error_estimate: Some(error * more_error),
        convergence_delta: delta * more_delta,
    })
    .collect();
    rounds.push(Round {
        evaluations: last,
        error_estimate: Some(error),
        convergence_delta: delta,
    });
    rounds
}

/// Makes every map of a record one that met a value that is not finite.
pub fn mark_non_finite(record: &mut SampleRecord) {
    for attribution in &mut record.attributions {
        attribution.scores.clear();
        attribution.errors = None;
        attribution.error_estimate = None;
        attribution.history.clear();
        (attribution.sum, attribution.convergence_delta, attribution.f_baseline) = (None, None, None);
        attribution.non_finite = Some(NonFinite {
            alpha: 0.0,
            what: PathValue::Gradient,
        });
        attribution.within_tolerance = Some(false);
        attribution.converged = Some(false);
        attribution.within_margin = Some(false);
    }
}

/// A sample of any id and statement, with the right answer given.
pub fn sample(id: &str, slug: &str, statement: &str, speaker: &str, gold: &str) -> Sample {
    let parts = [
        (
            "instruction",
            format!("Choose the option that describes this claim by {speaker} best:\n"),
        ),
        ("claim", statement.to_owned()),
        (
            "options",
            "\n\nA) True\nB) Mostly True\nC) Half True\nD) Barely True\nE) False\nF) Pants on Fire (absurd lie)"
                .to_owned(),
        ),
        ("answer", "\n\nChoice: (".to_owned()),
    ];
    let mut prompt = Prompt::default();
    let mut start = 0;
    for (name, text) in parts {
        let end = start + text.chars().count();
        prompt.segments.push(Segment {
            name: name.into(),
            start,
            end,
        });
        prompt.text += &text;
        start = end;
    }
    let fields = [("id", id), ("statement", statement), ("speaker", speaker)];
    Sample {
        id: id.into(),
        slug: slug.into(),
        gold: Some(gold.into()),
        fields: fields
            .iter()
            .map(|(k, v)| ((*k).to_owned(), Value::from(*v)))
            .collect::<Map<_, _>>(),
        prompt,
    }
}

fn claim(index: usize) -> Sample {
    let (statement, speaker, gold, _) = CLAIMS[index % CLAIMS.len()];
    let id = format!("{}.json", 2600 + 37 * index);
    sample(&id, &id, statement, speaker, gold)
}

fn model(id: &str) -> ModelSpec {
    let title = MODELS.iter().find(|m| m.0 == id).map_or(id, |m| m.1);
    ModelSpec {
        id: id.into(),
        path: Path::new("content/models").join(format!("{id}.yaml")),
        title: title.into(),
        description: "A *toy*.".into(),
        source: ModelSource::Folder(PathBuf::from(id)),
        source_text: format!("./{id}"),
        file: None,
        revision: "main".into(),
        dtype: None,
        quantization: Quantization::None,
    }
}

/// A number in 0…1 that depends on the text alone.
fn noise(text: &str) -> f64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 20) as f64 / (1u64 << 44) as f64
}

/// Tokens of at most `longest` characters, a blank leading the word that follows, as byte-pair encodings have it.
fn tokenize(prompt: &str, longest: usize) -> Vec<Token> {
    let mut tokens = vec![Token {
        id: 1,
        text: "<s>".into(),
        start: 0,
        end: 0,
        special: true,
    }];
    let characters: Vec<char> = prompt.chars().collect();
    let mut start = 0;
    while start < characters.len() {
        let mut end = start + 1;
        let blank = characters[start] == ' ';
        while end < characters.len()
            && end - start < longest + usize::from(blank)
            && characters[end].is_alphanumeric()
            && (blank || characters[start].is_alphanumeric() || end > start + 1)
        {
            end += 1;
        }
        let text: String = characters[start..end].iter().collect();
        let id = 3 + (noise(&text) * 31_000.0) as u32;
        tokens.push(Token {
            id,
            text,
            start,
            end,
            special: false,
        });
        start = end;
    }
    tokens
}

fn record(model: &str, sample: &Sample) -> SampleRecord {
    let (_, _, architecture, longest) = MODELS
        .iter()
        .find(|m| m.0 == model)
        .copied()
        .unwrap_or(("", "", "llama", 4));
    let tokens = tokenize(&sample.prompt.text, longest);
    let skill = noise(model);
    let gold = sample.gold.clone();
    let letters = OPTIONS.map(|(letter, _)| letter);
    let right = noise(&format!("{model}{}", sample.id)) < 0.35 + skill / 2.0;
    let other = letters[(noise(&format!("o{model}{}", sample.id)) * 6.0) as usize % 6];
    let answer = if right {
        gold.clone().unwrap_or_else(|| "A".into())
    } else {
        other.to_owned()
    };
    let confidence = 0.35 + 0.5 * noise(&format!("c{model}{}", sample.id));
    let mut options = IndexMap::new();
    let weights: Vec<f64> = letters
        .iter()
        .map(|l| 0.05 + noise(&format!("{l}{model}{}", sample.id)))
        .collect();
    let rest: f64 = letters
        .iter()
        .zip(&weights)
        .filter(|(l, _)| **l != answer)
        .map(|(_, w)| w)
        .sum();
    for (index, letter) in letters.iter().enumerate() {
        let probability = if *letter == answer {
            confidence
        } else {
            (0.97 - confidence) * weights[index] / rest
        };
        options.insert(
            (*letter).to_owned(),
            OptionRecord {
                token_id: 40_000 + index as u32,
                token_ids: vec![],
                log_probability: None,
                probability,
            },
        );
    }
    let token_id = options[&answer].token_id;
    let correct = gold.as_ref().map(|gold| *gold == answer);
    let predicted = TargetRecord {
        kind: TargetKind::Predicted,
        token_ids: vec![token_id],
        text: answer.clone(),
        given: None,
    };
    let mut attributions = vec![attribution(model, sample, &tokens, predicted, confidence)];
    if let Some(gold) = &gold {
        let option = options[gold].clone();
        let target = TargetRecord {
            kind: TargetKind::Gold,
            token_ids: vec![option.token_id],
            text: gold.clone(),
            given: None,
        };
        attributions.push(attribution(model, sample, &tokens, target, option.probability));
    }
    SampleRecord {
        generation: None,
        schema: SCHEMA.into(),
        experiment: "claims".into(),
        model: ModelRecord {
            id: model.into(),
            source: format!("./{model}"),
            revision: None,
            requested_revision: None,
            file: None,
            architecture: Some(architecture.into()),
            dtype: Some(Dtype::F32),
            quantization: Some(Quantization::None),
            activations: None,
            weights_sha256: Some(format!("{:064x}", (skill * 1e15) as u64)),
            tokenizer_sha256: Some(format!("{:064x}", longest)),
        },
        sample: SampleInfo {
            id: sample.id.clone(),
            gold,
            fields: sample.fields.clone(),
        },
        prompt: sample.prompt.text.clone(),
        segments: sample.prompt.segments.clone(),
        tokens,
        prediction: Some(Prediction {
            token_id,
            text: answer,
            probability: confidence,
        }),
        correct,
        options,
        attributions,
        provenance: Some(Provenance {
            igsite: "0.1.0".into(),
            backend: DeviceKind::Cpu,
            seconds: 1.25,
            created: "2026-01-02T03:04:05Z".into(),
            device: None,
        }),
        imported: None,
    }
}

/// A map as if another program had computed it.
fn import(map: &mut AttributionRecord) {
    map.imported = Some(Imported {
        tool: "captum".into(),
        version: Some("0.9.0".into()),
        method: "LayerIntegratedGradients".into(),
        baseline: Some("padding tokens".into()),
        unit: Some("a unit of its own".into()),
        note: Some("summed over the hidden dimensions".into()),
        file: Some("theirs.json".into()),
    });
    (map.method, map.baseline, map.quadrature, map.steps) = (None, None, None, None);
    (map.estimate_error, map.tolerance, map.max_evaluations, map.evaluations) = (None, None, None, 0);
    (map.converged, map.within_tolerance, map.within_margin, map.residual) = (None, None, None, None);
}

fn attribution(
    model: &str,
    sample: &Sample,
    tokens: &[Token],
    target: TargetRecord,
    probability: f64,
) -> AttributionRecord {
    let claim = &sample.prompt.segments[1];
    let causes = CLAIMS
        .iter()
        .find(|c| sample.prompt.text.contains(c.0))
        .map_or(["", ""], |c| c.3);
    let text: Vec<char> = sample.prompt.text.chars().collect();
    let word_of = |position: usize| -> String {
        let letters = |c: &char| !c.is_whitespace();
        let from = (0..=position.min(text.len() - 1))
            .rev()
            .take_while(|&i| letters(&text[i]))
            .last()
            .unwrap_or(position);
        text[from..].iter().take_while(|c| letters(c)).collect()
    };
    let mut scores: Vec<f64> = tokens
        .iter()
        .enumerate()
        .map(|(index, token)| {
            let word = word_of(token.end.saturating_sub(1));
            let inside = token.start >= claim.start && token.start < claim.end;
            let caused = inside && causes.iter().any(|cause| !cause.is_empty() && word.starts_with(cause));
            let random = noise(&format!("{word}{model}{}{}", sample.id, target.kind)) - 0.42;
            let own = noise(&format!("{index}{model}")) - 0.5;
            let size = if token.special {
                0.6
            } else if caused {
                3.2
            } else if inside {
                1.0
            } else {
                0.4
            };
            if caused {
                size * (0.7 + own)
            } else {
                size * (random.powi(3) * 6.0 + own * 0.15)
            }
        })
        .collect();
    let total: f64 = scores.iter().sum();
    let off = 0.002 + 0.02 * noise(&format!("d{model}{}", sample.id)).powi(2);
    let f_baseline = 0.0001;
    let wanted = (probability - f_baseline) * (1.0 + off);
    let factor = if total.abs() > 0.5 {
        wanted / total
    } else {
        wanted / 4.0
    };
    for score in &mut scores {
        *score *= factor.abs();
    }
    let sum: f64 = scores.iter().sum();
    // The made-up scores must add up to what the record says: the rest goes to the last token.
    let last = scores.len() - 1;
    scores[last] += wanted - sum;
    let sum: f64 = scores.iter().sum();
    let delta = sum - (probability - f_baseline);
    AttributionRecord {
        target,
        output: Output::Probability,
        baseline: Some(Baseline::Zero),
        method: Some(Method::IntegratedGradients),
        imported: None,
        quadrature: Some(Quadrature::GaussLegendre),
        steps: Some(512),
        estimate_error: Some(false),
        tolerance: Some(0.01),
        max_evaluations: None,
        evaluations: 512,
        f_input: Some(probability),
        f_baseline: Some(f_baseline),
        from: None,
        faithfulness: vec![],
        units: None,
        unit_tokens: None,
        unit_scores: None,
        unit_errors: None,
        residual: Some(Residual {
            f_baseline,
            value: -delta,
        }),
        f_zero: None,
        remainder: None,
        below: vec![],
        sum: Some(sum),
        convergence_delta: Some(delta),
        error_estimate: None,
        converged: Some(true),
        within_tolerance: Some(delta.abs() <= 0.01 * (probability - f_baseline).abs()),
        within_margin: Some((sum - probability).abs() < 0.1),
        scores,
        errors: None,
        history: vec![],
        absent: None,
        non_finite: None,
        routing: None,
    }
}
