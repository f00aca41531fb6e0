//! What markup must not be in a site, and what has no effect in it: the one list of rules, for texts and templates as
//! `check` reads them and for pages as `build` writes them.
//!
//! *Refused* is what would load or run something from elsewhere, or lead the reader away without a click. *Dead* is
//! what the policy in the head of every page forbids (`templates/base.html`): browsers ignore it, and its author would
//! search for the fault in vain.

use std::borrow::Cow;

use super::markup::{Attribute, Tag, css_urls, scheme, unescape};

/// Something that a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The byte of the text.
    pub at: usize,
    /// What is written there.
    pub written: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: &'static str,
    /// Whether a page with it is refused; else it is dead.
    pub refused: bool,
}

/// Attributes whose value is an address.
const ADDRESSES: [&str; 13] = [
    "href",
    "src",
    "data",
    "poster",
    "action",
    "formaction",
    "xlink:href",
    "background",
    "ping",
    "lowsrc",
    "dynsrc",
    "codebase",
    "manifest",
];

/// Attributes whose value is a list of addresses.
const LISTS: [&str; 2] = ["srcset", "imagesrcset"];

const OWN_FILE: &str = "put the file into static/ and name it there: a site loads nothing from another host";
const WITH_SCHEME: &str = "write a link with http, https or mailto, or a path within the site";

/// An address as a browser reads it: controls at its ends and line breaks within do not count, and `\` is `/`.
pub fn as_read(address: &str) -> Cow<'_, str> {
    let trimmed = address.trim_matches(|c: char| c <= ' ');
    if trimmed.bytes().any(|b| matches!(b, b'\\' | b'\t' | b'\n' | b'\r')) {
        let kept = trimmed.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r'));
        Cow::Owned(kept.map(|c| if c == '\\' { '/' } else { c }).collect())
    } else {
        Cow::Borrowed(trimmed)
    }
}

/// Whether an address names a host without saying how to speak to it: `//host`, `\\host`.
pub fn names_a_host(address: &str) -> bool {
    as_read(address).starts_with("//")
}

/// Whether an attribute has an address that is refused in this tag: what is wrong with it.
pub fn refused_address(tag: &Tag<'_>, attribute: &str, address: &str) -> Option<(String, &'static str)> {
    let is = |name: &str| tag.name.eq_ignore_ascii_case(name);
    // What a reader follows, rather than the page.
    let followed = (is("a") || is("area"))
        && (attribute.eq_ignore_ascii_case("href") || attribute.eq_ignore_ascii_case("xlink:href"));
    let name = || tag.name.to_ascii_lowercase();
    if names_a_host(address) {
        let help = if followed { WITH_SCHEME } else { OWN_FILE };
        return Some((
            format!("<{}> leads to another host, `{address}`, without saying how", name()),
            help,
        ));
    }
    match scheme(address).as_deref() {
        None => None,
        Some("http" | "https") if followed => None,
        // Canonical links and feeds are not loaded; style sheets and icons are.
        Some("http" | "https") if is("link") && !tag.loads() => None,
        Some("mailto" | "tel") if followed => None,
        Some("data") if is("img") || is("image") => None,
        Some(_) => {
            let help = if followed { WITH_SCHEME } else { OWN_FILE };
            Some((
                format!("<{}> leads to `{address}`, which a site must not load or run", name()),
                help,
            ))
        }
    }
}

/// Where `<meta http-equiv="refresh" content="5; url=…">` takes the reader, and the byte where that is written.
pub fn refresh<'t>(tag: &Tag<'t>) -> Option<(Cow<'t, str>, usize)> {
    if !tag.name.eq_ignore_ascii_case("meta") {
        return None;
    }
    let value = |name: &str| {
        tag.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    };
    let kind = value("http-equiv")?;
    if !unescape(kind.value).trim().eq_ignore_ascii_case("refresh") {
        return None;
    }
    let content = value("content")?;
    let text = unescape(content.value);
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c.is_ascii_whitespace());
    let rest = rest.trim_start_matches(|c: char| matches!(c, ';' | ',') || c.is_ascii_whitespace());
    let rest = match rest.get(..3) {
        Some(url) if url.eq_ignore_ascii_case("url") => {
            let after = rest[3..].trim_start();
            after.strip_prefix('=').map_or(rest, str::trim_start)
        }
        _ => rest,
    };
    let address = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].split(quote).next().unwrap_or_default(),
        _ => rest,
    };
    (!address.is_empty()).then(|| (Cow::Owned(address.to_owned()), content.at))
}

/// Whether the value of an attribute is an address, or a list of them.
pub fn has_addresses(attribute: &str) -> bool {
    let mut names = ADDRESSES.iter().chain(&LISTS);
    names.any(|name| attribute.eq_ignore_ascii_case(name))
}

