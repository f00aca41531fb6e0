//! Tags, attributes and addresses in our own output, found about as fast as memory is read. It knows only the HTML that
//! igsite writes, and borrows everything from the page; it is no parser for other pages.

use std::borrow::Cow;

use memchr::memmem;

/// A tag that opens.
#[derive(Debug)]
pub struct Tag<'t> {
    /// As written.
    pub name: &'t str,
    /// In the order of the page.
    pub attributes: Vec<Attribute<'t>>,
    /// What is inside an element that holds text and no markup (`script`, `style`, `title`, `textarea`).
    pub text: &'t str,
    /// Where that begins.
    pub text_at: usize,
}

/// An attribute.
#[derive(Clone, Copy, Debug)]
pub struct Attribute<'t> {
    /// As written.
    pub name: &'t str,
    /// As written, between its quotes.
    pub value: &'t str,
    /// The byte of the page on which the name begins.
    pub at: usize,
}

impl Tag<'_> {
    /// Whether a `<link>` is loaded with the page, and not only named.
    pub fn loads(&self) -> bool {
        let rel = self.attributes.iter().find(|a| a.name.eq_ignore_ascii_case("rel"));
        let loaded = [
            "stylesheet",
            "icon",
            "mask-icon",
            "apple-touch-icon",
            "apple-touch-icon-precomposed",
            "apple-touch-startup-image",
            "preload",
            "modulepreload",
            "prefetch",
            "prerender",
            "preconnect",
            "dns-prefetch",
            "manifest",
            "import",
        ];
        rel.is_none_or(|rel| {
            let mut words = rel.value.split_ascii_whitespace();
            words.any(|word| loaded.iter().any(|kind| word.eq_ignore_ascii_case(kind)))
        })
    }
}

/// Calls a function with every opening tag of a page, in order; the tag is one value, filled again for each. If `all`
/// is false, tags without an attribute, or with a class only, and without text of their own are left out: most of a
/// page, in which there is nothing to check.
pub fn tags<'t>(page: &'t str, all: bool, mut tell: impl FnMut(&Tag<'t>)) {
    let bytes = page.as_bytes();
    let mut tag = Tag {
        name: "",
        attributes: Vec::new(),
        text: "",
        text_at: 0,
    };
    let mut at = 0;
    // Whether a drawing or formula began, which may still be open.
    let mut foreign = false;
    while let Some(found) = next_tag(bytes, at) {
        at = found + 1;
        match bytes.get(at) {
            Some(first) if first.is_ascii_alphabetic() => {}
            Some(b'!') if bytes[at..].starts_with(b"!--") => {
                at = behind_comment(bytes, at);
                continue;
            }
            _ => continue,
        }
        let end = until(bytes, at, ends_name);
        tag.name = &page[at..end];
        if matches!(tag.name.len(), 3 | 4)
            && (tag.name.eq_ignore_ascii_case("svg") || tag.name.eq_ignore_ascii_case("math"))
        {
            foreign = true;
        }
        let plain_end = end + class_at(&bytes[end..]);
        if !all && bytes.get(plain_end) == Some(&b'>') && !holds_text(tag.name) {
            at = plain_end + 1;
            continue;
        }
        at = attributes_of(page, end, &mut tag.attributes);
        tag.text = "";
        tag.text_at = at;
        if holds_text(tag.name) {
            let closes = |end: &usize| {
                let rest = &bytes[at + end + 2..];
                rest.len() >= tag.name.len() && rest[..tag.name.len()].eq_ignore_ascii_case(tag.name.as_bytes())
            };
            let end = memmem::find_iter(&bytes[at..], b"</")
                .find(closes)
                .map_or(bytes.len(), |end| at + end);
            tag.text = &page[at..end];
            // In drawings and formulas these contain markup as others do. The end of a drawing is not searched for: the
            // text after it is scanned a second time, and none of our scripts is there.
            if !foreign {
                at = end;
            }
        }
        tell(&tag);
    }
}

