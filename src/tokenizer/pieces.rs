//! The text of a token of the vocabulary: its entries are written in letters that stand for bytes (`Ġ`, `Ĺ`), with
//! marks for spaces (`▁`) or as numbers of bytes (`<0xE1>`), and none of these are the text's own characters.

use serde_json::Value;

/// How a vocabulary writes its pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// A letter for each byte, as GPT-2 began.
    Bytes,
    /// As SentencePiece: `▁` for a blank, `<0xE1>` for a byte.
    Marks,
}

impl Writing {
    /// By a tokenizer's parts.
    pub fn of(parts: &[&Value]) -> Self {
        let bytes = parts.iter().any(|part| part.to_string().contains("\"ByteLevel\""));
        if bytes { Self::Bytes } else { Self::Marks }
    }

    /// The bytes that a piece stands for.
    pub fn bytes(self, piece: &str) -> Vec<u8> {
        match self {
            Self::Bytes => {
                let mut bytes = Vec::with_capacity(piece.len());
                for letter in piece.chars() {
                    match byte_of(letter) {
                        Some(byte) => bytes.push(byte),
                        None => bytes.extend(letter.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                bytes
            }
            Self::Marks => match numbered(piece) {
                Some(byte) => vec![byte],
                None => piece.replace('▁', " ").into_bytes(),
            },
        }
    }
}

/// Bytes as text, and those that are no whole character as `<0xE1>`.
pub fn spelled(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += chunk.valid();
        for byte in chunk.invalid() {
            text += &format!("<0x{byte:02X}>");
        }
    }
    text
}

/// The byte of a piece such as `<0xE1>`.
fn numbered(piece: &str) -> Option<u8> {
    let digits = piece.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// The byte that a letter of GPT-2's alphabet stands for (`bytes_to_unicode` of its `encoder.py`): printable bytes
/// stand for themselves, the others are numbered from U+0100.
fn byte_of(letter: char) -> Option<u8> {
    let prints = |byte: u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    match u32::from(letter) {
        code @ 0..=0xff => Some(code as u8).filter(|byte| prints(*byte)),
        code => {
            let index = usize::try_from(code - 0x100).ok()?;
            (0..=u8::MAX).filter(|byte| !prints(*byte)).nth(index)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_bytes() {
        // As `tokenizers.pre_tokenizers.ByteLevel().pre_tokenize_str("ệ\n t")` writes them.
        assert_eq!(Writing::Bytes.bytes("á»ĩĊĠt"), "ệ\n t".as_bytes());
        assert_eq!(spelled(&Writing::Bytes.bytes("»ĩt")), "<0xBB><0x87>t");
        assert_eq!(spelled(&Writing::Bytes.bytes("日")), "日");
        let all: Vec<u8> = ('!'..='\u{143}').filter_map(byte_of).collect();
        assert_eq!(all.len(), 256);
    }

    #[test]
    fn marks_are_blanks() {
        assert_eq!(spelled(&Writing::Marks.bytes("▁the")), " the");
        assert_eq!(Writing::Marks.bytes("<0xE1>"), [0xe1]);
        assert_eq!(spelled(&[0xe1]), "<0xE1>");
        assert_eq!(spelled(&Writing::Marks.bytes("<0xE1")), "<0xE1");
    }
}
