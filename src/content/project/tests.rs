use super::*;
use crate::content::experiment::{BaselineSpec, Batch, Output, Quadrature, TargetSpec};

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

    fn load(&self, selection: &Selection) -> Result<(Project, Vec<String>), Vec<String>> {
        let told = |all: Diagnostics| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        Project::load(self.0.path(), selection)
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
fn a_small_experiment_has_every_default() {
    let site = Site::new().experiment("");
    let project = site.project();
    let [experiment] = project.experiments.as_slice() else {
        panic!()
    };
    assert_eq!(
        (experiment.id.as_str(), experiment.title.as_str(), experiment.draft),
        ("e", "e", false)
    );
    assert_eq!(experiment.path, Path::new("content/experiments/e.yaml"));
    assert_eq!(experiment.models, ["m"]);
    assert_eq!(experiment.attribution.targets, [TargetSpec::Predicted]);
    assert_eq!(experiment.attribution.baselines, [BaselineSpec::Zero]);
    assert_eq!(experiment.attribution.quadrature, Quadrature::GaussLegendre);
    assert_eq!(
        (experiment.attribution.steps, experiment.attribution.batch),
        (512, Batch::Auto)
    );
    assert_eq!(
        (experiment.attribution.tolerance, experiment.attribution.margin),
        (0.01, 0.1)
    );
    assert_eq!(experiment.attribution.output, Output::Probability);
    let [a, b] = experiment.samples.as_slice() else {
        panic!()
    };
    assert_eq!(
        (a.id.as_str(), a.slug.as_str(), a.gold.as_deref()),
        ("a", "a", Some("A"))
    );
    assert_eq!((b.gold.as_deref(), b.prompt.text.as_str()), (Some("B"), "Down? ("));
    assert_eq!(a.fields.keys().collect::<Vec<_>>(), ["id", "text", "label"]);
    assert_eq!(
        project.models["m"].source,
        ModelSource::Folder(site.0.path().join("content/models/m"))
    );
}

#[test]
fn everything_can_be_said() {
    let more = "title: T\ndescription: \"*d*\"\nattribution:\n  targets: [predicted, gold, all_options, A, {token: ' x'}, {contrast: [B, gold]}, {contrast: [A, {token: y}]}]\n  \
        output: log_probability\n  baselines: [mean, {token: z}]\n  quadrature: trapezoid\n  steps: 2\n  tolerance: 1e-3\n  \
        max_evaluations: 4096\n  margin: 1\n  batch: 8\n";
    let project = Site::new().experiment(more).project();
    let spec = &project.experiments[0].attribution;
    assert_eq!(spec.targets.len(), 7);
    assert_eq!(spec.targets[4], TargetSpec::Token(" x".into()));
    assert_eq!(
        spec.targets[5],
        TargetSpec::Contrast(Box::new(TargetSpec::Option("B".into())), Box::new(TargetSpec::Gold))
    );
    assert_eq!(spec.baselines, [BaselineSpec::Mean, BaselineSpec::Token("z".into())]);
    assert_eq!(
        (spec.quadrature, spec.steps, spec.batch),
        (Quadrature::Trapezoid, 2, Batch::Fixed(8))
    );
    assert_eq!(
        (spec.output, spec.tolerance, spec.margin),
        (Output::LogProbability, 0.001, 1.0)
    );
}

#[test]
fn all_errors_of_all_files_come_at_once() {
    let site = Site::new()
        .file("content/experiments/e.yaml", "modles: [m]\nmodels: [m, n]\ndataset: {source: data/d.csv, id: idd}\nprompt: [{segment: c, text: '{{ txt }}'}]\nattribution: {steps: abc}\n")
        .file("content/data/d.csv", "id,text\n1,2\n")
        .file("content/models/o.yaml", "source: ./nowhere/at/all\ndtype: f64\n")
        .file("content/page.md", "---\ntitel: x\n---\n")
        .file("content/experiments/broken.yml", "a: b: c\n");
    assert_eq!(
        site.errors(),
        [
            "content/experiments/broken.yml:1:5: this is not valid YAML: mapping values are not allowed in this context\n  help: put text that contains `: ` between quotes",
            "content/experiments/e.yaml:1:1: unknown key `modles`\n  expected: one of `title`, `description`, `draft`, `models`, `dataset`, `prompt`, `shots`, `options`, `attribution`\n  help: did you mean `models`?",
            "content/experiments/e.yaml:2:13: models: there is no model `n`\n  expected: one of `m`, `o`\n  help: did you mean `m`?",
            "content/experiments/e.yaml:3:35: dataset.id: the data has no column `idd`\n  expected: one of `id`, `text`\n  help: did you mean `id`?",
            "content/experiments/e.yaml:4:29: prompt[0].text (segment `c`), line 1, column 4 of the template: the data has no column `txt`\n  expected: one of `id`, `text`\n  help: did you mean `text`?",
            "content/experiments/e.yaml:5:22: attribution.steps: found text `abc`\n  expected: a whole number from 1 to 1000000",
            "content/models/o.yaml:2:8: dtype: found text `f64`\n  expected: one of `auto`, `f32`, `f16`, `bf16`",
            "content/page.md:2:1: unknown key `titel`\n  expected: one of `title`, `description`, `order`, `draft`\n  help: did you mean `title`?",
        ]
    );
}

#[test]
fn what_the_attribution_refuses() {
    for (block, message) in [
        (
            "quadrature: adaptive",
            "attribution.quadrature: `adaptive` is not in this version\n  expected: one of `gauss_legendre`, `riemann_left`",
        ),
        (
            "quadrature: trapezoid, steps: 1",
            "attribution.steps: found the number `1`\n  expected: a whole number from 2 to 1000000",
        ),
        (
            "targets: [C]",
            "attribution.targets[0]: `C` is no target and no option\n  expected: one of `predicted`, `gold`, `{token: \"…\"}`, `all_options`, `{contrast: [B, D]}`, an option: `A`, `B`",
        ),
        ("targets: [predictd]", "help: did you mean `predicted`?"),
        ("targets: [A, A]", "attribution.targets[1]: this target is here twice"),
        (
            "targets: [{contrast: [A]}]",
            "attribution.targets[0].contrast: found 1 targets\n  expected: two targets",
        ),
        (
            "targets: [{contrast: [A, all_options]}]",
            "`all_options` is no target and no option",
        ),
        (
            "targets: [{contrast: [A, A]}]",
            "a contrast of a target with itself is zero everywhere",
        ),
        (
            "targets: [{token: ''}]",
            "attribution.targets[0].token: found blank text\n  expected: the text of a token",
        ),
        (
            "targets: predicted",
            "found text `predicted`\n  expected: a list, such as [predicted]",
        ),
        ("targets: []", "found an empty list"),
        ("baselines: [zeros]", "attribution.baselines[0]: found text `zeros`"),
        ("tolerance: 0", "found the number `0`\n  expected: a number above 0"),
        (
            "max_evaluations: many",
            "found text `many`\n  expected: a whole number, 1 or more",
        ),
        (
            "batch: some",
            "found text `some`\n  expected: a whole number from 1 to 1000000",
        ),
    ] {
        let errors = Site::new().experiment(&format!("attribution: {{{block}}}\n")).errors();
        assert!(errors.len() == 1 && errors[0].contains(message), "{block}: {errors:#?}");
        assert!(
            errors[0].starts_with("content/experiments/e.yaml:7:"),
            "{block}: {errors:#?}"
        );
    }
}

#[test]
fn rows_are_selected() {
    let chosen = |dataset: &str| Site::new().data(dataset, "").ids();
    assert_eq!(chosen("id: id"), ["x", "y", "z", "w"]);
    assert_eq!(chosen("select: {rows: [2, 0]}"), ["row-2", "row-0"]);
    assert_eq!(chosen("id: id, select: {ids: [z, x]}"), ["z", "x"]);
    assert_eq!(chosen("id: id, select: {where: {label: true}}"), ["x", "z"]);
    assert_eq!(
        chosen("id: id, select: {where: {label: [true, false], text: [two, four]}}"),
        ["y"]
    );
    let drawn = chosen("id: id, select: {count: 2, seed: 7}");
    assert_eq!(drawn.len(), 2);
    assert_eq!(drawn, chosen("id: id, select: {count: 2, seed: 7}"));
    assert_eq!(chosen("id: id, select: {where: {label: true}, count: 2}"), ["x", "z"]);
}

#[test]
fn a_wrong_selection_is_told() {
    for (dataset, message) in [
        (
            "select: {rows: [4]}",
            "dataset.select.rows: there is no row 4\n  expected: a number from 0 to 3",
        ),
        ("select: {rows: [1, 1]}", "dataset.select.rows: row 1 is chosen twice"),
        (
            "id: id, select: {ids: [xx]}",
            "dataset.select.ids: no row has the id `xx`\n  help: did you mean `x`?",
        ),
        (
            "select: {where: {lable: true}}",
            "dataset.select.where: the data has no column `lable`\n  expected: one of `id`, `label`, `text`\n  help: did you mean `label`?",
        ),
        (
            "select: {count: 5}",
            "dataset.select.count: 5 rows are to be drawn, and the data has 4\n  expected: a number from 1 to 4",
        ),
        ("select: {count: 0}", "dataset.select.count: found the number `0`"),
        (
            "select: {seed: 5}",
            "dataset.select: `seed` without `count` draws nothing",
        ),
        (
            "select: {ids: [x], count: 1}",
            "dataset.select: `ids` and `rows` choose alone",
        ),
        (
            "select: {}",
            "dataset.select: found a mapping\n  expected: `count`, `ids`, `rows` or `where`; leave `select` out to take all rows",
        ),
        ("gold: lable", "dataset.gold: the data has no column `lable`"),
        ("path: x", "dataset.path: `path` goes with `source: liar` only"),
        ("rows: [{a: 1}]", "dataset: both `source` and `rows` are given"),
    ] {
        let errors = Site::new().data(dataset, "").errors();
        assert!(
            errors.len() == 1 && errors[0].contains(message),
            "{dataset}: {errors:#?}"
        );
        assert!(
            errors[0].starts_with("content/experiments/e.yaml:2:"),
            "{dataset}: {errors:#?}"
        );
    }
    let errors = Site::new()
        .data("id: id, select: {where: {label: [maybe]}}", "")
        .errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].ends_with("dataset.select.where: no row meets these conditions"),
        "{errors:#?}"
    );
    assert!(
        errors[1].contains("no row has `maybe` in the column `label`\n  expected: one of `true`, `false`"),
        "{errors:#?}"
    );
}

