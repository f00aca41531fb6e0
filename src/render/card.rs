//! Cards: the pictures that links to a page are shown with elsewhere (`og:image`), drawn at build time.
//!
//! Such a picture must be a PNG of fixed size at an absolute address. A card is rectangles and lines of text, so it is
//! drawn here: the glyphs by `ab_glyph` from two fonts that come with igsite, all else pixel by pixel
//! (docs/decisions/cards.md). The same bytes always, whatever fonts a machine has.

use std::collections::HashMap;
use std::io::Write;
use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, GlyphId, PxScale, ScaleFont};
use flate2::Compression;
use flate2::Crc;
use flate2::write::ZlibEncoder;

/// Width and height of every card, in pixels: what previews are made for.
pub const SIZE: (usize, usize) = (1200, 630);

/// A colour: red, green, blue.
pub type Colour = [u8; 3];

/// Text.
pub const INK: Colour = [0x1b, 0x1f, 0x24];
/// Text that explains.
pub const SOFT: Colour = [0x50, 0x5a, 0x66];
/// The ground.
pub const PAPER: Colour = [0xff, 0xff, 0xff];
/// What lies behind rows.
pub const PANEL: Colour = [0xf0, 0xf2, 0xf5];
/// What is for the target; the style sheet's `--pos`.
pub const FOR: Colour = [94, 160, 232];
/// What is against it; the style sheet's `--neg`.
pub const AGAINST: Colour = [240, 160, 76];
/// Right, and wrong.
pub const GOOD: Colour = [0x17, 0x63, 0x3a];
/// Wrong.
pub const BAD: Colour = [0x9c, 0x21, 0x15];
/// The site's own colour.
pub const ACCENT: Colour = [0x0b, 0x57, 0xa4];

static REGULAR: LazyLock<FontRef<'_>> = LazyLock::new(|| font(include_bytes!("card/regular.ttf")));
static BOLD: LazyLock<FontRef<'_>> = LazyLock::new(|| font(include_bytes!("card/bold.ttf")));

fn font(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).unwrap_or_else(|e| unreachable!("the font of igsite is a font: {e}"))
}

/// Whether the fonts have all of a text: a card does not show what it cannot write.
pub fn can_write(text: &str) -> bool {
    let known = |c: char| c.is_whitespace() || REGULAR.glyph_id(c) != GlyphId(0);
    text.chars().all(known)
}

/// How text is set.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Pixels from line to line, but for a fifth.
    pub size: f32,
    /// Whether it is bold.
    pub bold: bool,
    /// Its colour.
    pub colour: Colour,
}

impl Style {
    /// Plain text.
    pub const fn plain(size: f32, colour: Colour) -> Self {
        let bold = false;
        Self { size, bold, colour }
    }

    /// Bold text.
    pub const fn bold(size: f32, colour: Colour) -> Self {
        let bold = true;
        Self { size, bold, colour }
    }

    fn font(self) -> &'static FontRef<'static> {
        if self.bold { &BOLD } else { &REGULAR }
    }

    /// How wide a text is, in pixels.
    pub fn width(self, text: &str) -> f32 {
        let font = self.font().as_scaled(PxScale::from(self.size));
        let (mut width, mut last) = (0.0, None);
        for id in text.chars().map(|c| font.glyph_id(c)) {
            width += last.map_or(0.0, |last| font.kern(last, id)) + font.h_advance(id);
            last = Some(id);
        }
        width
    }

    /// A text, cut at words where it is wider than `width`: at most `most` lines, the last of which ends in `…` where
    /// there is more.
    pub fn lines(self, text: &str, width: f32, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split_whitespace() {
            let longer = lines.last().map(|line| format!("{line} {word}"));
            match longer.filter(|line| self.width(line) <= width) {
                Some(line) => *lines.last_mut().expect("there is a last one") = line,
                None if lines.len() == most => {
                    let last = lines.last_mut().expect("there is a last one");
                    *last = self.cut(&format!("{last} …"), width);
                    return lines;
                }
                None => lines.push(self.cut(word, width)),
            }
        }
        lines
    }

    /// A text, its end left out where it is wider than `width`.
    pub fn cut(self, text: &str, width: f32) -> String {
        if self.width(text) <= width {
            return text.to_owned();
        }
        let mut kept: String = text.trim_end_matches(['…', ' ']).to_owned();
        while !kept.is_empty() && self.width(&format!("{kept}…")) > width {
            kept.pop();
        }
        kept + "…"
    }
}

