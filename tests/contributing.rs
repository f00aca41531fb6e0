//! What CONTRIBUTING.md shows is code that compiles and whose tests run: the files that it shows are compiled with the
//! library's own tests.

use std::fs;
use std::path::Path;

/// Files that are shown whole, but for their tests.
const SHOWN: [&str; 3] = [
    "src/families/example.rs",
    "src/attribution/methods/example.rs",
    "src/model/device/example.rs",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn contributing_shows_the_examples_that_are_compiled() {
    let page = read("CONTRIBUTING.md");
    let blocks: Vec<&str> = page
        .split("```rust\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert_eq!(blocks.len(), SHOWN.len(), "each block of Rust is one of the files");
    for (file, shown) in SHOWN.iter().zip(blocks) {
        let text = read(file);
        let (code, tests) = text.split_once("\n#[cfg(test)]\n").expect("the file has tests");
        assert_eq!(shown, code, "{file} and the block of CONTRIBUTING.md differ");
        assert!(tests.contains("#[test]"), "{file}");
        assert!(page.contains(&format!("]({file})")), "CONTRIBUTING.md links {file}");
        // It is compiled.
        let module = Path::new(file).parent().unwrap();
        let declared = [module.join("mod.rs"), module.with_extension("rs")];
        let declared = declared
            .iter()
            .filter_map(|path| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok());
        assert!(
            declared.into_iter().any(|text| text.contains("mod example;")),
            "{file} is no module"
        );
    }
}

#[test]
fn every_file_that_contributing_names_is_there() {
    let page = read("CONTRIBUTING.md");
    let links: Vec<&str> = page
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .filter(|link| !link.contains("://") && !link.starts_with('#'))
        .collect();
    assert!(links.len() > 10);
    for link in links {
        let path = link.split('#').next().unwrap();
        assert!(
            Path::new(env!("CARGO_MANIFEST_DIR")).join(path).exists(),
            "CONTRIBUTING.md: {link}"
        );
    }
}
