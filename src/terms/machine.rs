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
        /// float64
        F64 = "f64",
    }
}

words! {
    /// How a model's linear layers, but for the output layer, are quantised: as they are loaded, as `load_in_4bit` of
    /// transformers does, or as the checkpoint has them.
    #[derive(Default)]
    pub enum Quantization {
        /// Not.
        #[default]
        None = "none",
        /// 4-bit floating point.
        Fp4 = "fp4",
        /// 4-bit quantiles of the normal distribution.
        Nf4 = "nf4",
        /// GPTQ's 2 bits, in groups.
        Gptq2 = "gptq-2",
        /// GPTQ's 4 bits, in groups.
        Gptq4 = "gptq-4",
        /// GPTQ's 8 bits, in groups.
        Gptq8 = "gptq-8",
        /// AWQ's 4 bits, in groups.
        Awq4 = "awq-4",
        /// compressed-tensors: integers of 4 bits.
        Compressed4 = "compressed-tensors-4",
        /// compressed-tensors: integers of 8 bits.
        Compressed8 = "compressed-tensors-8",
        /// compressed-tensors: 8-bit floating point.
        CompressedFp8 = "compressed-tensors-fp8",
        /// compressed-tensors: several of these.
        Compressed = "compressed-tensors",
        /// 8-bit floating point, with a scale for each block or matrix.
        Fp8 = "fp8",
        /// 4-bit floating point, 32 weights to a scale; the experts of a mixture alone.
        Mxfp4 = "mxfp4",
        /// The block types of ggml, all matrices.
        Gguf = "gguf",
    }
}

impl Quantization {
    /// What a model's file may ask for.
    pub const ASKED: &[(&str, Self)] = Self::WORDS.split_at(3).0;
}

words! {
    /// A kind of device.
    pub enum DeviceKind {
        /// The processor.
        Cpu = "cpu",
        /// An NVIDIA card.
        Cuda = "cuda",
        /// What Vulkan reaches: cards of all makers, or a processor that plays one.
        Vulkan = "vulkan",
        /// An Apple GPU.
        Metal = "metal",
    }
}
