//! The tables and the sentences that hold numbers, as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use igsite::attribution::integral::Attribution;

use crate::support::cases::{BASELINES, Case, Family, OUTPUTS, TOLERANCES, largest, quantile, size};

/// What the tables of single settings are about: the tolerance that experiments have unless they say otherwise.
const USUAL: f64 = 0.01;

/// A share as per cent with two digits that mean something.
pub fn percent(share: f64) -> String {
    let value = 100.0 * share;
    match value {
        0.0 => "0%".to_owned(),
        10.0.. => format!("{value:.0}%"),
        1.0.. => format!("{value:.1}%"),
        0.1.. => format!("{value:.2}%"),
        0.01.. => format!("{value:.3}%"),
        0.0001.. => format!("{value:.4}%"),
        _ => "< 0.0001%".to_owned(),
    }
}

fn at(case: &Case, tolerance: f64) -> &Attribution {
    let found = case.adaptive.iter().find(|(asked, _)| *asked == tolerance);
    &found.expect("a tolerance of the study").1
}

fn middle_and_largest(values: impl Iterator<Item = f64> + Clone) -> String {
    format!(
        "{}, {}",
        percent(quantile(values.clone(), 0.5)),
        percent(largest(values))
    )
}

/// What was looked at.
pub fn extent(cases: &[Case]) -> String {
    let mut told = String::new();
    for family in Family::ALL {
        let of: Vec<&Case> = cases.iter().filter(|case| case.family == family).collect();
        if of.is_empty() {
            let _ = writeln!(told, "- {}: not there when this was made.", family.name());
            continue;
        }
        let models: BTreeSet<&str> = of.iter().map(|case| &*case.model).collect();
        let prompts: BTreeSet<(&str, usize)> = of.iter().map(|case| (&*case.model, case.prompt)).collect();
        let lengths: Vec<usize> = of.iter().map(|case| case.truth.scores.len()).collect();
        let _ = writeln!(
            told,
            "- {}: {} model{}, {} prompts of {} to {} tokens, {} cases.",
            family.name(),
            models.len(),
            if models.len() == 1 { "" } else { "s" },
            prompts.len(),
            lengths.iter().min().expect("a case"),
            lengths.iter().max().expect("a case"),
            of.len()
        );
    }
    let _ = writeln!(
        told,
        "\nThe truth of these {} cases is off by at most {} of the map, its sum by at most {}.",
        cases.len(),
        percent(largest(cases.iter().map(|case| case.truth.error))),
        percent(largest(cases.iter().map(|case| case.truth.delta))),
    );
    told
}

/// How good the statement is, at each tolerance.
pub fn honesty(cases: &[Case]) -> String {
    let mut table = "| tolerance | baseline | maps | evaluations: median, 90%, max | converged | true ≤ stated | true/stated: median, max | \
                     tokens within their error | true error: median, max |\n|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for tolerance in TOLERANCES {
        for zero in [true, false] {
            let of: Vec<(&Case, &Attribution)> = cases
                .iter()
                .filter(|case| (case.baseline == "zero") == zero)
                .map(|case| (case, at(case, tolerance)))
                .collect();
            let share = |count: usize, all: usize| format!("{:.1}%", 100.0 * count as f64 / all as f64);
            let evaluations = |share| quantile(of.iter().map(|(_, map)| map.evaluations as f64), share);
            let ratios = of.iter().map(|(case, map)| case.ratio(map));
            let tokens: Vec<bool> = of
                .iter()
                .flat_map(|(case, map)| {
                    let rounding = 1e-6 * size(&case.truth.scores);
                    let errors = map.errors.as_ref().expect("the rule states an error");
                    let pairs = map.scores.iter().zip(&case.truth.scores).zip(errors);
                    pairs.map(move |((score, truth), error)| (score - truth).abs() <= error + rounding)
                })
                .collect();
            let _ = writeln!(
                table,
                "| {} | {} | {} | {:.0}, {:.0}, {:.0} | {} | {} | {:.2}, {:.2} | {} | {} |",
                percent(tolerance),
                if zero { "zero" } else { "mean, token" },
                of.len(),
                evaluations(0.5),
                evaluations(0.9),
                evaluations(1.0),
                share(
                    of.iter().filter(|(_, map)| map.converged == Some(true)).count(),
                    of.len()
                ),
                share(ratios.clone().filter(|ratio| *ratio <= 1.0).count(), of.len()),
                quantile(ratios.clone(), 0.5),
                largest(ratios),
                share(tokens.iter().filter(|within| **within).count(), tokens.len()),
                middle_and_largest(of.iter().map(|(case, map)| case.error(map))),
            );
        }
    }
    table
}

