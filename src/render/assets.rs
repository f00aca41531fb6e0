//! Style sheet, scripts and static files: what lands in the site without a page.
//!
//! The project's `static/` is copied as it is, and `static/assets/igsite.css` takes the place of our style sheet. What
//! pages name themselves carries a hash of its content in its name: a browser that keeps an older one never shows a new
//! page with it.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::content::book::Book;
use crate::content::files::shown;
use crate::content::page::RESERVED;
use crate::diagnostic::{Diagnostic, Kind, Result};
use crate::hex::hex;
use crate::input;
use crate::render::theme::files;
use crate::site::urls;

/// The built-in assets by name.
pub const BUILT_IN: [(&str, &str); 5] = [
    ("igsite.css", include_str!("../../static/assets/igsite.css")),
    ("igsite.js", include_str!("../../static/assets/igsite.js")),
    ("save.js", include_str!("../../static/assets/save.js")),
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
    /// The built-in ones with those of the project in `root`, and of the book that it may be.
    ///
    /// # Errors
    /// A file of `static/` cannot be read, or stands where the site has a folder.
    pub fn load(root: &Path, book: Option<&Book>) -> Result<Self> {
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
        // What pages of a book show of its own folder.
        for path in book.into_iter().flat_map(|book| &book.files) {
            let bytes = input::read(&root.join(path), Kind::Content, "read").map_err(|e| e.in_file(path))?;
            all.insert(shown(path).to_string_lossy().into_owned(), bytes);
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

/// A script of ours without comments and blanks, which every reader would have to load; as it is where that fails.
pub fn lean(script: &str) -> String {
    match minifier::js::minify(script) {
        Ok(lean) => lean.to_string() + "\n",
        Err(_) => script.to_owned(),
    }
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
    fn scripts_are_light_and_say_what_they_said() {
        let mut bytes = BTreeMap::new();
        for (name, text) in BUILT_IN.iter().filter(|(name, _)| name.ends_with(".js")) {
            let (lean, code) = (
                lean(text),
                text.lines().filter(|line| !line.trim_start().starts_with("//")),
            );
            let code: Vec<&str> = code.collect();
            assert_ne!(lean, *text, "{name}");
            // `a + +b` would become `a++b`.
            for sign in ["++", "--"] {
                let count = code.iter().map(|line| line.matches(sign).count()).sum::<usize>();
                assert_eq!(lean.matches(sign).count(), count, "{name}: {sign}");
            }
            // Every sentence is in it as it was.
            for line in code.iter().filter(|line| line.matches('"').count() % 2 == 0) {
                let plain = |text: &&str| text.chars().all(|c| c.is_alphanumeric() || " .,-".contains(c));
                for quoted in line.split('"').skip(1).step_by(2).filter(plain) {
                    assert!(lean.contains(&format!("\"{quoted}\"")), "{name}: {quoted}");
                }
            }
            bytes.insert(*name, lean.len());
        }
        // A page has the first; its reader may save something, or search.
        let [all, save, search] = ["igsite.js", "save.js", "search.js"].map(|name| bytes[name]);
        assert!(all + save.max(search) < 32_000, "{bytes:?}");
    }

    #[test]
    fn static_files_are_copied_and_win() {
        let folder = project(&[
            ("static/CNAME", "a.example"),
            ("static/assets/igsite.css", "p{}"),
            ("static/assets/own.css", "b{}"),
        ]);
        let assets = Assets::load(folder.path(), None).unwrap();
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
        let error = Assets::load(project(&[("static/Experiments", "x")]).path(), None).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("static/Experiments: the site has a folder `Experiments/`"),
            "{error}"
        );
        assert!(Assets::load(project(&[("static/experiments/photo.png", "x")]).path(), None).is_ok());
    }
}
