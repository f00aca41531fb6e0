//! What is explained: scalars of the logits, their values and their gradients.

use burn::tensor::{DType, IndexingUpdateOp, Int, Tensor, TensorData};

use super::Scalar;
use crate::model::decoder::Decoder;
use crate::model::ops::Ops;
use crate::tensor::care::{landed, log_softmax};
use crate::tensor::host::floats;
use crate::terms::Output;

/// What is read of the last positions' logits.
pub(super) struct Outputs {
    /// `[outputs, vocabulary]`, in float32.
    logits: Tensor<2>,
    /// Their logarithms, and their probabilities; where some output needs them.
    log_probabilities: Option<Tensor<2>>,
    probabilities: Option<Tensor<2>>,
}

/// ∂F/∂logits of each row that is read: size · (Σ factor · e_token − spread · softmax(logits)). The bracket is of order
/// 1, so that a narrow dtype does not lose it where F is small.
pub(super) struct Seeds {
    tokens: [Vec<i64>; 2],
    factors: [Vec<f32>; 2],
    spread: Vec<f32>,
    /// One for each sequence: 1 where several rows are read, since logarithms need none.
    pub(super) sizes: Vec<f64>,
}

impl Outputs {
    pub(super) fn new(logits: Tensor<2>, asked: &[Scalar]) -> Self {
        let logits = logits.cast(DType::F32);
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
        let read = |values: &Tensor<2>| -> [Vec<f32>; 2] {
            let of = |tokens: &Vec<i64>| {
                let index = TensorData::new(tokens.clone(), [count, 1]);
                let index = Tensor::<2, Int>::from_data(index, &values.device());
                floats(landed(values.clone().narrow(0, 0, count).gather(1, index)))
            };
            let first = of(&tokens[0]);
            let second = if contrast { of(&tokens[1]) } else { first.clone() };
            [first, second]
        };
        let plain = asked.iter().any(|scalar| scalar.output == Output::Logit);
        let logits = if plain {
            read(&self.logits)
        } else {
            <[Vec<f32>; 2]>::default()
        };
        let logs = self.log_probabilities.as_ref().map(read).unwrap_or_default();
        let mut seeds = Seeds {
            tokens: tokens.clone(),
            factors: [vec![], vec![]],
            spread: vec![],
            sizes: vec![],
        };
        let mut values = Vec::with_capacity(count);
        for (row, scalar) in asked.iter().enumerate() {
            // Value, ∂/∂(its own logit) before the softmax's share, and that share.
            let part = |side: usize| match scalar.output {
                Output::Logit => (f64::from(logits[side][row]), 1.0, 0.0),
                Output::LogProbability => (f64::from(logs[side][row]), 1.0, 1.0),
                Output::Probability => {
                    let probability = f64::from(logs[side][row]).exp();
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
            seeds.factors[0].push((first.1 / size) as f32);
            seeds.factors[1].push((-second.1 / size) as f32);
            seeds.spread.push(((first.2 - second.2) / size) as f32);
            seeds.sizes.push(size);
        }
        (values, seeds)
    }

    /// ∂F/∂hidden / size, `[sequences, hidden]`, through the decoder's output layer.
    pub(super) fn hidden_gradient<O: Ops>(&self, ops: &O, decoder: &Decoder, seeds: &Seeds) -> O::Rows {
        let head = decoder.head();
        let (device, count) = (self.logits.device(), seeds.spread.len());
        let column = |values: &[f32]| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [count, 1]), (&device, DType::F32))
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
            // The difference of a token's own share and the softmax's is taken in float32, before a narrow dtype rounds
            // either.
            (probabilities, slope) => {
                let mut gradient = match probabilities {
                    Some(probabilities) => probabilities.clone().narrow(0, 0, count) * column(&seeds.spread).neg(),
                    None => self.logits.clone().narrow(0, 0, count).zeros_like(),
                };
                for side in 0..sides {
                    let index = TensorData::new(seeds.tokens[side].clone(), [count, 1]);
                    let index = Tensor::<2, Int>::from_data(index, &device);
                    gradient = gradient.scatter(1, index, column(&seeds.factors[side]), IndexingUpdateOp::Add);
                }
                if let Some(slope) = slope {
                    gradient = gradient * slope.narrow(0, 0, count);
                }
                ops.back(count, &ops.to_rows(gradient), head)
            }
        }
    }
}