/// The addresses in an attribute's value.
pub fn addresses<'v>(attribute: &str, value: &'v str) -> Vec<Cow<'v, str>> {
    let is = |names: &[&str]| names.iter().any(|name| attribute.eq_ignore_ascii_case(name));
    if is(&LISTS) {
        let candidates = unescape(value)
            .split(',')
            .map(|candidate| candidate.trim().to_owned())
            .collect::<Vec<_>>();
        let first = |candidate: String| {
            candidate
                .split_ascii_whitespace()
                .next()
                .map(|address| Cow::Owned(address.to_owned()))
        };
        return candidates.into_iter().filter_map(first).collect();
    }
    if is(&["ping"]) {
        let all = unescape(value).into_owned();
        return all
            .split_ascii_whitespace()
            .map(|address| Cow::Owned(address.to_owned()))
            .collect();
    }
    if is(&ADDRESSES) {
        vec![unescape(value)]
    } else {
        Vec::new()
    }
}

/// Everything that the rules say of a tag.
pub fn judge(tag: &Tag<'_>, tell: &mut dyn FnMut(Finding)) {
    let name = tag.name.to_ascii_lowercase();
    let at_tag = tag.attributes.first().map_or(tag.text_at, |attribute| attribute.at);
    for attribute in &tag.attributes {
        judge_attribute(tag, &name, attribute, tell);
    }
    if let Some((address, at)) = refresh(tag)
        && (scheme(&address).is_some() || names_a_host(&address))
    {
        tell(Finding {
            at,
            written: address.to_string(),
            message: format!("<meta> takes the reader to `{address}` unasked"),
            help: "write a link",
            refused: true,
        });
    }
    let mut dead = |message: &str, help: &'static str| {
        tell(Finding {
            at: at_tag,
            written: format!("<{}", tag.name),
            message: format!("{message}: the site's policy forbids it, and browsers ignore it"),
            help,
            refused: false,
        });
    };
    match name.as_str() {
        "script" if is_inline_script(tag) => dead(
            "a script within the page",
            "put it into a file in static/ and load it from a template, with <script src>",
        ),
        "style" => {
            for (address, at) in css_urls(tag.text) {
                if let Some(message) = refused_in_style(address) {
                    tell(Finding {
                        at: tag.text_at + at,
                        written: address.to_owned(),
                        message,
                        help: OWN_FILE,
                        refused: true,
                    });
                }
            }
            tell(Finding {
                at: at_tag,
                written: "<style".to_owned(),
                message: "a style sheet within the page: the site's policy forbids it, and browsers ignore it"
                    .to_owned(),
                help: "put it into a file in static/assets/ and load it from a template",
                refused: false,
            });
        }
        "iframe" | "frame" | "object" | "embed" | "applet" | "portal" | "fencedframe" => {
            dead(&format!("<{name}>"), "link to it, or show a picture of it");
        }
        _ => {}
    }
}

fn judge_attribute(tag: &Tag<'_>, name: &str, attribute: &Attribute<'_>, tell: &mut dyn FnMut(Finding)) {
    let key = attribute.name.to_ascii_lowercase();
    let refuse = |written: &str, message: String, help: &'static str| Finding {
        at: attribute.at,
        written: written.to_owned(),
        message,
        help,
        refused: true,
    };
    for address in addresses(&key, attribute.value) {
        if let Some((message, help)) = refused_address(tag, &key, &address) {
            tell(refuse(&address, message, help));
        }
    }
    if let Some((message, help)) = refused_attribute(tag, &key, attribute.value) {
        tell(refuse(attribute.name, message, help));
    }
    let dead = match key.as_str() {
        "style" => Some("an inline style"),
        "action" | "formaction" => Some("a form that is sent somewhere"),
        key if key.len() > 2 && key.starts_with("on") && key.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            Some("an inline handler")
        }
        _ => None,
    };
    if let Some(what) = dead {
        tell(Finding {
            at: attribute.at,
            written: attribute.name.to_owned(),
            message: format!(
                "{what}, `{}` of <{name}>: the site's policy forbids it, and browsers ignore it",
                attribute.name
            ),
            help: match key.as_str() {
                "style" => "give it a class, and that a style in a file in static/assets/",
                _ => "put the script into a file in static/ and load it from a template",
            },
            refused: false,
        });
    }
}

/// Attributes that are refused whatever address they have.
pub fn refused_attribute(tag: &Tag<'_>, attribute: &str, value: &str) -> Option<(String, &'static str)> {
    if tag.name.eq_ignore_ascii_case("base") {
        return Some((
            "<base> changes where every link of the page leads".to_owned(),
            "take it away: links are made to work wherever the site stands",
        ));
    }
    let moves = attribute.eq_ignore_ascii_case("attributename")
        && matches!(
            unescape(value).trim().to_ascii_lowercase().as_str(),
            "href" | "xlink:href"
        );
    moves.then(|| {
        (
            format!(
                "<{}> changes where a link leads while it is looked at",
                tag.name.to_ascii_lowercase()
            ),
            "write the link as it is",
        )
    })
}

