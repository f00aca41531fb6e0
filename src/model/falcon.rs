//! Falcon in its 7B layout (Almazrouei et al. 2023, arXiv:2311.16867), after `modeling_falcon.py` of Hugging Face transformers:
//! one LayerNorm feeds attention and MLP in parallel, all query heads share one key/value head, GELU is the exact one.

use burn::module::{Module, Param};
use burn::tensor::activation::gelu;
use burn::tensor::{Tensor, TensorCreationOptions};

use super::frozen::ops;
use super::frozen::{Block, Frozen, Mlp};
use super::layers::{Attention, Heads, LayerNorm, Linear, decode, deviations, project, queried, random};
use super::{NamedParameter, Positions};
use crate::checkpoint::config::FalconConfig;
use crate::checkpoint::{Loader, OUTPUT};
use crate::diagnostic::Result;
use crate::tensor::matrix::Matrix;

/// The decoder.
#[derive(Module, Debug)]
pub struct Falcon {
    /// `[vocabulary, hidden]`
    pub(super) word_embeddings: Matrix,
    layers: Vec<Layer>,
    ln_f: LayerNorm,
    /// `[vocabulary, hidden]`; none: the embedding table.
    lm_head: Option<Matrix>,
    num_heads: usize,
    theta: f64,
}

/// x + attention(norm(x)) + mlp(norm(x)).
#[derive(Module, Debug)]
struct Layer {
    input_layernorm: LayerNorm,
    /// `[(heads + 2) · width, hidden]`: the query heads, the key head, the value head.
    query_key_value: Linear,
    dense: Linear,
    dense_h_to_4h: Linear,
    dense_4h_to_h: Linear,
}

impl Falcon {
    pub(super) fn load(config: &FalconConfig, loader: &mut Loader) -> Result<Self> {
        let table = [config.vocab_size, config.hidden_size];
        let tied = config.tie_word_embeddings;
        let word_embeddings = loader.table("transformer.word_embeddings.weight", OUTPUT, table, tied)?;
        // Without room for all of them: the number is the file's word.
        let mut layers = Vec::new();
        for index in 0..config.num_hidden_layers {
            layers.push(Layer::load(config, loader, index)?);
        }
        let ln_f = LayerNorm::load(
            loader,
            "transformer.ln_f",
            config.hidden_size,
            config.layer_norm_epsilon,
        )?;
        let lm_head = loader.output_layer(OUTPUT, table, tied)?;
        let num_heads = config.num_attention_heads;
        Ok(Self {
            word_embeddings,
            layers,
            ln_f,
            lm_head,
            num_heads,
            theta: config.rope_theta,
        })
    }

    pub(super) fn init(config: &FalconConfig, place: &TensorCreationOptions) -> Self {
        let table = [config.vocab_size, config.hidden_size];
        let (inside, _) = deviations(config.num_hidden_layers);
        Self {
            word_embeddings: random(table, inside, place).into(),
            layers: (0..config.num_hidden_layers)
                .map(|_| Layer::init(config, place))
                .collect(),
            ln_f: LayerNorm::init(config.hidden_size, config.layer_norm_epsilon, place),
            lm_head: (!config.tie_word_embeddings).then(|| random(table, inside, place).into()),
            num_heads: config.num_attention_heads,
            theta: config.rope_theta,
        }
    }

    pub(super) fn named_parameters(&self) -> Vec<(String, NamedParameter)> {
        let matrix = |p: &Matrix| NamedParameter::Matrix(p.val());
        let vector = |p: &Param<Tensor<1>>| NamedParameter::Vector(p.val());
        let mut named = vec![(
            "transformer.word_embeddings.weight".to_owned(),
            matrix(&self.word_embeddings),
        )];
        for (index, layer) in self.layers.iter().enumerate() {
            let at = |name: &str| format!("transformer.h.{index}.{name}");
            named.extend([
                (at("input_layernorm.weight"), vector(&layer.input_layernorm.weight)),
                (at("input_layernorm.bias"), vector(&layer.input_layernorm.bias)),
                (
                    at("self_attention.query_key_value.weight"),
                    matrix(&layer.query_key_value.weight),
                ),
                (at("self_attention.dense.weight"), matrix(&layer.dense.weight)),
                (at("mlp.dense_h_to_4h.weight"), matrix(&layer.dense_h_to_4h.weight)),
                (at("mlp.dense_4h_to_h.weight"), matrix(&layer.dense_4h_to_h.weight)),
            ]);
        }
        named.push(("transformer.ln_f.weight".to_owned(), vector(&self.ln_f.weight)));
        named.push(("transformer.ln_f.bias".to_owned(), vector(&self.ln_f.bias)));
        if let Some(lm_head) = &self.lm_head {
            named.push((OUTPUT.to_owned(), matrix(lm_head)));
        }
        named
    }

