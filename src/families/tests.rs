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
                let linear = held.iter().all(|weight| matches!(weight, Weight::Linear { .. }));
                assert!(held.len() == 1 || linear, "{}: {}", shape.family, entry.stem);
                assert!(
                    entry.order == Order::Stacked || linear,
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
