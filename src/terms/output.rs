//! The unit of the scalar that is explained.

words! {
    /// The unit of F, the scalar that is explained.
    #[derive(Default)]
    pub enum Output {
        /// Softmax probability at the last position.
        #[default]
        Probability = "probability",
        /// The raw logit.
        Logit = "logit",
        /// Natural logarithm of the probability.
        LogProbability = "log_probability",
    }
}