    /// The output layer.
    pub(super) fn head(&self) -> &Matrix {
        self.lm_head.as_ref().unwrap_or(&self.word_embeddings)
    }

    /// The same weights, for attribution.
    pub(super) fn frozen(&self) -> Frozen {
        let width = self.ln_f.weight.dims()[0] / self.num_heads;
        let queries = self.num_heads * width;
        let block = |layer: &Layer| {
            let rows = |from: usize, count: usize| ops::Weight::rows_of(&layer.query_key_value.weight, from, count);
            Block {
                norm: layer.input_layernorm.frozen(),
                query: rows(0, queries),
                key: rows(queries, width),
                value: rows(queries + width, width),
                output: layer.dense.frozen(),
                window: None,
                mlp: Mlp::Beside {
                    up: layer.dense_h_to_4h.frozen(),
                    down: layer.dense_4h_to_h.frozen(),
                },
            }
        };
        Frozen::new(
            self.layers.iter().map(block).collect(),
            self.ln_f.frozen(),
            ops::Weight::of(self.head()),
            [self.num_heads, 1, width],
            self.theta,
        )
    }

    /// `[batch, tokens, hidden]` to the residual stream after the final norm, at the positions asked for.
    pub(super) fn hidden(&self, x: Tensor<3>, positions: Positions) -> Tensor<3> {
        let width = x.dims()[2] / self.num_heads;
        let heads = Heads {
            query: self.num_heads,
            key: 1,
            width,
        };
        let attention = Attention::new(heads, self.theta, None, &x);
        let x = decode(&self.layers, x, positions, |layer, x, out| {
            layer.forward(x, heads, &attention, out)
        });
        self.ln_f.forward(x)
    }

    /// `[batch, tokens, hidden]` to `[batch, tokens, vocabulary]`.
    pub(super) fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        project(hidden, self.head().val())
    }
}

impl Layer {
    fn load(config: &FalconConfig, loader: &mut Loader, index: usize) -> Result<Self> {
        let hidden = config.hidden_size;
        let fused = (config.num_attention_heads + 2) * config.head_dim();
        let at = |name: &str| format!("transformer.h.{index}.{name}");
        Ok(Self {
            input_layernorm: LayerNorm::load(loader, &at("input_layernorm"), hidden, config.layer_norm_epsilon)?,
            query_key_value: Linear::load(loader, &at("self_attention.query_key_value.weight"), fused, hidden)?,
            dense: Linear::load(loader, &at("self_attention.dense.weight"), hidden, hidden)?,
            dense_h_to_4h: Linear::load(loader, &at("mlp.dense_h_to_4h.weight"), 4 * hidden, hidden)?,
            dense_4h_to_h: Linear::load(loader, &at("mlp.dense_4h_to_h.weight"), hidden, 4 * hidden)?,
        })
    }

    fn init(config: &FalconConfig, place: &TensorCreationOptions) -> Self {
        let hidden = config.hidden_size;
        let fused = (config.num_attention_heads + 2) * config.head_dim();
        let (inside, to_residual) = deviations(config.num_hidden_layers);
        Self {
            input_layernorm: LayerNorm::init(hidden, config.layer_norm_epsilon, place),
            query_key_value: Linear::init(fused, hidden, inside, place),
            dense: Linear::init(hidden, hidden, to_residual, place),
            dense_h_to_4h: Linear::init(4 * hidden, hidden, inside, place),
            dense_4h_to_h: Linear::init(hidden, 4 * hidden, to_residual, place),
        }
    }

    fn forward(&self, x: Tensor<3>, heads: Heads, attention: &Attention, out: Positions) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        let queries = heads.query * heads.width;
        let weight = self.query_key_value.weight.val();
        // The rows of the fused matrix are cut, not its product: the last layer then projects one query position only.
        let rows = |from: usize, count: usize| weight.clone().narrow(0, from, count);
        let normed_out = queried(&normed, out);
        let q = project(normed_out.clone(), rows(0, queries));
        let k = project(normed.clone(), rows(queries, heads.width));
        let v = project(normed, rows(queries + heads.width, heads.width));
        let attended = self.dense.forward(attention.forward(q, k, v));
        let mlp = self.dense_4h_to_h.forward(gelu(self.dense_h_to_4h.forward(normed_out)));
        queried(&x, out) + attended + mlp
    }
}
