//! A model's parameters: one structure for all families. They are taken from checkpoints, and given back, by a family's
//! table of names.

mod permuted;

use std::collections::BTreeMap;

use burn::module::{Module, Param};
use burn::tensor::{Distribution, Tensor, TensorCreationOptions, TensorData};

use super::decoder::{self, Decoder, Feed};
use super::experts::Mixture;
use super::ops::{Bias, NormWeights, Weight};
use crate::checkpoint::Loader;
use crate::diagnostic::Result;
use crate::families::shape::{Block, Norm as NormShape, Shape};
use crate::families::tensors::{Entry, Order, Slot, Weight as Holds};
use crate::kernel::attention::alibi_slopes;
use crate::tensor::matrix::Matrix;

/// A decoder's parameters.
#[derive(Module, Debug)]
pub struct CausalLm {
    /// What they are the parameters of.
    #[module(skip)]
    pub(super) shape: Shape,
    /// `[vocabulary, hidden]`
    pub(super) embeddings: Matrix,
    /// Position embeddings, `[positions, hidden]`.
    pub(super) positions: Option<Matrix>,
    layers: Vec<Layer>,
    norm: Norm,
    /// The output layer, `[vocabulary, hidden]`; none: the embedding table.
    pub(super) head: Option<Matrix>,
    /// `[vocabulary]`
    head_bias: Option<Param<Tensor<1>>>,
}

/// A linear layer, stored as the checkpoint has it.
#[derive(Module, Debug)]
struct Linear {
    /// `[out, in]`
    weight: Matrix,
    /// `[out]`
    bias: Option<Param<Tensor<1>>>,
}

/// A norm, as the checkpoint has it.
#[derive(Module, Debug)]
struct Norm {
    /// `[width]`
    weight: Param<Tensor<1>>,
    /// `[width]`
    bias: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Layer {
    before_attention: Option<Norm>,
    query: Linear,
    key: Linear,
    value: Linear,
    query_norm: Option<Norm>,
    key_norm: Option<Norm>,
    output: Linear,
    after_attention: Option<Norm>,
    before_mlp: Option<Norm>,
    /// None in a mixture of experts.
    mlp: Option<Mlp>,
    router: Option<Linear>,
    experts: Vec<Mlp>,
    after_mlp: Option<Norm>,
    /// `[query heads]`
    sinks: Option<Param<Tensor<1>>>,
}

#[derive(Module, Debug)]
struct Mlp {
    gate: Option<Linear>,
    up: Linear,
    down: Linear,
}

/// A parameter for writing: a matrix or a vector.
#[derive(Clone, Debug)]
pub enum NamedParameter {
    /// `[out, in]`
    Matrix(Tensor<2>),
    /// `[width]`
    Vector(Tensor<1>),
    /// One for all experts, `[experts, in, out]`.
    Experts(Tensor<3>),
}

impl NamedParameter {
    /// Its numbers and their shape.
    pub fn into_data(self) -> TensorData {
        match self {
            Self::Matrix(tensor) => tensor.into_data(),
            Self::Vector(tensor) => tensor.into_data(),
            Self::Experts(tensor) => tensor.into_data(),
        }
    }
}

/// What the families' tables promise; a test holds them to it.
const NAMED: &str = "the family's table of tensors names it";

/// What was taken for a slot.
enum Taken {
    Linear(Linear),
    Norm(Norm),
    Experts(Vec<Linear>),
    Vector(Param<Tensor<1>>),
}

/// What was taken, by slot.
struct Slots(BTreeMap<Slot, Taken>);

impl Slots {
    fn norm(&mut self, slot: Slot) -> Option<Norm> {
        match self.0.remove(&slot) {
            Some(Taken::Norm(norm)) => Some(norm),
            _ => None,
        }
    }

    fn maybe(&mut self, slot: Slot) -> Option<Linear> {
        match self.0.remove(&slot) {
            Some(Taken::Linear(linear)) => Some(linear),
            _ => None,
        }
    }

    /// A layer that every decoder has.
    fn linear(&mut self, slot: Slot) -> Linear {
        self.maybe(slot).unwrap_or_else(|| unreachable!("{NAMED}: {slot:?}"))
    }

