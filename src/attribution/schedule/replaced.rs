//! Maps that replace units of one prompt: they share what F is of each mask, whatever they read of the model.

use std::collections::HashSet;
use std::time::Instant;

use super::{Explainer, Scalar, Task};
use crate::attribution::integrated_gradients::{Removals, Replaceable};
use crate::attribution::methods::{Attribution, ByRemoval, removal};
use crate::attribution::removal::Mask;
use crate::diagnostic::Result;
use crate::terms::Batch;

/// A prompt that is open, and its maps.
pub(super) struct Replaced<'t> {
    removals: Removals,
    units: &'t [Vec<usize>],
    tokens: usize,
    members: Vec<Member<'t>>,
}

struct Member<'t> {
    task: usize,
    /// Which of the prompt's scalars.
    scalar: usize,
    method: &'t dyn ByRemoval,
    /// Of which F is needed, each once.
    masks: Vec<Mask>,
    seconds: f64,
}

impl<'t> Replaced<'t> {
    /// Opens the prompt of some tasks, which have the same units.
    pub fn begin(explainer: &Explainer, members: &[(usize, &'t Task, &'t dyn ByRemoval)]) -> Result<Self> {
        let began = Instant::now();
        let task = members[0].1;
        let mut scalars: Vec<Scalar> = Vec::new();
        for (_, task, _) in members {
            if !scalars.contains(&task.scalar) {
                scalars.push(task.scalar);
            }
        }
        let removals = explainer.removals(&Replaceable {
            ids: &task.ids,
            forced: &task.forced,
            given: task.given,
            units: &task.units,
            replacement: task.start,
            routing: task.routing,
            scalars: &scalars,
        })?;
        let seconds = began.elapsed().as_secs_f64() / members.len() as f64;
        let units = task.units.len();
        let member = |&(index, task, method): &(usize, &'t Task, &'t dyn ByRemoval)| Member {
            task: index,
            scalar: scalars.iter().position(|scalar| *scalar == task.scalar).unwrap_or(0),
            method,
            masks: removal::distinct(method.masks(units), units),
            seconds,
        };
        Ok(Self {
            units: &task.units,
            tokens: task.ids.len(),
            members: members.iter().map(member).collect(),
            removals,
        })
    }

    /// The masks that have to be computed, each once.
    fn wanted(&self) -> Vec<Mask> {
        let mut seen = HashSet::new();
        let all = self.members.iter().flat_map(|member| &member.masks);
        let new = all.filter(|mask| self.removals.get(mask).is_none() && seen.insert(*mask));
        new.cloned().collect()
    }

    /// Sequences that its maps wait for, and their rows.
    pub fn size(&self) -> (usize, usize) {
        let wanted = self.wanted();
        let rows = wanted.iter().map(|mask| self.removals.rows(mask)).sum();
        (wanted.len(), rows)
    }

    /// Reports its maps.
    fn finish(self, done: &mut dyn FnMut(usize, Attribution) -> Result<()>) -> Result<()> {
        for member in &self.members {
            let f = |mask: &Mask| self.removals.get(mask).expect("computed in this round").values[member.scalar];
            let prompt = (self.tokens, self.units);
            let map = removal::map(member.method, prompt, &member.masks, &f, member.seconds);
            done(member.task, map)?;
        }
        Ok(())
    }
}

/// Computes all that the maps of these prompts want, and reports them.
pub(super) fn round(
    explainer: &mut Explainer,
    mut open: Vec<Replaced<'_>>,
    batch: Batch,
    progress: &mut dyn FnMut(usize),
    done: &mut dyn FnMut(usize, Attribution) -> Result<()>,
) -> Result<()> {
    let began = Instant::now();
    let masks: Vec<Vec<Mask>> = open.iter().map(Replaced::wanted).collect();
    let mut wanted: Vec<(&mut Removals, &[Mask])> = open
        .iter_mut()
        .zip(&masks)
        .map(|(prompt, masks)| (&mut prompt.removals, &masks[..]))
        .collect();
    let mut told = 0;
    explainer.remove(&mut wanted, batch, &mut |count| {
        told += count;
        progress(count);
    })?;
    // A mask that several maps read is an evaluation of each.
    let all: usize = open
        .iter()
        .flat_map(|prompt| &prompt.members)
        .map(|member| member.masks.len())
        .sum();
    progress(all - told);
    let second = began.elapsed().as_secs_f64() / all.max(1) as f64;
    for mut prompt in open {
        for member in &mut prompt.members {
            member.seconds += second * member.masks.len() as f64;
        }
        prompt.finish(done)?;
    }
    Ok(())
}