/// What is wrong with an address in a style sheet.
pub fn refused_in_style(address: &str) -> Option<String> {
    let elsewhere = names_a_host(address) || !matches!(scheme(address).as_deref(), None | Some("data"));
    elsewhere.then(|| format!("the style sheet loads `{address}`, which a site must not"))
}

/// Whether a script is in the page and is run, rather than a block of data.
fn is_inline_script(tag: &Tag<'_>) -> bool {
    let value = |name: &str| {
        tag.attributes
            .iter()
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    };
    let kind = value("type")
        .map(|kind| kind.value.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let runs = matches!(kind.as_str(), "" | "module" | "importmap" | "speculationrules")
        || kind.contains("javascript")
        || kind.contains("ecmascript");
    value("src").is_none() && value("href").is_none() && value("xlink:href").is_none() && runs
}

#[cfg(test)]
mod tests {
    use super::super::markup::tags;
    use super::*;

    /// What is said of a text: `!` before what is refused.
    fn said(html: &str) -> Vec<String> {
        let mut said = Vec::new();
        tags(html, true, |tag| {
            judge(tag, &mut |finding| {
                assert!(html.is_char_boundary(finding.at));
                said.push(format!("{}{}", if finding.refused { "!" } else { "" }, finding.written));
            });
        });
        said
    }

    #[test]
    fn what_leads_elsewhere_by_itself_is_refused() {
        for html in [
            "<meta http-equiv=\"refresh\" content=\"0;url=https://evil.example/\">",
            "<META HTTP-EQUIV=Refresh CONTENT=\"5, '//evil.example'\">",
            "<meta content='0; URL = &#104;ttps:\\\\evil.example' http-equiv=&#114;efresh>",
            "<meta http-equiv=refresh content=\"0 javascript:alert(1)\">",
            "<img srcset=\"a.png 1x, https://evil.example/b.png 2x\">",
            "<img src=//evil.example/x>",
            "<img src=\"\\\\evil.example/x\">",
            "<img src=\"/\t/evil.example/x\">",
            "<img src=\"&sol;&#47evil.example/x\">",
            "<a href=\"//evil.example\">",
            "<a href=\" java\nscript:alert(1)\">",
            "<a href=x ping=\"y https://evil.example/\">",
            "<base href=\"/\">",
            "<table background=https://evil.example/>",
            "<link rel=\"dns-prefetch\" href=\"https://evil.example/\">",
            "<link rel=preconnect href=//evil.example>",
            "<svg><use href=\"https://evil.example/#a\"/></svg>",
            "<svg><script xlink:href=\"https://evil.example/\"></script></svg>",
            "<svg><a><set attributeName=href to=\"https://evil.example/\"/></a></svg>",
            "<svg><feImage href=https://evil.example/></svg>",
            "<style>p{background:url(//evil.example/x)}</style>",
            "<style>@import \"https://evil.example/x.css\";</style>",
            "<STYLE>@IMPORT URL( 'https://evil.example/x.css' )</STYLE>",
            "<style></STYLE><img src=https://evil.example/>",
            "<!--><img src=https://evil.example/>",
            "<!-- --!><img src=https://evil.example/>",
            "<embed src=https://evil.example/>",
            "<object data=https://evil.example/></object>",
            "<iframe src=https://evil.example/></iframe>",
            "<form action=https://evil.example/></form>",
            "<input type=image src=https://evil.example/>",
            "<video poster=https://evil.example/></video>",
        ] {
            let said = said(html);
            assert!(said.iter().any(|one| one.starts_with('!')), "{html}: {said:?}");
        }
    }

    #[test]
    fn what_the_policy_forbids_is_dead() {
        for (html, what) in [
            ("<script>alert(1)</script>", "<script"),
            ("<script type=module>alert(1)</script>", "<script"),
            ("<p style=\"color:red\">", "style"),
            ("<style>p{}</style>", "<style"),
            ("<p onclick=\"x()\">", "onclick"),
            ("<iframe srcdoc=\"x\"></iframe>", "<iframe"),
            ("<form action=\"a.html\">", "action"),
            ("<object data=a.pdf></object>", "<object"),
        ] {
            assert_eq!(said(html), [what], "{html}");
        }
    }

    #[test]
    fn what_is_fine_is_passed() {
        for html in [
            "<a href=\"https://a.example/\" title=\"https://b.example\">",
            "<a href=mailto:a@b.example>",
            "<img src=\"data:image/png;base64,AA==\" alt>",
            "<link rel=canonical href=https://a.example/>",
            "<script src=a.js></script><script type=\"application/json\">{}</script>",
            "<meta http-equiv=refresh content=5><meta http-equiv=refresh content='0;url=other/index.html'>",
            "<meta name=refresh content='0;url=https://a.example'>",
            "<svg><a href=\"https://a.example\"></a></svg>",
            "<!-- <img src=https://a.example/> --><textarea><img src=https://a.example/></textarea>",
            "<p on=b>",
        ] {
            assert_eq!(said(html), Vec::<String>::new(), "{html}");
        }
    }
}
