//! Greedy generation with a key/value cache.

use burn::tensor::Tensor;

use super::Explainer;
use super::trusted::Unread;
use crate::diagnostic::{Diagnostic, Result};
use crate::kernel::Threads;
use crate::model::decoder::Entry;
use crate::model::known::Known;
use crate::model::ops::cpu::Cpu;
use crate::model::ops::{Ops, Sequences};
use crate::tensor::host::floats;

impl Explainer {
    /// Greedy generation: the most probable token, repeatedly, until one of `stop` or `most` tokens. `progress` is
    /// called for each.
    ///
    /// # Errors
    /// Memory runs out; or a logit is not a finite number.
    pub fn generate(&self, ids: &[u32], stop: &[u32], most: usize, progress: &mut dyn FnMut()) -> Result<Vec<u32>> {
        let rotary = self.decoder.rotary(ids.len() + most);
        let mut next = |logits: Tensor<2>| -> Result<Option<u32>> {
            let logits = floats(logits);
            if !logits.iter().all(|logit| logit.is_finite()) {
                return Err(Diagnostic::compute("the model's logits are not finite numbers")
                    .help("the weights may be damaged, or too large for the dtype: try `dtype: f32` or `bf16`"));
            }
            progress();
            let best = argmax(&logits);
            Ok((!stop.contains(&best)).then_some(best))
        };
        if self.kernels {
            let cpu = Cpu {
                threads: Threads::All,
                rotary,
            };
            self.say(ids, most, |_| cpu.clone(), &mut next)
        } else {
            let on_device = |sequence: &Sequences| self.operations(&rotary, sequence);
            self.say(ids, most, on_device, &mut next)
        }
    }

    /// The same by the operations that `ops` makes for a sequence; `next` chooses a token, or the end.
    fn say<O: Ops>(
        &self,
        ids: &[u32],
        most: usize,
        ops: impl Fn(&Sequences) -> O,
        next: &mut dyn FnMut(Tensor<2>) -> Result<Option<u32>>,
    ) -> Result<Vec<u32>> {
        let read = |ids: &[u32], known: Option<Known<O>>| {
            let before = known.as_ref().map_or(0, |known| known.length);
            let sequence = Sequences::behind(vec![before], vec![ids.len()], vec![1]);
            let x = self.embed(ids);
            let entry = Entry::Embeddings(&x);
            let read = || Unread(self.decoder.read(&ops(&sequence), &sequence, entry, known.as_ref()));
            self.on_device(read).map(|read| read.0)
        };
        let mut said = Vec::new();
        let (mut logits, mut known) = read(ids, None)?;
        while let Some(token) = next(logits)? {
            said.push(token);
            if said.len() == most {
                break;
            }
            (logits, known) = read(&[token], Some(known))?;
        }
        Ok(said)
    }
}

/// The first of the largest, as `torch.argmax`.
pub fn argmax(logits: &[f32]) -> u32 {
    let largest = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
    largest.unwrap_or_default() as u32
}
