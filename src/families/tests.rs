//! What the tables of all families promise.

use serde_json::json;

use super::*;
use crate::checkpoint::config;
use crate::families::tensors::{Order, Slot, Weight};

#[test]
fn every_weight_of_a_family_has_one_name() {
    for family in FAMILIES {
        let config = json!({"model_type": family.types[0]});
        let shape = config::parse(config.as_object().unwrap()).unwrap().model;
        assert_eq!(shape.family, family.types[0]);
        let named = |slot: Slot| {
            let entries = shape.tensors.iter().filter(|entry| entry.slots.contains(&slot));
            entries.count()
        };
        for slot in [Slot::Embedding, Slot::Positions, Slot::Norm, Slot::Output] {
            assert_eq!(
                named(slot) > 0,
                shape.weight(slot).is_some(),
                "{}: {slot:?}",
                shape.family
            );
        }
        for block in &shape.blocks {
            for entry in shape.tensors.iter().filter(|entry| entry.in_layers()) {
                let held: Vec<Weight> = entry
                    .slots
                    .iter()
                    .filter_map(|&slot| shape.layer_weight(block, slot))
                    .collect();
                // What shares a tensor has rows of one width; a norm stands alone.
                let linear = held
                    .iter()
                    .all(|weight| matches!(weight, Weight::Linear { .. } | Weight::Experts { .. }));
                assert!(held.len() == 1 || linear, "{}: {}", shape.family, entry.stem);
                assert!(
                    matches!(entry.order, Order::Stacked | Order::Bare) || linear,
                    "{}: {}",
                    shape.family,
                    entry.stem
                );
            }
            for slot in tensors::IN_LAYERS {
                let expected = usize::from(shape.layer_weight(block, *slot).is_some());
                assert!(
                    named(*slot) >= expected && named(*slot) <= 1,
                    "{}: {slot:?}",
                    shape.family
                );
            }
        }
    }
}

/// The tables of GGUF files have every weight of every family, once.
#[test]
fn every_weight_has_a_name_in_gguf_files() {
    for family in FAMILIES.iter().filter(|family| family.gguf.is_some()) {
        let config = json!({"model_type": family.types[0]});
        let mut shape = config::parse(config.as_object().unwrap()).unwrap().model;
        gguf::adapt(&mut shape, family, &std::collections::BTreeMap::new());
        let named = |slot: Slot| shape.tensors.iter().filter(|entry| entry.slots.contains(&slot)).count();
        for slot in [Slot::Embedding, Slot::Positions, Slot::Norm, Slot::Output] {
            assert!(
                shape.weight(slot).is_none() || named(slot) == 1,
                "{}: {slot:?}",
                shape.family
            );
        }
        for block in &shape.blocks {
            for &slot in tensors::IN_LAYERS {
                let held = shape.layer_weight(block, slot);
                assert!(held.is_none() || named(slot) == 1, "{}: {slot:?}", shape.family);
                if let Some(Weight::Norm { norm, .. }) = held {
                    assert!(!norm.offset, "{}: {slot:?}", shape.family);
                }
            }
        }
    }
}

/// The table of docs/models.md says under which names each family is in GGUF files.
#[test]
fn the_documentation_lists_architectures_of_gguf_files() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap();
    let (_, section) = text.split_once("### Families").unwrap();
    for family in FAMILIES {
        let row = section
            .lines()
            .find(|line| line.starts_with(&format!("| `{}` |", family.types[0])));
        let cell = row.unwrap().split('|').nth(3).unwrap();
        let listed: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
        let known = family.gguf.as_ref().map_or(&[][..], |gguf| gguf.architectures);
        assert_eq!(listed, known, "{}", family.types[0]);
    }
}

/// The table of docs/models.md names every family, and no other.
#[test]
fn the_documentation_lists_every_family() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/models.md")).unwrap();
    let (_, section) = text.split_once("### Families").unwrap();
    let (section, _) = section.split_once("\nOf `gemma3`").unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed: Vec<&str> = rows.map(|row| row.split('`').next().unwrap()).collect();
    let mut known: Vec<&str> = FAMILIES.iter().map(|family| family.types[0]).collect();
    listed.remove(0);
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
}
