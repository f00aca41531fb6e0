//! F of prompts with units replaced, on a model: masks in, values out. A mask's pass computes only what stands behind
//! the first replaced token: what the model makes of the tokens before it is known from one pass over the prompt.

use std::collections::{HashMap, HashSet};

use burn::tensor::Tensor;

use super::outputs::Outputs;
use super::passes::Size;
use super::{Explainer, Scalar};
use crate::attribution::removal::{Mask, Removal};
use crate::diagnostic::Result;
use crate::kernel::Threads;
use crate::model::decoder::Entry;
use crate::model::experts::Frozen;
use crate::model::indices;
use crate::model::known::Known;
use crate::model::ops::Sequences;
use crate::model::ops::cpu::Cpu;
use crate::model::ops::tensor::OnDevice;
use crate::terms::{BaselineVector, Batch, Routing};

/// A prompt whose units are to be replaced.
#[derive(Clone, Debug)]
pub struct Replaceable<'a> {
    /// The prompt.
    pub ids: &'a [u32],
    /// The earlier tokens of an answer of several; they are never replaced.
    pub forced: &'a [u32],
    /// How many of their first are only given to the model, and not counted in F.
    pub given: usize,
    /// The tokens of each unit, by their places in the prompt. Other tokens are never replaced.
    pub units: &'a [Vec<usize>],
    /// What replaced tokens become.
    pub replacement: BaselineVector,
    /// How experts are chosen.
    pub routing: Routing,
    /// What is read.
    pub scalars: &'a [Scalar],
}

/// A prompt with what its passes need, and all that is known of F.
pub struct Removals {
    units: Vec<Vec<usize>>,
    forced: Vec<u32>,
    given: usize,
    scalars: Vec<Scalar>,
    /// Tokens in all.
    tokens: usize,
    /// Embeddings of all tokens, then those of replaced ones: one for each, or one for all.
    table: Tensor<2>,
    read: Read,
    frozen: Option<Frozen>,
    /// Whether what stands before the first replaced token is not computed again.
    reuse: bool,
    found: HashMap<Mask, Reading>,
}

/// What the model says of a mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// F, of each scalar.
    pub values: Vec<f64>,
    /// The most probable next token behind the prompt.
    pub answer: u32,
}

/// What the model makes of the prompt itself.
enum Read {
    Kernels(Known<Cpu>),
    Device(Known<OnDevice>),
}

/// A mask whose F is to be computed.
struct Wanted<'m> {
    /// Of which prompt.
    of: usize,
    mask: &'m Mask,
    /// Tokens before its rows.
    before: usize,
}

impl Removals {
    /// Units that can be replaced.
    pub fn units(&self) -> usize {
        self.units.len()
    }

    /// What the model says of a mask, where it was computed.
    pub fn get(&self, mask: &Mask) -> Option<&Reading> {
        self.found.get(mask)
    }

    /// All that is known.
    pub(super) fn readings(&self) -> impl Iterator<Item = &Reading> {
        self.found.values()
    }

    /// Rows of a mask's pass.
    pub fn rows(&self, mask: &Mask) -> usize {
        self.tokens - self.before(mask)
    }

    /// From now on each mask takes a pass over the whole prompt, for comparison.
    pub fn without_reuse(&mut self) {
        self.reuse = false;
        self.found.clear();
    }

    /// Positions that are read.
    fn tail(&self) -> usize {
        1 + self.forced.len()
    }

    /// Tokens before the first that a mask replaces; what is read has rows in any case.
    fn before(&self, mask: &Mask) -> usize {
        let replaced = (0..self.units.len()).filter(|&unit| mask.has(unit));
        let first = replaced.flat_map(|unit| &self.units[unit]).min();
        let last = self.tokens - self.tail();
        match (self.reuse, &self.read) {
            (false, _) => 0,
            (true, Read::Kernels(_)) => first.map_or(last, |&first| first.min(last)),
            // Attention goes through sequences of one shape together: few shapes are worth a few rows more.
            (true, Read::Device(_)) => {
                let step = self.tokens.div_ceil(8);
                first.map_or(last, |&first| first.min(last)) / step * step
            }
        }
    }

    /// The embeddings of a mask's tokens, from one on.
    fn rows_of(&self, mask: &Mask, from: usize) -> impl Iterator<Item = usize> {
        let mut replaced = vec![false; self.tokens];
        let units = self.units.iter().enumerate().filter(|(unit, _)| mask.has(*unit));
        units
            .flat_map(|(_, tokens)| tokens)
            .for_each(|&token| replaced[token] = true);
        let (tokens, each) = (self.tokens, self.table.dims()[0] > self.tokens + 1);
        let row = move |(token, replaced): (usize, bool)| match (replaced, each) {
            (false, _) => token,
            (true, true) => tokens + token,
            (true, false) => tokens,
        };
        replaced.into_iter().enumerate().skip(from).map(row)
    }
}

