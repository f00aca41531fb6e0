//! Many maps at once, so that every pass is full.
//!
//! Paths are opened until the points that they want together fill the device; the targets of one path want many of the
//! same points, and share their forward passes. Which points a map gets depends on its own values alone, never on its
//! company. Methods that replace units of a prompt (`replaced`) want all their masks at once.

mod replaced;

use std::collections::BTreeMap;
use std::time::Instant;

use super::integrated_gradients::{Asked, Explainer, Points, Scalar, guarded};
use super::methods::{Attribution, ByRemoval, Given, InProgress, Method, Prepared};
use crate::diagnostic::Result;
use crate::interrupt;
use crate::model::path::Path;
use crate::terms::{BaselineVector, Batch, Routing};
use replaced::Replaced;

/// A map to compute.
#[derive(Clone, Debug)]
pub struct Task {
    /// The prompt.
    pub ids: Vec<u32>,
    /// The tokens between the prompt and the scalar's own: the earlier ones of an answer of several, whose
    /// log-probabilities are added to it, behind those that are `given`.
    pub forced: Vec<u32>,
    /// How many of their first are only given to the model, and not counted in F.
    pub given: usize,
    /// Where its path starts.
    pub start: BaselineVector,
    /// How experts are chosen along it.
    pub routing: Routing,
    /// The places of each unit's tokens, where the method replaces units.
    pub units: Vec<Vec<usize>>,
    /// What is explained.
    pub scalar: Scalar,
    /// How the map is made.
    pub method: Prepared,
}

impl Task {
    /// What its path is made of, or what its units are replaced by.
    fn path(&self) -> (&[u32], &[u32], usize, BaselineVector, Routing) {
        (&self.ids, &self.forced, self.given, self.start, self.routing)
    }
}

/// A path that is open, and the maps that are integrated along it.
struct Open {
    path: Path,
    members: Vec<Member>,
}

struct Member {
    task: usize,
    asked: Asked,
    map: Box<dyn InProgress>,
    seconds: f64,
}

/// Computes maps. Consecutive tasks of one prompt and baseline share their path.
///
/// `progress` is called with evaluations, `done` with each map as soon as it is finished and the index of its task.
///
/// # Errors
/// Memory runs out even with one path point in a pass; a signal requests the end; or an error of `done`.
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
        let mut replaced: Vec<Replaced<'_>> = Vec::new();
        interrupt::check_under_way()?;
        let full = match batch {
            Batch::Fixed(points) => Fill::Points(points),
            // Two passes' worth, so that a late one does not keep all others waiting.
            Batch::Auto => Fill::Tokens(2 * explainer.pass_tokens()),
        };
        while !full.by(&open, &replaced) && interrupt::asked().is_none() {
            let Some((first, task)) = waiting.next() else { break };
            let mut members = vec![(first, task)];
            while let Some(next) = waiting.next_if(|(_, next)| next.path() == task.path()) {
                members.push(next);
            }
            let (along, without) = by_kind(&members);
            if !along.is_empty() {
                // A path whose ends are not finite needs no points, and is reported at once.
                let path = finish(begin(explainer, &along)?, done)?;
                open.extend(path);
            }
            for members in without {
                replaced.push(Replaced::begin(explainer, &members)?);
            }
        }
        if open.is_empty() && replaced.is_empty() {
            return if waiting.peek().is_some() {
                interrupt::check()
            } else {
                Ok(())
            };
        }
        if !replaced.is_empty() {
            replaced::round(explainer, replaced, batch, progress, done)?;
        }
        if !open.is_empty() {
            round(explainer, &mut open, batch, progress)?;
        }
        let mut left = Vec::with_capacity(open.len());
        for path in open {
            left.extend(finish(path, done)?);
        }
        open = left;
    }
}

/// Tasks of one kind of method, each with its place.
type Along<'t> = Vec<(usize, &'t Task, &'t dyn Method)>;
/// The same, with the same units.
type Without<'t> = Vec<(usize, &'t Task, &'t dyn ByRemoval)>;