    fn experts(&mut self, slot: Slot) -> Vec<Linear> {
        match self.0.remove(&slot) {
            Some(Taken::Experts(linears)) => linears,
            _ => vec![],
        }
    }

    fn vector(&mut self, slot: Slot) -> Option<Param<Tensor<1>>> {
        match self.0.remove(&slot) {
            Some(Taken::Vector(vector)) => Some(vector),
            _ => None,
        }
    }

    fn layer(mut self) -> Layer {
        let router = self.maybe(Slot::Router);
        let mut gates = self.experts(Slot::ExpertGate).into_iter();
        let (ups, downs) = (self.experts(Slot::ExpertUp), self.experts(Slot::ExpertDown));
        let expert = |(up, down)| Mlp {
            gate: gates.next(),
            up,
            down,
        };
        let experts: Vec<Mlp> = ups.into_iter().zip(downs).map(expert).collect();
        let mlp = router.is_none().then(|| Mlp {
            gate: self.maybe(Slot::Gate),
            up: self.linear(Slot::Up),
            down: self.linear(Slot::Down),
        });
        Layer {
            before_attention: self.norm(Slot::BeforeAttention),
            query: self.linear(Slot::Query),
            key: self.linear(Slot::Key),
            value: self.linear(Slot::Value),
            query_norm: self.norm(Slot::QueryNorm),
            key_norm: self.norm(Slot::KeyNorm),
            output: self.linear(Slot::AttentionOutput),
            after_attention: self.norm(Slot::AfterAttention),
            before_mlp: self.norm(Slot::BeforeMlp),
            mlp,
            router,
            experts,
            after_mlp: self.norm(Slot::AfterMlp),
            sinks: self.vector(Slot::Sinks),
        }
    }
}

/// The weights of an entry that this block, or the decoder itself, has.
fn held(shape: &Shape, block: Option<&Block>, entry: &Entry) -> Vec<(Slot, Holds)> {
    let holds = |&slot: &Slot| {
        let weight = match block {
            Some(block) => shape.layer_weight(block, slot),
            None => shape.weight(slot),
        };
        weight.map(|weight| (slot, weight))
    };
    entry.slots.iter().filter_map(holds).collect()
}

/// Rows of a tensor that holds several weights, in the order of the weights: those of each weight one after another.
fn rows_by_head(block: &Block, weights: &[(Slot, Holds)]) -> Vec<Vec<usize>> {
    let heads = block.attention.heads;
    let group = heads.query / heads.key * heads.width;
    let share = |slot: Slot| if slot == Slot::Query { group } else { heads.width };
    let step: usize = weights.iter().map(|(slot, _)| share(*slot)).sum();
    let mut before = 0;
    let mut all = Vec::new();
    for (slot, _) in weights {
        let (from, count) = (before, share(*slot));
        all.push(
            (0..heads.key)
                .flat_map(|head| head * step + from..head * step + from + count)
                .collect(),
        );
        before += count;
    }
    all
}

impl CausalLm {
    /// Takes the parameters out of a checkpoint.
    pub(super) fn take(shape: &Shape, loader: &mut Loader) -> Result<Self> {
        Self::assemble(shape, loader, &mut take_entry, |loader, entry| {
            let name = entry.name(0, "weight");
            let dims = [shape.vocabulary, shape.hidden];
            let output = shape.output_name();
            if entry.slots == [Slot::Embedding] {
                return loader.table(&name, &output, dims, shape.output.tied).map(Some);
            }
            loader.output_layer(&name, dims, shape.output.tied)
        })
    }

