//! What is explained: scalars of the logits, their values and their gradients.

use std::f64::consts::LN_2;

use burn::tensor::{IndexingUpdateOp, Int, Tensor, TensorData};

use super::Scalar;
use crate::model::decoder::Decoder;
use crate::model::ops::Ops;
use crate::tensor::care::{landed, log_softmax, sum, wide};
use crate::tensor::host::doubles;
use crate::terms::Output;

/// What is read of the last positions' logits.
pub(super) struct Outputs {
    /// `[outputs, vocabulary]`, in float32 or float64.
    logits: Tensor<2>,
    /// Their logarithms, and their probabilities; where some output needs them.
    log_probabilities: Option<Tensor<2>>,
    probabilities: Option<Tensor<2>>,
}

/// ∂F/∂logits of each row that is read: size · (Σ factor · e_token − spread · softmax(logits)). The bracket is of order
/// 1, so that a narrow dtype does not lose it where F is small.
pub(super) struct Seeds {
    tokens: [Vec<i64>; 2],
    factors: [Vec<f64>; 2],
    /// A token's own entry is this and −spread · p; or, where it is `certain`, this and spread · (1 − p).
    beyond: [Vec<f64>; 2],
    /// 1 where a token's probability p is above one half, else 0.
    certain: [Vec<f64>; 2],
    /// 1 where a second token is subtracted, else 0.
    is_contrast: Vec<f64>,
    spread: Vec<f64>,
    /// One for each sequence: 1 where several rows are read, since logarithms need none.
    pub(super) sizes: Vec<f64>,
}

impl Outputs {
    pub(super) fn new(logits: Tensor<2>, asked: &[Scalar]) -> Self {
        let logits = wide(logits);
        let needed = asked.iter().any(|scalar| scalar.output != Output::Logit);
        let log_probabilities = needed.then(|| log_softmax(logits.clone(), 1));
        Self {
            probabilities: log_probabilities.clone().map(Tensor::exp),
            logits,
            log_probabilities,
        }
    }

