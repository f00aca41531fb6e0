//! Makes the demo: the claims, and the four small models that judge them.
//!
//! ```text
//! cargo run --release --example train_demo                 # everything, into content/
//! cargo run --release --example train_demo -- demo-orca    # the claims and the models named
//! ```
//!
//! The same seeds give the same claims and tokenizers everywhere, and the same weights on the same kind of processor.

mod bpe;
mod claims;
mod recipes;
mod tokenizers;
mod train;
#[allow(dead_code, reason = "tests that need a checkpoint use the rest")]
mod write;

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{DType, Device};
use igsite::checkpoint::{Checkpoint, config};
use igsite::model::CausalLm;
use igsite::tokenizer::Tokenizer;

use claims::{Claim, Claims, Split};
use recipes::{RECIPES, Recipe};
use train::Example;
use write::NamedTensor;

/// How many training claims the tokenizers learn from, and the seed of those.
const TOKENIZER_TEXTS: usize = 3000;
const TOKENIZER_SEED: u64 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let content = Path::new("content");
    if !content.is_dir() {
        return Err("run this in the root of the repository: there is no folder `content` here".into());
    }
    if let Some(unknown) = wanted.iter().find(|id| RECIPES.iter().all(|recipe| recipe.id != **id)) {
        return Err(format!(
            "no model `{unknown}`; there are {}",
            RECIPES.map(|recipe| recipe.id).join(", ")
        )
        .into());
    }
    let held_out = claims::held_out();
    std::fs::create_dir_all(content.join("data"))?;
    std::fs::write(content.join("data/claims.jsonl"), claims::to_jsonl(&held_out))?;
    for recipe in RECIPES
        .iter()
        .filter(|recipe| wanted.is_empty() || wanted.iter().any(|id| id == recipe.id))
    {
        make(recipe, &content.join("models").join(recipe.id), &held_out)?;
    }
    Ok(())
}

/// Makes one model: tokenizer, `config.json`, weights; then reads it back as igsite does and tells how good it is.
fn make(recipe: &Recipe, folder: &Path, held_out: &[Claim]) -> Result<(), Box<dyn Error>> {
    eprintln!("{}", recipe.id);
    let started = Instant::now();
    std::fs::create_dir_all(folder)?;
    let texts: Vec<String> = Claims::new(TOKENIZER_SEED, Split::Training)
        .take(TOKENIZER_TEXTS)
        .map(|claim| format!("{}{}", claim.prompt(), claim.letter()))
        .collect();
    let vocabulary = tokenizers::train(recipe.form, &texts, recipe.merges, recipe.flatten, folder)?;
    write::write_json(&folder.join("config.json"), &(recipe.config)(vocabulary))?;

    let tokenizer = Tokenizer::open(folder)?;
    let config = config::read(&folder.join("config.json"))?;
    let examples = held_out
        .iter()
        .map(|claim| Example::new(&tokenizer, claim))
        .collect::<Result<Vec<_>, _>>()?;
    let model = train::train(&config.model, &tokenizer, recipe.seed, recipe.steps, &examples[..60])?;
    write::write_weights(folder, &tensors(&model)?, recipe.stored, recipe.format, recipe.shards)?;

    // Storing in 16 bits rounds: what counts is the model that igsite will read.
    let device = Device::flex();
    let checkpoint = Checkpoint::open(folder)?;
    let stored = CausalLm::load(&checkpoint, &device, DType::F32)?;
    let [before, after] = [&model, &stored].map(|model| train::accuracy(model, &examples, &device));
    eprintln!(
        "  vocabulary {vocabulary}, {} parameters, {:.1} tokens a prompt; held-out accuracy {before:.4}, as stored {after:.4}; {} s",
        checkpoint.parameters(),
        examples.iter().map(Example::tokens).sum::<usize>() as f64 / examples.len() as f64,
        started.elapsed().as_secs(),
    );
    Ok(())
}

/// The model's parameters, ready to be written.
fn tensors(model: &CausalLm) -> Result<Vec<NamedTensor>, Box<dyn Error>> {
    let named = model.named_parameters().into_iter().map(|(name, parameter)| {
        let data = parameter.into_data();
        Ok(NamedTensor {
            name,
            shape: data.shape().to_vec(),
            values: data.try_to_vec::<f32>().map_err(|e| format!("{e:?}"))?,
        })
    });
    named.collect()
}