/// The first `<` from a byte of the page on. In maps and tables, most of a site, the next one is a few bytes away, too
/// near for a search that has to be set up.
fn next_tag(bytes: &[u8], mut at: usize) -> Option<usize> {
    const OPENING: u64 = u64::from_le_bytes([b'<'; 8]);
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    for _ in 0..4 {
        let Some(eight) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        // The lowest byte that is zero after this is marked in its highest bit; those above it may be wrong.
        let other = u64::from_le_bytes(*eight) ^ OPENING;
        let zeros = other.wrapping_sub(ONES) & !other & HIGH;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    memchr::memchr(b'<', bytes.get(at..)?).map(|found| at + found)
}

/// The first byte from one on that ends something, or where the page ends.
fn until(bytes: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().position(|&b| ends(b)).map_or(bytes.len(), |end| at + end)
}

/// The byte after the comment whose `!--` is here, as browsers end it: `<!-->` is a whole comment.
fn behind_comment(bytes: &[u8], at: usize) -> usize {
    let from = at + 3;
    for short in [&b">"[..], b"->"] {
        if bytes[from..].starts_with(short) {
            return from + short.len();
        }
    }
    let mut ends = memmem::find_iter(&bytes[from..], b"--").map(|end| from + end + 2);
    ends.find_map(|end| match bytes.get(end..) {
        Some([b'>', ..]) => Some(end + 1),
        Some([b'!', b'>', ..]) => Some(end + 2),
        // Of three, the last two.
        Some([b'-', b'>', ..]) => Some(end + 2),
        _ => None,
    })
    .unwrap_or(bytes.len())
}

/// The length of ` class=…` where the bytes begin with it, else 0.
fn class_at(bytes: &[u8]) -> usize {
    const NAME: &[u8] = b" class=";
    let Some(value) = bytes.strip_prefix(NAME) else {
        return 0;
    };
    let length = match value.strip_prefix(b"\"") {
        Some(quoted) => memchr::memchr(b'"', quoted).map(|end| end + 2),
        None => value.iter().position(|&b| b.is_ascii_whitespace() || b == b'>'),
    };
    length.map_or(0, |length| NAME.len() + length)
}

/// Whether what is inside an element is no markup.
fn holds_text(name: &str) -> bool {
    let raw = ["script", "style", "title", "textarea"];
    name.len() >= 5 && raw.iter().any(|raw| name.eq_ignore_ascii_case(raw))
}

fn ends_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'>' || byte == b'/'
}

/// Reads the attributes of a tag from a byte of the page on; returns the byte after the tag.
fn attributes_of<'t>(page: &'t str, mut at: usize, attributes: &mut Vec<Attribute<'t>>) -> usize {
    let bytes = page.as_bytes();
    attributes.clear();
    let blank = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_whitespace);
    loop {
        while blank(at) || bytes.get(at) == Some(&b'/') {
            at += 1;
        }
        match bytes.get(at) {
            None => return at,
            Some(b'>') => return at + 1,
            Some(_) => {}
        }
        let start = at;
        // A name may begin with any character, `=` too.
        at += page[at..].chars().next().map_or(1, char::len_utf8);
        while bytes.get(at).is_some_and(|&b| !ends_name(b) && b != b'=') {
            at += 1;
        }
        let name = &page[start..at];
        while blank(at) {
            at += 1;
        }
        let mut value = "";
        if bytes.get(at) == Some(&b'=') {
            at += 1;
            while blank(at) {
                at += 1;
            }
            let from = match bytes.get(at) {
                Some(&quote @ (b'"' | b'\'')) => {
                    let from = at + 1;
                    at = memchr::memchr(quote, &bytes[from..]).map_or(bytes.len(), |end| from + end);
                    value = &page[from..at];
                    at = (at + 1).min(bytes.len());
                    None
                }
                _ => Some(at),
            };
            if let Some(from) = from {
                let ends = |b: &u8| b.is_ascii_whitespace() || *b == b'>';
                at = bytes[from..]
                    .iter()
                    .position(ends)
                    .map_or(bytes.len(), |end| from + end);
                value = &page[from..at];
            }
        }
        attributes.push(Attribute { name, value, at: start });
    }
}

#[cfg(test)]
/// Every attribute of every tag of a page: tag, name (both lower case) and value with its entities undone.
pub fn attributes(page: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    tags(page, true, |tag| {
        for attribute in &tag.attributes {
            found.push((
                tag.name.to_ascii_lowercase(),
                attribute.name.to_ascii_lowercase(),
                unescape(attribute.value).into_owned(),
            ));
        }
    });
    found
}

/// The addresses that a style sheet names, each with its first byte. Comments are read like the rest: what they name
/// should exist too.
pub fn css_urls(css: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    let unquoted = |from: usize, to: usize| {
        let text = &css[from..to];
        let start = from + (text.len() - text.trim_start().len());
        let text = text.trim();
        match text
            .strip_prefix(['"', '\''])
            .and_then(|text| text.strip_suffix(['"', '\'']))
        {
            Some(inner) => (inner, start + 1),
            None => (text, start),
        }
    };
    // Names in a style sheet have no case.
    let places = |name: &'static [u8]| {
        let starts = memchr::memchr2_iter(name[0], name[0].to_ascii_uppercase(), css.as_bytes());
        starts.filter(move |at| {
            let there = css.as_bytes().get(*at..at + name.len());
            there.is_some_and(|there| there.eq_ignore_ascii_case(name))
        })
    };
    // Text inside an address is no address, and none ends after the last bracket: each byte is read once.
    let mut behind = 0;
    for at in places(b"url(") {
        let from = at + 4;
        if at < behind {
            continue;
        }
        // A quoted address may hold brackets, as `data:` ones do.
        let rest = &css[from..];
        let quote = rest.trim_start().chars().next().filter(|c| matches!(c, '"' | '\''));
        let to = match quote {
            Some(quote) => {
                let open = rest.find(quote).unwrap_or(0) + 1;
                rest[open..]
                    .find([quote, '\n'])
                    .map_or(rest.len(), |end| open + end + 1)
            }
            None => rest.find(')').unwrap_or(rest.len()),
        };
        behind = from + to;
        found.push(unquoted(from, from + to));
    }
    behind = 0;
    for at in places(b"@import") {
        let from = at + 7;
        if at < behind {
            continue;
        }
        let rest = &css[from..];
        let to = rest.find([';', '\n']).unwrap_or(rest.len());
        behind = from + to;
        let first = rest[..to].split_ascii_whitespace().next().unwrap_or("");
        if first.starts_with(['"', '\'']) {
            let start = from + rest.find(first).unwrap_or(0);
            found.push(unquoted(start, start + first.len()));
        }
    }
    found
}