    /// F of the first sequences, one scalar each, and its gradient. Where tokens are `forced` before a scalar's own, F
    /// is the sum of all their log-probabilities.
    pub(super) fn values<'f>(&self, asked: &[Scalar], forced: impl Iterator<Item = &'f [u32]>) -> (Vec<f64>, Seeds) {
        let mut rows = Vec::with_capacity(asked.len());
        let mut ends = Vec::with_capacity(asked.len());
        for (scalar, forced) in asked.iter().zip(forced) {
            let before = forced.iter().map(|&token| Scalar { token, ..*scalar });
            rows.extend(before.chain([*scalar]));
            ends.push(rows.len());
        }
        let (values, mut seeds) = self.row_values(&rows);
        let starts = [0].into_iter().chain(ends.iter().copied());
        let spans: Vec<_> = starts.zip(&ends).map(|(from, &to)| from..to).collect();
        seeds.sizes = spans.iter().map(|span| seeds.sizes[span.start]).collect();
        (spans.into_iter().map(|span| values[span].iter().sum()).collect(), seeds)
    }

    /// The same of the first rows.
    fn row_values(&self, asked: &[Scalar]) -> (Vec<f64>, Seeds) {
        let count = asked.len();
        let contrast = asked.iter().any(|scalar| scalar.minus.is_some());
        let tokens = [
            asked.iter().map(|s| i64::from(s.token)).collect::<Vec<_>>(),
            asked.iter().map(|s| i64::from(s.minus.unwrap_or(s.token))).collect(),
        ];
        // Each read waits for the device: one for the target, one more for the token that a contrast subtracts.
        let read = |values: &Tensor<2>| -> [Vec<f64>; 2] {
            let of = |tokens: &Vec<i64>| {
                let index = TensorData::new(tokens.clone(), [count, 1]);
                let index = Tensor::<2, Int>::from_data(index, &values.device());
                doubles(landed(values.clone().narrow(0, 0, count).gather(1, index)))
            };
            let first = of(&tokens[0]);
            let second = if contrast { of(&tokens[1]) } else { first.clone() };
            [first, second]
        };
        let plain = asked.iter().any(|scalar| scalar.output == Output::Logit);
        let logits = if plain {
            read(&self.logits)
        } else {
            <[Vec<f64>; 2]>::default()
        };
        let logs = self.log_probabilities.as_ref().map(read).unwrap_or_default();
        let mut seeds = Seeds {
            tokens: tokens.clone(),
            factors: [vec![], vec![]],
            beyond: [vec![], vec![]],
            certain: [vec![], vec![]],
            is_contrast: vec![],
            spread: vec![],
            sizes: vec![],
        };
        let mut values = Vec::with_capacity(count);
        for (row, scalar) in asked.iter().enumerate() {
            // Value, ∂/∂(its own logit) before the softmax's share, and that share.
            let part = |side: usize| match scalar.output {
                Output::Logit => (logits[side][row], 1.0, 0.0),
                Output::LogProbability => (logs[side][row], 1.0, 1.0),
                Output::Probability => {
                    let probability = logs[side][row].exp();
                    (probability, probability, probability)
                }
            };
            let first = part(0);
            let second = match scalar.minus {
                Some(_) => part(1),
                None => (0.0, 0.0, 0.0),
            };
            values.push(first.0 - second.0);
            // Where F is nothing at all, so is its gradient.
            let size = f64::max(first.1, second.1).max(f64::MIN_POSITIVE);
            seeds.factors[0].push(first.1 / size);
            seeds.factors[1].push(-second.1 / size);
            let spread = first.2 - second.2;
            for side in 0..2 {
                let is_certain = logs
                    .get(side)
                    .and_then(|logs| logs.get(row))
                    .is_some_and(|&log| log > -LN_2);
                // Of each token the first two numbers are the same, or the second is 0: so these differences are exact.
                let beyond = match (side, is_certain) {
                    (0, false) => first.1,
                    (0, true) => (first.1 - first.2) + second.2,
                    (_, false) => -second.1,
                    (_, true) => -((second.1 - second.2) + first.2),
                };
                seeds.beyond[side].push(beyond / size);
                seeds.certain[side].push(if is_certain { 1.0 } else { 0.0 });
            }
            seeds.is_contrast.push(if scalar.minus.is_some() { 1.0 } else { 0.0 });
            seeds.spread.push(spread / size);
            seeds.sizes.push(size);
        }
        (values, seeds)
    }

    /// ∂F/∂hidden / size, `[sequences, hidden]`, through the decoder's output layer.
    pub(super) fn hidden_gradient<O: Ops>(&self, ops: &O, decoder: &Decoder, seeds: &Seeds) -> O::Rows {
        let head = decoder.head();
        let (device, count) = (self.logits.device(), seeds.spread.len());
        let column = |values: &[f64]| {
            Tensor::<2>::from_data(
                TensorData::new(values.to_vec(), [count, 1]),
                (&device, self.logits.dtype()),
            )
        };
        let contrast = seeds.factors[1].iter().any(|&factor| factor != 0.0);
        let sides = if contrast { 2 } else { 1 };
        let slope = decoder.logit_slope(&self.logits);
        match (&self.probabilities, slope) {
            // A few rows of the output layer are all there is.
            (None, None) => {
                let side = |side: usize| head.select(&seeds.tokens[side]) * column(&seeds.factors[side]);
                let gradient = (1..sides).fold(side(0), |sum, next| sum + side(next));
                ops.to_rows(gradient)
            }
            (_, slope) => {
                let mut gradient = self.logits_gradient(seeds);
                if let Some(slope) = slope {
                    gradient = gradient * slope.narrow(0, 0, count);
                }
                ops.back(count, &ops.to_rows(gradient), head)
            }
        }
    }

    /// ∂F/∂logits / size, `[sequences, vocabulary]`, in float32 at least: before a narrow dtype rounds a token's own share
    /// or the softmax's.
    ///
    /// Of a token that is all but certain, its own entry has the factor 1 − p. This is taken as the sum of all other
    /// probabilities: 1 − p by itself would be rounding in good part (at p = 1 − 10⁻⁶, 6 percent of it).
    fn logits_gradient(&self, seeds: &Seeds) -> Tensor<2> {
        let (device, count) = (self.logits.device(), seeds.spread.len());
        let column = |values: &[f64]| {
            Tensor::<2>::from_data(
                TensorData::new(values.to_vec(), [count, 1]),
                (&device, self.logits.dtype()),
            )
        };
        let index =
            |side: usize| Tensor::<2, Int>::from_data(TensorData::new(seeds.tokens[side].clone(), [count, 1]), &device);
        let add = |to: Tensor<2>, side: usize, values| to.scatter(1, index(side), values, IndexingUpdateOp::Add);
        let contrast = seeds.is_contrast.iter().any(|&flag| flag != 0.0);
        let Some(probabilities) = &self.probabilities else {
            let mut gradient = self.logits.clone().narrow(0, 0, count).zeros_like();
            for side in 0..if contrast { 2 } else { 1 } {
                gradient = add(gradient, side, column(&seeds.factors[side]));
            }
            return gradient;
        };
        let probabilities = probabilities.clone().narrow(0, 0, count);
        let spread = column(&seeds.spread);
        let first = probabilities.clone().gather(1, index(0));
        let mut others = add(probabilities.clone(), 0, first.clone().neg());
        // Where nothing is subtracted, the second token is the first once more.
        let second = contrast.then(|| probabilities.gather(1, index(1)) * column(&seeds.is_contrast));
        if let Some(second) = &second {
            others = add(others, 1, second.clone().neg());
        }
        let rest = sum(others.clone(), 1);
        let mut gradient = others * spread.clone().neg();
        let entry = |side: usize, own: Tensor<2>, others: Tensor<2>| {
            let certain = column(&seeds.certain[side]);
            let softmax = others * certain.clone() - own * (certain.neg() + 1.0);
            column(&seeds.beyond[side]) + spread.clone() * softmax
        };
        let beside_first = second
            .clone()
            .map_or_else(|| rest.clone(), |second| rest.clone() + second);
        gradient = add(gradient, 0, entry(0, first.clone(), beside_first));
        if let Some(second) = second {
            let entry = entry(1, second, rest + first);
            gradient = add(gradient, 1, entry * column(&seeds.is_contrast));
        }
        gradient
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};

    use super::*;

    /// ∂F/∂logits in float64, without a difference of numbers that are nearly the same.
    fn expected(logits: &[f32], scalar: &Scalar) -> Vec<f64> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = logits.iter().map(|&logit| f64::from(logit - largest).exp()).collect();
        let all: f64 = powers.iter().sum();
        let p = |token: usize| powers[token] / all;
        let besides = |token: usize| {
            let others = powers.iter().enumerate().filter(|(other, _)| *other != token);
            others.map(|(_, power)| power).sum::<f64>() / all
        };
        // ∂ of a token's logit, log-probability or probability with respect to another's logit.
        let part = |token: usize, to: usize| match scalar.output {
            Output::Logit => f64::from(u8::from(token == to)),
            Output::LogProbability if token == to => besides(token),
            Output::LogProbability => -p(to),
            Output::Probability if token == to => p(token) * besides(token),
            Output::Probability => -p(token) * p(to),
        };
        let second = |to: usize| scalar.minus.map_or(0.0, |minus| part(minus as usize, to));
        (0..logits.len())
            .map(|to| part(scalar.token as usize, to) - second(to))
            .collect()
    }

    #[test]
    fn the_gradient_of_a_certain_answer_is_not_lost_in_rounding() {
        let rows = [
            // Certain but for 10⁻⁷, likely, and unlikely.
            vec![18.0f32, 0.5, 1.0, -0.25, 0.0],
            vec![2.0, 0.5, 1.0, -0.25, 0.0],
            vec![-9.0, 0.5, 1.0, -0.25, 0.0],
        ];
        for output in [Output::Probability, Output::LogProbability, Output::Logit] {
            for minus in [None, Some(2)] {
                for token in [0, 1] {
                    let scalar = Scalar { token, output, minus };
                    // One row of the pass has no contrast: it must not take part in one.
                    let asked = [scalar, scalar, Scalar { minus: None, ..scalar }];
                    let logits =
                        Tensor::<2>::from_data(TensorData::new(rows.concat(), [3, 5]), (&Device::flex(), DType::F32));
                    let outputs = Outputs::new(logits, &asked);
                    let (_, seeds) = outputs.values(&asked, std::iter::repeat_n(&[][..], 3));
                    let found = doubles(outputs.logits_gradient(&seeds));
                    for (row, (logits, scalar)) in rows.iter().zip(&asked).enumerate() {
                        let expected = expected(logits, scalar);
                        for (place, expected) in expected.iter().enumerate() {
                            let ours = found[5 * row + place] * seeds.sizes[row];
                            assert!(
                                (ours - expected).abs() <= 4e-6 * expected.abs() + 1e-30,
                                "{output:?} of {token} minus {minus:?}, row {row}, {place}: {ours:e}, not {expected:e}"
                            );
                        }
                    }
                }
            }
        }
    }
}
