//! What a test of a map holds the map against.

words! {
    /// A control of a test: something that is no explanation, put to the same test.
    pub enum Control {
        /// The map's own scores, dealt out anew at random.
        Shuffled = "shuffled",
        /// The order of the words: the last first, and the first first.
        Position = "position",
        /// The map of the same model with its parameters permuted.
        Parameters = "parameters",
        /// The maps of the same model with the parameters of its last layers permuted, of more and more of them: what is
        /// left of the map's ranks.
        Cascading = "cascading",
        /// The map of another target of the same sample.
        Option = "option",
    }
}
