//! Weights in groups of one row, each with a scale and, where they are integers, a zero point: what GPTQ, AWQ,
//! compressed-tensors and block-wise FP8 come to, once their codes lie row by row.

/// What a code is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// 4 bits without a sign, two a byte, the even element in the low half. A row has an even number of them.
    Four,
    /// 8 bits without a sign.
    Eight,
    /// 8-bit floating point: E4M3 without infinities (`float8_e4m3fn`). It has no zero points.
    E4m3,
}

impl Codes {
    /// Bytes of so many codes.
    pub fn bytes(self, count: usize) -> usize {
        match self {
            Self::Four => count / 2,
            Self::Eight | Self::E4m3 => count,
        }
    }

    /// The zero point of codes that have none of their own: the middle.
    pub fn middle(self) -> u8 {
        match self {
            Self::Four => 8,
            Self::Eight => 128,
            Self::E4m3 => 0,
        }
    }
}

/// A matrix in groups: w = scale · (code − zero point), in float32.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    /// Row by row.
    pub codes: &'a [u8],
    /// What they are.
    pub kind: Codes,
    /// One for each group, row by row.
    pub scales: &'a [f32],
    /// The same of zero points; empty: the middle of the codes.
    pub zeros: &'a [u8],
    /// Elements in a row.
    pub width: usize,
    /// Groups in a row.
    pub per_row: usize,
    /// Consecutive elements that are a group; the last of a row may be short.
    pub group: usize,
    /// Instead: the group of each column.
    pub columns: Option<&'a [u32]>,
    /// Where among the elements the matrix begins.
    pub first: usize,
}