#[test]
fn gold_values_map_through_the_options() {
    let golds = |site: Site| -> Vec<Option<String>> {
        site.project().experiments[0]
            .samples
            .iter()
            .map(|sample| sample.gold.clone())
            .collect()
    };
    let some = |letter: &str| Some(letter.to_owned());
    assert_eq!(
        golds(Site::new().data("gold: label", "")),
        [some("A"), some("B"), some("A"), None]
    );
    let errors = Site::new().data("gold: text, select: {rows: [3, 0]}", "").errors();
    assert_eq!(
        errors[1],
        "content/data/d.csv:5:1: row 3: `text` has `four`, which no option stands for\n  expected: one of `true`, `false`\n  help: add it to `options`, or leave such rows out with `select`"
    );
    let errors = Site::new()
        .data("gold: label", "attribution: {targets: [gold]}\n")
        .errors();
    assert_eq!(
        errors,
        [
            "content/data/d.csv:5:1: row 3: the target `gold` needs a right answer, and `label` is empty\n  help: leave such rows out with `select`"
        ]
    );
    let errors = Site::new()
        .data("id: id", "attribution: {targets: [gold]}\nshots: {count: 1}\n")
        .errors();
    assert_eq!(errors.len(), 2, "{errors:#?}");
    assert!(
        errors[0].contains("attribution.targets: the target `gold` needs right answers, and none is known"),
        "{errors:#?}"
    );
    assert!(
        errors[1].contains("shots: worked examples end in their right option, and none is known"),
        "{errors:#?}"
    );
}

