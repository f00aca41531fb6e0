//! Just so much of Thrift's compact protocol as is needed to look at sizes before anything is unpacked.
//!
//! <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>; the structures are those of
//! <https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>.

use std::io::{self, ErrorKind, Read};

/// Deepest nesting that is passed over; a page's header has three.
const DEEPEST: usize = 16;

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A truth value, which is in the type itself.
    Truth,
    /// One byte.
    Byte,
    /// A whole number of any width.
    Whole,
    /// Eight bytes.
    Double,
    /// Bytes with their count before them.
    Bytes,
    /// A list or a set.
    List,
    /// A mapping.
    Map,
    /// A structure.
    Structure,
}

/// Reads values, and counts the bytes they take.
pub struct Thrift<R> {
    reader: R,
    /// Bytes read so far.
    pub taken: u64,
}

fn wrong(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

impl Kind {
    fn of(code: u8) -> io::Result<Self> {
        Ok(match code {
            1 | 2 => Self::Truth,
            3 => Self::Byte,
            4..=6 => Self::Whole,
            7 => Self::Double,
            8 => Self::Bytes,
            9 | 10 => Self::List,
            11 => Self::Map,
            12 => Self::Structure,
            _ => return Err(wrong("a value of an unknown kind")),
        })
    }
}

impl<R: Read> Thrift<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, taken: 0 }
    }

    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        self.taken += 1;
        Ok(byte[0])
    }

    fn unsigned(&mut self) -> io::Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(wrong("a number of more than 64 bits"))
    }

    /// A whole number.
    pub fn whole(&mut self) -> io::Result<i64> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The number and kind of a structure's next field; none at its end. `last` is the number of the field before.
    pub fn field(&mut self, last: &mut i64) -> io::Result<Option<(i64, Kind)>> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *last = match byte >> 4 {
            0 => self.whole()?,
            step => *last + i64::from(step),
        };
        Ok(Some((*last, Kind::of(byte & 15)?)))
    }

    /// How many items a list has, and of which kind.
    pub fn list(&mut self) -> io::Result<(u64, Kind)> {
        let byte = self.byte()?;
        let count = match byte >> 4 {
            15 => self.unsigned()?,
            count => u64::from(count),
        };
        Ok((count, Kind::of(byte & 15)?))
    }

    fn pass_over(&mut self, bytes: u64) -> io::Result<()> {
        let passed = io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink())?;
        self.taken += passed;
        if passed < bytes {
            Err(ErrorKind::UnexpectedEof.into())
        } else {
            Ok(())
        }
    }

    /// Steps over a value, a field of a structure.
    pub fn skip(&mut self, kind: Kind) -> io::Result<()> {
        self.skip_at(kind, false, 0)
    }

    fn skip_at(&mut self, kind: Kind, in_list: bool, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Err(wrong("values are nested too deep"));
        }
        match kind {
            // In a list a truth value takes a byte.
            Kind::Truth => self.pass_over(u64::from(in_list)),
            Kind::Byte => self.pass_over(1),
            Kind::Whole => self.unsigned().map(drop),
            Kind::Double => self.pass_over(8),
            Kind::Bytes => {
                let length = self.unsigned()?;
                self.pass_over(length)
            }
            Kind::List => {
                let (count, kind) = self.list()?;
                (0..count).try_for_each(|_| self.skip_at(kind, true, depth + 1))
            }
            Kind::Map => {
                let count = self.unsigned()?;
                if count == 0 {
                    return Ok(());
                }
                let kinds = self.byte()?;
                let (key, value) = (Kind::of(kinds >> 4)?, Kind::of(kinds & 15)?);
                (0..count).try_for_each(|_| {
                    self.skip_at(key, true, depth + 1)?;
                    self.skip_at(value, true, depth + 1)
                })
            }
            Kind::Structure => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip_at(kind, false, depth + 1)?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_lists_and_structures_are_read_and_passed_over() {
        // Field 1: −1; field 2: the text `ab`; field 20: a list of two truth values; end.
        let bytes = [0x15, 0x01, 0x18, 0x02, b'a', b'b', 0x09, 40, 0x21, 1, 2, 0, 0xff];
        let mut thrift = Thrift::new(&bytes[..]);
        let mut last = 0;
        assert!(matches!(thrift.field(&mut last), Ok(Some((1, Kind::Whole)))));
        assert_eq!(thrift.whole().unwrap(), -1);
        assert!(matches!(thrift.field(&mut last), Ok(Some((2, Kind::Bytes)))));
        thrift.skip(Kind::Bytes).unwrap();
        assert!(matches!(thrift.field(&mut last), Ok(Some((20, Kind::List)))));
        thrift.skip(Kind::List).unwrap();
        assert!(thrift.field(&mut last).unwrap().is_none());
        assert_eq!(thrift.taken, 12);
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut thrift = Thrift::new(&bytes[..]);
            let _ = thrift.skip(Kind::Structure);
            prop_assert!(thrift.taken <= 200);
        }
    }
}
