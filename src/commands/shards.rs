//! Which share of the work is this process's: as the command line says, or as the scheduler does that started it.

use crate::diagnostic::{Diagnostic, Result};
use crate::terms::Shard;

/// How many tasks share the work, where no option says it.
pub const COUNT: &str = "IGSITE_SHARDS";

/// A scheduler's variable that numbers the tasks of an array.
struct Scheduler {
    /// Who sets it.
    name: &'static str,
    index: &'static str,
    /// What its lowest number stands for, if the tasks are counted by us.
    first: usize,
}

const SCHEDULERS: [Scheduler; 6] = [
    Scheduler {
        name: "Slurm",
        index: "SLURM_ARRAY_TASK_ID",
        first: 0,
    },
    Scheduler {
        name: "Kubernetes",
        index: "JOB_COMPLETION_INDEX",
        first: 0,
    },
    Scheduler {
        name: "PBS",
        index: "PBS_ARRAY_INDEX",
        first: 0,
    },
    Scheduler {
        name: "Torque",
        index: "PBS_ARRAYID",
        first: 0,
    },
    // The indices of LSF begin at 1; it sets 0 for a job that is no array.
    Scheduler {
        name: "LSF",
        index: "LSB_JOBINDEX",
        first: 1,
    },
    Scheduler {
        name: "AWS Batch",
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        first: 0,
    },
];

/// A share, and how it was found, if it was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The share.
    pub shard: Shard,
    /// The variables that say so.
    pub by: Option<String>,
}

