//! A tensor as inseq saves it: the text of base64 over a safetensors file with one tensor.

use std::collections::HashMap;

use serde::Deserialize;

/// Numbers, the last dimension the fastest.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Entries of each dimension.
    pub shape: Vec<usize>,
    /// The entries, exactly as they are stored.
    pub numbers: Vec<f64>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// Reads one.
///
/// # Errors
/// It is no such text, in words that end the sentence "this …".
pub fn read(text: &str) -> Result<Tensor, String> {
    let bytes = base64(text).ok_or("is no base64")?;
    let (length, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or("is shorter than the header of safetensors")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > rest.len() {
        return Err("ends within its safetensors header".to_owned());
    }
    let (header, data) = rest.split_at(length);
    let entries: HashMap<String, Entry> =
        serde_json::from_slice(header).map_err(|error| format!("has a safetensors header that is no such: {error}"))?;
    let entry = entries.get("attribution").ok_or("has no tensor `attribution`")?;
    let (width, number): (usize, fn(&[u8]) -> f64) = match entry.dtype.as_str() {
        "F64" => (8, |b| {
            f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])
        }),
        "F32" => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()),
        "F16" => (2, |b| of_sixteen_bits(u16::from_le_bytes([b[0], b[1]]))),
        "BF16" => (2, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes([b[0], b[1]])) << 16).into()
        }),
        "F8_E4M3" => (1, |b| of_eight_bits(b[0])),
        other => {
            return Err(format!(
                "is of the type {other}, and not of F64, F32, F16, BF16 or F8_E4M3"
            ));
        }
    };
    let count = entry.shape.iter().try_fold(width, |count, &of| count.checked_mul(of));
    let (start, end) = entry.data_offsets;
    match data.get(start..end) {
        Some(data) if count == Some(data.len()) => Ok(Tensor {
            shape: entry.shape.clone(),
            numbers: data.chunks_exact(width).map(number).collect(),
        }),
        _ => Err(format!("has not the bytes that its shape {:?} needs", entry.shape)),
    }
}

/// IEEE 754's binary16.
fn of_sixteen_bits(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from((bits >> 10) & 31), f64::from(bits & 0x3ff));
    let size = match exponent {
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        0 => fraction * (-24_f64).exp2(),
        _ => (1.0 + fraction / 1024.0) * f64::from(exponent - 15).exp2(),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// Four bits of exponent and three of fraction, without infinities (`float8_e4m3fn`).
fn of_eight_bits(byte: u8) -> f64 {
    let (exponent, fraction) = (i32::from((byte >> 3) & 15), f64::from(byte & 7));
    let size = match (exponent, byte & 7) {
        (15, 7) => f64::NAN,
        (0, _) => fraction / 8.0 * (-6_f64).exp2(),
        _ => (1.0 + fraction / 8.0) * f64::from(exponent - 7).exp2(),
    };
    if byte & 0x80 == 0 { size } else { -size }
}

/// The bytes of standard base64 (RFC 4648) with its padding; line breaks are passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut held, mut bits, mut padding) = (0_u32, 0, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            b'\n' | b'\r' => continue,
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        held = ((held << 6) | u32::from(six)) & 0xff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    let ends_well = matches!((bits, padding), (0, 0) | (2, 1) | (4, 2));
    ends_well.then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_of_eight_bits() {
        // From the OCP specification of 8-bit floats (revision 1.0, table 1).
        for (byte, value) in [
            (0x00, 0.0),
            (0x01, 0.001953125),
            (0x08, 0.015625),
            (0x38, 1.0),
            (0x7e, 448.0),
            (0xfe, -448.0),
        ] {
            assert_eq!(of_eight_bits(byte), value, "{byte:#x}");
        }
        assert!(of_eight_bits(0x7f).is_nan());
    }

    #[test]
    fn numbers_of_sixteen_bits_are_those_of_the_crate_half() {
        for bits in 0..=u16::MAX {
            let (found, expected) = (of_sixteen_bits(bits), half::f16::from_bits(bits).to_f64());
            assert!(found == expected || found.is_nan() && expected.is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn base64_of_the_standard_and_nothing_else() {
        // RFC 4648, section 10.
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for bad in ["Zg", "Zg=", "Z", "Zg==Zg==", "Zm9v=", "Z*9v"] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[A-Za-z0-9+/=]{0,60}") {
            let _ = read(&text);
        }
    }
}