#[test]
fn ids_name_one_row_each() {
    let errors = Site::new().data("id: label", "").errors();
    assert_eq!(
        errors,
        [
            "content/data/d.csv:4:1: row 2: the id `true` is that of row 0 too\n  expected: an id of its own; row 0 is on line 2",
            "content/data/d.csv:5:1: row 3: the id is empty (column `label`)"
        ]
    );
}

#[test]
fn worked_examples_come_first() {
    let site = Site::new().data("gold: label, select: {rows: [0, 3]}", "shots: {count: 2, seed: 1}\n");
    let project = site.project();
    let [x, w] = project.experiments[0].samples.as_slice() else {
        panic!()
    };
    assert_eq!(
        x.prompt
            .segments
            .iter()
            .map(|segment| segment.name.as_str())
            .collect::<Vec<_>>(),
        ["shots", "claim"]
    );
    // Only two other rows have a right answer, so these are the ones, in the order of the draw.
    let examples = ["two? (B\n\n", "three? (A\n\n"];
    let texts = [examples.concat(), [examples[1], examples[0]].concat()].map(|examples| examples + "one? (");
    assert!(texts.contains(&x.prompt.text), "{}", x.prompt.text);
    assert!(
        w.prompt.text.ends_with("four? (") && !w.prompt.text.contains("four? (A"),
        "{}",
        w.prompt.text
    );
    assert_eq!(w.prompt.segments[0].end, w.prompt.segments[1].start);
    let errors = Site::new()
        .data("gold: label, select: {rows: [0]}", "shots: {count: 3}\n")
        .errors();
    assert_eq!(
        errors,
        [
            "content/experiments/e.yaml:6:16: shots.count: 3 worked examples are asked for, and a sample has 2 other rows with a right answer"
        ]
    );
}

