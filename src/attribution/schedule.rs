//! Many path integrals at once, so that every pass is full.
//!
//! Paths are opened until the points that they want together fill the device; the targets of one path want many of the same
//! points, and share their forward passes. Which points a map gets depends on its own values alone, never on its company.

use std::collections::BTreeMap;
use std::time::Instant;

use super::integral::{Attribution, Integral, Rule};
use super::integrated_gradients::{Ends, Explainer, Points, Scalar, Start, guarded};
use crate::content::experiment::Batch;
use crate::diagnostic::Result;
use crate::interrupt;
use crate::model::path::Path;

/// A map to compute.
#[derive(Clone, Debug)]
pub struct Task {
    /// The prompt.
    pub ids: Vec<u32>,
    /// The first tokens of an answer of several, of which the scalar's is the last: their log-probabilities are added to it.
    pub forced: Vec<u32>,
    /// Where its path starts.
    pub start: Start,
    /// What is explained.
    pub scalar: Scalar,
    /// How the path is integrated.
    pub rule: Rule,
}

/// A path that is open, and the maps that are integrated along it.
struct Open {
    path: Path,
    members: Vec<Member>,
}

struct Member {
    task: usize,
    scalar: Scalar,
    integral: Integral,
    seconds: f64,
}

/// Computes maps. Tasks of one prompt and start, one after another, share their path.
///
/// `progress` is told of evaluations, `done` of each map as soon as it is finished, with the index of its task.
///
/// # Errors
/// Memory runs out even with one path point a pass; a signal asks for the end; or what `done` says.
pub fn run(
    explainer: &mut Explainer,
    tasks: &[Task],
    batch: Batch,
    progress: &mut dyn FnMut(usize),
    done: &mut dyn FnMut(usize, Attribution) -> Result<()>,
) -> Result<()> {
    let mut waiting = tasks.iter().enumerate().peekable();
    let mut open: Vec<Open> = Vec::new();
    loop {
        interrupt::check()?;
        let full = match batch {
            Batch::Fixed(points) => Fill::Points(points),
            // Two passes' worth, so that a late one does not keep all others waiting.
            Batch::Auto => Fill::Tokens(2 * explainer.pass_tokens()),
        };
        while !full.by(&open) {
            let Some((first, task)) = waiting.next() else { break };
            let mut members = vec![(first, task)];
            while let Some(next) = waiting
                .next_if(|(_, next)| (&next.ids, &next.forced, next.start) == (&task.ids, &task.forced, task.start))
            {
                members.push(next);
            }
            // One whose ends are not finite wants nothing, and is told at once.
            let path = finish(begin(explainer, &members)?, done)?;
            open.extend(path);
        }
        if open.is_empty() {
            return Ok(());
        }
        round(explainer, &mut open, batch, progress)?;
        let mut left = Vec::with_capacity(open.len());
        for path in open {
            left.extend(finish(path, done)?);
        }
        open = left;
    }
}

/// Tells the maps of a path that are finished; the path with the others, if there are any.
fn finish(mut path: Open, done: &mut dyn FnMut(usize, Attribution) -> Result<()>) -> Result<Option<Open>> {
    for member in path
        .members
        .extract_if(.., |member| member.integral.wanted().is_empty())
    {
        done(member.task, member.integral.finish(member.seconds))?;
    }
    Ok((!path.members.is_empty()).then_some(path))
}

/// When no further path needs to be opened.
enum Fill {
    Points(usize),
    Tokens(usize),
}

impl Fill {
    fn by(&self, open: &[Open]) -> bool {
        let points = |path: &Open| groups(path).iter().map(|(_, alphas)| alphas.len()).sum::<usize>();
        match self {
            Self::Points(count) => open.iter().map(points).sum::<usize>() >= *count,
            Self::Tokens(count) => open.iter().map(|path| points(path) * path.path.tokens()).sum::<usize>() >= *count,
        }
    }
}

fn begin(explainer: &Explainer, members: &[(usize, &Task)]) -> Result<Open> {
    let began = Instant::now();
    let task = members[0].1;
    let path = explainer.path(&task.ids, task.start, &task.forced)?;
    let scalars: Vec<Scalar> = members.iter().map(|(_, task)| task.scalar).collect();
    let ends = explainer.ends(&task.ids, task.start, &task.forced, &scalars)?;
    let seconds = began.elapsed().as_secs_f64() / members.len() as f64;
    let singular = guarded(|| path.starts_at_zero())?;
    let member = |(&(index, task), ends): (&(usize, &Task), Ends)| Member {
        task: index,
        scalar: task.scalar,
        integral: Integral::new(&task.rule, task.ids.len(), ends, singular),
        seconds,
    };
    Ok(Open {
        path,
        members: members.iter().zip(ends).map(member).collect(),
    })
}

/// The points that are wanted by the same members, as (members, αs in rising order).
fn groups(path: &Open) -> Vec<(Vec<usize>, Vec<f64>)> {
    let mut wanted_by: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, member) in path.members.iter().enumerate() {
        for alpha in member.integral.wanted() {
            // Numbers that are not negative sort as their bits do.
            wanted_by.entry(alpha.to_bits()).or_default().push(index);
        }
    }
    let mut groups: BTreeMap<Vec<usize>, Vec<f64>> = BTreeMap::new();
    for (alpha, members) in wanted_by {
        groups.entry(members).or_default().push(f64::from_bits(alpha));
    }
    groups.into_iter().collect()
}

/// Computes all that is wanted now, and hands it out.
fn round(explainer: &mut Explainer, open: &mut [Open], batch: Batch, progress: &mut dyn FnMut(usize)) -> Result<()> {
    let groups: Vec<(usize, Vec<usize>, Vec<f64>)> = open
        .iter()
        .enumerate()
        .flat_map(|(index, path)| {
            groups(path)
                .into_iter()
                .map(move |(members, alphas)| (index, members, alphas))
        })
        .collect();
    let wanted: Vec<Points<'_>> = groups
        .iter()
        .map(|(index, members, alphas)| Points {
            path: &open[*index].path,
            alphas: alphas.clone(),
            scalars: members
                .iter()
                .map(|&member| open[*index].members[member].scalar)
                .collect(),
        })
        .collect();
    let began = Instant::now();
    let values = explainer.evaluate(&wanted, batch, progress)?;
    let evaluations: usize = values.iter().flatten().map(Vec::len).sum();
    let second = began.elapsed().as_secs_f64() / evaluations.max(1) as f64;
    drop(wanted);
    // By path and member, then by α.
    let mut found: Vec<Vec<BTreeMap<u64, _>>> = open
        .iter()
        .map(|path| vec![BTreeMap::new(); path.members.len()])
        .collect();
    for ((index, members, alphas), values) in groups.into_iter().zip(values) {
        for (alpha, values) in alphas.into_iter().zip(values) {
            for (&member, value) in members.iter().zip(values) {
                found[index][member].insert(alpha.to_bits(), value);
            }
        }
    }
    for (path, found) in open.iter_mut().zip(found) {
        for (member, found) in path.members.iter_mut().zip(found) {
            let values: Vec<_> = member
                .integral
                .wanted()
                .iter()
                .map(|alpha| found[&alpha.to_bits()].clone())
                .collect();
            member.seconds += second * found.len() as f64;
            member.integral.feed(values);
        }
    }
    Ok(())
}
