//! Numbers computed from several records: sums over words, agreement between models, summaries.
//!
//! Pure functions over [`crate::store::record`]. Nothing here knows HTML, files or models.

pub mod agreement;
pub mod calibration;
pub mod map;
pub mod pairs;
pub mod results;
pub mod scale;
pub mod summary;
pub mod text;
pub mod words;
