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

/// The widest instruction set that element-wise code finds on this processor and uses, in words. (Some products and
/// Burn's own operations choose by themselves; they need no more than these.)
pub fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512bw") && has!("avx512vl") && has!("avx512dq") {
            "AVX-512"
        } else if has!("avx2") && has!("fma") {
            "AVX2"
        } else {
            "plain x86-64"
        }
    }
    // Part of the architecture: every compiler uses it.
    #[cfg(target_arch = "aarch64")]
    return "NEON";
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return "plain";
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// The versions that `multiversion` makes, so that what is told is what it chooses.
    #[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
    fn chosen() -> usize {
        if multiversion::target::target_cfg_f!(target_feature = "avx512dq") {
            2
        } else {
            usize::from(multiversion::target::target_cfg_f!(target_feature = "avx2"))
        }
    }

    #[test]
    fn what_is_told_is_what_runs() {
        let names = match std::env::consts::ARCH {
            "x86_64" => ["plain x86-64", "AVX2", "AVX-512"],
            "aarch64" => ["NEON"; 3],
            _ => ["plain"; 3],
        };
        assert_eq!(instructions(), names[chosen()]);
    }
}
