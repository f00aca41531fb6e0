//! What the test of one map comes to, in words: docs/faithfulness.md defines the numbers that it reads.
//!
//! A map is held against its controls by comprehensiveness, on the same F, so everything said here is about one model
//! and one sample. What holds over the samples of an experiment is [`super::faithfulness`]'s to say.

use serde::Serialize;

use crate::analysis::verdict::listed;
use crate::terms::{Faithfulness, TestNumbers, UnitKind};

/// How a map fares against its controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fares {
    /// It beats every control, of the shuffles at least 19 of 20.
    Beats,
    /// It beats every control, but too few of the shuffles to tell it from chance.
    Unclear,
    /// Some control does at least as well, or more than half of the shuffles do.
    Loses,
    /// There was nothing to hold it against.
    Alone,
    /// There are no numbers.
    Failed,
}

/// How a map fares, and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MapVerdict {
    /// In one word.
    pub fares: Fares,
    /// In sentences, the finding first.
    pub sentences: Vec<String>,
}

/// What `count` units are called: `word`, `words`.
pub fn unit_name(units: UnitKind, count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{units}{plural}")
}

impl MapVerdict {
    /// Of a map's test.
    pub fn of(test: &Faithfulness) -> Self {
        if let Some(why) = &test.failed {
            return Self {
                fares: Fares::Failed,
                sentences: vec![format!("The test failed, and has no numbers: {why}.")],
            };
        }
        let Some(own) = test.comprehensiveness else {
            return Self {
                fares: Fares::Failed,
                sentences: vec![format!(
                    "There is nothing to test: no {} that could be removed.",
                    test.units
                )],
            };
        };
        if test.count == 1 {
            let alike = format!(
                "There is one {} that could be removed, and any map removes it first: the test says nothing of this one.",
                test.units
            );
            return Self {
                fares: Fares::Alone,
                sentences: [Some(alike), flip(test)].into_iter().flatten().collect(),
            };
        }
        let (beaten, others): (Vec<_>, Vec<_>) = rivals(test).into_iter().partition(|(_, reached)| *reached < own);
        let shuffles = test.controls.shuffled.filter(|shuffled| shuffled.count > 0);
        let of_shuffles = shuffles.map(|shuffled| shuffled.beaten as f64 / shuffled.count as f64);
        let mut sentences: Vec<String> = Vec::new();
        if let Some(shuffled) = shuffles {
            let units = unit_name(test.units, 2);
            sentences.push(match (shuffled.beaten, shuffled.count) {
                (0, count) => {
                    format!("Taking the strongest {units} away lowers F no faster than any of {count} shuffles of the same scores.")
                }
                (beaten, count) if beaten == count => {
                    format!("Taking the strongest {units} away lowers F faster than all {count} shuffles of the same scores.")
                }
                (beaten, count) => {
                    let only = if 2 * beaten < count { "only " } else { "" };
                    format!(
                        "Taking the strongest {units} away lowers F faster than {only}{beaten} of {count} shuffles of \
                         the same scores."
                    )
                }
            });
        }
        let names = |rivals: &[(String, f64)]| listed(&rivals.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        if !others.is_empty() {
            let verb = if others.len() == 1 { "does" } else { "do" };
            let names = names(&others);
            sentences.push(format!(
                "{}{} {verb} as well or better.",
                names[..1].to_uppercase(),
                &names[1..]
            ));
        }
        if !beaten.is_empty() {
            sentences.push(format!("It beats {}.", names(&beaten)));
        }
        let has_controls = shuffles.is_some() || !beaten.is_empty() || !others.is_empty();
        let fares = if !has_controls {
            Fares::Alone
        } else if !others.is_empty() || of_shuffles.is_some_and(|share| share < 0.5) {
            Fares::Loses
        } else if of_shuffles.is_some_and(|share| share < 0.95) {
            Fares::Unclear
        } else {
            Fares::Beats
        };
        // What a reader must not miss comes first.
        let place = if fares == Fares::Loses { sentences.len() } else { 0 };
        if let Some(flip) = flip(test) {
            sentences.insert(place, flip);
        }
        if let Some(spearman) = test.controls.parameters.as_ref().and_then(|map| map.spearman) {
            // As alike as most maps of one prompt are not: a convention, not a threshold of anything above.
            if spearman > 0.5 {
                sentences.push(
                    "It is much like the map of the model with permuted parameters: it may show the prompt more than \
                     what the model learned."
                        .to_owned(),
                );
            }
        }
        Self { fares, sentences }
    }
}

/// `Without its 3 strongest words the answer changes.`
fn flip(test: &Faithfulness) -> Option<String> {
    Some(match test.flip {
        Some(1) if test.count == 1 => format!("Without this {} the answer changes.", test.units),
        Some(1) => format!("Without its strongest {} the answer changes.", test.units),
        Some(count) if count == test.count => format!(
            "The answer changes only when all {count} {} are taken away.",
            unit_name(test.units, count)
        ),
        Some(count) => format!(
            "Without its {count} strongest {} the answer changes.",
            unit_name(test.units, count)
        ),
        None if test.count == 0 => return None,
        None if test.count == 1 => format!("Without this {} the answer stays.", test.units),
        None => format!(
            "However many of its strongest {} are taken away, the answer stays.",
            unit_name(test.units, 2)
        ),
    })
}

/// The controls but for the shuffles: what each is, behind "beats", and how far it lowers F.
fn rivals(test: &Faithfulness) -> Vec<(String, f64)> {
    let controls = &test.controls;
    let position = |which: fn(&crate::terms::PositionControl) -> TestNumbers| controls.position.as_ref().map(which);
    let parameters = controls.parameters.as_ref().map(|map| map.numbers);
    let option = controls.option.as_ref().map(|map| map.numbers);
    let units = unit_name(test.units, 2);
    [
        (
            format!("taking the last {units} first"),
            position(|both| both.last_first),
        ),
        (
            format!("taking the first {units} first"),
            position(|both| both.first_first),
        ),
        ("the map of the model with permuted parameters".to_owned(), parameters),
        ("the map of another option".to_owned(), option),
    ]
    .into_iter()
    .filter_map(|(name, numbers)| Some((name, numbers?.comprehensiveness?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{Baseline, Bins, Controls, OtherMap, PositionControl, Shuffled};

    fn numbers(comprehensiveness: f64) -> TestNumbers {
        TestNumbers {
            comprehensiveness: Some(comprehensiveness),
            ..TestNumbers::default()
        }
    }

    fn test(beaten: usize) -> Faithfulness {
        Faithfulness {
            replacement: Baseline::Mean,
            own_baseline: false,
            units: UnitKind::Word,
            count: 9,
            failed: None,
            order: (0..9).collect(),
            curves: None,
            bins: Bins::Each,
            comprehensiveness: Some(0.5),
            sufficiency: Some(0.1),
            normalised: None,
            flip: Some(3),
            lds: None,
            controls: Controls {
                shuffled: Some(Shuffled {
                    count: 20,
                    beaten,
                    comprehensiveness: None,
                    sufficiency: None,
                    normalised: None,
                    flip: None,
                    lds: None,
                }),
                position: Some(PositionControl {
                    last_first: numbers(0.25),
                    first_first: numbers(0.375),
                }),
                ..Controls::default()
            },
            seed: 1,
            evaluations: 100,
        }
    }

    #[test]
    fn a_map_that_beats_its_controls_says_so_and_one_that_does_not_too() {
        let good = MapVerdict::of(&test(19));
        assert_eq!(good.fares, Fares::Beats);
        assert_eq!(
            good.sentences,
            [
                "Without its 3 strongest words the answer changes.",
                "Taking the strongest words away lowers F faster than 19 of 20 shuffles of the same scores.",
                "It beats taking the last words first and taking the first words first.",
            ]
        );
        assert_eq!(MapVerdict::of(&test(18)).fares, Fares::Unclear);
        let chance = MapVerdict::of(&test(4));
        assert_eq!(chance.fares, Fares::Loses);
        assert!(chance.sentences[0].contains("faster than only 4 of 20"));
        assert!(MapVerdict::of(&test(0)).sentences[0].contains("no faster than any of 20"));
        assert!(MapVerdict::of(&test(20)).sentences[1].contains("faster than all 20"));
        let mut beaten = test(20);
        beaten.controls.parameters = Some(OtherMap {
            numbers: numbers(0.5),
            spearman: Some(0.9),
            scores: vec![],
        });
        let verdict = MapVerdict::of(&beaten);
        assert_eq!(verdict.fares, Fares::Loses);
        assert_eq!(
            verdict.sentences[1],
            "The map of the model with permuted parameters does as well or better."
        );
        assert!(verdict.sentences[4].starts_with("It is much like the map of the model with permuted parameters"));
    }

    #[test]
    fn what_changes_the_answer_is_counted_in_words() {
        let said = |flip, count| {
            let test = Faithfulness {
                flip,
                count,
                ..test(20)
            };
            MapVerdict::of(&test).sentences.remove(0)
        };
        assert_eq!(said(Some(1), 9), "Without its strongest word the answer changes.");
        assert_eq!(
            said(Some(9), 9),
            "The answer changes only when all 9 words are taken away."
        );
        assert_eq!(
            said(None, 9),
            "However many of its strongest words are taken away, the answer stays."
        );
    }

    #[test]
    fn where_one_word_is_all_there_is_no_map_wins_or_loses() {
        let one = |flip| {
            MapVerdict::of(&Faithfulness {
                count: 1,
                order: vec![0],
                flip,
                ..test(0)
            })
        };
        let alike =
            "There is one word that could be removed, and any map removes it first: the test says nothing of this one.";
        assert_eq!(one(Some(1)).fares, Fares::Alone);
        assert_eq!(one(Some(1)).sentences, [alike, "Without this word the answer changes."]);
        assert_eq!(one(None).sentences, [alike, "Without this word the answer stays."]);
    }

    #[test]
    fn a_test_without_numbers_has_no_finding() {
        let failed = Faithfulness {
            failed: Some("F is not finite without 3 words".into()),
            comprehensiveness: None,
            ..test(20)
        };
        let verdict = MapVerdict::of(&failed);
        assert_eq!(verdict.fares, Fares::Failed);
        assert_eq!(
            verdict.sentences,
            ["The test failed, and has no numbers: F is not finite without 3 words."]
        );
        let empty = Faithfulness {
            count: 0,
            comprehensiveness: None,
            ..test(20)
        };
        assert_eq!(MapVerdict::of(&empty).fares, Fares::Failed);
        let alone = Faithfulness {
            controls: Controls::default(),
            ..test(20)
        };
        assert_eq!(MapVerdict::of(&alone).fares, Fares::Alone);
    }
}
