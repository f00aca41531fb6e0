//! Which paths of the site are taken, and by what: two files for one path are refused, and so is a file where another
//! needs a folder. Cases are not told apart, since some file systems do not.

use std::collections::HashMap;

use crate::diagnostic::{Diagnostic, Result};

/// What is taken, in lower case.
#[derive(Debug, Default)]
pub struct Claims {
    /// File → what made it.
    files: HashMap<String, String>,
    /// Folder → the first file in it, and what made that.
    folders: HashMap<String, (String, String)>,
}

impl Claims {
    /// Takes a path for what is made from `made_by`.
    ///
    /// # Errors
    /// It is taken, or is a file where another has a folder, or the other way round.
    pub fn claim(&mut self, path: &str, made_by: &str) -> Result<()> {
        let lower = path.to_lowercase();
        let clash = |message: String| Err(Diagnostic::content(message).help("rename one of them"));
        if let Some(other) = self.files.get(&lower) {
            return clash(format!("{made_by} and {other} both make `{path}`"));
        }
        if let Some((inside, other)) = self.folders.get(&lower) {
            return clash(format!(
                "{made_by} makes the file `{path}` where {other} needs a folder of that name, for `{inside}`"
            ));
        }
        // From the innermost folder outwards; where one is known, those around it are too.
        for folder in lower.rmatch_indices('/').map(|(end, _)| &lower[..end]) {
            if let Some(other) = self.files.get(folder) {
                return clash(format!(
                    "{other} makes the file `{folder}` where {made_by} needs a folder of that name, for `{path}`"
                ));
            }
            if self.folders.contains_key(folder) {
                break;
            }
            self.folders
                .insert(folder.to_owned(), (path.to_owned(), made_by.to_owned()));
        }
        self.files.insert(lower, made_by.to_owned());
        Ok(())
    }

    /// Whether a path is taken.
    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(&path.to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_has_one_maker_and_a_file_is_no_folder() {
        let mut claims = Claims::default();
        claims.claim("Docs/a.html", "content/a.md").unwrap();
        claims.claim("robots.txt/x", "static/robots.txt/x").unwrap();
        let told = |claims: &mut Claims, path: &str| claims.claim(path, "igsite").unwrap_err().message;
        assert_eq!(
            told(&mut claims, "docs/A.html"),
            "igsite and content/a.md both make `docs/A.html`"
        );
        assert_eq!(
            told(&mut claims, "docs/a.html/index.html"),
            "content/a.md makes the file `docs/a.html` where igsite needs a folder of that name, for `docs/a.html/index.html`"
        );
        assert_eq!(
            told(&mut claims, "robots.txt"),
            "igsite makes the file `robots.txt` where static/robots.txt/x needs a folder of that name, for `robots.txt/x`"
        );
        claims.claim("docs/b.html", "content/b.md").unwrap();
        assert!(claims.has("DOCS/b.html") && !claims.has("docs"));
    }
}