impl Explainer {
    /// Reads a prompt whose units are to be replaced.
    ///
    /// # Errors
    /// Memory runs out.
    ///
    /// # Panics
    /// A unit has a token that the prompt does not have.
    pub fn removals(&self, prompt: &Replaceable<'_>) -> Result<Removals> {
        let within = prompt.units.iter().flatten().all(|&token| token < prompt.ids.len());
        assert!(within, "a unit with a token that is not in the prompt");
        self.on_device(|| {
            let embeddings = self.embed(&[prompt.ids, prompt.forced].concat());
            let own = embeddings.clone().narrow(0, 0, prompt.ids.len());
            let replaced = match prompt.replacement {
                BaselineVector::ZeroFrom(start) => own * start.alpha(),
                other => self.start(other),
            };
            let frozen =
                (prompt.routing == Routing::Frozen && self.decoder.has_experts()).then(|| self.choices(&embeddings));
            let tokens = embeddings.dims()[0];
            let sequence = Sequences::with_tails(vec![tokens], vec![1 + prompt.forced.len()]);
            let rotary = self.decoder.rotary(tokens);
            let entry = Entry::Embeddings(&embeddings);
            let (logits, read) = if self.kernels {
                let threads = Threads::All;
                let ops = Cpu { threads, rotary };
                let (logits, known) = self.decoder.read(&ops, &sequence, entry, None);
                (logits, Read::Kernels(known))
            } else {
                let ops = self.operations(&rotary, &sequence);
                let (logits, known) = self.decoder.read(&ops, &sequence, entry, None);
                (logits, Read::Device(known))
            };
            let mut removals = Removals {
                units: prompt.units.to_vec(),
                forced: prompt.forced.to_vec(),
                given: prompt.given,
                scalars: prompt.scalars.to_vec(),
                tokens,
                table: Tensor::cat(vec![embeddings, replaced], 0),
                read,
                frozen,
                reuse: true,
                found: HashMap::new(),
            };
            let reading = readings(logits, &[&removals]).remove(0);
            removals.found.insert(Mask::none(removals.units()), reading);
            removals
        })
    }