/// A card in the making.
pub struct Card {
    /// Three bytes a pixel, row by row.
    pixels: Vec<u8>,
}

impl Default for Card {
    fn default() -> Self {
        Self {
            pixels: PAPER.repeat(SIZE.0 * SIZE.1),
        }
    }
}

impl Card {
    /// A rectangle, as far as it lies on the card.
    pub fn rectangle(&mut self, (x, y): (f32, f32), (width, height): (f32, f32), colour: Colour) {
        let clamp = |value: f32, most: usize| value.round().clamp(0.0, most as f32) as usize;
        let (left, right) = (clamp(x, SIZE.0), clamp(x + width, SIZE.0));
        for row in clamp(y, SIZE.1)..clamp(y + height, SIZE.1) {
            for pixel in self.pixels[3 * (row * SIZE.0 + left)..3 * (row * SIZE.0 + right)].chunks_exact_mut(3) {
                pixel.copy_from_slice(&colour);
            }
        }
    }

    /// A line of text with its baseline at `y`; gives the place behind it.
    pub fn text(&mut self, text: &str, (x, y): (f32, f32), style: Style) -> f32 {
        let scale = PxScale::from(style.size);
        let font = style.font().as_scaled(scale);
        let (mut at, mut last) = (x, None);
        for id in text.chars().map(|c| font.glyph_id(c)) {
            at += last.map_or(0.0, |last| font.kern(last, id));
            last = Some(id);
            let glyph: Glyph = id.with_scale_and_position(scale, ab_glyph::point(at, y));
            if let Some(outline) = style.font().outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                outline.draw(|dx, dy, coverage| {
                    self.blend(
                        bounds.min.x as i32 + dx as i32,
                        bounds.min.y as i32 + dy as i32,
                        coverage,
                        style.colour,
                    );
                });
            }
            at += font.h_advance(id);
        }
        at
    }

    /// A colour over what is there, in steps of a sixteenth, so that few colours come of it.
    fn blend(&mut self, x: i32, y: i32, coverage: f32, colour: Colour) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x >= SIZE.0 || y >= SIZE.1 {
            return;
        }
        let part = (coverage.clamp(0.0, 1.0) * 16.0).round() as u32;
        let pixel = &mut self.pixels[3 * (y * SIZE.0 + x)..][..3];
        for (old, new) in pixel.iter_mut().zip(colour) {
            *old = ((u32::from(*old) * (16 - part) + u32::from(new) * part + 8) / 16) as u8;
        }
    }

    /// The card as PNG: of a palette where it has 256 colours at most.
    pub fn png(&self) -> Vec<u8> {
        let (palette, indices) = self.indexed();
        let (rows, kind) = match &palette {
            Some(_) => (lines(&indices, SIZE.0), 3),
            None => (lines(&self.pixels, 3 * SIZE.0), 2),
        };
        let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
        let mut head = Vec::with_capacity(13);
        head.extend((SIZE.0 as u32).to_be_bytes());
        head.extend((SIZE.1 as u32).to_be_bytes());
        // Eight bits; no other compression, filter or order exists or is meant.
        head.extend([8, kind, 0, 0, 0]);
        chunk(*b"IHDR", &head, &mut png);
        if let Some(palette) = palette {
            chunk(*b"PLTE", &palette.concat(), &mut png);
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(6));
        let packed = encoder.write_all(&rows).and_then(|()| encoder.finish());
        let packed = packed.unwrap_or_else(|e| unreachable!("memory takes every write: {e}"));
        chunk(*b"IDAT", &packed, &mut png);
        chunk(*b"IEND", &[], &mut png);
        png
    }

    /// The colours and the place of each pixel's among them; no colours where there are more than 256.
    fn indexed(&self) -> (Option<Vec<Colour>>, Vec<u8>) {
        let (mut palette, mut places) = (Vec::new(), HashMap::new());
        let mut indices = Vec::with_capacity(SIZE.0 * SIZE.1);
        let mut last: (Colour, u8) = ([0; 3], 0);
        for pixel in self.pixels.chunks_exact(3) {
            let colour = [pixel[0], pixel[1], pixel[2]];
            // Most pixels are like the one before.
            if palette.is_empty() || colour != last.0 {
                let next = palette.len();
                let place = *places.entry(colour).or_insert_with(|| {
                    palette.push(colour);
                    next
                });
                let Ok(place) = u8::try_from(place) else {
                    return (None, Vec::new());
                };
                last = (colour, place);
            }
            indices.push(last.1);
        }
        (Some(palette), indices)
    }
}

