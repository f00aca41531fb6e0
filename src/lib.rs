//! igsite: a static report site generator for language-model attribution.

pub mod content;
pub mod diagnostic;
pub mod store;
