//! A mixture of experts: its forward and backward pass, and which experts were chosen.
//!
//! The gradient goes through the chosen experts and through their weights; the choice itself has none. Along a path the
//! choice changes, and F jumps there: [`Routes`] are what a count of such changes compares, and a path may hold the
//! choice that was made at its end ([`Frozen`]), so that F is smooth.

use std::ops::Range;

use super::backward::Back;
use super::decoder::{Decoder, Layer, Linear, Mlp};
use super::ops::{Ops, Sequences, Stretch, Which};
use crate::families::shape;

/// The experts of a layer, with their weights.
#[derive(Clone, Debug)]
pub(super) struct Mixture {
    pub shape: shape::Experts,
    /// `[experts, hidden]`
    pub router: Linear,
    pub mlps: Vec<Mlp>,
}

/// Which experts were chosen for each row, in rising order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    experts: usize,
    chosen: usize,
    of: Vec<u16>,
}

impl Choice {
    /// Those with the largest logits; of equal ones the first. `logits` are `[rows, experts]`.
    pub fn largest(logits: &[f64], experts: usize, chosen: usize) -> Self {
        let mut of = Vec::with_capacity(logits.len() / experts.max(1) * chosen);
        let mut order: Vec<u16> = Vec::with_capacity(experts);
        for row in logits.chunks_exact(experts) {
            order.clear();
            order.extend(0..experts as u16);
            // What is no number is chosen, so that it is not hidden.
            let size = |expert: u16| {
                let logit = row[usize::from(expert)];
                if logit.is_nan() { f64::INFINITY } else { logit }
            };
            order.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
            let largest = &mut order[..chosen];
            largest.sort_unstable();
            of.extend_from_slice(largest);
        }
        Self { experts, chosen, of }
    }

    /// Of how many they are.
    pub fn experts(&self) -> usize {
        self.experts
    }

    /// The experts of a row.
    pub fn of(&self, row: usize) -> &[u16] {
        &self.of[row * self.chosen..(row + 1) * self.chosen]
    }

    /// The rows for which an expert is chosen, of the first `rows`.
    fn rows_of(&self, expert: usize, rows: usize) -> Vec<usize> {
        (0..rows)
            .filter(|&row| self.of(row).contains(&(expert as u16)))
            .collect()
    }

    /// Puts another choice in the place of a row's.
    fn replace(&mut self, row: usize, by: &[u16]) {
        self.of[row * self.chosen..(row + 1) * self.chosen].copy_from_slice(by);
    }
}

/// The choice of each layer for each token of a prompt; none where a layer has no experts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// One entry a layer.
    pub layers: Vec<Option<Choice>>,
}

/// What was chosen in all layers for the tokens of a sequence, in short: one number for each, equal where the sets are.
pub type Routes = Vec<u32>;

/// The weights of a row's experts, 0 for those not chosen.
pub fn weights(logits: &[f32], chosen: &[u16], renormalise: bool, out: &mut [f32]) {
    let of_chosen = || chosen.iter().map(|&expert| logits[usize::from(expert)]);
    let largest = |most: f32, logit: f32| if logit <= most { most } else { logit };
    let (most, sum) = if renormalise {
        let most = of_chosen().fold(f32::NEG_INFINITY, largest);
        (most, of_chosen().map(|logit| (logit - most).exp()).sum::<f32>())
    } else {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, largest);
        (most, logits.iter().map(|logit| (logit - most).exp()).sum::<f32>())
    };
    out.fill(0.0);
    for &expert in chosen {
        let expert = usize::from(expert);
        out[expert] = (logits[expert] - most).exp() / sum;
    }
}

/// Turns the gradient of a row's weights into that of its logits.
pub fn weights_back(logits: &[f32], chosen: &[u16], renormalise: bool, gradient: &mut [f32]) {
    let mut weights = vec![0.0; logits.len()];
    let all: Vec<u16> = (0..logits.len() as u16).collect();
    self::weights(
        logits,
        if renormalise { chosen } else { &all },
        renormalise,
        &mut weights,
    );
    for (expert, gradient) in gradient.iter_mut().enumerate() {
        if !chosen.contains(&(expert as u16)) {
            *gradient = 0.0;
        }
    }
    let mean: f32 = weights.iter().zip(gradient.iter()).map(|(w, g)| w * g).sum();
    for (gradient, w) in gradient.iter_mut().zip(&weights) {
        *gradient = w * (*gradient - mean);
    }
}

/// What a mixture leaves for its backward pass.
pub(super) struct MixtureTrace<O: Ops> {
    logits: O::Rows,
    weights: O::Rows,
    pub(super) choice: Choice,
    parts: Vec<Part<O>>,
}

/// The rows of one expert.
struct Part<O: Ops> {
    expert: usize,
    at: Vec<usize>,
    gate: Option<O::Rows>,
    up: O::Rows,
}

/// Where the choice of a layer may stand already.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub of: HeldBy<'a>,
    pub layer: usize,
    pub which: Which,
}

/// What says so.
#[derive(Clone, Copy, Debug)]
pub(super) enum HeldBy<'a> {
    /// Each path.
    Paths(&'a [Stretch<'a>]),
    /// The prompt of each sequence, where it holds a choice.
    Prompts(&'a [Option<&'a Frozen>], &'a Sequences),
}

