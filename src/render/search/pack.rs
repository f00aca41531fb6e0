//! Numbers and bytes as small as they get in a script: bits, deflate, and 13 bits in two characters.
//!
//! A page opened from disk may not fetch a file, but it may load a script, so the index travels as a string. Base64
//! would make a third more of it; 91 printable characters make less than a quarter. `static/assets/search.js` undoes
//! each step.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// Bits, the highest of each byte first.
#[derive(Debug, Default)]
pub struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    /// The lowest `count` bits of a number, the highest first.
    pub fn push(&mut self, value: u32, count: u32) {
        for shift in (0..count).rev() {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let last = self.bytes.len() - 1;
            self.bytes[last] |= ((value >> shift & 1) as u8) << (7 - self.used % 8);
            self.used += 1;
        }
    }

    /// A number from 1 in Elias's gamma code: small ones take few bits.
    pub fn gamma(&mut self, value: u32) {
        let length = value.ilog2();
        self.push(0, length);
        self.push(value, length + 1);
    }

    /// Rising numbers below `of`, as the gaps between them in Rice's code, with the parameter that suits numbers spread
    /// evenly.
    pub fn rising(&mut self, numbers: &[u32], of: u32) {
        let low = rice(numbers.len() as u32, of);
        let mut next = 0;
        for &number in numbers {
            let gap = number - next;
            for _ in 0..gap >> low {
                self.push(1, 1);
            }
            self.push(0, 1);
            self.push(gap & ((1 << low) - 1), low);
            next = number + 1;
        }
    }

    /// The bytes, the last one filled up with zeros.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// How many low bits of a gap are written as they are.
fn rice(count: u32, of: u32) -> u32 {
    (9 * u64::from(of) / (13 * u64::from(count.max(1)))).max(1).ilog2()
}

/// Deflate without a header.
pub fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.unwrap_or_else(|e| unreachable!("memory takes every write: {e}"))
}

/// Bytes as printable ASCII without quotes and backslashes: 13 bits in two of the 91 characters `#` to `~`.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 16 / 13 + 2);
    let character = |digit: u32| char::from(digit as u8 + if digit < 57 { 35 } else { 36 });
    let mut write = |group: u32| text.extend([character(group / 91), character(group % 91)]);
    let (mut group, mut held) = (0u32, 0);
    for &byte in bytes {
        group = group << 8 | u32::from(byte);
        held += 8;
        if held >= 13 {
            held -= 13;
            write(group >> held);
            group &= (1 << held) - 1;
        }
    }
    if held > 0 {
        write(group << (13 - held));
    }
    text
}

#[cfg(test)]
pub(super) mod undo {
    //! The other direction, as the script does it, for tests.

    use std::io::Read;

    /// Bits, read.
    pub struct Reader<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl<'a> Reader<'a> {
        pub fn new(bytes: &'a [u8]) -> Self {
            Self { bytes, at: 0 }
        }

        fn bit(&mut self) -> u32 {
            let bit = self.bytes[self.at / 8] >> (7 - self.at % 8) & 1;
            self.at += 1;
            u32::from(bit)
        }

        fn take(&mut self, count: u32) -> u32 {
            (0..count).fold(0, |value, _| value << 1 | self.bit())
        }

        pub fn gamma(&mut self) -> u32 {
            let mut length = 0;
            while self.bit() == 0 {
                length += 1;
            }
            1 << length | self.take(length)
        }

        pub fn rising(&mut self, count: u32, of: u32) -> Vec<u32> {
            let low = super::rice(count, of);
            let mut next = 0;
            let mut one = || {
                let mut high = 0;
                while self.bit() == 1 {
                    high += 1;
                }
                let number = next + (high << low | self.take(low));
                next = number + 1;
                number
            };
            (0..count).map(|_| one()).collect()
        }
    }

    pub fn printable(text: &str, length: usize) -> Vec<u8> {
        let digit = |c: u8| u32::from(c) - if c > 92 { 36 } else { 35 };
        let (mut bytes, mut group, mut held) = (Vec::new(), 0u32, 0);
        for pair in text.as_bytes().chunks(2) {
            group = group << 13 | (digit(pair[0]) * 91 + digit(pair[1]));
            held += 13;
            while held >= 8 {
                held -= 8;
                bytes.push((group >> held) as u8);
                group &= (1 << held) - 1;
            }
        }
        bytes.truncate(length);
        bytes
    }

    pub fn inflate(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::DeflateDecoder::new(bytes)
            .read_to_end(&mut plain)
            .unwrap();
        plain
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn text_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = printable(&bytes);
            prop_assert!(text.bytes().all(|b| (35..=126).contains(&b) && b != b'\\'));
            prop_assert_eq!(undo::printable(&text, bytes.len()), bytes.clone());
            prop_assert_eq!(undo::inflate(&deflate(&bytes)), bytes);
        }

        #[test]
        fn numbers_come_back(lists in prop::collection::vec(prop::collection::btree_set(0u32..5000, 1..80), 0..12)) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|list| list.into_iter().collect()).collect();
            let mut bits = Bits::default();
            for list in &lists {
                bits.gamma(list.len() as u32);
                bits.rising(list, 5000);
            }
            let bytes = bits.finish();
            let mut reader = undo::Reader::new(&bytes);
            for list in lists {
                let count = reader.gamma();
                prop_assert_eq!(reader.rising(count, 5000), list);
            }
        }
    }
}
