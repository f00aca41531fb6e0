//! An output layer in the file of a model whose config ties it to the embedding table.
//!
//! Most often it is the table again (`.bin` files always have both, over one storage). Where it is not, transformers 5
//! uses the file's layer and says so, and 4 ties the two without a message. igsite does as 5, for every architecture
//! ([`super::Loader::output_layer`] compares all of it while it loads). The warning must be known before any weights
//! are loaded, and is made here.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::Checkpoint;
use super::stored::{TensorEntry, unreadable};
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::input;

/// Tables up to this size are compared whole. Of larger ones this much is looked at, in pieces from the first byte to
/// the last: a second read of gigabytes at every build would cost more than the warning is worth, and layers that were
/// trained apart differ everywhere.
const LOOKED_AT: u64 = 64 << 20;
/// A piece.
const PIECE: u64 = 32 << 10;

/// The warning about the output layer of a tied model, if there is one.
///
/// # Errors
/// The file cannot be read.
pub fn look(checkpoint: &Checkpoint) -> Result<Option<Diagnostic>> {
    let shape = &checkpoint.config.model;
    let (table, name) = (shape.embedding_name(), shape.output_name());
    let Some(output) = checkpoint.entries.get(&name).filter(|_| shape.output.tied) else {
        return Ok(None);
    };
    let odd = |message: String| {
        let diagnostic = Diagnostic::checkpoint(message).in_file(&output.file);
        diagnostic.place(format!("tensor `{name}`")).as_warning()
    };
    let Some(table) = checkpoint.entries.get(&table) else {
        return Ok(Some(
            odd("the file of a tied model has no embedding table of its own".to_owned())
                .help("the output layer is taken for both, as transformers 5 does"),
        ));
    };
    // Another shape is an error of its own.
    if output.shape != table.shape || !differ(table, output)? {
        return Ok(None);
    }
    Ok(Some(
        odd("`tie_word_embeddings: true`, and an output layer that is not the embedding table".to_owned()).help(
            "the file's output layer is used, as transformers 5 does; transformers 4 ties them and uses the table. If the file is right, write `\"tie_word_embeddings\": false` into config.json",
        ),
    ))
}

/// Whether two tensors of one shape have other bytes; see [`LOOKED_AT`].
fn differ(a: &TensorEntry, b: &TensorEntry) -> Result<bool> {
    if a == b {
        return Ok(false);
    }
    if a.stored != b.stored || a.stored.float().is_none() {
        return Ok(true);
    }
    let open = |entry: &TensorEntry| input::open(&entry.file, Kind::Checkpoint, "read the weights");
    let (mut left, mut right) = (open(a)?, open(b)?);
    if !a.is_plain() || !b.is_plain() {
        return Ok(a.read(&mut left)? != b.read(&mut right)?);
    }
    for (from, count) in pieces(a.bytes as u64) {
        if piece(a, &mut left, from, count)? != piece(b, &mut right, from, count)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn piece(entry: &TensorEntry, file: &mut File, from: u64, count: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count as usize];
    file.seek(SeekFrom::Start(entry.offset + from))
        .and_then(|_| file.read_exact(&mut bytes))
        .map_err(|error| unreadable(entry, &error))?;
    Ok(bytes)
}

/// Where this many bytes are compared: first byte and length of each piece.
fn pieces(bytes: u64) -> Vec<(u64, u64)> {
    if bytes <= LOOKED_AT {
        let whole = |index| (index * PIECE, PIECE.min(bytes - index * PIECE));
        return (0..bytes.div_ceil(PIECE)).map(whole).collect();
    }
    let count = LOOKED_AT / PIECE;
    (0..count)
        .map(|index| {
            let last = u128::from(bytes - PIECE);
            ((last * u128::from(index) / u128::from(count - 1)) as u64, PIECE)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_tables_are_seen_whole_and_large_ones_from_end_to_end() {
        for bytes in [1, PIECE - 1, PIECE, 5 * PIECE + 7, LOOKED_AT] {
            let mut next = 0;
            for (from, count) in pieces(bytes) {
                assert_eq!(from, next);
                next += count;
            }
            assert_eq!(next, bytes);
        }
        for bytes in [LOOKED_AT + 1, 10 * LOOKED_AT, u64::MAX] {
            let pieces = pieces(bytes);
            assert_eq!(pieces.len() as u64 * PIECE, LOOKED_AT);
            assert_eq!(pieces[0].0, 0);
            assert_eq!(pieces.last().unwrap().0 + PIECE, bytes);
        }
    }
}