    /// Computes F for those masks of prompts whose F is not known; [`Removals::get`] has it then. `progress` is called
    /// with the number of masks as they are done.
    ///
    /// # Errors
    /// Memory runs out even with one sequence in a pass; or a signal requests the end.
    pub fn remove(
        &mut self,
        wanted: &mut [(&mut Removals, &[Mask])],
        batch: Batch,
        progress: &mut dyn FnMut(usize),
    ) -> Result<()> {
        let mut found: Vec<(usize, Mask, Reading)> = Vec::new();
        let result = {
            let prompts: Vec<&Removals> = wanted.iter().map(|(prompt, _)| &**prompt).collect();
            let mut sequences: Vec<Wanted<'_>> = Vec::new();
            for (of, (prompt, masks)) in wanted.iter().enumerate() {
                let mut asked = HashSet::new();
                let new = masks
                    .iter()
                    .filter(|mask| prompt.get(mask).is_none() && asked.insert(*mask));
                sequences.extend(new.map(|mask| Wanted {
                    of,
                    mask,
                    before: prompt.before(mask),
                }));
            }
            // Sequences of one shape together, the longest first: what is left at the end is spread more evenly.
            sequences.sort_by_key(|wanted| (wanted.of, wanted.before));
            let size = |this: &Self, wanted: &Wanted<'_>| this.size(prompts[wanted.of], wanted.before);
            let compute =
                |this: &Self, pass: &[Wanted<'_>], threads: Threads| this.removal_pass(&prompts, pass, threads);
            self.in_passes(&sequences, batch, &size, &compute, &mut |pass, readings| {
                progress(pass.len());
                let all = pass.iter().zip(readings);
                found.extend(all.map(|(wanted, reading)| (wanted.of, wanted.mask.clone(), reading)));
            })
        };
        // What was computed before an error is known all the same.
        for (of, mask, reading) in found {
            wanted[of].0.found.insert(mask, reading);
        }
        result
    }

    /// What a sequence takes in a pass that nothing goes back through.
    fn size(&self, prompt: &Removals, before: usize) -> Size {
        let (rows, tokens) = (prompt.tokens - before, prompt.tokens);
        let (row, whole, output, heads) = self.decoder.working();
        let size = self.dtype.size();
        // As those of a pass that is gone back through.
        let weights = if self.kernels {
            0
        } else {
            5 * (4 * heads * rows * tokens).min(self.attention_bytes())
        };
        let bytes = size * (row * rows + whole * tokens) + 4 * output * prompt.tail() + weights;
        Size { rows, bytes, kind: 0 }
    }

    /// What the model says of each sequence.
    fn removal_pass(&self, prompts: &[&Removals], pass: &[Wanted<'_>], threads: Threads) -> Vec<Reading> {
        let of_each: Vec<&Removals> = pass.iter().map(|wanted| prompts[wanted.of]).collect();
        let before: Vec<usize> = pass.iter().map(|wanted| wanted.before).collect();
        let lengths = of_each
            .iter()
            .zip(&before)
            .map(|(prompt, before)| prompt.tokens - before);
        let tails = of_each.iter().map(|prompt| prompt.tail()).collect();
        let sequences = Sequences::behind(before.clone(), lengths.collect(), tails);
        let parts = pass.chunk_by(|a, b| a.of == b.of).map(|part| {
            let prompt = prompts[part[0].of];
            let at = part
                .iter()
                .flat_map(|wanted| prompt.rows_of(wanted.mask, wanted.before));
            prompt.table.clone().select(0, indices(at, &self.device))
        });
        let rows = Tensor::cat(parts.collect(), 0);
        let frozen: Vec<Option<&Frozen>> = of_each.iter().map(|prompt| prompt.frozen.as_ref()).collect();
        let entry = Entry::Frozen(&rows, &frozen);
        let rotary = self.decoder.rotary(sequences.longest());
        let logits = if self.kernels {
            let known = of_each.iter().filter_map(|prompt| match &prompt.read {
                Read::Kernels(known) => Some(known),
                Read::Device(_) => None,
            });
            let known: Vec<&Known<Cpu>> = known.collect();
            self.decoder.behind(&Cpu { threads, rotary }, &sequences, entry, &known)
        } else {
            let known = of_each.iter().filter_map(|prompt| match &prompt.read {
                Read::Device(known) => Some(known),
                Read::Kernels(_) => None,
            });
            let known: Vec<&Known<OnDevice>> = known.collect();
            let ops = self.operations(&rotary, &sequences);
            self.decoder.behind(&ops, &sequences, entry, &known)
        };
        readings(logits, &of_each)
    }
}

/// What each sequence's prompt is read for.
fn readings(logits: Tensor<2>, prompts: &[&Removals]) -> Vec<Reading> {
    let all: Vec<Scalar> = prompts.iter().flat_map(|prompt| &prompt.scalars).copied().collect();
    let largest: Vec<i64> = logits.clone().argmax(1).into_data().iter::<i64>().collect();
    // Where tokens are only given, what is read before them is the answer alone.
    let counted = prompts.iter().scan(0, |row, prompt| {
        let from = *row + prompt.given;
        *row += prompt.tail();
        Some(from..*row)
    });
    let logits = if prompts.iter().any(|prompt| prompt.given > 0) {
        let at = indices(counted.flatten(), &logits.device());
        logits.select(0, at)
    } else {
        logits
    };
    let outputs = Outputs::new(logits, &all);
    // The first position that is read of each is the prompt's last.
    let firsts = prompts.iter().scan(0, |row, prompt| {
        *row += prompt.tail();
        Some(*row - prompt.tail())
    });
    let reading = |first: usize| Reading {
        values: vec![],
        answer: largest[first] as u32,
    };
    let mut readings: Vec<Reading> = firsts.map(reading).collect();
    let rounds = prompts.iter().map(|prompt| prompt.scalars.len()).max().unwrap_or(0);
    for round in 0..rounds {
        // A prompt that has no more says its last again.
        let of = |prompt: &&Removals| prompt.scalars.get(round).or(prompt.scalars.last()).copied();
        let asked: Vec<Scalar> = prompts.iter().filter_map(of).collect();
        assert_eq!(asked.len(), prompts.len(), "a prompt of which nothing is read");
        let counted = prompts.iter().map(|prompt| &prompt.forced[prompt.given..]);
        let found = outputs.values(&asked, counted).0;
        for ((reading, prompt), found) in readings.iter_mut().zip(prompts).zip(found) {
            if round < prompt.scalars.len() {
                reading.values.push(found);
            }
        }
    }
    readings
}

/// One scalar of a prompt, by the model.
pub struct RemovalOf<'a> {
    /// The model.
    pub explainer: &'a mut Explainer,
    /// The prompt, whose values all its scalars share.
    pub removals: &'a mut Removals,
    /// Which of its scalars.
    pub scalar: usize,
    /// Sequences a pass.
    pub batch: Batch,
}

impl RemovalOf<'_> {
    fn read<T>(&mut self, masks: &[Vec<bool>], of: impl Fn(&Reading, usize) -> T) -> Result<Vec<T>> {
        let masks: Vec<Mask> = masks.iter().map(|mask| Mask::of(mask)).collect();
        self.explainer
            .remove(&mut [(&mut *self.removals, &masks[..])], self.batch, &mut |_| ())?;
        let reading = |mask: &Mask| of(self.removals.get(mask).expect("computed above"), self.scalar);
        Ok(masks.iter().map(reading).collect())
    }
}

impl Removal for RemovalOf<'_> {
    fn units(&self) -> usize {
        self.removals.units()
    }

    fn values(&mut self, masks: &[Vec<bool>]) -> Result<Vec<f64>> {
        self.read(masks, |reading, scalar| reading.values[scalar])
    }

    fn answers(&mut self, masks: &[Vec<bool>]) -> Result<Vec<u32>> {
        self.read(masks, |reading, _| reading.answer)
    }
}

#[cfg(test)]
mod tests;
