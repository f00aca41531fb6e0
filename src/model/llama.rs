//! Llama (Touvron et al. 2023, arXiv:2302.13971 and 2307.09288) and Mistral (Jiang et al. 2023, arXiv:2310.06825), after
//! `modeling_llama.py` and `modeling_mistral.py` of Hugging Face transformers.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param};
use burn::tensor::activation::silu;
use burn::tensor::{Tensor, TensorCreationOptions};

use super::frozen::ops;
use super::frozen::{Block, Frozen, Mlp};
use super::layers::{Attention, Heads, Linear, RmsNorm, decode, deviations, project, queried, random};
use super::{NamedParameter, Positions};
use crate::checkpoint::config::LlamaConfig;
use crate::checkpoint::{Loader, OUTPUT};
use crate::diagnostic::Result;
use crate::tensor::matrix::Matrix;

/// The decoder.
#[derive(Module, Debug)]
pub struct Llama {
    /// `[vocabulary, hidden]`
    pub(super) embed_tokens: Matrix,
    layers: Vec<Layer>,
    norm: RmsNorm,
    /// `[vocabulary, hidden]`; none: the embedding table.
    lm_head: Option<Matrix>,
    heads: [usize; 3],
    theta: f64,
}

/// x + attention(norm(x)), then x + mlp(norm(x)).
#[derive(Module, Debug)]
struct Layer {
    input_layernorm: RmsNorm,
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    post_attention_layernorm: RmsNorm,
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
    /// A position sees itself and at most `window − 1` before it; none: all before it.
    window: Option<usize>,
}

impl Llama {
    pub(super) fn load(config: &LlamaConfig, loader: &mut Loader) -> Result<Self> {
        let table = [config.vocab_size, config.hidden_size];
        let tied = config.tie_word_embeddings;
        let embed_tokens = loader.table("model.embed_tokens.weight", OUTPUT, table, tied)?;
        // Without room for all of them: the number is the file's word.
        let mut layers = Vec::new();
        for index in 0..config.num_hidden_layers {
            layers.push(Layer::load(config, loader, index)?);
        }
        let norm = RmsNorm::load(loader, "model.norm.weight", config.hidden_size, config.rms_norm_eps)?;
        let lm_head = loader.output_layer(OUTPUT, table, tied)?;
        Ok(Self::assemble(config, embed_tokens, layers, norm, lm_head))
    }

    pub(super) fn init(config: &LlamaConfig, place: &TensorCreationOptions) -> Self {
        let table = [config.vocab_size, config.hidden_size];
        let (inside, _) = deviations(config.num_hidden_layers);
        Self::assemble(
            config,
            random(table, inside, place).into(),
            (0..config.num_hidden_layers)
                .map(|index| Layer::init(config, place, index))
                .collect(),
            RmsNorm::init(config.hidden_size, config.rms_norm_eps, place),
            (!config.tie_word_embeddings).then(|| random(table, inside, place).into()),
        )
    }

    fn assemble(
        config: &LlamaConfig,
        embed_tokens: Matrix,
        layers: Vec<Layer>,
        norm: RmsNorm,
        lm_head: Option<Matrix>,
    ) -> Self {
        Self {
            embed_tokens,
            layers,
            norm,
            lm_head,
            heads: [config.num_attention_heads, config.num_key_value_heads, config.head_dim],
            theta: config.rope_theta,
        }
    }

    pub(super) fn named_parameters(&self) -> Vec<(String, NamedParameter)> {
        let matrix = |p: &Matrix| NamedParameter::Matrix(p.val());
        let vector = |p: &Param<Tensor<1>>| NamedParameter::Vector(p.val());
        let mut named = vec![("model.embed_tokens.weight".to_owned(), matrix(&self.embed_tokens))];
        for (index, layer) in self.layers.iter().enumerate() {
            let at = |name: &str| format!("model.layers.{index}.{name}.weight");
            named.extend([
                (at("input_layernorm"), vector(&layer.input_layernorm.weight)),
                (at("self_attn.q_proj"), matrix(&layer.q_proj.weight)),
                (at("self_attn.k_proj"), matrix(&layer.k_proj.weight)),
                (at("self_attn.v_proj"), matrix(&layer.v_proj.weight)),
                (at("self_attn.o_proj"), matrix(&layer.o_proj.weight)),
                (
                    at("post_attention_layernorm"),
                    vector(&layer.post_attention_layernorm.weight),
                ),
                (at("mlp.gate_proj"), matrix(&layer.gate_proj.weight)),
                (at("mlp.up_proj"), matrix(&layer.up_proj.weight)),
                (at("mlp.down_proj"), matrix(&layer.down_proj.weight)),
            ]);
        }
        named.push(("model.norm.weight".to_owned(), vector(&self.norm.weight)));
        if let Some(lm_head) = &self.lm_head {
            named.push((OUTPUT.to_owned(), matrix(lm_head)));
        }
        named
    }

