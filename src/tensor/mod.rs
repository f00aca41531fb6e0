//! Burn's tensors seen as memory, and matrices of weights in the form in which they are kept. Checkpoints are read into these; models
//! compute with them.

pub mod host;
pub mod matrix;
