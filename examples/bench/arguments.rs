//! What was typed.

use std::path::PathBuf;

use clap::Parser;
use igsite::content::model::dtypes;
use igsite::model::device::DeviceChoice;
use igsite::terms::{Batch, Dtype, Quantization};

use crate::shape;

/// Measure how fast this machine computes attribution maps.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub struct Arguments {
    /// A checkpoint's folder
    #[arg(long, value_name = "DIR", conflicts_with = "shape")]
    pub model: Option<PathBuf>,
    /// A known model's shape, with random weights made on the device
    #[arg(long, value_name = "SHAPE", default_value = "llama-25m", value_parser = shape::NAMES)]
    pub shape: String,
    /// Tokens of the prompt
    #[arg(long, value_name = "N", default_value_t = 81, value_parser = positive)]
    pub tokens: usize,
    /// Points of the path (Gauss–Legendre)
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = positive)]
    pub points: usize,
    /// Path points a pass, or `auto`
    #[arg(long, value_name = "N", default_value = "auto", value_parser = batch)]
    pub batch: Batch,
    /// auto, f32, f16 or bf16
    #[arg(long, value_name = "DTYPE", default_value = "auto", value_parser = dtype)]
    pub dtype: std::option::Option<Dtype>,
    /// Write the shape's random weights into a new folder in DIR first, in bfloat16, and load them from there; the
    /// folder is removed again (not if the process is killed)
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    pub on_disk: Option<PathBuf>,
    /// Before the checkpoint of `--on-disk` is read, make Linux drop all cached files of this machine, so that the disk
    /// itself is measured; needs root
    #[arg(long, requires = "on_disk")]
    pub drop_caches: bool,
    /// none, fp4 or nf4: of a checkpoint, so with `--model` or `--on-disk`
    #[arg(long, value_name = "CODE", default_value = "none", value_parser = quantization)]
    pub quantization: Quantization,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: DeviceChoice,
    /// How often it is measured; the result has the fastest and the median
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    pub repeat: usize,
    /// One JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn batch(text: &str) -> Result<Batch, String> {
    match text {
        "auto" => Ok(Batch::Auto),
        _ => positive(text)
            .map(Batch::Fixed)
            .map_err(|_| "expected `auto` or a whole number of at least 1".to_owned()),
    }
}

fn quantization(text: &str) -> Result<Quantization, String> {
    let found = Quantization::ASKED.iter().find(|(word, _)| *word == text);
    found
        .map(|&(_, quantization)| quantization)
        .ok_or_else(|| "expected none, fp4 or nf4".to_owned())
}

fn dtype(text: &str) -> Result<Option<Dtype>, String> {
    let known = dtypes().into_iter().find(|(word, _)| *word == text);
    known
        .map(|(_, dtype)| dtype)
        .ok_or_else(|| "expected auto, f32, f16 or bf16".to_owned())
}
