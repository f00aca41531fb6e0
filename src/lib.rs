//! igsite: a static report site generator for language-model attribution.
//!
//! ```text
//! content  ─┬─ plan ── compute ── assemble ── render ── site
//! checkpoint┘           │  ⇅         (analysis)
//! tokenizer      attribution, model
//!                       store
//! ```
//!
//! What the author wrote is resolved once ([`content`]); checkpoints and tokenizers are opened ([`checkpoint`],
//! [`tokenizer`]) and every job is planned with its keys ([`plan`]); what the [`store`] lacks is computed ([`compute`],
//! [`attribution`], [`model`]); stored parts become records ([`assemble`]), records become numbers about records
//! ([`analysis`]) and pages ([`render`]), and pages are checked and written ([`site`]). ARCHITECTURE.md says more.

pub mod analysis;
pub mod assemble;
pub mod attribution;
pub mod calendar;
pub mod chat;
pub mod checkpoint;
pub mod cli;
pub mod commands;
pub mod compute;
pub mod content;
pub mod diagnostic;
pub mod families;
pub mod guard;
pub mod hex;
pub mod hub;
pub mod input;
pub mod interrupt;
pub mod kernel;
pub mod lock;
pub mod model;
#[cfg(test)]
#[path = "../tests/support/needs.rs"]
mod needs;
pub mod plan;
#[cfg(test)]
#[path = "../tests/support/processors.rs"]
mod processors;
pub mod progress;
pub mod publish;
pub mod random;
pub mod ranks;
pub mod render;
pub mod serve;
pub mod site;
pub mod stamp;
pub mod store;
pub mod tensor;
pub mod terms;
pub mod tokenizer;