    /// Draws them.
    pub(super) fn random(shape: &Shape, place: &TensorCreationOptions) -> Self {
        let (inside, to_residual) = (0.02, 0.02 / (2.0 * shape.layers as f64).sqrt());
        let linear = |slot: Slot, dims: [usize; 2], bias: bool, place: &TensorCreationOptions| {
            let writes = matches!(slot, Slot::AttentionOutput | Slot::Down | Slot::ExpertDown);
            Linear {
                weight: normal(dims, if writes { to_residual } else { inside }, place).into(),
                bias: bias.then(|| level(dims[0], 0.0, place)),
            }
        };
        let mut draw =
            |place: &mut TensorCreationOptions, _: &Entry, _: usize, _: Option<&Block>, held: &[(Slot, Holds)]| {
                let taken = |&(slot, holds): &(Slot, Holds)| {
                    let taken = match holds {
                        Holds::Norm { norm, width } => Taken::Norm(Norm {
                            weight: level(width, if norm.offset { 0.0 } else { 1.0 }, place),
                            bias: norm.bias.then(|| level(width, 0.0, place)),
                        }),
                        Holds::Linear { dims, bias } => Taken::Linear(linear(slot, dims, bias, place)),
                        Holds::Experts { count, dims, bias } => {
                            Taken::Experts((0..count).map(|_| linear(slot, dims, bias, place)).collect())
                        }
                        Holds::Vector { width } => Taken::Vector(level(width, 0.0, place)),
                    };
                    (slot, taken)
                };
                Ok(held.iter().map(taken).collect())
            };
        let table = |place: &mut TensorCreationOptions, entry: &Entry| {
            let own = entry.slots == [Slot::Embedding] || !shape.output.tied;
            Ok(own.then(|| normal([shape.vocabulary, shape.hidden], inside, place).into()))
        };
        Self::assemble(shape, &mut place.clone(), &mut draw, table).unwrap_or_else(|_| unreachable!("nothing is read"))
    }

    /// Takes entry after entry of the family's table from `source`.
    fn assemble<S>(
        shape: &Shape,
        source: &mut S,
        take: &mut impl FnMut(&mut S, &Entry, usize, Option<&Block>, &[(Slot, Holds)]) -> Result<Vec<(Slot, Taken)>>,
        mut table: impl FnMut(&mut S, &Entry) -> Result<Option<Matrix>>,
    ) -> Result<Self> {
        let mut whole = Slots(BTreeMap::new());
        let (mut embeddings, mut head) = (None, None);
        let mut layers = None;
        for entry in shape.tensors {
            if entry.in_layers() {
                if layers.is_none() {
                    // Without room for all of them: the number is the file's word.
                    let mut all = Vec::new();
                    for layer in 0..shape.layers {
                        let block = shape.block(layer);
                        let mut slots = Slots(BTreeMap::new());
                        for entry in shape.tensors.iter().filter(|entry| entry.in_layers()) {
                            let held = held(shape, Some(block), entry);
                            if !held.is_empty() {
                                slots.0.extend(take(source, entry, layer, Some(block), &held)?);
                            }
                        }
                        all.push(slots.layer());
                    }
                    layers = Some(all);
                }
                continue;
            }
            match entry.slots {
                [Slot::Embedding] => embeddings = table(source, entry)?,
                [Slot::Output] => {
                    head = table(source, entry)?;
                    if shape.output.bias {
                        let bias = held(shape, None, entry);
                        let taken = take(source, &Entry { slots: &[], ..*entry }, 0, None, &bias)?;
                        whole.0.extend(taken);
                    }
                }
                _ => {
                    let held = held(shape, None, entry);
                    if !held.is_empty() {
                        whole.0.extend(take(source, entry, 0, None, &held)?);
                    }
                }
            }
        }
        Ok(Self {
            embeddings: embeddings.unwrap_or_else(|| unreachable!("{NAMED}")),
            positions: whole.maybe(Slot::Positions).map(|linear| linear.weight),
            layers: layers.unwrap_or_default(),
            norm: whole.norm(Slot::Norm).unwrap_or_else(|| unreachable!("{NAMED}")),
            head,
            head_bias: whole.maybe(Slot::Output).and_then(|linear| linear.bias),
            shape: shape.clone(),
        })
    }

    /// The parameters under the names that a checkpoint gives them, each once, for writing one.
    pub fn named_parameters(&self) -> Vec<(String, NamedParameter)> {
        let mut named = Vec::new();
        let mut layers = false;
        for entry in self.shape.tensors {
            if entry.in_layers() {
                if !layers {
                    layers = true;
                    for layer in 0..self.shape.layers {
                        let entries = self.shape.tensors.iter().filter(|entry| entry.in_layers());
                        entries.for_each(|entry| self.name_entry(entry, Some(layer), &mut named));
                    }
                }
            } else {
                self.name_entry(entry, None, &mut named);
            }
        }
        named
    }