impl Groups<'_> {
    /// Elements from the first of the matrix on.
    pub fn len(&self) -> usize {
        let rows = self.scales.len().checked_div(self.per_row).unwrap_or(0);
        (rows * self.width).saturating_sub(self.first)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes the elements from `first` on as float32.
    ///
    /// # Panics
    /// If there are fewer elements than that.
    pub fn expand(&self, first: usize, to: &mut [f32]) {
        expand(self, self.first + first, to);
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2+fma"))]
fn expand(groups: &Groups, first: usize, to: &mut [f32]) {
    let mut index = first;
    let mut to = to;
    while !to.is_empty() {
        let (row, column) = (index / groups.width, index % groups.width);
        // To the end of the row at most.
        let count = (groups.width - column).min(to.len());
        let (now, later) = to.split_at_mut(count);
        match groups.columns {
            None => in_order(groups, row, column, now),
            Some(columns) => by_column(groups, columns, row, column, now),
        }
        index += count;
        to = later;
    }
}

/// Scales and zero points of a row.
#[inline(always)]
fn of_row<'a>(groups: &Groups<'a>, row: usize) -> (&'a [f32], Option<&'a [u8]>) {
    let part = row * groups.per_row..(row + 1) * groups.per_row;
    let zeros = (!groups.zeros.is_empty()).then(|| &groups.zeros[part.clone()]);
    (&groups.scales[part], zeros)
}

/// A part of a row whose groups are consecutive.
#[inline(always)]
fn in_order(groups: &Groups<'_>, row: usize, column: usize, to: &mut [f32]) {
    let (scales, zeros) = of_row(groups, row);
    let mut column = column;
    let mut to = to;
    while !to.is_empty() {
        let group = column / groups.group;
        let count = (groups.group - column % groups.group).min(to.len());
        let (now, later) = to.split_at_mut(count);
        let scale = scales[group];
        let zero = zeros.map_or(groups.kind.middle(), |zeros| zeros[group]);
        let first = row * groups.width + column;
        match groups.kind {
            Codes::Four => nibbles(groups.codes, first, now, |code| {
                scale * (i32::from(code) - i32::from(zero)) as f32
            }),
            Codes::Eight => {
                for (to, &code) in now.iter_mut().zip(&groups.codes[first..first + count]) {
                    *to = scale * (i32::from(code) - i32::from(zero)) as f32;
                }
            }
            Codes::E4m3 => {
                for (to, &code) in now.iter_mut().zip(&groups.codes[first..first + count]) {
                    *to = scale * e4m3(code);
                }
            }
        }
        column += count;
        to = later;
    }
}

/// A part of a row whose columns name their groups.
#[inline(always)]
fn by_column(groups: &Groups<'_>, columns: &[u32], row: usize, column: usize, to: &mut [f32]) {
    let (scales, zeros) = of_row(groups, row);
    let columns = &columns[column..column + to.len()];
    let first = row * groups.width + column;
    match groups.kind {
        Codes::Four => nibbles(groups.codes, first, to, f32::from),
        Codes::Eight => {
            for (to, &code) in to.iter_mut().zip(&groups.codes[first..first + columns.len()]) {
                *to = f32::from(code);
            }
        }
        Codes::E4m3 => {
            for (to, &code) in to.iter_mut().zip(&groups.codes[first..first + columns.len()]) {
                *to = e4m3(code);
            }
        }
    }
    let middle = f32::from(groups.kind.middle());
    for (to, &group) in to.iter_mut().zip(columns) {
        let group = group as usize;
        let zero = zeros.map_or(middle, |zeros| f32::from(zeros[group]));
        *to = scales[group] * (*to - zero);
    }
}

/// Codes of 4 bits from one on.
#[inline(always)]
fn nibbles(codes: &[u8], first: usize, to: &mut [f32], number: impl Fn(u8) -> f32) {
    let (first, to) = match to {
        [one, rest @ ..] if !first.is_multiple_of(2) => {
            *one = number(codes[first / 2] >> 4);
            (first + 1, rest)
        }
        to => (first, to),
    };
    let codes = &codes[first / 2..(first + to.len()).div_ceil(2)];
    let (pairs, last) = to.as_chunks_mut::<2>();
    for (pair, &code) in pairs.iter_mut().zip(codes) {
        *pair = [number(code & 15), number(code >> 4)];
    }
    if let ([last], Some(&code)) = (last, codes.last()) {
        *last = number(code & 15);
    }
}

/// The number of an E4M3 code: a sign, four bits of exponent, three of fraction; 1.111 at the highest exponent is NaN.
#[inline(always)]
pub fn e4m3(code: u8) -> f32 {
    let (exponent, fraction) = (i32::from(code >> 3 & 15), i32::from(code & 7));
    // In units of the smallest, 2⁻⁹. (Arithmetic, which vectors have; few have tables.)
    let normal = (8 | fraction) << (exponent - 1).max(0);
    let units = if exponent == 0 { fraction } else { normal };
    let magnitude = if code & 127 == 127 {
        f32::NAN
    } else {
        units as f32 * (1.0 / 512.0)
    };
    if code & 128 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn e4m3_has_the_numbers_of_its_definition() {
        for code in 0..=255u8 {
            let sign = if code < 128 { 1.0 } else { -1.0 };
            let (exponent, fraction) = (i32::from(code & 127) >> 3, f32::from(code & 7) / 8.0);
            let expected = match (exponent, code & 7) {
                (15, 7) => f32::NAN,
                (0, _) => sign * fraction * 2f32.powi(-6),
                _ => sign * (1.0 + fraction) * 2f32.powi(exponent - 7),
            };
            let found = e4m3(code);
            assert!(
                found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan(),
                "{code}: {found} for {expected}"
            );
        }
        assert_eq!((e4m3(0x7e), e4m3(0x01)), (448.0, 2f32.powi(-9)));
    }

    proptest! {
        #[test]
        fn any_part_expands_by_the_definition(
            rows in 1usize..6, half in 1usize..40, group in 1usize..50, kind in 0usize..3, with_zeros: bool,
            by_column: bool, start in 0usize..300, from in 0usize..300, bytes in prop::collection::vec(any::<u8>(), 400..401),
        ) {
            let kind = [Codes::Four, Codes::Eight, Codes::E4m3][kind];
            let width = 2 * half;
            let per_row = width.div_ceil(group);
            let codes: Vec<u8> = bytes.iter().copied().cycle().take(kind.bytes(rows * width)).collect();
            // No code that is no number.
            let codes: Vec<u8> = codes.into_iter().map(|c| if c & 127 == 127 && kind == Codes::E4m3 { 0 } else { c }).collect();
            let scales: Vec<f32> = (0..rows * per_row).map(|i| (i * 31 % 17) as f32 / 16.0 - 0.5).collect();
            let zeros: Vec<u8> = if with_zeros && kind != Codes::E4m3 {
                (0..rows * per_row).map(|i| (i * 7 % 16) as u8).collect()
            } else {
                vec![]
            };
            let columns: Vec<u32> = (0..width).map(|i| (i * 13 % per_row) as u32).collect();
            let all = rows * width;
            let first = start.min(all);
            let groups = Groups {
                codes: &codes, kind, scales: &scales, zeros: &zeros, width, per_row, group,
                columns: by_column.then_some(&columns), first,
            };
            prop_assert_eq!(groups.len(), all - first);
            let from = from.min(all - first);
            let mut out = vec![f32::NAN; all - first - from];
            groups.expand(from, &mut out);
            for (index, found) in (first + from..).zip(out) {
                let (row, column) = (index / width, index % width);
                let of = if by_column { columns[column] as usize } else { column / group };
                let of = row * per_row + of;
                let code = match kind {
                    Codes::Four => f32::from(codes[index / 2] >> (index % 2 * 4) & 15),
                    Codes::Eight => f32::from(codes[index]),
                    Codes::E4m3 => e4m3(codes[index]),
                };
                let zero = zeros.get(of).copied().unwrap_or(kind.middle());
                prop_assert_eq!(found, scales[of] * (code - f32::from(zero)));
            }
        }
    }
}