/// The scheme of an address, lower case, as a browser finds it: blanks and controls before and within it do not count.
pub fn scheme(address: &str) -> Option<String> {
    // Almost every address of a site has none, and is seen to have none by its lack of a colon.
    memchr::memchr(b':', address.as_bytes())?;
    let cleaned: String = address.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let cleaned = cleaned.trim_start_matches(|c: char| c <= ' ');
    let (scheme, _) = cleaned.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    valid.then(|| scheme.to_ascii_lowercase())
}

/// Undoes the entities that our own escaping writes, and numeric ones, which raw HTML may hide a scheme with.
pub fn unescape(value: &str) -> Cow<'_, str> {
    if memchr::memchr(b'&', value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        // No entity that is known here is longer.
        let near = rest.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        let end = near.unwrap_or(0);
        if let Some((c, length)) = numeric(rest) {
            out.push(c);
            rest = &rest[length..];
            continue;
        }
        let known = match &rest[1.min(end)..end] {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            "colon" => Some(':'),
            "Tab" => Some('\t'),
            "NewLine" => Some('\n'),
            "sol" => Some('/'),
            "bsol" => Some('\\'),
            "period" => Some('.'),
            "num" => Some('#'),
            "quest" => Some('?'),
            _ => None,
        };
        match known {
            Some(c) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

const LONGEST_ENTITY: usize = 16;

/// The character of a numeric entity that the text begins with, and its length. Browsers do without the `;` at its end.
fn numeric(text: &str) -> Option<(char, usize)> {
    let digits = text.strip_prefix("&#")?;
    let (digits, radix) = match digits.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (digits, 10),
    };
    let length = digits
        .bytes()
        .take_while(|byte| char::from(*byte).is_digit(radix))
        .count();
    let c = char::from_u32(u32::from_str_radix(&digits[..length], radix).ok()?)?;
    let closed = usize::from(digits[length..].starts_with(';'));
    Some((c, text.len() - digits.len() + length + closed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scheme_is_found_as_a_browser_finds_it() {
        assert_eq!(scheme(" \u{1}JAVA\nscript:x").as_deref(), Some("javascript"));
        assert_eq!(scheme("a/b:c"), None);
        assert_eq!(scheme("../x"), None);
    }

    #[test]
    fn only_tags_with_nothing_to_check_are_left_out() {
        let page = "<p><i class=a>x</i><i class=\"a b\">y</i><b class=a id=c><u class='a' id=d><a class=a class=b><a class=\"x>\">\
                    <style class=a>u{}</style><q class=a/><i class=a";
        let told = |all: bool| {
            let mut names = Vec::new();
            tags(page, all, |tag| {
                names.push(format!("{}{}", tag.name, tag.attributes.len()))
            });
            names.join(" ")
        };
        assert_eq!(told(true), "p0 i1 i1 b2 u2 a2 a1 style1 q1 i1");
        assert_eq!(told(false), "b2 u2 a2 style1 i1");
    }

    proptest! {
        #[test]
        fn the_next_tag_is_the_first(text in "[<=;>\0\u{bc}a]{0,60}", at in 0usize..70) {
            let bytes = text.as_bytes();
            let expected = bytes.iter().enumerate().position(|(place, &b)| place >= at && b == b'<');
            prop_assert_eq!(next_tag(bytes, at), expected);
        }
    }

    #[test]
    fn hostile_markup_takes_time_by_its_length() {
        let began = std::time::Instant::now();
        for piece in [
            "url(",
            "url('",
            "url(url(a)",
            "@import ",
            "@import \"",
            "<style>",
            "<style>url(",
            "<script>",
            "<!--",
            "<!-- -- ",
            "<svg><style>",
            "<a b=",
            "<a b=\"",
            "<meta http-equiv=refresh content=0;url=x href=y>",
            "&#",
            "&",
            "<a href=&&&&&&>",
            "</",
            "<title>",
            "=",
        ] {
            let text = piece.repeat(400_000 / piece.len());
            css_urls(&text);
            unescape(&text);
            let mut findings = 0;
            tags(&text, true, |tag| {
                super::super::policy::judge(tag, &mut |_| findings += 1)
            });
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }

    #[test]
    fn a_style_sheets_addresses_are_found_with_their_places() {
        let css =
            "@import 'a.css';\np{background:url( \"b c.png\" )}\n@font-face{src:url(d.woff2)}a{b:url('data:x,)')}";
        let found = css_urls(css);
        assert_eq!(
            found.iter().map(|(address, _)| *address).collect::<Vec<_>>(),
            ["b c.png", "d.woff2", "data:x,)", "a.css"]
        );
        assert!(found.iter().all(|(address, at)| css[*at..].starts_with(address)));
    }
}