/// One row a model, output and baseline; where the baseline is not zero a row for all models of a family.
pub fn settings(cases: &[Case]) -> String {
    let counts: BTreeSet<usize> = cases
        .iter()
        .flat_map(|case| case.gauss.iter().map(|(count, _)| *count))
        .collect();
    let counts: Vec<usize> = counts.into_iter().collect();
    let mut table = "| baseline | output | model | maps | evaluations: median, 90%, max | true error: median, max | stated error: median | \
                     true ≤ stated |"
        .to_owned();
    for count in &counts {
        let _ = write!(table, " Gauss–Legendre {count}: true error |");
    }
    let _ = writeln!(
        table,
        "\n|---|---|---|---|---|---|---|---|{}",
        "---|".repeat(counts.len())
    );
    for baseline in BASELINES {
        for output in OUTPUTS {
            let of: Vec<&Case> = cases
                .iter()
                .filter(|case| case.baseline == baseline && case.output == output)
                .collect();
            let name = |case: &Case| match baseline {
                "zero" => case.model.clone(),
                _ => case.family.name().to_owned(),
            };
            let mut names: Vec<String> = of.iter().map(|case| name(case)).collect();
            names.dedup();
            for group in names {
                let of: Vec<&Case> = of.iter().copied().filter(|case| name(case) == group).collect();
                let _ = write!(table, "| {baseline} | {output} | {group} |");
                row(&mut table, &of, &counts);
            }
        }
    }
    table
}

fn row(table: &mut String, cases: &[&Case], counts: &[usize]) {
    let evaluations = |share| quantile(cases.iter().map(|case| at(case, USUAL).evaluations as f64), share);
    let within = cases.iter().filter(|case| case.ratio(at(case, USUAL)) <= 1.0).count();
    let stated = cases
        .iter()
        .map(|case| at(case, USUAL).error_estimate().expect("the rule states an error"));
    let _ = write!(
        table,
        " {} | {:.0}, {:.0}, {:.0} | {} | {} | {} of {} |",
        cases.len(),
        evaluations(0.5),
        evaluations(0.9),
        evaluations(1.0),
        middle_and_largest(cases.iter().map(|case| case.error(at(case, USUAL)))),
        percent(quantile(stated, 0.5)),
        within,
        cases.len(),
    );
    for count in counts {
        let found = cases.iter().filter_map(|case| {
            let (_, map) = case.gauss.iter().find(|(asked, _)| asked == count)?;
            Some(case.error(map))
        });
        let told = if found.clone().next().is_some() {
            middle_and_largest(found)
        } else {
            "–".to_owned()
        };
        let _ = write!(table, " {told} |");
    }
    table.push('\n');
}

/// The maps that did not converge, or were further off than they said.
pub fn exceptions(cases: &[Case]) -> String {
    let mut told = String::new();
    for case in cases {
        for (tolerance, map) in &case.adaptive {
            if map.converged != Some(true) || case.ratio(map) > 1.0 {
                let _ = writeln!(
                    told,
                    "- {}, asked for {}: {} evaluations, {}converged, true error {}, stated {}; Σ\\|score\\| is {:.1e}.",
                    case.name(),
                    percent(*tolerance),
                    map.evaluations,
                    if map.converged == Some(true) { "" } else { "not " },
                    percent(case.error(map)),
                    percent(map.error_estimate().expect("the rule states an error")),
                    size(&case.truth.scores),
                );
            }
        }
    }
    if told.is_empty() { "- None.\n".to_owned() } else { told }
}
