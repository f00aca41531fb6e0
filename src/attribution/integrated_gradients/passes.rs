//! Sequences in passes that fill the device, and fit into its memory.

use rayon::prelude::*;

use super::Explainer;
use super::trusted::{Sound, is_distrust};
use crate::diagnostic::Result;
use crate::interrupt;
use crate::kernel::Threads;
use crate::terms::Batch;

/// What a sequence takes in a pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Rows that are computed.
    pub rows: usize,
    /// Memory.
    pub bytes: usize,
    /// A pass is over sequences of one kind.
    pub kind: usize,
}

/// What gives a value for each sequence of a pass, which a number of threads works on.
pub(super) type Compute<'c, S, T> = dyn Fn(&Explainer, &[S], Threads) -> Vec<T> + Sync + 'c;

impl Explainer {
    /// Computes sequences in passes: `compute` gives a value for each sequence of a pass, which a number of threads
    /// works on; `done` is told them in the order of the sequences.
    ///
    /// # Errors
    /// Memory runs out even with one sequence in a pass; or a signal requests the end.
    pub(super) fn in_passes<S: Sync, T: Send>(
        &mut self,
        sequences: &[S],
        batch: Batch,
        size: &dyn Fn(&Self, &S) -> Size,
        compute: &Compute<'_, S, T>,
        done: &mut dyn FnMut(&[S], Vec<T>),
    ) -> Result<()>
    where
        Vec<T>: Sound,
    {
        let mut left = sequences;
        while !left.is_empty() {
            interrupt::check_under_way()?;
            let this = &*self;
            let size = |sequence: &S| size(this, sequence);
            let (passes, threads) = this.passes(left, batch, &size);
            let concurrent = passes.len().min(rayon::current_num_threads());
            let one = |pass: &&[S]| {
                this.on_device(|| {
                    #[cfg(test)]
                    assert!(pass.len() <= this.most, "out of memory");
                    compute(this, pass, threads)
                })
            };
            let found: Vec<Result<Vec<T>>> = if passes.len() > 1 {
                passes.par_iter().map(one).collect()
            } else {
                passes.iter().map(one).collect()
            };
            let mut budget = None;
            for (pass, found) in passes.into_iter().zip(found) {
                match found {
                    Ok(found) => {
                        done(pass, found);
                        left = &left[pass.len()..];
                    }
                    // Half of it needs half the memory; what was computed so far stays.
                    Err(error) if batch == Batch::Auto && pass.len() * concurrent > 1 && !is_distrust(&error) => {
                        let used = pass.iter().map(|sequence| size(sequence).bytes).sum::<usize>() * concurrent;
                        budget = Some((used / 2).min(this.budget / 2));
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            self.budget = budget.unwrap_or(self.budget);
        }
        Ok(())
    }

    /// The next sequences, cut into passes that run at the same time, each by `threads`.
    pub(super) fn passes<'s, S>(
        &self,
        left: &'s [S],
        batch: Batch,
        size: &dyn Fn(&S) -> Size,
    ) -> (Vec<&'s [S]>, Threads) {
        let workers = if self.kernels { rayon::current_num_threads() } else { 1 };
        let now = match batch {
            Batch::Fixed(size) => &left[..size.min(left.len())],
            Batch::Auto => left,
        };
        // A pass for each thread, where sequences keep half of them busy and memory suffices; else all threads in one.
        let together = workers.min(now.len());
        let largest = now.iter().take(together).map(|sequence| size(sequence).bytes).max();
        let fits = largest.unwrap_or(0).saturating_mul(together) <= self.budget;
        let together = if 2 * now.len() >= workers && fits { together } else { 1 };
        let threads = if together > 1 || workers == 1 {
            Threads::One
        } else {
            Threads::All
        };
        // Rows beyond which a larger pass is no faster; fewer where the sequences would not go round evenly.
        let all: usize = now.iter().map(|sequence| size(sequence).rows).sum();
        let rows = match batch {
            Batch::Fixed(_) => all.div_ceil(together),
            Batch::Auto => {
                let most = self.pass_tokens / if together > 1 { workers } else { 1 };
                let rounds = all.div_ceil(most * together).max(1);
                all.div_ceil(rounds * together).min(most)
            }
        };
        let mut passes = Vec::new();
        let mut rest = now;
        // A few rounds for each thread, so that a late one does not delay the others, and progress is reported.
        while !rest.is_empty() && passes.len() < 4 * together {
            let (mut count, mut filled, mut bytes) = (0, 0, 0);
            for sequence in rest {
                let more = size(sequence);
                let fits = size(&rest[0]).kind == more.kind
                    && filled + more.rows / 2 < rows
                    && (batch != Batch::Auto || (bytes + more.bytes) * together <= self.budget);
                if count > 0 && !fits {
                    break;
                }
                count += 1;
                filled += more.rows;
                bytes += more.bytes;
            }
            let (pass, later) = rest.split_at(count);
            passes.push(pass);
            rest = later;
            if together == 1 {
                break;
            }
        }
        (passes, threads)
    }
}
