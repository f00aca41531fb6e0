//! Style sheet, scripts and static files: what lands in the site without a page.
//!
//! The project's `static/` is copied as it is, and `static/assets/igsite.css` takes the place of our style sheet. What
//! pages name themselves carries a hash of its content in its name: a browser that keeps an older one never shows a new
//! page with it.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::content::page::RESERVED;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::hex::hex;
use crate::input;
use crate::render::theme::files;
use crate::site::urls;

/// The built-in assets by name.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("igsite.css", include_str!("../../static/assets/igsite.css")),
    ("igsite.js", include_str!("../../static/assets/igsite.js")),
    ("search.js", include_str!("../../static/assets/search.js")),
    ("icon.svg", include_str!("../../static/assets/icon.svg")),
];

/// What `static/` and the built-in assets put into the site.
#[derive(Debug)]
pub struct Assets {
    /// Path in the site → bytes.
    files: BTreeMap<String, Vec<u8>>,
    /// Name of a built-in asset → path in the site.
    paths: BTreeMap<&'static str, String>,
}

impl Assets {
    /// The built-in ones with those of the project in `root`.
    ///
    /// # Errors
    /// A file of `static/` cannot be read, or stands where the site has a folder.
    pub fn load(root: &Path) -> Result<Self> {
        let mut assets: BTreeMap<&str, Vec<u8>> = BUILT_IN.map(|(name, text)| (name, built_in(name, text))).into();
        let mut all = BTreeMap::new();
        for (name, path) in files(&root.join("static"))? {
            refuse_in_the_way(&name, &path)?;
            let bytes = input::read(&path, Kind::Content, "read")?;
            let own = name.strip_prefix("assets/").and_then(|name| assets.get_mut(name));
            match own {
                // The demo project has the built-in ones as its own: there they are no others.
                Some(_) if BUILT_IN.iter().any(|(_, text)| text.as_bytes() == bytes) => {}
                Some(built_in) => *built_in = bytes,
                None => _ = all.insert(name, bytes),
            }
        }
        let mut paths = BTreeMap::new();
        for (name, bytes) in BUILT_IN.iter().filter_map(|(name, _)| assets.remove_entry(name)) {
            let path = urls::asset(name, &short_hash(&bytes));
            paths.insert(name, path.clone());
            all.insert(path, bytes);
        }
        Ok(Self { files: all, paths })
    }

    /// Where a built-in asset, or the project's own in its place, lies in the site.
    pub fn path(&self, name: &str) -> &str {
        self.paths
            .get(name)
            .unwrap_or_else(|| unreachable!("`{name}` is no asset of igsite"))
    }

    /// Path in the site and bytes of each, in order of path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

/// A built-in asset as it is served.
pub(super) fn built_in(name: &str, text: &str) -> Vec<u8> {
    if name.ends_with(".js") {
        lean(text).into_bytes()
    } else {
        text.as_bytes().to_vec()
    }
}

/// A script of ours without what every reader would have to load for nothing: indentation, lines of comment, and blanks
/// beside marks.
pub fn lean(script: &str) -> String {
    let lines = script
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::with_capacity(script.len()), |out, line| {
        out + &without_blanks(line) + "\n"
    })
}

/// A line without the blanks beside marks that need none. Those of texts stay, and lines that have a template within a
/// template, or may have a regular expression, stay as they are.
fn without_blanks(line: &str) -> String {
    let needs_none = |c: char| "={}()[],;:?&|<>!+-*".contains(c);
    // Two of these without a blank are another operator.
    let is_sign = |c: char| matches!(c, '+' | '-');
    if line.matches('`').count() > 2 {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut text = None;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match text {
            Some(_) if c == '\\' => {
                out.push(c);
                out.extend(characters.next());
                continue;
            }
            Some(quote) if c == quote => text = None,
            None if c == '/' => return line.to_owned(),
            None if matches!(c, '"' | '\'' | '`') => text = Some(c),
            None if c == ' ' => {
                let beside = [out.chars().next_back(), characters.peek().copied()];
                let two_signs = beside.iter().flatten().all(|&c| is_sign(c));
                if !two_signs && beside.into_iter().flatten().any(needs_none) {
                    continue;
                }
            }
            _ => {}
        }
        out.push(c);
    }
    out
}

/// A file cannot lie where the site has a folder.
fn refuse_in_the_way(name: &str, path: &Path) -> Result<()> {
    if RESERVED.iter().any(|folder| folder.eq_ignore_ascii_case(name)) {
        return Err(Diagnostic::content(format!(
            "the site has a folder `{name}/` of its own, so it cannot have a file of that name"
        ))
        .in_file(path)
        .expected("another name, or a folder: what lies in it is added to the site’s own")
        .help("rename the file"));
    }
    Ok(())
}

/// The first eight hexadecimal digits of the SHA-256.
pub fn short_hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)[..4])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    #[test]
    fn scripts_are_light_and_no_text_of_theirs_spans_lines() {
        let mut bytes = 0;
        for (name, text) in BUILT_IN.iter().filter(|(name, _)| name.ends_with(".js")) {
            // Else taking indentation away would change a text.
            let odd = text
                .lines()
                .find(|line| !line.trim_start().starts_with("//") && line.matches('`').count() % 2 == 1);
            assert_eq!(odd, None, "{name}");
            bytes += lean(text).len();
        }
        assert!(bytes < 32_000, "{bytes} bytes of scripts");
    }

    #[test]
    fn blanks_go_but_not_those_of_texts() {
        assert_eq!(
            lean("  // note\n  const a = { b: [1, 2] }, c = \"a = 'b\" + ' = ';\n\n  if (a) return - -1;\n"),
            "const a={b:[1,2]},c=\"a = 'b\"+' = ';\nif(a)return- -1;\n"
        );
        assert_eq!(lean("x = `a = ${b}`;\n"), "x=`a = ${b}`;\n");
        let kept = "z = `a ${b ? `c = d` : 1}`;\ny = text.replace(/ = /, \"\");\n";
        assert_eq!(lean(kept), kept);
    }

    #[test]
    fn static_files_are_copied_and_win() {
        let folder = project(&[
            ("static/CNAME", "a.example"),
            ("static/assets/igsite.css", "p{}"),
            ("static/assets/own.css", "b{}"),
        ]);
        let assets = Assets::load(folder.path()).unwrap();
        let files: BTreeMap<&str, &[u8]> = assets.files().collect();
        assert_eq!(files["CNAME"], b"a.example");
        assert_eq!(files["assets/own.css"], b"b{}");
        assert_eq!(files[assets.path("igsite.css")], b"p{}");
        assert_eq!(
            assets.path("igsite.css"),
            format!("assets/igsite.{}.css", short_hash(b"p{}"))
        );
        assert!(!files.contains_key("assets/igsite.css"));
        assert!(files.contains_key(assets.path("search.js")));
    }

    #[test]
    fn a_file_where_the_site_has_a_folder_is_refused_at_once() {
        let error = Assets::load(project(&[("static/Experiments", "x")]).path()).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("static/Experiments: the site has a folder `Experiments/`"),
            "{error}"
        );
        assert!(Assets::load(project(&[("static/experiments/photo.png", "x")]).path()).is_ok());
    }
}
