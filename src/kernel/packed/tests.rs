use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;

const BLOCKS: usize = 40;

/// The type, where its blocks have float16 numbers, and the SHA-256 of what the package `gguf` expands [`blocks`] to
/// (`golden.py`, little-endian).
const GOLDEN: [(BlockType, &[usize], &str); 15] = [
    (
        BlockType::F16,
        &[0],
        "de0b050ef4b661e8d4ab3bb7fe8db072f47adf1dcedebfa945e2b8fca6c6efe1",
    ),
    (
        BlockType::Q4_0,
        &[0],
        "b514b05f1dff2b93927289742651a9b0cb5605db7a6994cde11596662ad962f5",
    ),
    (
        BlockType::Q4_1,
        &[0, 2],
        "934b76a1fb30637c0bcbfea0685422772a847b368aab5d009d9cddeeb09aedee",
    ),
    (
        BlockType::Q5_0,
        &[0],
        "2b4805b980b9f87538e0e4d49138ad472172d74322f7abb8c776798cdfcbec74",
    ),
    (
        BlockType::Q5_1,
        &[0, 2],
        "9dde021bff1df6589d92d4b1a693f28af3564d9e1b4d26bad275bd96c5ffed1e",
    ),
    (
        BlockType::Q8_0,
        &[0],
        "b8e5f962a79b09225ecd418109ebd499a669f98aa881bea2815bcf9c2e1df774",
    ),
    (
        BlockType::Q2_K,
        &[80, 82],
        "958b5a4f8ba636c8dac897e553c369efb2618b597d47c45a676fd961640451cf",
    ),
    (
        BlockType::Q3_K,
        &[108],
        "412f5d9a44dd3748c6bb80a7cd17ee94546cb486bd3ff569a26a51cca0b16cf9",
    ),
    (
        BlockType::Q4_K,
        &[0, 2],
        "695518eef9595d180c8caab5109ee2044aae84d227994a97726f3c22b6811c42",
    ),
    (
        BlockType::Q5_K,
        &[0, 2],
        "c10bdf61349c7106a7d86bb229e2b50acc8586a708971aeec76de00180abdb39",
    ),
    (
        BlockType::Q6_K,
        &[208],
        "8a2d8bea86b947cf663fe5e20374aeaaa613a9a8a716fc02ba11b179caa9b050",
    ),
    (
        BlockType::IQ4_NL,
        &[0],
        "ff4b46983fab16bde8bbeb0c3c9be521da57d33831955b91b59317c465e08c41",
    ),
    (
        BlockType::MXFP4,
        &[],
        "a4b5d7f4f0d284848633a29e66e32288e0273459acf64c2f1c2102eb6656f0c2",
    ),
    (
        BlockType::F32,
        &[2],
        "d5453441b7383c46dfc1da7f3789f74c35d08373a3a0223e6e5b124bc6053e16",
    ),
    (
        BlockType::BF16,
        &[0],
        "0a0398f6dc4380a6225e5d115b77854b6dd72307ccfd47725933db885435f326",
    ),
];

/// Bytes of a linear congruential generator, with float16 numbers below 2.
fn blocks(kind: BlockType, halves: &[usize]) -> Vec<u8> {
    let mut state = kind.number() + 1;
    let mut bytes: Vec<u8> = (0..BLOCKS * kind.bytes())
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    for block in bytes.chunks_mut(kind.bytes()) {
        halves.iter().for_each(|at| block[at + 1] &= 0xbf);
    }
    bytes
}

fn expanded(kind: BlockType, bytes: &[u8], first: usize, count: usize) -> Vec<f32> {
    let mut floats = vec![f32::NAN; count];
    kind.expand(bytes, first, &mut floats);
    floats
}

#[test]
fn every_type_expands_to_the_bits_of_the_gguf_package() {
    assert!(
        BlockType::ALL
            .iter()
            .all(|kind| GOLDEN.iter().any(|(golden, ..)| golden == kind))
    );
    for (kind, halves, expected) in GOLDEN {
        let floats = expanded(kind, &blocks(kind, halves), 0, BLOCKS * kind.elements());
        let bytes: Vec<u8> = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        assert_eq!(crate::hex::hex(&Sha256::digest(bytes)), expected, "{}", kind.name());
    }
}

#[test]
fn types_by_number_and_name() {
    for kind in BlockType::ALL {
        assert_eq!(BlockType::from_ggml(kind.number()), Some(kind));
        assert_eq!(kind.size(3 * kind.elements()), Some(3 * kind.bytes()));
        if kind.elements() > 1 {
            assert_eq!(kind.size(3 * kind.elements() + 1), None);
        }
    }
    assert_eq!((BlockType::from_ggml(16), BlockType::from_ggml(4)), (None, None));
    assert_eq!(
        BlockType::Q4_K.size(usize::MAX / 256 * 256),
        Some(usize::MAX / 256 * 144)
    );
    assert_eq!(BlockType::F32.size(usize::MAX), None);
}

#[test]
#[should_panic(expected = "a matrix ends")]
fn no_element_beyond_the_last() {
    let (kind, halves, _) = GOLDEN[1];
    expanded(kind, &blocks(kind, halves), BLOCKS * kind.elements() - 3, 4);
}

proptest! {
    #[test]
    fn any_part_expands_as_the_whole(row in 0usize..GOLDEN.len(), first in 0usize..600, count in 0usize..600) {
        let (kind, halves, _) = GOLDEN[row];
        let bytes = blocks(kind, halves);
        let all = BLOCKS * kind.elements();
        let whole = expanded(kind, &bytes, 0, all);
        let first = first.min(all);
        let count = count.min(all - first);
        prop_assert_eq!(&expanded(kind, &bytes, first, count)[..], &whole[first..first + count]);
    }
}