impl Held<'_> {
    /// Puts the choices that paths hold in the place of those of the logits.
    fn replace(&self, choice: &mut Choice) {
        let mut row = 0;
        let mut sequence = |tokens: Range<usize>, frozen: Option<&Frozen>| {
            let held = frozen.and_then(|frozen| frozen.layers[self.layer].as_ref());
            for token in tokens {
                if let Some(held) = held {
                    choice.replace(row, held.of(token));
                }
                row += 1;
            }
        };
        match self.of {
            HeldBy::Paths(stretches) => {
                for stretch in stretches {
                    let path = stretch.path;
                    let from = match self.which {
                        Which::All => 0,
                        Which::Last => path.tokens() - 1,
                    };
                    stretch
                        .alphas
                        .iter()
                        .for_each(|_| sequence(from..path.tokens(), path.frozen.as_deref()));
                }
            }
            HeldBy::Prompts(frozen, sequences) => {
                let all = sequences.positions(self.which).zip(frozen);
                all.for_each(|(tokens, frozen)| sequence(tokens, *frozen));
            }
        }
    }
}

impl Decoder {
    /// Whether some layer is a mixture of experts.
    pub fn has_experts(&self) -> bool {
        self.shape.blocks.iter().any(|block| block.experts.is_some())
    }

    /// What the experts write for rows that a layer's MLP reads, `[rows, hidden]`.
    pub(super) fn mixture<O: Ops>(
        &self,
        ops: &O,
        rows: usize,
        layer: &Layer,
        mixture: &Mixture,
        x: &O::Rows,
        held: Option<Held<'_>>,
    ) -> (O::Rows, MixtureTrace<O>) {
        let logits = self.linear(ops, rows, x, &mixture.router);
        let shape::Experts {
            count,
            chosen,
            renormalise,
            ..
        } = mixture.shape;
        let mut choice = Choice::largest(&ops.values(rows, &logits), count, chosen);
        if let Some(held) = held {
            held.replace(&mut choice);
        }
        let weights = ops.route(rows, &logits, &choice, renormalise);
        let mut written = ops.zeros(rows, self.shape.hidden);
        let mut parts = Vec::new();
        for (expert, mlp) in mixture.mlps.iter().enumerate() {
            let at = choice.rows_of(expert, rows);
            if at.is_empty() {
                continue;
            }
            let read = ops.pick(x, &at);
            let (gate, up) = self.mlp_first(ops, at.len(), mlp, &read);
            let activated = self.activated(ops, at.len(), layer, &gate, &up);
            let out = self.linear(ops, at.len(), &activated, &mlp.down);
            written = ops.add_at(written, &at, &ops.weigh(out, &at, &weights, expert));
            parts.push(Part { expert, at, gate, up });
        }
        (
            written,
            MixtureTrace {
                logits,
                weights,
                choice,
                parts,
            },
        )
    }

    /// The gradient of what a mixture reads, given that of what it wrote.
    pub(super) fn mixture_back<O: Ops>(
        &self,
        ops: &Back<'_, O>,
        rows: usize,
        layer: &Layer,
        mixture: &Mixture,
        trace: &MixtureTrace<O>,
        gradient: &O::Rows,
    ) -> O::Rows {
        let shape::Experts { count, renormalise, .. } = mixture.shape;
        let mut of_weights = ops.zeros(rows, count);
        let mut read = ops.zeros(rows, self.shape.hidden);
        for part in &trace.parts {
            let mlp = &mixture.mlps[part.expert];
            // The pass may be for fewer sequences than the one that left this.
            let at = &part.at[..part.at.partition_point(|&row| row < rows)];
            let count = at.len();
            if count == 0 {
                continue;
            }
            let written = ops.pick(gradient, at);
            let activated = self.activated(&**ops, count, layer, &part.gate, &part.up);
            let back = ops.back(count, &written, &mlp.down.weight);
            of_weights = ops.add_dots(of_weights, at, part.expert, &back, &activated);
            if let Some(bias) = &mlp.down.bias {
                let bias = ops.add_bias(count, ops.zeros(count, self.shape.hidden), bias);
                of_weights = ops.add_dots(of_weights, at, part.expert, &written, &bias);
            }
            let back = ops.weigh(back, at, &trace.weights, part.expert);
            let (gate, up) = self.activated_back(ops, count, layer, back, &part.gate, &part.up);
            let own = ops.back(count, &up, &mlp.up.weight);
            let own = match gate.as_ref().zip(mlp.gate.as_ref()) {
                Some((gate, linear)) => ops.back_add(count, gate, &linear.weight, own),
                None => own,
            };
            read = ops.add_at(read, at, &own);
        }
        let logits = ops.route_back(rows, of_weights, &trace.logits, &trace.choice, renormalise);
        ops.back_add(rows, &logits, &mixture.router.weight, read)
    }
}

/// What was chosen in all layers for each of the sequences of a pass, from the choice of each layer with experts.
pub(super) fn routes<'a>(sequences: &Sequences, layers: impl Iterator<Item = (Which, &'a Choice)>) -> Vec<Routes> {
    let mut all = vec![Routes::new(); sequences.count()];
    for (which, choice) in layers {
        let mut row = 0;
        for ((routes, &length), &tail) in all.iter_mut().zip(sequences.lengths()).zip(sequences.tails()) {
            let count = match which {
                Which::All => length,
                Which::Last => tail,
            };
            routes.extend((row..row + count).map(|row| short(choice.of(row))));
            row += count;
        }
    }
    all
}

/// A number for a set, FNV-1a of its members.
fn short(set: &[u16]) -> u32 {
    let byte = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    set.iter()
        .flat_map(|expert| expert.to_le_bytes())
        .fold(0x811c_9dc5, byte)
}
