//! The entry points of `fuzz/`, tried with changes of files that are right: bytes flipped, moved, cut off and doubled.
//! A longer run is cargo-fuzz's (`fuzz/Cargo.toml`); `PROPTEST_CASES=100000` makes this one longer.
mod support;

#[path = "support/entry_points.rs"]
mod entry_points;

use std::sync::OnceLock;

use igsite::store::seal;
use proptest::prelude::*;
use proptest::sample::Index;
use support::shared_out::parts;
use support::tiny;
use support::torch_file::{Elements, TorchFile};

/// What is done to bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Flip(Index, u8),
    /// A number of eight bytes, as lengths and offsets are.
    Number(Index, u64),
    Remove(Index, Index),
    Double(Index, Index),
    Cut(Index),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let numbers = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(i64::MAX as u64),
        Just(1 << 32),
        any::<u64>()
    ];
    let change = prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        2 => (any::<Index>(), numbers).prop_map(|(at, number)| Change::Number(at, number)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Remove(from, to)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Double(from, to)),
        1 => any::<Index>().prop_map(Change::Cut),
    ];
    prop::collection::vec(change, 1..6)
}

/// Changes among the first bytes, where a file says what it holds.
fn changed(bytes: &[u8], changes: &[Change], head: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in changes {
        let length = bytes.len().min(head);
        if length == 0 {
            break;
        }
        let range = |from: &Index, to: &Index| {
            let (from, to) = (from.index(length), to.index(length));
            from.min(to)..from.max(to).min(from.min(to) + 64)
        };
        match change {
            Change::Set(at, byte) => bytes[at.index(length)] = *byte,
            Change::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Change::Number(at, number) => {
                let at = at.index(length);
                let end = (at + 8).min(bytes.len());
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            Change::Remove(from, to) => _ = bytes.drain(range(from, to)),
            Change::Double(from, to) => {
                let piece = bytes[range(from, to)].to_vec();
                let at = from.index(length);
                bytes.splice(at..at, piece);
            }
            Change::Cut(at) => bytes.truncate(at.index(length)),
        }
    }
    bytes
}

/// Files that are right.
struct Seeds {
    safetensors: Vec<u8>,
    pickles: Vec<Vec<u8>>,
    gguf: Vec<u8>,
    config: Vec<u8>,
    yaml: Vec<Vec<u8>>,
    parts: Vec<Vec<u8>>,
    plan: Vec<u8>,
}

fn seeds() -> &'static Seeds {
    static SEEDS: OnceLock<Seeds> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let project = support::shared_out::project(2, 4);
        project.run(&["compute", "--device", "cpu"]).ended(0);
        let read = |path: &str| std::fs::read(project.path(path)).unwrap();
        Seeds {
            safetensors: read("content/models/tiny/model.safetensors"),
            pickles: pickles(),
            gguf: support::gguf::tiny_llama().bytes(),
            config: tiny::config().to_string().into_bytes(),
            yaml: vec![
                read("content/experiments/first.yaml"),
                read("content/experiments/second.yaml"),
            ],
            parts: parts(&project.path(".igsite"))
                .iter()
                .map(|path| std::fs::read(path).unwrap())
                .collect(),
            plan: read(".igsite/plans/second/tiny.jsonl"),
        }
    })
}

fn some<'a>(all: &'a [Vec<u8>], which: &Index) -> &'a [u8] {
    &all[which.index(all.len())]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256), ..ProptestConfig::default() })]

    #[test]
    fn safetensors(changes in changes()) {
        let bytes = &seeds().safetensors;
        let head = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        entry_points::safetensors(&changed(bytes, &changes, head));
    }

    #[test]
    fn pickle(changes in changes(), which in any::<Index>()) {
        let bytes = some(&seeds().pickles, &which);
        entry_points::pickle(&changed(bytes, &changes, bytes.len()));
    }

    #[test]
    fn gguf(changes in changes()) {
        entry_points::gguf(&changed(&seeds().gguf, &changes, 20_000));
    }

    #[test]
    fn config(changes in changes()) {
        entry_points::config(&changed(&seeds().config, &changes, usize::MAX));
    }

    #[test]
    fn yaml(changes in changes(), which in any::<Index>()) {
        entry_points::yaml(&changed(some(&seeds().yaml, &which), &changes, usize::MAX));
    }

    #[test]
    fn a_part_is_what_was_written_or_is_refused(changes in changes(), which in any::<Index>()) {
        let bytes = some(&seeds().parts, &which);
        prop_assert_eq!(entry_points::part(bytes).len(), 1);
        let changed = changed(bytes, &changes, usize::MAX);
        prop_assert!(changed == bytes || entry_points::part(&changed).is_empty());
        // With a checksum of its own, its numbers must still make sense, or it is refused; it never panics.
        let json = seal::open(str::from_utf8(bytes).unwrap(), "").unwrap();
        let json = String::from_utf8_lossy(&self::changed(json.as_bytes(), &changes, usize::MAX)).into_owned();
        _ = entry_points::part(seal::seal(&json, "").as_bytes());
    }

    #[test]
    fn plan(changes in changes()) {
        let bytes = &seeds().plan;
        entry_points::plan(&changed(bytes, &changes, usize::MAX));
        // Lines with checksums of their own.
        let text = str::from_utf8(bytes).unwrap();
        let (first, lines) = text.split_once('\n').unwrap();
        let head = seal::open(first, "").unwrap();
        let mut text = seal::seal(head, "") + "\n";
        for line in lines.lines() {
            let json = changed(seal::open(line, head).unwrap().as_bytes(), &changes, usize::MAX);
            text += &(seal::seal(&String::from_utf8_lossy(&json).replace('\n', " "), head) + "\n");
        }
        entry_points::plan(text.as_bytes());
    }
}

/// PyTorch files of both forms.
fn pickles() -> Vec<Vec<u8>> {
    let mut file = TorchFile::default();
    file.add("model.embed_tokens.weight", &[8, 4], Elements::F32(vec![0.5; 32]));
    file.add("model.norm.weight", &[4], Elements::Bf16(vec![1.0; 4]));
    file.add("steps", &[2], Elements::I64(vec![1, 2]));
    vec![file.zip(false), file.legacy()]
}
