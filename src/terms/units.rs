//! What a method takes away at a time.

words! {
    /// The pieces of a prompt that are replaced together.
    #[derive(Default)]
    pub enum UnitKind {
        /// A token.
        Token = "token",
        /// A word, with the punctuation that touches it.
        #[default]
        Word = "word",
        /// A sentence; a line break ends one.
        Sentence = "sentence",
        /// A segment of the prompt.
        Segment = "segment",
    }
}
