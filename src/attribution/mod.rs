//! Integrated Gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365) of a causal language model's next token.
//!
//! `quadrature` is pure numbers; `integrated_gradients` is the only file here that knows Burn.

pub mod integrated_gradients;
pub mod quadrature;
