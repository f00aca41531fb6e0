//! A causal language model, as attribution needs it: embeddings in, logits of the last position out.
//!
//! Weights are frozen: they are parameters without gradient, so that a backward pass computes gradients for activations only.

pub mod device;
pub mod falcon;
pub mod frozen;
mod layers;
pub mod llama;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorCreationOptions};

use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::{Checkpoint, Loader, asked_for};
use crate::diagnostic::Result;
use crate::tensor::matrix::{Matrix, Precision};
use falcon::Falcon;
use llama::Llama;

/// A decoder of one of the architectures that igsite computes.
#[derive(Module, Debug)]
pub enum CausalLm {
    /// Llama, Mistral, Orca-2.
    Llama(Llama),
    /// Falcon 7B.
    Falcon(Falcon),
}

impl CausalLm {
    /// Loads every parameter of a checkpoint onto `device`, frozen, and kept as `precision` says; a dtype alone means tensors of it.
    ///
    /// # Errors
    /// A tensor is missing, has another shape than `config.json` says, cannot be read, or is left over.
    pub fn load(checkpoint: &Checkpoint, device: &Device, precision: impl Into<Precision>) -> Result<Self> {
        Self::from_loader(checkpoint, checkpoint.loader(device, precision.into()))
    }

    /// Checks that a checkpoint has every tensor that its `config.json` asks for, in its shape, and no other. Reads no weights.
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

    fn take(config: &ModelConfig, loader: &mut Loader) -> Result<Self> {
        Ok(match config {
            ModelConfig::Llama(config) => Self::Llama(Llama::load(config, loader)?),
            ModelConfig::Falcon(config) => Self::Falcon(Falcon::load(config, loader)?),
        })
    }

    /// The tensors that a checkpoint of this shape has: names and shapes.
    ///
    /// # Errors
    /// None that a configuration read by [`crate::checkpoint::config::read`] can have.
    pub fn layout(config: &ModelConfig) -> Result<Vec<(String, Vec<usize>)>> {
        asked_for(config, |loader| Self::take(config, loader).map(drop))
    }

    /// A model with random parameters (normal, σ = 0.02, scaled down by depth where a layer writes to the residual stream),
    /// to be trained or timed. `place` is a device, with a dtype where it is not to be the device's usual one.
    pub fn init(config: &ModelConfig, place: impl Into<TensorCreationOptions>) -> Self {
        let place = place.into();
        match config {
            ModelConfig::Llama(config) => Self::Llama(Llama::init(config, &place)),
            ModelConfig::Falcon(config) => Self::Falcon(Falcon::init(config, &place)),
        }
    }

    /// The same weights (not a copy), for attribution.
    pub fn frozen(&self) -> frozen::Frozen {
        match self {
            Self::Llama(model) => model.frozen(),
            Self::Falcon(model) => model.frozen(),
        }
    }

    /// The parameters under the names that a checkpoint gives them, each once, for writing one.
    pub fn named_parameters(&self) -> Vec<(String, NamedParameter)> {
        match self {
            Self::Llama(model) => model.named_parameters(),
            Self::Falcon(model) => model.named_parameters(),
        }
    }

    /// Parameters in all.
    pub fn parameters(&self) -> usize {
        let size = |matrix: &Matrix| matrix.dims().into_iter().product::<usize>();
        let tied = match self {
            Self::Llama(model) => std::ptr::eq(model.head(), &model.embed_tokens),
            Self::Falcon(model) => std::ptr::eq(model.head(), &model.word_embeddings),
        };
        let tables = if tied { 1 } else { 2 };
        self.frozen().parameters() + tables * size(self.embeddings())
    }

    /// The embedding table, `[vocabulary, hidden]`.
    pub fn embeddings(&self) -> &Matrix {
        match self {
            Self::Llama(model) => &model.embed_tokens,
            Self::Falcon(model) => &model.word_embeddings,
        }
    }

    /// Embeddings of token ids: `[batch, tokens]` to `[batch, tokens, hidden]`.
    pub fn embed(&self, ids: Tensor<2, Int>) -> Tensor<3> {
        layers::embed(self.embeddings().val(), ids)
    }

    /// The residual stream after the final norm: `[batch, tokens, hidden]` to the same.
    pub fn hidden(&self, embeddings: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Llama(model) => model.hidden(embeddings, Positions::All),
            Self::Falcon(model) => model.hidden(embeddings, Positions::All),
        }
    }

    /// The output layer: `[batch, tokens, hidden]` to `[batch, tokens, vocabulary]`.
    pub fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Llama(model) => model.logits(hidden),
            Self::Falcon(model) => model.logits(hidden),
        }
    }

    /// Logits of the last position alone: `[batch, tokens, hidden]` to `[batch, vocabulary]`. The last layer computes no other
    /// position's query and MLP.
    pub fn last_logits(&self, embeddings: Tensor<3>) -> Tensor<2> {
        let hidden = match self {
            Self::Llama(model) => model.hidden(embeddings, Positions::Last),
            Self::Falcon(model) => model.hidden(embeddings, Positions::Last),
        };
        self.logits(hidden).squeeze_dim(1)
    }
}

/// Which positions a layer has to put out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Positions {
    /// Each.
    All,
    /// The last alone; earlier ones are still attended to.
    Last,
}

/// A parameter for writing: a matrix `[out, in]` or a vector.
#[derive(Clone, Debug)]
pub enum NamedParameter {
    /// `[out, in]`
    Matrix(Tensor<2>),
    /// `[width]`
    Vector(Tensor<1>),
}
