//! Burn's tensors as memory, and matrices of weights in the form in which they are stored. Checkpoints are read into
//! these; models compute with them.

pub mod care;
pub mod host;
pub mod matrix;