/// Rows of pixels, each behind the byte that says that it is unfiltered.
fn lines(pixels: &[u8], width: usize) -> Vec<u8> {
    let mut lines = Vec::with_capacity(pixels.len() + SIZE.1);
    for row in pixels.chunks_exact(width) {
        lines.push(0);
        lines.extend_from_slice(row);
    }
    lines
}

/// A chunk: its length, kind, data, and the checksum of the last two.
fn chunk(kind: [u8; 4], data: &[u8], png: &mut Vec<u8>) {
    let mut sum = Crc::new();
    sum.update(&kind);
    sum.update(data);
    png.extend((data.len() as u32).to_be_bytes());
    png.extend(kind);
    png.extend_from_slice(data);
    png.extend(sum.sum().to_be_bytes());
}

/// A colour towards the ground: all of it at 1, none at 0.
pub fn shaded(colour: Colour, share: f32) -> Colour {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|part: usize| {
        let (ground, full) = (f32::from(PAPER[part]), f32::from(colour[part]));
        (ground + (full - ground) * share).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_words_and_says_that_it_goes_on() {
        let style = Style::plain(40.0, INK);
        let text = "Sailors say Corvendel was founded by dragon riders who came over the hills";
        let lines = style.lines(text, 400.0, 2);
        assert_eq!(lines.len(), 2);
        assert!(
            lines[1].ends_with('…') && lines.iter().all(|line| style.width(line) <= 400.0),
            "{lines:?}"
        );
        assert_eq!(style.lines(text, 4000.0, 2), [text]);
        assert!(style.lines(&"x".repeat(500), 400.0, 3)[0].ends_with('…'));
        assert!(Style::bold(40.0, INK).width("word") > style.width("word"));
    }

    #[test]
    fn what_the_fonts_lack_is_known() {
        assert!(can_write("“Ünïcode” − Ωμέγα Привет ✓ +0.43 ± 0.01"));
        assert!(!can_write("天空") && !can_write("🦀"));
    }

    /// Reads a PNG as the standard has it: width, height, kind, and the unpacked rows.
    fn read(png: &[u8]) -> (u32, u32, u8, Vec<u8>) {
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
        let (mut at, mut rows) = (8, Vec::new());
        while at < png.len() {
            let (length, kind) = (number(at) as usize, &png[at + 4..at + 8]);
            let data = &png[at + 8..at + 8 + length];
            let mut sum = Crc::new();
            sum.update(&png[at + 4..at + 8 + length]);
            assert_eq!(sum.sum(), number(at + 8 + length), "{kind:?}");
            if kind == b"IDAT" {
                let mut decoder = flate2::read::ZlibDecoder::new(data);
                std::io::Read::read_to_end(&mut decoder, &mut rows).expect("deflated");
            }
            at += 12 + length;
        }
        (number(16), number(20), png[25], rows)
    }

    #[test]
    fn a_card_is_a_png_of_its_size() {
        let mut card = Card::default();
        card.rectangle((-5.0, 600.0), (2000.0, 100.0), ACCENT);
        let end = card.text("Demo Llama ✓", (40.0, 100.0), Style::bold(48.0, INK));
        assert!(end > 200.0 && end < 500.0, "{end}");
        let (width, height, kind, rows) = read(&card.png());
        assert_eq!((width, height, kind), (1200, 630, 3));
        assert_eq!(rows.len(), 630 * 1201);
        assert!(card.png().len() < 12_000, "{}", card.png().len());
        // Above the text there is one colour, in it there are more, and the bar is another.
        let colours = |row: usize| {
            rows[row * 1201 + 1..][..1200]
                .iter()
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        assert_eq!((colours(20), colours(610)), (1, 1));
        assert!(colours(90) > 2);
        let mut many = Card::default();
        for n in 0..=255 {
            many.rectangle((n as f32, 0.0), (1.0, 1.0), [n as u8, 0, 1]);
        }
        assert_eq!(read(&many.png()).2, 2, "257 colours");
    }
}
