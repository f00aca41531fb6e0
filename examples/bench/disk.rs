//! A checkpoint of a known shape with random weights, on disk for as long as it is measured: what loading a published
//! model costs, without having one.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use igsite::diagnostic::{Diagnostic, Kind, Result};
use igsite::model::CausalLm;
use igsite::random::SplitMix64;
use rayon::prelude::*;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::shape;

/// Bytes of a shard, about: what the published 7B checkpoints have.
const SHARD: usize = 5_000_000_000;
/// Weights that are drawn at a time.
const PART: usize = 1 << 22;

/// What the disk alone takes.
#[derive(Clone, Debug, Serialize)]
pub struct Disk {
    /// Of all weight files.
    pub bytes: u64,
    /// Drawing and writing them.
    pub write_seconds: f64,
    /// Whether the system dropped its cached files before each reading (`--drop-caches`, as root); else they came from
    /// its memory, in part.
    pub evicted: bool,
    /// Reading all files once, without doing anything with them.
    pub read_seconds: f64,
}

/// A checkpoint that is removed when it is dropped.
#[derive(Debug)]
pub struct OnDisk {
    /// Its folder.
    pub folder: PathBuf,
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

/// Writes a checkpoint of this shape, bfloat16 and sharded, into a new folder in `parent`, and reads it once. With
/// `drop_caches` Linux drops its cached files before that and after.
///
/// # Errors
/// The folder cannot be written; the disk is full.
pub fn write(parent: &Path, config: &Value, drop_caches: bool) -> Result<(OnDisk, Disk)> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let folder = parent.join(format!("igsite-bench-{}-{}", std::process::id(), since.as_nanos()));
    let io = |doing: &str, path: &Path, e: &std::io::Error| Diagnostic::io(Kind::Output, doing, path, e);
    // Not one that is there: it will be removed.
    fs::create_dir(&folder).map_err(|e| io("make a folder for the checkpoint", &folder, &e))?;
    let on_disk = OnDisk { folder };
    let folder = &on_disk.folder;
    let began = Instant::now();
    let mut files = Vec::new();
    let mut index = Map::new();
    let shards = shards(CausalLm::layout(&shape::of(config)?)?);
    let count = shards.len();
    for (number, tensors) in shards.into_iter().enumerate() {
        let name = format!("model-{:05}-of-{count:05}.safetensors", number + 1);
        for (tensor, _) in &tensors {
            index.insert(tensor.clone(), Value::String(name.clone()));
        }
        let path = folder.join(name);
        write_shard(&path, &tensors, number as u64).map_err(|e| io("write the checkpoint", &path, &e))?;
        files.push(path);
    }
    for (name, json) in [
        ("model.safetensors.index.json", json!({"weight_map": index})),
        ("config.json", config.clone()),
    ] {
        let path = folder.join(name);
        fs::write(&path, json.to_string()).map_err(|e| io("write the checkpoint", &path, &e))?;
    }
    let write_seconds = began.elapsed().as_secs_f64();
    let mut evicted = drop_caches && evict();
    let began = Instant::now();
    let mut bytes = 0;
    for path in &files {
        bytes += read(path).map_err(|e| io("read the checkpoint", path, &e))?;
    }
    let read_seconds = began.elapsed().as_secs_f64();
    evicted = evicted && evict();
    let disk = Disk {
        bytes,
        write_seconds,
        evicted,
        read_seconds,
    };
    Ok((on_disk, disk))
}

type Tensors = Vec<(String, Vec<usize>)>;

fn shards(layout: Tensors) -> Vec<Tensors> {
    let mut shards: Vec<Tensors> = vec![vec![]];
    let mut filled = 0;
    for (name, shape) in layout {
        let bytes = 2 * shape.iter().product::<usize>();
        if filled + bytes > SHARD && filled > 0 {
            shards.push(vec![]);
            filled = 0;
        }
        filled += bytes;
        if let Some(shard) = shards.last_mut() {
            shard.push((name, shape));
        }
    }
    shards
}

