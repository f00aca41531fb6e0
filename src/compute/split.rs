//! The work of a project shared out among tasks: model by model, contiguous, by tokens, so that each task loads one or
//! two models, and all have about as much to do.
//!
//! What a task gets depends on the project and the number of shards alone, not on what is computed already: all tasks
//! must come to the same result, whenever they begin.

use std::borrow::Borrow;
use std::ops::Range;

use super::{Job, Run, prepared};
use crate::attribution::methods::Prepared;
use crate::terms::Method;

/// The jobs of one run that belong to a shard, by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which of the runs.
    pub run: usize,
    /// Which of its jobs.
    pub jobs: Range<usize>,
}

/// How many evaluations the maps of a job may take.
pub(super) fn expected_evaluations(run: &Run, methods: &[(Method, Prepared)], job: &Job) -> usize {
    let spec = &run.experiment.attribution;
    let of_each = |(method, prepared): &(Method, Prepared)| {
        prepared.expected_evaluations(job.applied(run.experiment, *method).units.len())
    };
    let of_all: usize = methods.iter().map(of_each).sum();
    spec.maps(job.targets.len()) / methods.len() * of_all
}

/// What each of `count` shards has to do: the pieces of its runs, in the order of the work.
pub fn split<'a>(runs: &[impl Borrow<Run<'a>>], count: usize) -> Vec<Vec<Piece>> {
    let runs: Vec<&Run> = runs.iter().map(Borrow::borrow).collect();
    // The order in which models first come, and then that of the experiments.
    let mut models: Vec<&str> = Vec::new();
    for run in &runs {
        if !models.contains(&run.model) {
            models.push(run.model);
        }
    }
    let in_order = models.iter().flat_map(|model| {
        let of_model = runs.iter().enumerate().filter(move |(_, run)| run.model == *model);
        of_model.map(|(index, _)| index).collect::<Vec<_>>()
    });
    let weights: Vec<(usize, usize, u128)> = in_order
        .flat_map(|index| {
            let run = runs[index];
            let methods = prepared(&run.experiment.attribution);
            let weight = |(at, job): (usize, &Job)| {
                let evaluations = expected_evaluations(run, &methods, job).max(1);
                (index, at, (job.tokens.len().max(1) * evaluations) as u128)
            };
            run.jobs.iter().enumerate().map(weight).collect::<Vec<_>>()
        })
        .collect();
    let shards = shares(weights.iter().map(|(.., weight)| *weight), count);
    let mut pieces: Vec<Vec<Piece>> = vec![Vec::new(); count];
    for ((run, job, _), shard) in weights.into_iter().zip(shards) {
        let of_shard = &mut pieces[shard];
        match of_shard.last_mut() {
            Some(last) if last.run == run && last.jobs.end == job => last.jobs.end += 1,
            _ => of_shard.push(Piece {
                run,
                jobs: job..job + 1,
            }),
        }
    }
    pieces
}

/// The share that each piece of work belongs to, of `count` about equal ones: the one in which its middle lies.
fn shares(weights: impl Iterator<Item = u128> + Clone, count: usize) -> Vec<usize> {
    let total: u128 = weights.clone().sum();
    let mut before = 0;
    weights
        .map(|weight| {
            let share = (2 * before + weight) * count as u128 / (2 * total).max(1);
            before += weight;
            (share as usize).min(count - 1)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_piece_of_work_has_one_share_in_order(
            weights in prop::collection::vec(1u128..5000, 0..300),
            count in 1usize..40,
        ) {
            let found = shares(weights.iter().copied(), count);
            prop_assert_eq!(found.len(), weights.len());
            prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1]));
            prop_assert!(found.iter().all(|share| *share < count));
            // No share is larger than an even one by more than its largest piece.
            let total: u128 = weights.iter().sum();
            for share in 0..count {
                let of_share = weights.iter().zip(&found).filter(|(_, found)| **found == share);
                let (sum, largest) = of_share.fold((0, 0), |(sum, most), (weight, _)| (sum + weight, most.max(*weight)));
                prop_assert!(sum * count as u128 <= total + largest * count as u128);
            }
        }
    }

    #[test]
    fn equal_work_is_shared_out_equally() {
        let found = shares(std::iter::repeat_n(7, 12), 4);
        assert_eq!(found, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]);
        // More shares than work.
        assert_eq!(shares([5, 5].into_iter(), 4), [1, 3]);
    }
}
