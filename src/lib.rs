//! igsite: a static report site generator for language-model attribution.

pub mod attribution;
pub mod checkpoint;
pub mod content;
pub mod diagnostic;
pub mod model;
pub mod plan;
pub mod store;
pub mod tokenizer;