/// How many tasks share the work, as an option or the environment says.
///
/// # Errors
/// The variable is no number above 0.
pub fn count(option: Option<usize>, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<usize>> {
    match (option, number(COUNT, environment)?) {
        (Some(count), _) => Ok(Some(count)),
        (None, Some(0)) => Err(wrong(COUNT, "0", "a number of shards, 1 or more")),
        (None, found) => Ok(found),
    }
}

/// The share of this process: `shard` as `--shard` says, `option` as `--shards` does.
///
/// # Errors
/// The environment has an index and not how many tasks there are, or the other way round; or it contradicts itself. It
/// is never taken for the first of them.
pub fn find(
    shard: Option<Shard>,
    option: Option<usize>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Found> {
    if let Some(shard) = shard {
        // Both were typed.
        if let Some(count) = option.filter(|count| *count != shard.count()) {
            let error = Diagnostic::content(format!(
                "--shard {shard} and --shards {count} are not of the same number"
            ));
            return Err(error.help("leave out --shards"));
        }
        return Ok(Found { shard, by: None });
    }
    let count = count(option, environment)?;
    let mut found = Vec::new();
    for scheduler in &SCHEDULERS {
        match number(scheduler.index, environment)? {
            Some(index) if index >= scheduler.first => found.push((scheduler, index)),
            // No array.
            _ => {}
        }
    }
    match (found.as_slice(), count) {
        ([], None | Some(1)) => Ok(Found {
            shard: Shard::WHOLE,
            by: None,
        }),
        ([], Some(count)) => Err(Diagnostic::content(format!(
            "there are {count} shards, and nothing says which of them this is"
        ))
        .expected(format!(
            "--shard I/{count}, or the variable of a scheduler: {}",
            SCHEDULERS.map(|scheduler| scheduler.index).join(", ")
        ))),
        ([(scheduler, index)], count) => of_scheduler(scheduler, *index, count, environment),
        ([(_, one), (_, other), ..], _) => {
            let names: Vec<String> = found
                .iter()
                .map(|(scheduler, index)| format!("{}={index}", scheduler.index))
                .collect();
            let error = Diagnostic::content(format!("the environment has more than one index: {}", names.join(", ")));
            let (one, count) = (one.min(other), count.unwrap_or(8));
            Err(error.help(format!(
                "say which shard this is: `--shard {one}/{count}`, or unset the other"
            )))
        }
    }
}

fn of_scheduler(
    scheduler: &Scheduler,
    index: usize,
    count: Option<usize>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Found> {
    let Scheduler {
        name,
        index: variable,
        first,
    } = scheduler;
    let said = |more: &[&str]| {
        let values = std::iter::once(variable).chain(more);
        let values = values.filter_map(|variable| Some(format!("{variable}={}", environment(variable)?)));
        Some(format!("{name}: {}", values.collect::<Vec<_>>().join(", ")))
    };
    if let Some(count) = count {
        let shard = index.checked_sub(*first).and_then(|index| Shard::new(index, count));
        return match shard {
            Some(shard) => Ok(Found { shard, by: said(&[]) }),
            None => Err(wrong(
                variable,
                &index.to_string(),
                &format!("one of {count} shards: {first} to {}", count - 1 + first),
            )
            .help(format!(
                "{name} numbers the tasks as they were submitted; submit `{first}-{}`",
                count - 1 + first
            ))),
        };
    }
    match *name {
        "Slurm" => of_slurm(index, environment, said),
        "AWS Batch" => match number("AWS_BATCH_JOB_ARRAY_SIZE", environment)? {
            Some(size) => Shard::new(index, size)
                .map(|shard| Found {
                    shard,
                    by: said(&["AWS_BATCH_JOB_ARRAY_SIZE"]),
                })
                .ok_or_else(|| wrong(variable, &index.to_string(), &format!("a number below {size}"))),
            None => Err(lone(scheduler, index)),
        },
        _ => Err(lone(scheduler, index)),
    }
}

/// A whole array of Slurm says itself how many tasks it has: `--array=MIN-MAX:STEP`.
fn of_slurm(
    index: usize,
    environment: &dyn Fn(&str) -> Option<String>,
    said: impl Fn(&[&str]) -> Option<String>,
) -> Result<Found> {
    let [total, least, most, by] = [
        "SLURM_ARRAY_TASK_COUNT",
        "SLURM_ARRAY_TASK_MIN",
        "SLURM_ARRAY_TASK_MAX",
        "SLURM_ARRAY_TASK_STEP",
    ];
    let Some(count) = number(total, environment)? else {
        return Err(lone(&SCHEDULERS[0], index));
    };
    let min = number(least, environment)?.unwrap_or(0);
    let step = number(by, environment)?.unwrap_or(1).max(1);
    let last = min + count.saturating_sub(1) * step;
    let max = number(most, environment)?.unwrap_or(last);
    let place = index
        .checked_sub(min)
        .filter(|from| from % step == 0)
        .map(|from| from / step);
    match place.and_then(|place| Shard::new(place, count)).filter(|_| max == last) {
        Some(shard) => Ok(Found {
            shard,
            by: said(&[total, least, by]),
        }),
        None => Err(Diagnostic::content(format!(
            "task {index} is of an array with gaps: {count} tasks from {min} to {max}, with a step of {step}"
        ))
        .expected("a whole array, or the number of shards that it is a part of")
        .help("of an array that is sent again in part, say `--shards N`, with the N of the first time")),
    }
}

fn lone(scheduler: &Scheduler, index: usize) -> Diagnostic {
    let Scheduler {
        name,
        index: variable,
        first,
    } = scheduler;
    let error = Diagnostic::content(format!(
        "{variable}={index} says which task of {name} this is, and nothing how many there are"
    ));
    error.expected(format!(
        "{COUNT}=N, or `--shards N`, for tasks {first} to N{}",
        if *first == 0 { " − 1" } else { "" }
    ))
}

fn wrong(variable: &str, value: &str, expected: &str) -> Diagnostic {
    Diagnostic::content(format!("the variable {variable} is `{value}`")).expected(expected.to_owned())
}

fn number(variable: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Option<usize>> {
    let Some(text) = environment(variable).filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    // PBS sets its index to the word `undefined` in jobs that are no array.
    if text.trim() == "undefined" {
        return Ok(None);
    }
    text.trim()
        .parse()
        .map(Some)
        .map_err(|_| wrong(variable, &text, "a whole number, 0 or more"))
}

/// Shards as Slurm's `--array` takes them: `3,7-9`.
pub fn compact(shards: &[usize]) -> String {
    let pieces = shards.chunk_by(|a, b| a + 1 == *b).map(|piece| match piece {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    pieces.collect::<Vec<_>>().join(",")
}

/// The variable of the process's environment.
pub fn of_process(variable: &str) -> Option<String> {
    std::env::var_os(variable).map(|value| value.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)], shards: Option<usize>) -> Result<String, String> {
        let environment = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let found = find(None, shards, &environment);
        found
            .map(|found| found.shard.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn each_scheduler_says_it_in_its_own_way() {
        let slurm = |id, count, min, max, step| {
            found(
                &[
                    ("SLURM_ARRAY_TASK_ID", id),
                    ("SLURM_ARRAY_TASK_COUNT", count),
                    ("SLURM_ARRAY_TASK_MIN", min),
                    ("SLURM_ARRAY_TASK_MAX", max),
                    ("SLURM_ARRAY_TASK_STEP", step),
                ],
                None,
            )
        };
        assert_eq!(slurm("3", "8", "0", "7", "1").unwrap(), "3/8");
        assert_eq!(slurm("5", "4", "1", "7", "2").unwrap(), "2/4");
        assert_eq!(slurm("7", "4", "1", "7", "2").unwrap(), "3/4");
        assert_eq!(slurm("1", "1", "1", "1", "1").unwrap(), "0/1");
        let gaps = slurm("7", "2", "3", "7", "1").unwrap_err();
        assert!(gaps.contains("with gaps") && gaps.contains("--shards N"), "{gaps}");
        for (variables, shards, expected) in [
            (vec![], None, "0/1"),
            (vec![("IGSITE_SHARDS", "1")], None, "0/1"),
            (vec![("JOB_COMPLETION_INDEX", "2"), (COUNT, "5")], None, "2/5"),
            (vec![("JOB_COMPLETION_INDEX", "2"), (COUNT, "5")], Some(3), "2/3"),
            (vec![("PBS_ARRAY_INDEX", "0"), (COUNT, "5")], None, "0/5"),
            (vec![("PBS_ARRAYID", "4"), (COUNT, "5")], None, "4/5"),
            (vec![("LSB_JOBINDEX", "1"), (COUNT, "5")], None, "0/5"),
            (vec![("LSB_JOBINDEX", "5"), (COUNT, "5")], None, "4/5"),
            (vec![("LSB_JOBINDEX", "0")], None, "0/1"),
            (
                vec![("AWS_BATCH_JOB_ARRAY_INDEX", "9"), ("AWS_BATCH_JOB_ARRAY_SIZE", "10")],
                None,
                "9/10",
            ),
            (vec![("AWS_BATCH_JOB_ARRAY_INDEX", "1"), (COUNT, "2")], None, "1/2"),
            // A part of an array that is sent again.
            (
                vec![
                    ("SLURM_ARRAY_TASK_ID", "7"),
                    ("SLURM_ARRAY_TASK_COUNT", "2"),
                    ("SLURM_ARRAY_TASK_MIN", "3"),
                    ("SLURM_ARRAY_TASK_MAX", "7"),
                ],
                Some(8),
                "7/8",
            ),
        ] {
            assert_eq!(found(&variables, shards).as_deref(), Ok(expected), "{variables:?}");
        }
    }

    #[test]
    fn what_is_not_whole_is_an_error_and_never_the_first_shard() {
        for (variables, shards, told) in [
            (vec![("SLURM_ARRAY_TASK_ID", "0")], None, "nothing how many there are"),
            (vec![("JOB_COMPLETION_INDEX", "0")], None, "nothing how many there are"),
            (vec![("PBS_ARRAY_INDEX", "1")], None, "nothing how many there are"),
            (vec![("LSB_JOBINDEX", "1")], None, "nothing how many there are"),
            (
                vec![("AWS_BATCH_JOB_ARRAY_INDEX", "1")],
                None,
                "nothing how many there are",
            ),
            (vec![], Some(4), "nothing says which of them this is"),
            (vec![(COUNT, "4")], None, "nothing says which of them this is"),
            (vec![(COUNT, "0")], None, "IGSITE_SHARDS is `0`"),
            (vec![(COUNT, "many")], None, "IGSITE_SHARDS is `many`"),
            (
                vec![("SLURM_ARRAY_TASK_ID", "x"), (COUNT, "4")],
                None,
                "SLURM_ARRAY_TASK_ID is `x`",
            ),
            (vec![("JOB_COMPLETION_INDEX", "4"), (COUNT, "4")], None, "0 to 3"),
            (vec![("LSB_JOBINDEX", "5"), (COUNT, "4")], None, "1 to 4"),
            (
                vec![
                    ("SLURM_ARRAY_TASK_ID", "1"),
                    ("JOB_COMPLETION_INDEX", "1"),
                    (COUNT, "4"),
                ],
                None,
                "more than one index",
            ),
        ] {
            let error = found(&variables, shards).unwrap_err();
            assert!(error.contains(told), "{variables:?}: {error}");
        }
    }

    #[test]
    fn what_is_typed_comes_first() {
        let environment = |name: &str| (name == "SLURM_ARRAY_TASK_ID").then(|| "5".to_owned());
        let typed = |shards| find(Shard::new(1, 4), shards, &environment).map(|found| found.shard);
        assert_eq!(typed(None).unwrap(), Shard::new(1, 4).unwrap());
        assert_eq!(typed(Some(4)).unwrap(), Shard::new(1, 4).unwrap());
        assert!(typed(Some(5)).is_err());
    }

    #[test]
    fn lists_are_short() {
        assert_eq!(compact(&[3, 7, 8, 9]), "3,7-9");
        assert_eq!(compact(&[0, 1]), "0-1");
        assert_eq!(compact(&[]), "");
    }
}