fn write_shard(path: &Path, tensors: &Tensors, number: u64) -> std::io::Result<()> {
    let mut header = Map::new();
    let mut end = 0;
    for (name, shape) in tensors {
        let bytes = 2 * shape.iter().product::<usize>();
        header.insert(
            name.clone(),
            json!({"dtype": "BF16", "shape": shape, "data_offsets": [end, end + bytes]}),
        );
        end += bytes;
    }
    let header = Value::Object(header).to_string();
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let normal = normal();
    let mut part = vec![0u8; 2 * PART];
    for (index, (_, shape)) in tensors.iter().enumerate() {
        let mut left = shape.iter().product::<usize>();
        // Norms are near one, matrices small, as in a trained model.
        let is_norm = shape.len() == 1;
        let mut round = 0;
        while left > 0 {
            let count = left.min(PART);
            let seed = number << 48 | (index as u64) << 24 | round;
            fill(&mut part[..2 * count], &normal, is_norm, seed);
            file.write_all(&part[..2 * count])?;
            left -= count;
            round += 1;
        }
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_all()
}

/// 4,096 draws from (all but) the normal distribution with σ = 0.02, as bfloat16, by the sum of twelve uniform numbers.
fn normal() -> Vec<[u8; 2]> {
    let mut random = SplitMix64::new(1);
    let draw = |_| {
        let sum: f64 = (0..12).map(|_| random.next_u64() as f64 / u64::MAX as f64).sum();
        bfloat16(0.02 * (sum - 6.0) as f32)
    };
    (0..4096).map(draw).collect()
}

fn bfloat16(value: f32) -> [u8; 2] {
    ((value.to_bits() >> 16) as u16).to_le_bytes()
}

fn fill(bytes: &mut [u8], normal: &[[u8; 2]], is_norm: bool, seed: u64) {
    if is_norm {
        let one = bfloat16(1.0);
        bytes.chunks_exact_mut(2).for_each(|pair| pair.copy_from_slice(&one));
        return;
    }
    const CHUNK: usize = 1 << 16;
    bytes.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, bytes)| {
        let mut random = SplitMix64::new(seed ^ (chunk as u64) << 56);
        for four in bytes.chunks_mut(8) {
            let bits = random.next_u64();
            for (place, pair) in four.chunks_exact_mut(2).enumerate() {
                pair.copy_from_slice(&normal[(bits >> (16 * place)) as usize % normal.len()]);
            }
        }
    });
}

fn read(path: &Path) -> std::io::Result<u64> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 8 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(bytes),
            count => bytes += count as u64,
        }
    }
}

/// Makes Linux drop the files that it has in memory. This slows the whole machine down, so nothing does it unasked.
fn evict() -> bool {
    fs::write("/proc/sys/vm/drop_caches", "1").is_ok()
}

#[cfg(test)]
mod tests {
    use igsite::checkpoint::Checkpoint;

    use super::*;

    #[test]
    fn what_is_written_can_be_opened_and_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["llama-25m", "falcon-7b"] {
            let mut config = shape::config(name);
            if name == "falcon-7b" {
                for (key, value) in [
                    ("vocab_size", 100),
                    ("hidden_size", 128),
                    ("num_hidden_layers", 2),
                    ("num_attention_heads", 2),
                ] {
                    config[key] = value.into();
                }
            }
            let (on_disk, disk) = write(folder.path(), &config, false).unwrap();
            let checkpoint = Checkpoint::open(&on_disk.folder).unwrap();
            assert_eq!(checkpoint.config.model, shape::of(&config).unwrap());
            CausalLm::verify(&checkpoint).unwrap();
            assert!(disk.bytes > 2 * checkpoint.parameters() as u64 && !disk.evicted);
            let path = on_disk.folder.clone();
            drop(on_disk);
            assert!(!path.exists());
        }
    }
}
