//! Arithmetic on the CPU over plain slices of float32: the operations of an Integrated Gradients pass, fused where
//! Burn's own operations would each go through memory. It knows no model and no tensors; results are written where the
//! caller says.
//!
//! Element-wise code is written so that the compiler can vectorise it, and compiled several times, for AVX-512, AVX2
//! and any processor (`multiversion`); which version runs is chosen at run time.

pub mod activation;
pub mod attention;
#[cfg(test)]
mod elsewhere;
pub mod gemm;
pub mod matrix;
pub mod norm;
pub mod packed;

/// Who may work on one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// This thread: others have their own share of a pass.
    One,
    /// All of rayon's.
    All,
}

impl Threads {
    /// How many for this many multiply-adds: waking another thread costs more than a small product.
    pub fn for_work(self, multiply_adds: usize) -> usize {
        match self {
            Self::One => 1,
            Self::All if multiply_adds < 200_000 => 1,
            Self::All => rayon::current_num_threads(),
        }
    }
}
