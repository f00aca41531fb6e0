//! The order of ARCHITECTURE.md holds in the code: its table of modules is read here, and held against every `crate::…`
//! under `src`.
//!
//! A module imports the ground and the modules that its row names, all of which stand below it. Tests may import what
//! they like.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Who imports what, by module of the crate.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table of ARCHITECTURE.md.
struct Drawn {
    /// From the top down: a module may import only what stands further down.
    order: Vec<String>,
    /// What a row names.
    imports: Arrows,
    /// What every module above it may import.
    ground: BTreeSet<String>,
}

/// Words in backticks.
fn names(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn drawn(text: &str) -> Drawn {
    let (_, block) = text
        .split_once("<!-- layers -->")
        .expect("ARCHITECTURE.md has a block of layers");
    let (block, _) = block.split_once("<!-- /layers -->").expect("the block of layers ends");
    let mut drawn = Drawn {
        order: vec![],
        imports: Arrows::new(),
        ground: BTreeSet::new(),
    };
    for line in block.lines() {
        if let Some((_, ground)) = line.split_once("The ground:") {
            drawn.ground.extend(names(ground));
        }
        let cells: Vec<&str> = line.split('|').collect();
        let [_, modules, imports, ..] = cells[..] else { continue };
        for module in names(modules) {
            drawn
                .imports
                .insert(module.clone(), names(imports).into_iter().collect());
            drawn.order.push(module);
        }
    }
    drawn
}

/// A file's text without comments and without what is compiled for tests only; the names of modules that are such come
/// along.
fn product(text: &str) -> (String, Vec<String>) {
    let (mut kept, mut tests) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.split("//").next().unwrap_or_default();
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        // An item ends with its own closing brace, or with a semicolon if it has none.
        let mut depth = 0i32;
        for line in lines.by_ref() {
            if let Some(name) = line.trim().strip_suffix(';').and_then(|item| item.split_once("mod ")) {
                tests.push(name.1.to_owned());
            }
            let opened = line.matches(['{', '(', '[']).count() as i32;
            depth += opened - line.matches(['}', ')', ']']).count() as i32;
            if depth <= 0 && line.trim_end().ends_with([';', '}', ',']) {
                break;
            }
        }
    }
    (kept, tests)
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source is here") {
        let path = entry.expect("a file").path();
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The modules that a text names behind `crate::`, those of `crate::{…}` too.
fn imported(text: &str) -> Vec<&str> {
    let word = |text: &'_ str| {
        text.find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(text.len())
    };
    let mut found = Vec::new();
    for (_, rest) in text
        .match_indices("crate::")
        .map(|(at, path)| text.split_at(at + path.len()))
    {
        match rest.strip_prefix('{') {
            None => found.push(&rest[..word(rest)]),
            Some(list) => {
                let (mut depth, mut fresh) = (0, true);
                for (at, letter) in list.char_indices() {
                    match letter {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => fresh = true,
                        letter if fresh && letter.is_alphabetic() => {
                            let name = &list[at..];
                            found.push(&name[..word(name)]);
                            fresh = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

/// Every arrow of the product, with a file that has it.
fn real(source: &Path) -> BTreeMap<(String, String), String> {
    let mut files = Vec::new();
    rust_files(source, &mut files);
    let texts: Vec<(PathBuf, String)> = files
        .into_iter()
        .map(|path| (path.clone(), fs::read_to_string(path).expect("source is text")))
        .collect();
    let of_tests: BTreeSet<PathBuf> = texts
        .iter()
        .flat_map(|(path, text)| {
            let folder = match path.file_stem().and_then(|stem| stem.to_str()) {
                Some("mod" | "lib") => path.parent().expect("a file lies in a folder").to_path_buf(),
                _ => path.with_extension(""),
            };
            product(text).1.into_iter().map(move |name| folder.join(name))
        })
        .collect();
    let mut arrows = BTreeMap::new();
    for (path, text) in &texts {
        let inside = path.strip_prefix(source).expect("it lies under src");
        let module = inside
            .components()
            .next()
            .expect("a name")
            .as_os_str()
            .to_string_lossy();
        let module = module.trim_end_matches(".rs");
        let is_of_tests = path.ancestors().any(|part| of_tests.contains(&part.with_extension("")));
        if is_of_tests || ["lib", "main"].contains(&module) {
            continue;
        }
        let text = product(text).0;
        let is_top = inside.components().count() == 1;
        assert!(
            !(is_top && text.contains("use super::super")),
            "{}: `super` leaves the crate’s own module; write `crate::`",
            inside.display()
        );
        for name in imported(&text).into_iter().filter(|name| *name != module) {
            arrows
                .entry((module.to_owned(), name.to_owned()))
                .or_insert_with(|| inside.display().to_string());
        }
    }
    arrows
}

#[test]
fn imports_are_those_that_architecture_md_draws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let drawn = drawn(&fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is here"));
    let place = |module: &str| drawn.order.iter().position(|known| known == module);
    let mut wrong = Vec::new();
    for (module, names) in &drawn.imports {
        for name in names {
            match (place(module), place(name)) {
                (_, None) => wrong.push(format!(
                    "ARCHITECTURE.md: `{module}` imports `{name}`, which has no row"
                )),
                (above, below) if above >= below => {
                    wrong.push(format!(
                        "ARCHITECTURE.md: `{module}` imports `{name}`, which does not stand below it"
                    ));
                }
                _ => {}
            }
        }
    }
    let real = real(&root.join("src"));
    for ((module, name), file) in &real {
        let named = drawn.imports.get(module);
        let is_ground = drawn.ground.contains(name) && place(module) < place(name);
        match named {
            None => wrong.push(format!("src/{file}: module `{module}` has no row in ARCHITECTURE.md")),
            Some(named) if !named.contains(name) && !is_ground => wrong.push(format!(
                "src/{file}: `{module}` imports `{name}`, and its row in ARCHITECTURE.md does not name it"
            )),
            _ => {}
        }
    }
    for (module, names) in &drawn.imports {
        let unused = names
            .iter()
            .filter(|name| !real.contains_key(&(module.clone(), (*name).clone())));
        wrong.extend(unused.map(|name| format!("ARCHITECTURE.md: `{module}` no longer imports `{name}`")));
    }
    assert!(
        wrong.is_empty(),
        "{} arrows are not as drawn:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn arrows_are_found_wherever_they_are_written() {
    let text = "use crate::a::b;\n// crate::comment\nlet x = crate::c::d();\nuse crate::{e, f::{g, h}, i::j};\n\
                #[cfg(test)]\nmod tests {\n    use crate::only_in_tests;\n}\nuse crate::k;\n#[cfg(test)]\nmod fixture;\n";
    let (product, tests) = product(text);
    assert_eq!(imported(&product), ["a", "c", "e", "f", "i", "k"]);
    assert_eq!(tests, ["fixture"]);
    let drawn = drawn("<!-- layers -->\nThe ground: `t`.\n| `a`, `b` | `c` | x |\n| `c` | | y |\n<!-- /layers -->");
    assert_eq!(drawn.order, ["a", "b", "c"]);
    assert_eq!(
        (drawn.imports["b"].len(), drawn.imports["c"].len(), drawn.ground.len()),
        (1, 0, 1)
    );
}
