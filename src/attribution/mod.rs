//! Integrated Gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365) of a causal language model's next token.
//!
//! `quadrature` (fixed rules) and `adaptive` are pure numbers; `integral` is one map in the making; `schedule` runs
//! many at once; `integrated_gradients` computes the integrand on a model; `trust` compares a device with the CPU. The two alone know
//! Burn.

pub mod adaptive;
pub mod faithfulness;
pub mod integral;
pub mod integrated_gradients;
pub mod methods;
pub mod quadrature;
pub mod removal;
pub mod schedule;
pub mod trust;