/// Those that read a path, and those that replace units, by their units.
fn by_kind<'t>(members: &[(usize, &'t Task)]) -> (Along<'t>, Vec<Without<'t>>) {
    let mut along = Along::new();
    let mut without: Vec<Without<'t>> = Vec::new();
    for &(index, task) in members {
        match &task.method {
            Prepared::Path(method) => along.push((index, task, &**method)),
            Prepared::Removal(method) => {
                let member = (index, task, &**method);
                match without.iter_mut().find(|others| others[0].1.units == task.units) {
                    Some(others) => others.push(member),
                    None => without.push(vec![member]),
                }
            }
        }
    }
    (along, without)
}

/// Reports the maps of a path that are finished; returns the path with the others, if there are any.
fn finish(mut path: Open, done: &mut dyn FnMut(usize, Attribution) -> Result<()>) -> Result<Option<Open>> {
    for member in path.members.extract_if(.., |member| member.map.wanted().is_empty()) {
        done(member.task, member.map.finish(member.seconds))?;
    }
    Ok((!path.members.is_empty()).then_some(path))
}

/// When no further path needs to be opened.
enum Fill {
    Points(usize),
    Tokens(usize),
}

impl Fill {
    fn by(&self, open: &[Open], replaced: &[Replaced<'_>]) -> bool {
        let points = |path: &Open| groups(path).iter().map(|(_, alphas)| alphas.len()).sum::<usize>();
        let of_paths = |size: &dyn Fn(&Open) -> usize| open.iter().map(size).sum::<usize>();
        let of_prompts =
            |size: fn((usize, usize)) -> usize| -> usize { replaced.iter().map(|prompt| size(prompt.size())).sum() };
        match self {
            Self::Points(count) => of_paths(&points) + of_prompts(|(sequences, _)| sequences) >= *count,
            Self::Tokens(count) => {
                of_paths(&|path| points(path) * path.path.tokens()) + of_prompts(|(_, rows)| rows) >= *count
            }
        }
    }
}

fn begin(explainer: &Explainer, members: &[(usize, &Task, &dyn Method)]) -> Result<Open> {
    let began = Instant::now();
    let task = members[0].1;
    let path = explainer.path(&task.ids, task.start, &task.forced, task.routing)?;
    let path = path.with_given(task.given);
    if explainer.is_checked() {
        let all: Vec<Scalar> = members.iter().map(|(_, task, _)| task.scalar).collect();
        explainer.compare_at_input(&path, &[&task.ids[..], &task.forced].concat(), &all)?;
    }
    let need = members.iter().filter(|(.., method)| method.needs_ends());
    let scalars: Vec<Scalar> = need.map(|(_, task, _)| task.scalar).collect();
    let ends = if scalars.is_empty() {
        vec![]
    } else {
        let forced = (&task.forced[..], task.given);
        explainer.ends(&task.ids, task.start, forced, path.frozen.as_deref(), &scalars)?
    };
    let seconds = began.elapsed().as_secs_f64() / members.len() as f64;
    let starts_at_zero = guarded(|| path.starts_at_zero())?;
    let mut ends = ends.into_iter();
    let member = |&(index, task, method): &(usize, &Task, &dyn Method)| Member {
        task: index,
        asked: Asked {
            scalar: task.scalar,
            gradients: method.gradients(),
        },
        map: method.begin(Given {
            tokens: task.ids.len(),
            ends: if method.needs_ends() { ends.next() } else { None },
            starts_at_zero,
            routing: task.routing,
            from: task.start.from(),
        }),
        seconds,
    };
    let members = members.iter().map(member).collect();
    Ok(Open { path, members })
}

/// The points that are wanted by the same members, as (members, αs in rising order).
fn groups(path: &Open) -> Vec<(Vec<usize>, Vec<f64>)> {
    let mut wanted_by: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, member) in path.members.iter().enumerate() {
        for alpha in member.map.wanted() {
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
            asked: members
                .iter()
                .map(|&member| open[*index].members[member].asked)
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
                .map
                .wanted()
                .iter()
                .map(|alpha| found[&alpha.to_bits()].clone())
                .collect();
            member.seconds += second * found.len() as f64;
            member.map.feed(values);
        }
    }
    Ok(())
}
