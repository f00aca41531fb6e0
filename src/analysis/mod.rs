//! Numbers computed from several records: sums over words, agreement between models, summaries.
//!
//! Pure functions over [`crate::store::record`]. Nothing here knows HTML, files or models.

pub mod agreement;
pub mod bootstrap;
pub mod calibration;
pub mod compared;
pub mod evidence;
pub mod failing;
pub mod faithfulness;
pub mod groups;
pub mod map;
pub mod map_verdict;
pub mod methods;
pub mod pairs;
pub mod results;
pub mod scale;
pub mod shared_words;
pub mod summary;
pub mod text;
pub mod truth;
pub mod verdict;
pub mod words;
