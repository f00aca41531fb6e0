//! The words of the field as types: one each, the same in YAML, keys, stored parts, records and pages.
//!
//! A word is spelt once, here, with serde on it. What a word means for numbers stands where it is computed
//! (`attribution`), and how it reads in a sentence stands where pages are made (`render`). Nothing of ours is imported
//! here, so that everything may import this.

/// An enum whose variants are single words, spelt the same wherever they are written.
macro_rules! words {
    ($(#[$about:meta])* pub enum $name:ident { $($(#[$variant_about:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[$variant_about])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every word with what it means, in the order in which an error lists them.
            pub const WORDS: &[(&str, Self)] = &[$(($word, Self::$variant)),+];

            /// How it is spelt.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

mod baseline;
mod control;
mod faithfulness;
mod machine;
mod method;
mod output;
mod quality;
mod routing;
mod rule;
mod shard;
mod target;
mod text;
mod units;

pub use baseline::{Baseline, BaselineVector, PathStart};
pub use control::Control;
pub use faithfulness::{
    Band, Bins, Bounds, Cascaded, Controls, CurvePoint, Curves, Faithfulness, Interval, Normalised, NormalisedNumbers,
    NormalisedSpread, OtherMap, PositionControl, Shuffled, ShuffledCurves, Spread, TestNumbers,
};
pub use machine::{DeviceKind, Dtype, Quantization};
pub use method::{Method, MethodSettings, MethodWithSettings};
pub use output::Output;
pub use quality::{Below, LEVELS, NonFinite, PathValue, Round, relative_error};
pub use routing::{Routing, RoutingQuality};
pub use rule::{Batch, Quadrature, Rule};
pub use shard::Shard;
pub use target::{Absent, Target, TargetKind};
pub use text::{PromptStyle, Role, Segment, Token};
pub use units::UnitKind;