    fn name_entry(&self, entry: &Entry, layer: Option<usize>, named: &mut Vec<(String, NamedParameter)>) {
        let block = layer.map(|layer| self.shape.block(layer));
        let held = held(&self.shape, block, entry);
        let name = |ending: &str| entry.name(layer.unwrap_or(0), ending);
        let (mut matrices, mut biases) = (vec![], vec![]);
        if let (Some(layer), Some((_, Holds::Experts { .. }))) = (layer, held.first()) {
            let slots: Vec<Slot> = held.iter().map(|(slot, _)| *slot).collect();
            return self.layers[layer].name_experts(entry, layer, &slots, named);
        }
        for (slot, _) in &held {
            let (matrix, bias) = match (layer, slot) {
                (None, Slot::Embedding) => (Some(&self.embeddings), None),
                (None, Slot::Positions) => (self.positions.as_ref(), None),
                (None, Slot::Output) => (self.head.as_ref(), self.head_bias.as_ref()),
                (None, _) => {
                    named.extend(self.norm.named(&name));
                    continue;
                }
                (Some(layer), slot) => match self.layers[layer].part(*slot) {
                    Some(Part::Norm(norm)) => {
                        named.extend(norm.named(&name));
                        continue;
                    }
                    Some(Part::Linear(linear)) => (Some(&linear.weight), linear.bias.as_ref()),
                    Some(Part::Vector(vector)) => {
                        named.push((name("weight"), NamedParameter::Vector(vector.val())));
                        continue;
                    }
                    None => continue,
                },
            };
            matrices.extend(matrix.map(Matrix::val));
            biases.extend(bias.map(|bias| bias.val()));
        }
        let order = match (entry.order, block) {
            (Order::ByHead, Some(block)) if !matrices.is_empty() => {
                let from = rows_by_head(block, &held).concat();
                let mut order = vec![0; from.len()];
                from.iter().enumerate().for_each(|(at, &row)| order[row] = at);
                Some(super::indices(order, &matrices[0].device()))
            }
            _ => None,
        };
        if !matrices.is_empty() {
            let mut matrix = Tensor::cat(matrices, 0);
            if let Some(order) = &order {
                matrix = matrix.select(0, order.clone());
            }
            if entry.order == Order::Transposed {
                matrix = matrix.transpose();
            }
            named.push((name("weight"), NamedParameter::Matrix(matrix)));
        }
        if !biases.is_empty() {
            let mut bias = Tensor::cat(biases, 0);
            if let Some(order) = order {
                bias = bias.select(0, order);
            }
            named.push((name("bias"), NamedParameter::Vector(bias)));
        }
    }

