//! JSON with its own checksum: what was kept is checked before it is believed.
//!
//! A disk, a copy or an editor may change one digit of a kept file, and what comes out still parses. A sealed value is
//! one line of JSON, `{"blake3":"…","value":…}`: BLAKE3 over the value's bytes as they stand there, its first 128 bits.
//! This is against accidents, not against somebody who makes a new checksum.

const OPENING: &str = "{\"blake3\":\"";
const MIDDLE: &str = "\",\"value\":";
const CLOSING: &str = "}";
const DIGITS: usize = 32;

/// A value's JSON with its checksum. `within` is what the value belongs to and is meaningless without, such as the
/// header of the file whose line it is; it is in the checksum and not in the text.
pub fn seal(json: &str, within: &str) -> String {
    [OPENING, &checksum(json, within), MIDDLE, json, CLOSING].concat()
}

/// The JSON of a sealed value; none where the checksum is not that of the value.
pub fn open<'t>(text: &'t str, within: &str) -> Option<&'t str> {
    let (found, rest) = text.strip_prefix(OPENING)?.split_at_checked(DIGITS)?;
    let json = rest.strip_prefix(MIDDLE)?.strip_suffix(CLOSING)?;
    (found == checksum(json, within)).then_some(json)
}

fn checksum(json: &str, within: &str) -> String {
    // Its length first, so that no text passes from one part to the other. In one piece, of which BLAKE3 takes several
    // blocks at once: a store has many thousands of small parts.
    let length = (within.len() as u64).to_le_bytes();
    let whole = [&length, within.as_bytes(), json.as_bytes()].concat();
    blake3::hash(&whole).to_hex()[..DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_with_what_it_was_sealed_within() {
        let sealed = seal("{\"a\":1}", "head");
        assert_eq!(open(&sealed, "head"), Some("{\"a\":1}"));
        assert_eq!(open(&sealed, "another"), None);
        assert!(serde_json::from_str::<serde_json::Value>(&sealed).is_ok(), "{sealed}");
        assert_ne!(checksum("bc", "a"), checksum("c", "ab"));
    }

    #[test]
    fn no_flipped_bit_passes() {
        let sealed = seal("{\"score\":0.0668}", "").into_bytes();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = String::from_utf8_lossy(&flipped);
            assert_eq!(open(&text, ""), None, "bit {bit}: {text}");
        }
    }
}