#[test]
fn sources_that_cannot_be_read_say_why() {
    for (dataset, message) in [
        (
            "{source: data/no.csv}",
            "dataset.source: there is no file `content/data/no.csv`",
        ),
        (
            "{source: content/data/d.csv}",
            "help: paths begin at content/: write `data/d.csv`",
        ),
        (
            "{source: ../d.csv}",
            "dataset.source: the data file `../d.csv` is not under content/",
        ),
        (
            "{source: /etc/d.csv}",
            "dataset.source: the data file `/etc/d.csv` is not under content/",
        ),
        (
            "{source: data/d.parquet}",
            "dataset.source: Parquet is not read in this version\n  expected: liar, or a file that ends in .csv",
        ),
        (
            "{source: data/d.txt}",
            "`data/d.txt` is no kind of data file that igsite reads",
        ),
        (
            "{source: liar}",
            "dataset: `source: liar` needs a `path`: this version reads LIAR from a folder\n  expected: `path`: the folder with train.tsv, test.tsv and valid.tsv",
        ),
        (
            "{source: liar, path: data/liar}",
            "dataset.path: there is no folder `content/data/liar`",
        ),
        ("{id: id}", "dataset: there is neither `source` nor `rows`"),
        ("{rows: []}", "dataset.rows: found an empty list"),
        ("{rows: [1]}", "dataset.rows[0]: found the number `1`"),
    ] {
        let yaml = format!("models: [m]\ndataset: {dataset}\nprompt: [{{segment: a, text: b}}]\n");
        let errors = Site::new().file("content/experiments/e.yaml", &yaml).errors();
        assert!(
            errors.len() == 1 && errors[0].contains(message),
            "{dataset}: {errors:#?}"
        );
        assert!(
            errors[0].starts_with("content/experiments/e.yaml:2:"),
            "{dataset}: {errors:#?}"
        );
    }
}

