//! The same model with its parameters permuted: a control. A map that says something of what the model has learned is
//! another one here (Adebayo and others 2018, arXiv 1810.03292).
//!
//! The numbers of every matrix and of every vector change places: each has the same numbers, and what was learned is
//! gone. A matrix that is packed is unpacked for that, into half precision where the kernels compute. Embeddings of
//! tokens and of positions stay: they are the input. So does an output layer that is tied to them.

use burn::module::{Param, ParamId};
use burn::tensor::Tensor;

use super::{CausalLm, Layer, Linear, Mlp, Norm};
use crate::model::indices;
use crate::random::{self, SplitMix64};

impl CausalLm {
    /// With permuted parameters; the same seed gives the same.
    pub fn permuted(mut self, seed: u64) -> Self {
        let random = &mut SplitMix64::new(seed);
        for layer in &mut self.layers {
            layer.permute(random);
        }
        self.permute_end(random);
        self
    }

    /// With the parameters of the last norm, of an output layer that is not tied and of this many of the last layers
    /// permuted. With one layer more, the others are permuted in the same way.
    pub fn permuted_from_the_end(mut self, seed: u64, layers: usize) -> Self {
        let random = &mut SplitMix64::new(seed);
        self.permute_end(random);
        for layer in self.layers.iter_mut().rev().take(layers) {
            layer.permute(random);
        }
        self
    }

    /// The last norm, and an output layer that is not tied.
    fn permute_end(&mut self, random: &mut SplitMix64) {
        self.norm.permute(random);
        if let Some(head) = &mut self.head {
            *head = head.shuffled(random);
            permute(self.head_bias.as_mut(), random);
        }
    }
}

/// A random order of so many things.
fn order(count: usize, random: &mut SplitMix64) -> Vec<usize> {
    let all: Vec<usize> = (0..count).collect();
    random::draw(&all, count, random.next_u64())
}

fn permute(vector: Option<&mut Param<Tensor<1>>>, random: &mut SplitMix64) {
    if let Some(vector) = vector {
        let values = vector.val();
        let places = indices(order(values.dims()[0], random), &values.device());
        *vector = Param::initialized(ParamId::new(), values.select(0, places));
    }
}

impl Layer {
    fn permute(&mut self, random: &mut SplitMix64) {
        let norms = [
            &mut self.before_attention,
            &mut self.query_norm,
            &mut self.key_norm,
            &mut self.after_attention,
            &mut self.before_mlp,
            &mut self.after_mlp,
        ];
        norms.into_iter().flatten().for_each(|norm| norm.permute(random));
        for linear in [&mut self.query, &mut self.key, &mut self.value, &mut self.output] {
            linear.permute(random);
        }
        self.router.iter_mut().for_each(|router| router.permute(random));
        let mlps = self.mlp.iter_mut().chain(&mut self.experts);
        mlps.for_each(|mlp| mlp.permute(random));
        permute(self.sinks.as_mut(), random);
    }
}

impl Mlp {
    fn permute(&mut self, random: &mut SplitMix64) {
        let linears = self.gate.iter_mut().chain([&mut self.up, &mut self.down]);
        linears.for_each(|linear| linear.permute(random));
    }
}

impl Linear {
    fn permute(&mut self, random: &mut SplitMix64) {
        self.weight = self.weight.shuffled(random);
        permute(self.bias.as_mut(), random);
    }
}

impl Norm {
    fn permute(&mut self, random: &mut SplitMix64) {
        permute(Some(&mut self.weight), random);
        permute(self.bias.as_mut(), random);
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::checkpoint::config;
    use crate::model::NamedParameter;

    fn floats_of(parameter: NamedParameter) -> Vec<f32> {
        parameter.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn it_has_the_same_numbers_elsewhere_but_for_the_embeddings() {
        let config = serde_json::json!({
            "model_type": "qwen3", "vocab_size": 40, "hidden_size": 24, "intermediate_size": 44, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-5,
            "tie_word_embeddings": false, "attention_bias": true,
        });
        let shape = config::parse(config.as_object().unwrap()).unwrap().model;
        let numbers = |model: &CausalLm| -> Vec<(String, Vec<f32>)> {
            let read = |(name, parameter): (String, NamedParameter)| (name, floats_of(parameter));
            model.named_parameters().into_iter().map(read).collect()
        };
        let model = CausalLm::init(&shape, &Device::default());
        let before = numbers(&model);
        let after = numbers(&model.clone().permuted(7));
        assert_eq!(after, numbers(&model.clone().permuted(7)));
        assert_ne!(after, numbers(&model.clone().permuted(8)));
        // From the end: the last layer alone, then the first in the same way beside it.
        let ends = [1, 2].map(|layers| numbers(&model.clone().permuted_from_the_end(7, layers)));
        for (((name, before), (_, one)), (_, two)) in before.iter().zip(&ends[0]).zip(&ends[1]) {
            let constant = before.iter().all(|value| *value == before[0]);
            let is_first = name.contains("layers.0.");
            assert_eq!(
                before == one,
                constant || is_first || name.contains("embed_tokens"),
                "{name}"
            );
            assert_eq!(one == two, constant || !is_first, "{name}");
        }
        let sorted = |values: &[f32]| {
            let mut values = values.to_vec();
            values.sort_by(f32::total_cmp);
            values
        };
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            assert_eq!(sorted(before), sorted(after), "{name}");
            let constant = before.iter().all(|value| *value == before[0]);
            assert_eq!(before == after, constant || name.contains("embed_tokens"), "{name}");
        }
    }
}
