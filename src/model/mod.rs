//! A causal language model, as attribution needs it: embeddings in, logits of the last position out.
//!
//! [`CausalLm`] holds the parameters, one structure for all families; [`decoder::Decoder`] computes with them. Weights
//! are frozen: they are parameters without gradient, so that a backward pass computes gradients for activations only.
//! Training (`examples/train_demo`) runs the same decoder on a device with automatic differentiation.

pub mod backward;
pub mod decoder;
pub mod device;
pub mod experts;
pub mod known;
pub mod ops;
mod parameters;
pub mod path;
#[cfg(test)]
mod tests;

use burn::tensor::{Device, Int, Tensor, TensorCreationOptions, TensorData};

use crate::checkpoint::{Checkpoint, Loader, needed_tensors};
use crate::diagnostic::Result;
use crate::families::shape::Shape;
use crate::tensor::care::{mean, wide};
use crate::tensor::matrix::{Matrix, Precision};
use decoder::{Entry, Keep};
use ops::Sequences;
use ops::tensor::OnDevice;
pub use parameters::{CausalLm, NamedParameter};

impl CausalLm {
    /// Loads a checkpoint onto `device`, frozen, and stored as `precision` says; a dtype alone means tensors of it.
    ///
    /// # Errors
    /// A tensor is missing, has another shape than `config.json` says, cannot be read, or is left over.
    pub fn load(checkpoint: &Checkpoint, device: &Device, precision: impl Into<Precision>) -> Result<Self> {
        Self::from_loader(checkpoint, checkpoint.loader(device, precision.into()))
    }

    /// Checks that a checkpoint has every tensor that its `config.json` asks for, in its shape, and no other. Reads no
    /// weights.
    ///
    /// # Errors
    /// As [`Self::load`], save for reading.
    pub fn verify(checkpoint: &Checkpoint) -> Result<()> {
        Self::from_loader(checkpoint, checkpoint.rehearsal()).map(drop)
    }

    fn from_loader(checkpoint: &Checkpoint, mut loader: Loader) -> Result<Self> {
        let model = Self::take(&checkpoint.config.model, &mut loader)?;
        loader.finish()?;
        Ok(model)
    }

    /// The tensors that a checkpoint of this shape has: names and shapes.
    ///
    /// # Errors
    /// None that a configuration read by [`crate::checkpoint::config::read`] can have.
    pub fn layout(shape: &Shape) -> Result<Vec<(String, Vec<usize>)>> {
        needed_tensors(shape, |loader| Self::take(shape, loader).map(drop))
    }

    /// A model with random parameters (normal, σ = 0.02, scaled down by depth where a layer writes to the residual
    /// stream), to be trained or timed. `place` is a device, with a dtype where it is not to be the device's usual one.
    pub fn init(shape: &Shape, place: impl Into<TensorCreationOptions>) -> Self {
        Self::random(shape, &place.into())
    }

    /// As [`Self::load`], of the first layers alone: a smaller model, for comparing devices where there is no room for
    /// the whole one twice.
    ///
    /// # Errors
    /// As [`Self::load`], save for tensors that are left over.
    pub fn load_first(
        checkpoint: &Checkpoint,
        device: &Device,
        precision: impl Into<Precision>,
        layers: usize,
    ) -> Result<Self> {
        let mut shape = checkpoint.config.model.clone();
        shape.layers = shape.layers.min(layers);
        Self::take(&shape, &mut checkpoint.loader(device, precision.into()))
    }

    /// Layers.
    pub fn layers(&self) -> usize {
        self.shape.layers
    }

    /// Parameters in all.
    pub fn parameters(&self) -> usize {
        let size = |matrix: &Matrix| matrix.dims().into_iter().product::<usize>();
        let tables = [Some(&self.embeddings), self.positions.as_ref(), self.head.as_ref()];
        let bias = if self.shape.output.bias {
            self.shape.vocabulary
        } else {
            0
        };
        self.decoder().parameters() + tables.into_iter().flatten().map(size).sum::<usize>() + bias
    }

    /// The embedding table, `[vocabulary, hidden]`, before [`crate::families::shape::Embedding::scale`].
    pub fn embeddings(&self) -> &Matrix {
        &self.embeddings
    }

    /// Embeddings of tokens as they enter the residual stream, `[tokens, hidden]`, without those of their positions.
    pub fn embed_tokens(&self, ids: &[u32]) -> Tensor<2> {
        self.scaled(self.embeddings.select(ids))
    }

    /// The mean of all tokens' embeddings, `[1, hidden]`, taken in float32 at least.
    pub fn mean_embedding(&self) -> Tensor<2> {
        self.scaled(mean(wide(self.embeddings.val()), 0))
    }

    fn scaled<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match self.shape.embedding.scale {
            Some(scale) => x * scale,
            None => x,
        }
    }

    /// Embeddings of token ids: `[batch, tokens]` to `[batch, tokens, hidden]`, without those of their positions.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        let [batch, tokens] = ids.dims();
        let rows = self.embeddings.val().select(0, ids.reshape([batch * tokens]));
        self.scaled(rows.reshape([batch, tokens, self.shape.hidden]))
    }

    /// Logits of every position: embeddings `[batch, tokens, hidden]` to `[batch, tokens, vocabulary]`. Where the
    /// device has automatic differentiation, it goes through.
    pub fn logits(&self, embeddings: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, _] = embeddings.dims();
        let logits = self.read_at(embeddings, tokens);
        logits.reshape([batch, tokens, self.shape.vocabulary])
    }

    /// Logits of the last position alone: `[batch, tokens, hidden]` to `[batch, vocabulary]`. The last layer computes
    /// no other position's query and MLP.
    pub fn last_logits(&self, embeddings: Tensor<3>) -> Tensor<2> {
        self.read_at(embeddings, 1)
    }

    /// Logits of the last `count` positions of each sequence.
    fn read_at(&self, embeddings: Tensor<3>, count: usize) -> Tensor<2> {
        let [batch, tokens, hidden] = embeddings.dims();
        let sequences = Sequences::with_tails(vec![tokens; batch], vec![count; batch]);
        let decoder = self.decoder();
        let ops = OnDevice::new(
            &embeddings.device(),
            embeddings.dtype(),
            &decoder.rotary(tokens),
            &sequences,
        );
        let x = embeddings.reshape([batch * tokens, hidden]);
        decoder
            .forward(&ops, &sequences, Entry::Embeddings(&x), Keep::Nothing)
            .logits
    }
}

/// A tensor of indices.
pub(crate) fn indices(values: impl IntoIterator<Item = usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i64> = values.into_iter().map(|value| value as i64).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
