//! What a model computes in, and on what.

words! {
    /// The type of number that a model computes in.
    pub enum Dtype {
        /// float32
        F32 = "f32",
        /// float16
        F16 = "f16",
        /// bfloat16
        Bf16 = "bf16",
    }
}

words! {
    /// How a model's linear layers, but for the output layer, are quantised as they are loaded: as `load_in_4bit` of
    /// transformers does.
    #[derive(Default)]
    pub enum Quantization {
        /// As stored.
        #[default]
        None = "none",
        /// 4-bit floating point.
        Fp4 = "fp4",
        /// 4-bit quantiles of the normal distribution.
        Nf4 = "nf4",
    }
}

words! {
    /// A kind of device.
    pub enum DeviceKind {
        /// The processor.
        Cpu = "cpu",
        /// An NVIDIA card.
        Cuda = "cuda",
    }
}
