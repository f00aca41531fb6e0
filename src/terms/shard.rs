//! A share of the work: `3/8` is the fourth of eight.

use std::fmt;
use std::str::FromStr;

/// One of several shares of the work, which together are all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// All of the work.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// The share `index` (from 0) of `count`; none where there is no such share.
    pub fn new(index: usize, count: usize) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Which one, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether it is all of the work.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<usize>().ok().filter(|_| !text.starts_with('+'));
        let (index, count) = text
            .split_once('/')
            .and_then(|(index, count)| Some((number(index)?, number(count)?)))
            .ok_or("expected I/N, such as 0/8")?;
        Self::new(index, count).ok_or_else(|| match count {
            0 => "0 shards are none".to_owned(),
            _ => format!("{count} shards are numbered 0 to {}", count - 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_0() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        assert_eq!("0/1".parse::<Shard>().map(Shard::is_whole), Ok(true));
        for (text, expected) in [
            ("8/8", "8 shards are numbered 0 to 7"),
            ("0/0", "0 shards are none"),
            ("3", "expected I/N"),
            ("-1/8", "expected I/N"),
            ("+1/8", "expected I/N"),
            ("1/8/2", "expected I/N"),
            ("", "expected I/N"),
        ] {
            let error = text.parse::<Shard>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