    /// The output layer.
    pub(super) fn head(&self) -> &Matrix {
        self.lm_head.as_ref().unwrap_or(&self.embed_tokens)
    }

    /// The same weights, for attribution.
    pub(super) fn frozen(&self) -> Frozen {
        let block = |layer: &Layer| Block {
            norm: layer.input_layernorm.frozen(),
            query: layer.q_proj.frozen(),
            key: layer.k_proj.frozen(),
            value: layer.v_proj.frozen(),
            output: layer.o_proj.frozen(),
            window: layer.window,
            mlp: Mlp::Gated {
                norm: layer.post_attention_layernorm.frozen(),
                gate: layer.gate_proj.frozen(),
                up: layer.up_proj.frozen(),
                down: layer.down_proj.frozen(),
            },
        };
        let [query, key, width] = self.heads;
        Frozen::new(
            self.layers.iter().map(block).collect(),
            self.norm.frozen(),
            ops::Weight::of(self.head()),
            [query, key, width],
            self.theta,
        )
    }

    /// `[batch, tokens, hidden]` to the residual stream after the final norm, at the positions asked for.
    pub(super) fn hidden(&self, x: Tensor<3>, positions: Positions) -> Tensor<3> {
        let [query, key, width] = self.heads;
        // Layers have the one window or none.
        let attention: BTreeMap<Option<usize>, Attention> = self
            .layers
            .iter()
            .map(|layer| layer.window)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|window| {
                (
                    window,
                    Attention::new(Heads { query, key, width }, self.theta, window, &x),
                )
            })
            .collect();
        let x = decode(&self.layers, x, positions, |layer, x, out| {
            layer.forward(x, &attention[&layer.window], out)
        });
        self.norm.forward(x)
    }

    /// `[batch, tokens, hidden]` to `[batch, tokens, vocabulary]`.
    pub(super) fn logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        project(hidden, self.head().val())
    }
}

impl Layer {
    fn load(config: &LlamaConfig, loader: &mut Loader, index: usize) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let query = config.num_attention_heads * config.head_dim;
        let key = config.num_key_value_heads * config.head_dim;
        let at = |name: &str| format!("model.layers.{index}.{name}.weight");
        Ok(Self {
            input_layernorm: RmsNorm::load(loader, &at("input_layernorm"), hidden, config.rms_norm_eps)?,
            q_proj: Linear::load(loader, &at("self_attn.q_proj"), query, hidden)?,
            k_proj: Linear::load(loader, &at("self_attn.k_proj"), key, hidden)?,
            v_proj: Linear::load(loader, &at("self_attn.v_proj"), key, hidden)?,
            o_proj: Linear::load(loader, &at("self_attn.o_proj"), hidden, query)?,
            post_attention_layernorm: RmsNorm::load(
                loader,
                &at("post_attention_layernorm"),
                hidden,
                config.rms_norm_eps,
            )?,
            gate_proj: Linear::load(loader, &at("mlp.gate_proj"), inner, hidden)?,
            up_proj: Linear::load(loader, &at("mlp.up_proj"), inner, hidden)?,
            down_proj: Linear::load(loader, &at("mlp.down_proj"), hidden, inner)?,
            window: config.window(index),
        })
    }

    fn init(config: &LlamaConfig, place: &TensorCreationOptions, index: usize) -> Self {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let query = config.num_attention_heads * config.head_dim;
        let key = config.num_key_value_heads * config.head_dim;
        let (inside, to_residual) = deviations(config.num_hidden_layers);
        Self {
            input_layernorm: RmsNorm::init(hidden, config.rms_norm_eps, place),
            q_proj: Linear::init(query, hidden, inside, place),
            k_proj: Linear::init(key, hidden, inside, place),
            v_proj: Linear::init(key, hidden, inside, place),
            o_proj: Linear::init(hidden, query, to_residual, place),
            post_attention_layernorm: RmsNorm::init(hidden, config.rms_norm_eps, place),
            gate_proj: Linear::init(inner, hidden, inside, place),
            up_proj: Linear::init(inner, hidden, inside, place),
            down_proj: Linear::init(hidden, inner, to_residual, place),
            window: config.window(index),
        }
    }

    fn forward(&self, x: Tensor<3>, attention: &Attention, out: Positions) -> Tensor<3> {
        let normed = self.input_layernorm.forward(x.clone());
        let q = self.q_proj.forward(queried(&normed, out));
        let k = self.k_proj.forward(normed.clone());
        let v = self.v_proj.forward(normed);
        let x = queried(&x, out) + self.o_proj.forward(attention.forward(q, k, v));
        let normed = self.post_attention_layernorm.forward(x.clone());
        let gate = silu(self.gate_proj.forward(normed.clone()));
        x + self.down_proj.forward(gate * self.up_proj.forward(normed))
    }
}
