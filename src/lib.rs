//! igsite: a static report site generator for language-model attribution.

pub mod analysis;
pub mod content;
pub mod diagnostic;
pub mod render;
pub mod site;
pub mod store;
