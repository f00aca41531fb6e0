mod data;
mod experiments;
mod hub;

use super::*;
use crate::content::dataset::local_repositories::LocalRepositories;

/// A project on disk, made a file at a time.
struct Site(tempfile::TempDir);

const MODEL: &str = "source: ./m\n";
const ROWS: &str =
    "dataset: {rows: [{id: a, text: Up, label: true}, {id: b, text: Down, label: false}], id: id, gold: label}\n";
const PROMPT: &str = "prompt:\n  - {segment: claim, text: \"{{ text }}? (\"}\n";
const OPTIONS: &str = "options: {A: true, B: false}\n";

impl Site {
    /// One model `m` with a folder.
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
            .file("content/models/m.yaml", MODEL)
            .file("content/models/m/config.json", "{}")
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// The experiment `e`: the usual one with `more` at its end, on line 7 and after.
    fn experiment(self, more: &str) -> Self {
        let yaml = format!("models: [m]\n{ROWS}{PROMPT}{OPTIONS}# more\n{more}");
        self.file("content/experiments/e.yaml", &yaml)
    }

    /// An experiment on a data file with the columns id, label, text.
    fn data(self, dataset: &str, more: &str) -> Self {
        let csv = "id,label,text\nx,true,one\ny,false,two\nz,true,three\nw,,four\n";
        let yaml = format!("models: [m]\ndataset: {{source: data/d.csv, {dataset}}}\n{PROMPT}{OPTIONS}{more}");
        self.file("content/data/d.csv", csv)
            .file("content/experiments/e.yaml", &yaml)
    }

    /// An experiment without options on a data set.
    fn dataset(self, dataset: &str) -> Self {
        let yaml = format!("models: [m]\ndataset: {dataset}\nprompt: [{{segment: a, text: '{{{{ text }}}}'}}]\n");
        self.file("content/experiments/e.yaml", &yaml)
    }

    fn load(&self, selection: &Selection) -> Result<(Project, Vec<String>), Vec<String>> {
        let told = |all: Diagnostics| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        Project::load(self.0.path(), selection, &LocalRepositories(self.0.path().join("hub")))
            .map(|(project, warnings)| (project, told(warnings)))
            .map_err(told)
    }

    fn project(&self) -> Project {
        let (project, warnings) = self
            .load(&Selection::default())
            .unwrap_or_else(|errors| panic!("{errors:#?}"));
        assert_eq!(warnings, Vec::<String>::new());
        project
    }

    fn errors(&self) -> Vec<String> {
        self.load(&Selection::default()).unwrap_err()
    }

    fn ids(&self) -> Vec<String> {
        self.project().experiments[0]
            .samples
            .iter()
            .map(|sample| sample.id.clone())
            .collect()
    }
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let site = Site::new()
        .file("content/experiments/e.yaml", "modles: [m]\nmodels: [m, n]\ndataset: {source: data/d.csv, id: idd}\nprompt: [{segment: c, text: '{{ txt }}'}]\nattribution: {steps: abc}\n")
        .file("content/data/d.csv", "id,text\n1,2\n")
        .file("content/models/o.yaml", "source: ./nowhere/at/all\ndtype: f8\n")
        .file("content/page.md", "---\ntitel: x\n---\n")
        .file("content/experiments/broken.yml", "a: b: c\n");
    assert_eq!(
        site.errors(),
        [
            "content/experiments/broken.yml:1:5: this is not valid YAML: mapping values are not allowed in this context\n  help: put text that contains `: ` between quotes",
            "content/experiments/e.yaml:1:1: unknown key `modles`\n  expected: one of `title`, `description`, `draft`, `models`, `dataset`, `prompt`, `prompt_style`, `shots`, `options`, `attribution`, `generate`, `faithfulness`, `expected`\n  help: did you mean `models`?",
            "content/experiments/e.yaml:2:13: models: there is no model `n`\n  expected: one of `m`, `o`\n  help: did you mean `m`?",
            "content/experiments/e.yaml:3:35: dataset.id: the data has no column `idd`\n  expected: one of `id`, `text`\n  help: did you mean `id`?",
            "content/experiments/e.yaml:4:29: prompt[0].text (segment `c`), line 1, column 4 of the template: the data has no column `txt`\n  expected: one of `id`, `text`\n  help: did you mean `text`?",
            "content/experiments/e.yaml:5:22: attribution.steps: found text `abc`\n  expected: a whole number from 1 to 1000000",
            "content/models/o.yaml:2:8: dtype: found text `f8`\n  expected: one of `auto`, `f32`, `f16`, `bf16`, `f64`",
            "content/page.md:2:1: unknown key `titel`\n  expected: one of `title`, `description`, `order`, `draft`, `toc`, `template`\n  help: did you mean `title`?",
        ]
    );
}

#[test]
fn drafts_and_names_decide_what_is_built() {
    let site = Site::new().experiment("").file(
        "content/experiments/later.yml",
        "draft: true\nmodels: [not-yet]\ndataset: {source: data/not-yet.csv}\nprompt: [{segment: a, text: x}]\n",
    );
    assert_eq!(site.project().experiments.len(), 1);
    let errors = site
        .load(&Selection {
            drafts: true,
            ..Selection::default()
        })
        .unwrap_err();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    let named = |name: &str| {
        site.load(&Selection {
            experiments: vec![name.into()],
            drafts: false,
        })
    };
    assert_eq!(named("later").unwrap_err().len(), 2);
    assert_eq!(named("e").unwrap().0.experiments.len(), 1);
    assert_eq!(
        named("latre").unwrap_err(),
        ["there is no experiment `latre`\n  expected: one of `e`, `later`\n  help: did you mean `later`?"]
    );
    let site = site.file("content/experiments/later.yml", "draft: true\nsteps: 1\n");
    assert_eq!(
        site.errors().len(),
        4,
        "a draft that is not built is checked all the same"
    );
}

