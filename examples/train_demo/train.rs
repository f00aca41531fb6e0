//! Training one model: causal language modelling on claims that never run out, with extra weight on the answer.
//!
//! Each step draws fresh training claims, so that nothing can be learned by heart but what the claims have in common.
//! The loss is next-token cross-entropy over the whole prompt plus, with a weight of its own, over the one token that
//! answers it: the result is a causal language model that also knows the task.

use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use igsite::diagnostic::Result;
use igsite::families::shape::Shape;
use igsite::model::CausalLm;
use igsite::tokenizer::Tokenizer;

use crate::claims::{Claim, Claims, Split, SplitMix64, VERDICTS};

const BATCH: usize = 32;
const PEAK_RATE: f64 = 3e-3;
const WARM_UP: usize = 50;
/// Weight of the answer's loss beside the mean loss of all other positions.
const ANSWER_WEIGHT: f32 = 1.0;
/// One training claim in so many is answered with a letter drawn at random. It keeps the models from being certain, as
/// no judge of real statements is; held-out claims are never touched.
const RANDOM_ANSWER_ONE_IN: usize = 10;

/// A prompt's tokens and the token that answers it.
pub struct Example {
    ids: Vec<u32>,
    answer: u32,
}

impl Example {
    /// Tokenizes a claim's prompt and finds the token of its right letter.
    pub fn new(tokenizer: &Tokenizer, claim: &Claim) -> Result<Self> {
        let prompt = claim.prompt();
        let ids: Vec<u32> = tokenizer.encode(&prompt)?.iter().map(|token| token.id).collect();
        let answer = tokenizer.answer_token(&prompt, &ids, &claim.letter().to_string())?;
        Ok(Self { ids, answer })
    }

    /// The length of the prompt in tokens.
    pub fn tokens(&self) -> usize {
        self.ids.len()
    }
}

/// Trains a model from random parameters; returns it without gradients.
pub fn train(shape: &Shape, tokenizer: &Tokenizer, seed: u64, steps: usize, watch: &[Example]) -> Result<CausalLm> {
    let device = Device::flex().autodiff();
    device.seed(seed);
    let mut model = CausalLm::init(shape, &device);
    let mut optimizer = AdamWConfig::new()
        .with_beta_2(0.98)
        .with_epsilon(1e-8)
        .with_weight_decay(0.05)
        .with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)))
        .init();
    let mut claims = Claims::new(seed, Split::Training);
    let mut random = SplitMix64::new(seed);
    let started = Instant::now();
    for step in 0..steps {
        let doubt = |mut claim: Claim| {
            if random.below(RANDOM_ANSWER_ONE_IN) == 0 {
                claim.label = random.pick(&VERDICTS).to_owned();
            }
            Example::new(tokenizer, &claim)
        };
        let batch: Vec<Example> = claims.by_ref().take(BATCH).map(doubt).collect::<Result<_>>()?;
        let (loss, answer_loss) = losses(&model, &batch, &device);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(rate(step, steps), model, gradients);
        if step % 50 == 49 {
            let (loss, answer_loss) = (loss.into_scalar::<f32>(), answer_loss.into_scalar::<f32>());
            let accuracy = accuracy(&model.valid(), watch, &Device::flex());
            let seconds = started.elapsed().as_secs();
            eprintln!(
                "  step {:4}: loss {loss:.3}, answer {answer_loss:.3}, held-out accuracy {accuracy:.3}, {seconds} s",
                step + 1
            );
        }
    }
    Ok(model.valid())
}

/// Linear up, then a cosine down to nothing.
fn rate(step: usize, steps: usize) -> f64 {
    if step < WARM_UP {
        return PEAK_RATE * (step + 1) as f64 / WARM_UP as f64;
    }
    let done = (step - WARM_UP) as f64 / (steps - WARM_UP) as f64;
    PEAK_RATE * (1.0 + (std::f64::consts::PI * done).cos()) / 2.0
}

/// The loss to minimise, and the answers' part of it.
fn losses(model: &CausalLm, batch: &[Example], device: &Device) -> (Tensor<1>, Tensor<1>) {
    let longest = batch.iter().map(|example| example.ids.len()).max().unwrap_or(0);
    let shape = [batch.len(), longest];
    // Padding stands to the right, where no real position looks, and weighs nothing.
    let (mut inputs, mut targets) = (vec![0_i32; batch.len() * longest], vec![0_i32; batch.len() * longest]);
    let (mut text, mut answers) = (vec![0_f32; batch.len() * longest], vec![0_f32; batch.len() * longest]);
    let positions: usize = batch.iter().map(|example| example.ids.len() - 1).sum();
    for (row, example) in batch.iter().enumerate() {
        for (at, id) in example.ids.iter().enumerate() {
            let next = example.ids.get(at + 1);
            let place = row * longest + at;
            inputs[place] = *id as i32;
            targets[place] = *next.unwrap_or(&example.answer) as i32;
            match next {
                Some(_) => text[place] = 1.0 / positions as f32,
                None => answers[place] = 1.0 / batch.len() as f32,
            }
        }
    }
    let ids = |values| Tensor::<2, Int>::from_data(TensorData::new(values, shape), device);
    let weights = |values| Tensor::<2>::from_data(TensorData::new(values, shape), device);
    let logits = model.logits(model.embed(ids(inputs)));
    let picked = log_softmax(logits, 2)
        .gather(2, ids(targets).unsqueeze_dim(2))
        .squeeze_dim::<2>(2)
        .neg();
    let answer_loss = (picked.clone() * weights(answers)).sum();
    let text_loss = (picked * weights(text)).sum();
    (text_loss + answer_loss.clone() * ANSWER_WEIGHT, answer_loss)
}

/// The share of examples whose right letter is the most probable of all tokens.
pub fn accuracy(model: &CausalLm, examples: &[Example], device: &Device) -> f64 {
    let right = examples.iter().filter(|example| {
        let ids: Vec<i32> = example.ids.iter().map(|id| *id as i32).collect();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, example.ids.len()]), device);
        let best = model.last_logits(model.embed(ids)).argmax(1).into_scalar::<i64>();
        best == i64::from(example.answer)
    });
    right.count() as f64 / examples.len() as f64
}