    /// The same weights (not a copy), to be computed with.
    pub fn decoder(&self) -> Decoder {
        let layers = self.layers.iter().enumerate();
        let head = decoder::Linear {
            weight: Weight::of(self.head.as_ref().unwrap_or(&self.embeddings)),
            bias: self.head_bias.as_ref().map(|bias| Bias::new(bias.val())),
        };
        Decoder::new(
            self.shape.clone(),
            layers
                .map(|(index, layer)| layer.view(self.shape.block(index), index))
                .collect(),
            self.norm.view(self.shape.norm),
            head,
            self.positions.as_ref().map(Matrix::val),
        )
    }
}

/// Takes an entry out of a checkpoint.
fn take_entry(
    loader: &mut Loader,
    entry: &Entry,
    layer: usize,
    block: Option<&Block>,
    held: &[(Slot, Holds)],
) -> Result<Vec<(Slot, Taken)>> {
    let name = |ending: &str| entry.name(layer, ending);
    let mut parts: Vec<(Slot, [usize; 2])> = Vec::new();
    let mut with_bias = false;
    if let Some((_, Holds::Experts { .. })) = held.first() {
        return take_experts(loader, entry, layer, held);
    }
    for &(slot, holds) in held {
        match holds {
            Holds::Vector { width } => return Ok(vec![(slot, Taken::Vector(loader.take(&name("weight"), [width])?))]),
            Holds::Experts { .. } => unreachable!("an entry holds experts or none"),
            Holds::Norm { norm, width } => {
                let norm = Norm {
                    weight: loader.take(&name("weight"), [width])?,
                    bias: norm.bias.then(|| loader.take(&name("bias"), [width])).transpose()?,
                };
                return Ok(vec![(slot, Taken::Norm(norm))]);
            }
            Holds::Linear { dims, bias } => {
                parts.push((slot, dims));
                with_bias |= bias;
            }
        }
    }
    let rows: usize = parts.iter().map(|(_, dims)| dims[0]).sum();
    let bias = |loader: &mut Loader| with_bias.then(|| loader.take(&name("bias"), [rows])).transpose();
    if entry.slots.is_empty() {
        // The output layer's bias alone: its matrix was taken as a table.
        let weight = loader.placeholder([0, 0]);
        let linear = Linear {
            weight,
            bias: bias(loader)?,
        };
        return Ok(vec![(parts[0].0, Taken::Linear(linear))]);
    }
    let dims = [rows, parts[0].1[1]];
    let transposed = entry.order == Order::Transposed;
    let whole = match parts.iter().all(|(slot, _)| slot.may_be_quantized()) {
        true => loader.linear(&name("weight"), dims, transposed),
        false => loader.never_quantized(&name("weight"), dims, transposed),
    }?;
    let bias = bias(loader)?;
    if let [(slot, _)] = parts[..] {
        return Ok(vec![(slot, Taken::Linear(Linear { weight: whole, bias }))]);
    }
    if loader.is_rehearsal() {
        let empty = |&(slot, dims): &(Slot, [usize; 2])| {
            let weight = loader.placeholder(dims);
            (slot, Taken::Linear(Linear { weight, bias: None }))
        };
        return Ok(parts.iter().map(empty).collect());
    }
    let by_head = block
        .filter(|block| entry.order == Order::ByHead && block.attention.heads.key > 1)
        .map(|block| rows_by_head(block, held));
    let mut from = 0;
    let mut taken = Vec::new();
    for (index, (slot, [count, _])) in parts.into_iter().enumerate() {
        let part = match &by_head {
            Some(rows) => Linear {
                weight: whole.gather(&rows[index]),
                bias: bias.as_ref().map(|bias| {
                    let at = super::indices(rows[index].iter().copied(), &bias.val().device());
                    Param::initialized(burn::module::ParamId::new(), bias.val().select(0, at))
                }),
            },
            None => Linear {
                weight: whole.rows(from, count),
                bias: bias
                    .as_ref()
                    .map(|bias| Param::initialized(burn::module::ParamId::new(), bias.val().narrow(0, from, count))),
            },
        };
        from += count;
        taken.push((slot, Taken::Linear(part)));
    }
    Ok(taken)
}

/// Takes an entry of all experts: a tensor for each of them, or one for all, in which rows of several weights take
/// turns.
fn take_experts(
    loader: &mut Loader,
    entry: &Entry,
    layer: usize,
    held: &[(Slot, Holds)],
) -> Result<Vec<(Slot, Taken)>> {
    let of = |holds: &Holds| match holds {
        Holds::Experts { count, dims, bias } => (*count, *dims, *bias),
        _ => unreachable!("an entry holds experts or none"),
    };
    let (count, [rows, width], with_bias) = of(&held[0].1);
    if entry.order != Order::Experts {
        let mut one = |expert: usize| -> Result<Linear> {
            let name = |ending: &str| entry.name_of_expert(layer, expert, ending);
            let weight = loader.linear(&name("weight"), [rows, width], false)?;
            let bias = with_bias.then(|| loader.take(&name("bias"), [rows])).transpose()?;
            Ok(Linear { weight, bias })
        };
        let all = (0..count).map(&mut one).collect::<Result<_>>()?;
        return Ok(vec![(held[0].0, Taken::Experts(all))]);
    }
    let kinds = held.len();
    let matrices = loader.experts(&entry.name(layer, "weight"), count, [kinds * rows, width])?;
    let biases = match with_bias {
        true => Some(loader.take(&entry.name(layer, "bias"), [count, kinds * rows])?),
        false => None,
    };
    if loader.is_rehearsal() {
        let empty = |_| Linear {
            weight: loader.placeholder([rows, width]),
            bias: None,
        };
        let slots = held.iter().map(|(slot, _)| *slot);
        return Ok(slots
            .map(|slot| (slot, Taken::Experts((0..count).map(empty).collect())))
            .collect());
    }
    let part = |kind: usize, expert: usize| {
        let turns: Vec<usize> = (0..rows).map(|row| row * kinds + kind).collect();
        let bias = biases.as_ref().map(|biases: &Param<Tensor<2>>| {
            let bias = biases.val().narrow(0, expert, 1).reshape([kinds * rows]);
            let at = super::indices(turns.iter().copied(), &bias.device());
            Param::initialized(burn::module::ParamId::new(), bias.select(0, at))
        });
        let whole = &matrices[expert];
        Linear {
            weight: if kinds == 1 {
                whole.rows(0, rows)
            } else {
                whole.gather(&turns)
            },
            bias,
        }
    };
    let all = held.iter().enumerate();
    Ok(all
        .map(|(kind, (slot, _))| {
            (
                *slot,
                Taken::Experts((0..count).map(|expert| part(kind, expert)).collect()),
            )
        })
        .collect())
}

/// A trainable parameter drawn from a normal distribution.
fn normal<const D: usize>(shape: [usize; D], deviation: f64, place: &TensorCreationOptions) -> Param<Tensor<D>> {
    Param::from_tensor(Tensor::random(
        shape,
        Distribution::Normal(0.0, deviation),
        place.clone(),
    ))
}

/// A trainable parameter that is one number everywhere.
fn level(width: usize, value: f64, place: &TensorCreationOptions) -> Param<Tensor<1>> {
    Param::from_tensor(Tensor::full([width], value, place.clone()))
}

/// A part of a layer.
enum Part<'a> {
    Linear(&'a Linear),
    Norm(&'a Norm),
    Vector(&'a Param<Tensor<1>>),
}

impl Norm {
    fn view(&self, norm: NormShape) -> NormWeights {
        NormWeights::new(norm, self.weight.val(), self.bias.as_ref().map(|bias| bias.val()))
    }

    fn named(&self, name: &impl Fn(&str) -> String) -> Vec<(String, NamedParameter)> {
        let mut named = vec![(name("weight"), NamedParameter::Vector(self.weight.val()))];
        named.extend(
            self.bias
                .as_ref()
                .map(|bias| (name("bias"), NamedParameter::Vector(bias.val()))),
        );
        named
    }
}

impl Linear {
    fn view(&self) -> decoder::Linear {
        decoder::Linear {
            weight: Weight::of(&self.weight),
            bias: self.bias.as_ref().map(|bias| Bias::new(bias.val())),
        }
    }
}

impl Mlp {
    fn view(&self) -> decoder::Mlp {
        decoder::Mlp {
            gate: self.gate.as_ref().map(Linear::view),
            up: self.up.view(),
            down: self.down.view(),
        }
    }

    /// An expert's linear layers in these slots.
    fn parts(&self, slots: &[Slot]) -> Vec<&Linear> {
        let part = |slot: &Slot| match slot {
            Slot::ExpertGate => self.gate.as_ref(),
            Slot::ExpertUp => Some(&self.up),
            _ => Some(&self.down),
        };
        slots.iter().filter_map(part).collect()
    }
}

impl Layer {
    fn part(&self, slot: Slot) -> Option<Part<'_>> {
        let linear = |linear| Some(Part::Linear(linear));
        match slot {
            Slot::BeforeAttention => self.before_attention.as_ref().map(Part::Norm),
            Slot::Query => linear(&self.query),
            Slot::Key => linear(&self.key),
            Slot::Value => linear(&self.value),
            Slot::QueryNorm => self.query_norm.as_ref().map(Part::Norm),
            Slot::KeyNorm => self.key_norm.as_ref().map(Part::Norm),
            Slot::AttentionOutput => linear(&self.output),
            Slot::AfterAttention => self.after_attention.as_ref().map(Part::Norm),
            Slot::BeforeMlp => self.before_mlp.as_ref().map(Part::Norm),
            Slot::Gate => self.mlp.as_ref()?.gate.as_ref().map(Part::Linear),
            Slot::Up => linear(&self.mlp.as_ref()?.up),
            Slot::Down => linear(&self.mlp.as_ref()?.down),
            Slot::Router => self.router.as_ref().map(Part::Linear),
            Slot::Sinks => self.sinks.as_ref().map(Part::Vector),
            Slot::ExpertGate | Slot::ExpertUp | Slot::ExpertDown => None,
            Slot::AfterMlp => self.after_mlp.as_ref().map(Part::Norm),
            Slot::Embedding | Slot::Positions | Slot::Norm | Slot::Output => None,
        }
    }

    fn view(&self, block: &Block, index: usize) -> decoder::Layer {
        let norm =
            |own: &Option<Norm>, shape: Option<NormShape>| own.as_ref().zip(shape).map(|(own, shape)| own.view(shape));
        let attention = &block.attention;
        let qk = attention.qk_norm.map(|qk| qk.norm);
        let scale = if attention.scale_by_layer {
            let plain = (attention.heads.width as f64).sqrt().recip();
            Some(attention.scale.unwrap_or(plain) / (index + 1) as f64)
        } else {
            attention.scale
        };
        decoder::Layer {
            block: *block,
            scale,
            before_attention: norm(&self.before_attention, block.before_attention),
            query: self.query.view(),
            key: self.key.view(),
            value: self.value.view(),
            query_norm: norm(&self.query_norm, qk),
            key_norm: norm(&self.key_norm, qk),
            output: self.output.view(),
            after_attention: norm(&self.after_attention, block.after_attention),
            before_mlp: norm(&self.before_mlp, block.before_mlp),
            feed: match (&self.mlp, &self.router, block.experts) {
                (Some(mlp), _, _) => Feed::Dense(mlp.view()),
                (None, Some(router), Some(shape)) => Feed::Mixture(Mixture {
                    shape,
                    router: router.view(),
                    mlps: self.experts.iter().map(Mlp::view).collect(),
                }),
                _ => unreachable!("{NAMED}: an MLP, or a router"),
            },
            after_mlp: norm(&self.after_mlp, block.after_mlp),
            sinks: self.sinks.as_ref().map(|sinks| Bias::new(sinks.val())),
            slopes: attention.alibi.then(|| alibi_slopes(attention.heads.query)),
        }
    }

    /// Names what all experts have in these slots.
    fn name_experts(&self, entry: &Entry, layer: usize, slots: &[Slot], named: &mut Vec<(String, NamedParameter)>) {
        let linears: Vec<Vec<&Linear>> = self.experts.iter().map(|mlp| mlp.parts(slots)).collect();
        if entry.order != Order::Experts {
            for (expert, linears) in linears.iter().enumerate() {
                let name = |ending: &str| entry.name_of_expert(layer, expert, ending);
                for linear in linears {
                    named.push((name("weight"), NamedParameter::Matrix(linear.weight.val())));
                    let bias = linear.bias.as_ref().map(|bias| bias.val());
                    named.extend(bias.map(|bias| (name("bias"), NamedParameter::Vector(bias))));
                }
            }
            return;
        }
        // Rows of each weight in turns: `[out, kinds, in]`, then `[in, out · kinds]`.
        let whole = |linears: &Vec<&Linear>| {
            let all = linears
                .iter()
                .map(|linear| linear.weight.val().unsqueeze_dim::<3>(1))
                .collect();
            let all: Tensor<3> = Tensor::cat(all, 1);
            let [rows, kinds, width] = all.dims();
            all.reshape([rows * kinds, width]).transpose().unsqueeze::<3>()
        };
        let all = Tensor::cat(linears.iter().map(whole).collect(), 0);
        named.push((entry.name(layer, "weight"), NamedParameter::Experts(all)));
        let bias = |linears: &Vec<&Linear>| {
            let all: Option<Vec<Tensor<2>>> = linears
                .iter()
                .map(|linear| linear.bias.as_ref().map(|bias| bias.val().unsqueeze_dim::<2>(1)))
                .collect();
            let all = Tensor::cat(all?, 1);
            let count = all.shape().num_elements();
            Some(all.reshape([1, count]))
        };
        let biases: Option<Vec<Tensor<2>>> = linears.iter().map(bias).collect();
        if let Some(biases) = biases {
            named.push((
                entry.name(layer, "bias"),
                NamedParameter::Matrix(Tensor::cat(biases, 0)),
            ));
        }
    }
}