#[test]
fn names_of_files_are_checked() {
    let experiment = format!("models: [m]\n{ROWS}{PROMPT}{OPTIONS}");
    let errors = Site::new()
        .file("content/experiments/a b.yaml", &experiment)
        .file("content/experiments/e.yaml", &experiment)
        .file("content/experiments/e.yml", &experiment)
        .file("content/models/aux.yaml", MODEL)
        .errors();
    assert_eq!(
        errors,
        [
            "content/experiments/a b.yaml: `a b` cannot name an experiment: it has characters other than A-Z, a-z, 0-9, `.`, `_` and `-`\n  help: rename the file",
            "content/experiments/e.yml: two files name the experiment `e`\n  help: rename this one or content/experiments/e.yaml",
            "content/models/aux.yaml: `aux` cannot name a model: Windows keeps this name for a device\n  help: rename the file",
        ]
    );
}

#[test]
fn what_looks_like_a_mistake_gets_a_warning() {
    let site = Site::new()
        .experiment("")
        .file("content/experiments/f.json", "{}")
        .file("content/experiments/old/g.yaml", "")
        .file("content/experiments/README.md", "")
        .file("content/models/n/config.json", "{}")
        .file("content/models/o.yaml", "source: ./nowhere\nrevision: v1\n")
        .file("content/figure.png", "")
        .file("content/.hidden/x.yaml", "")
        .file("content/data/deep/x.yaml", "");
    let (_, warnings) = site.load(&Selection::default()).unwrap();
    let first: Vec<&str> = warnings.iter().map(|warning| warning.lines().next().unwrap()).collect();
    assert_eq!(
        first,
        [
            "content/experiments/f.json: this file is no experiment",
            "content/experiments/old/g.yaml: this file is not read",
            "content/figure.png: this file is not copied to the site",
            "content/models/n: no model file names this folder",
            "content/models/o.yaml:1:9: source: the checkpoint `./nowhere` is not there",
            "content/models/o.yaml:2:11: revision: a folder has no revisions; this one is not looked at",
        ]
    );
}

#[test]
fn an_expectation_that_no_map_can_miss_gets_a_warning() {
    let prompt =
        "prompt: [{segment: a, text: '{{ x }} '}, {segment: b, text: '{{ y }} '}, {segment: answer, text: 'so'}]\n";
    let rows = "dataset: {rows: [{id: p, x: one, y: five}, {id: q, x: two, y: six}], id: id}\n";
    let warnings = |expected: &str| {
        let yaml = format!("models: [m]\n{rows}{prompt}expected: {expected}\n");
        let site = Site::new().file("content/experiments/e.yaml", &yaml);
        site.load(&Selection::default()).unwrap().1
    };
    let told = "content/experiments/e.yaml: expected: every word that is ranked lies in these segments";
    for (expected, trivial) in [
        ("[a]", false),
        ("[a, b]", true),
        ("[a, b, answer]", true),
        ("[answer]", false),
    ] {
        let found = warnings(expected);
        assert_eq!(
            found.iter().any(|warning| warning.starts_with(told)),
            trivial,
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn a_checkpoint_that_is_not_there_is_an_error_if_it_is_needed() {
    let site = Site::new()
        .experiment("")
        .file("content/models/m.yaml", "title: M\nsource: ./gone\n");
    let errors = site.errors();
    assert!(errors[0].starts_with("content/models/m.yaml:2:9: source: the checkpoint `./gone` is not there\n  expected: a folder with config.json at "), "{errors:#?}");
}

#[test]
fn pages_are_found_and_addresses_do_not_meet() {
    let site = Site::new()
        .experiment("")
        .file("content/index.md", "# Front")
        .file("content/docs/method.md", "---\ntitle: How\norder: 2\n---\ntext")
        .file("content/docs/later.md", "---\ndraft: true\n---\n")
        .file("content/data/README.md", "no page");
    let project = site.project();
    let routes: Vec<String> = project.pages.iter().map(|page| page.route.join("/")).collect();
    assert_eq!(routes, ["docs/method", "index"]);
    assert_eq!(
        site.load(&Selection {
            drafts: true,
            ..Selection::default()
        })
        .unwrap()
        .0
        .pages
        .len(),
        3
    );
    let errors = site
        .file("content/docs.md", "")
        .file("content/docs/index.md", "")
        .file("content/Assets/x.md", "")
        .errors();
    assert_eq!(
        errors,
        [
            "content/Assets/x.md:1:1: the site keeps `Assets` for itself\n  help: rename the file or folder",
            "content/docs.md: this page and content/docs/index.md have the same address\n  help: rename one of them",
        ]
    );
}

#[test]
fn no_content_no_experiments() {
    let folder = tempfile::tempdir().unwrap();
    let errors = Project::load(
        folder.path(),
        &Selection::default(),
        &LocalRepositories(folder.path().join("hub")),
    )
    .unwrap_err();
    assert!(
        errors
            .iter()
            .next()
            .unwrap()
            .to_string()
            .contains("there is no folder content/ here")
    );
    let (_, warnings) = Site::new().load(&Selection::default()).unwrap();
    assert_eq!(
        warnings,
        ["content/experiments: there is no experiment to build\n  help: write one as a .yaml file in this folder"]
    );
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_in_a_circle_is_told() {
    let site = Site::new().experiment("").file("content/docs/a.md", "");
    std::os::unix::fs::symlink(site.0.path().join("content"), site.0.path().join("content/docs/loop")).unwrap();
    assert_eq!(
        site.errors(),
        ["content/docs/loop: this link leads back to a folder that it is in\n  help: remove the link"]
    );
}