#[test]
fn inline_values_stay_as_written() {
    let rows = "{rows: [{id: 1.0, text: True, n: 1.50, label: True, more: [1, x], not: }], id: id, gold: label}";
    let yaml = format!(
        "models: [m]\ndataset: {rows}\nprompt: [{{segment: a, text: '{{{{ text }}}} {{{{ n }}}}'}}]\noptions: {{A: True, B: true}}\n"
    );
    let project = Site::new().file("content/experiments/e.yaml", &yaml).project();
    let sample = &project.experiments[0].samples[0];
    assert_eq!(
        (sample.id.as_str(), sample.gold.as_deref(), sample.prompt.text.as_str()),
        ("1.0", Some("A"), "True 1.50")
    );
}

#[test]
fn options_and_prompts_are_checked() {
    for (from, to, message) in [
        (
            OPTIONS,
            "options: {A: true, B: true}\n",
            "options.B: `true` is the value of `A` too",
        ),
        (
            OPTIONS,
            "options: {gold: true}\n",
            "options: `gold` is a word for a target, not a letter",
        ),
        (
            OPTIONS,
            "options: {' A': true}\n",
            "options: ` A` cannot be an option's letter",
        ),
        (OPTIONS, "options: {A: }\n", "options.A: found nothing"),
        (
            OPTIONS,
            "options: {}\n",
            "options: found a mapping\n  expected: a mapping from letters to values",
        ),
        (
            OPTIONS,
            "",
            "dataset.gold: `gold` without `options`: nothing says which letter a value stands for",
        ),
        (PROMPT, "prompt: []\n", "prompt: found an empty list"),
        (PROMPT, "", "the key `prompt` is missing"),
        (
            PROMPT,
            "prompt: [{segment: shots, text: x}]\n",
            "prompt[0].segment: `shots` is the segment of the worked examples",
        ),
        (
            PROMPT,
            "prompt: [{text: x}]\n",
            "prompt[0]: the key `segment` is missing",
        ),
        (
            PROMPT,
            "prompt: [{segment: a, text: '{{ text'}]\n",
            "prompt[0].text (segment `a`), line 1, column ",
        ),
        (
            PROMPT,
            "prompt: [{segment: a, text: '{% if false %}x{% endif %}'}]\n",
            "row 0: the prompt of this row is empty",
        ),
        (
            "models: [m]\n",
            "models: [m, m]\n",
            "models[1]: the model `m` is here twice",
        ),
        ("models: [m]\n", "models: []\n", "models: found an empty list"),
    ] {
        let yaml = format!("models: [m]\n{ROWS}{PROMPT}{OPTIONS}").replace(from, to);
        let errors = Site::new().file("content/experiments/e.yaml", &yaml).errors();
        assert!(errors[0].contains(message), "{to}: {errors:#?}");
    }
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
    let errors = Project::load(folder.path(), &Selection::default()).unwrap_err();
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

#[test]
fn hostile_rows_come_through_as_they_are() {
    let hostile = "<script>\"&'\u{202e}\u{0}👍\u{feff}".to_owned() + &"x".repeat(10_000);
    let line = serde_json::json!({"id": hostile, "text": hostile, "label": "true"}).to_string();
    let yaml = format!("models: [m]\ndataset: {{source: data/d.jsonl, id: id, gold: label}}\n{PROMPT}{OPTIONS}");
    let site = Site::new()
        .file("content/data/d.jsonl", &line)
        .file("content/experiments/e.yaml", &yaml);
    let project = site.project();
    let sample = &project.experiments[0].samples[0];
    assert_eq!(
        (sample.id.as_str(), sample.prompt.text.as_str()),
        (hostile.as_str(), format!("{hostile}? (").as_str())
    );
    assert!(name_problem(&sample.slug).is_none());
    assert_eq!(sample.prompt.segments[0].end, hostile.chars().count() + 3);
}

#[test]
fn every_kind_of_data_file_is_read() {
    for (name, text) in [
        ("d.csv", "id,text\n1.0,\"a, b\"\n"),
        ("d.TSV", "id\ttext\r\n1.0\t\"a, b\"\r\n"),
        ("d.jsonl", "{\"id\": 1.0, \"text\": \"a, b\"}\n"),
        ("deep/d.ndjson", "{\"id\": 1.0, \"text\": \"a, b\"}"),
    ] {
        let yaml = format!("models: [m]\ndataset: {{source: data/{name}, id: id}}\n{PROMPT}");
        let site = Site::new()
            .file(&format!("content/data/{name}"), text)
            .file("content/experiments/e.yaml", &yaml);
        let project = site.project();
        let sample = &project.experiments[0].samples[0];
        assert_eq!(
            (sample.id.as_str(), sample.prompt.text.as_str(), sample.gold.as_deref()),
            ("1.0", "a, b? (", None),
            "{name}"
        );
    }
}

#[test]
fn liar_is_found_from_content_from_the_file_or_anywhere() {
    let line = "1.json\ttrue\tSays x\ts\tann-lee\t\t\t\t0\t0\t0\t0\t0\tc";
    let site = Site::new();
    let anywhere = site.0.path().join("liar").display().to_string();
    for (folder, path) in [
        ("content/data/liar", "data/liar"),
        ("content/experiments/liar", "./liar"),
        ("liar", "../../liar"),
        ("liar", anywhere.as_str()),
    ] {
        let yaml = format!(
            "models: [m]\ndataset: {{source: liar, path: {path}, select: {{where: {{split: validation}}}}}}\nprompt: [{{segment: a, text: '{{{{ speaker | speaker_name }}}}: {{{{ statement | after_says }}}}'}}]\n"
        );
        let mut site = Site::new().file("content/experiments/e.yaml", &yaml);
        if path == anywhere {
            // The absolute path is that of the first project.
            for name in ["train.tsv", "test.tsv", "valid.tsv"] {
                std::fs::create_dir_all(&anywhere).unwrap();
                std::fs::write(Path::new(&anywhere).join(name), line).unwrap();
            }
        } else {
            for name in ["train.tsv", "test.tsv", "valid.tsv"] {
                site = site.file(&format!("{folder}/{name}"), line);
            }
        }
        let (project, _) = site.load(&Selection::default()).unwrap();
        let samples = &project.experiments[0].samples;
        assert_eq!(
            (samples.len(), samples[0].id.as_str(), samples[0].prompt.text.as_str()),
            (1, "row-2", "Ann Lee: x"),
            "{path}"
        );
    }
}

#[test]
fn a_broken_data_file_is_told_once_for_all_its_experiments() {
    let yaml = "models: [m]\ndataset: {source: data/d.csv}\nprompt: [{segment: a, text: x}]\n";
    let site = Site::new()
        .file("content/data/d.csv", "a,b\n1\n")
        .file("content/experiments/e.yaml", yaml)
        .file("content/experiments/f.yaml", yaml);
    assert_eq!(site.errors().len(), 1);
    let site = site.file("content/data/d.csv", "a,b\n");
    assert_eq!(site.errors(), ["content/data/d.csv: the data set has no rows"]);
}

#[test]
fn ten_repeated_ids_say_that_the_column_is_wrong() {
    let rows: String = (0..30).map(|row| format!("{},same\n", row % 2)).collect();
    let yaml = "models: [m]\ndataset: {source: data/d.csv, id: id}\nprompt: [{segment: a, text: x}]\n";
    let site = Site::new()
        .file("content/data/d.csv", &format!("id,text\n{rows}"))
        .file("content/experiments/e.yaml", yaml);
    let errors = site.errors();
    assert_eq!(errors.len(), 11);
    assert!(
        errors
            .iter()
            .any(|error| error.contains("dataset.id: the column `id` has 28 empty or repeated ids")),
        "{errors:#?}"
    );
}
