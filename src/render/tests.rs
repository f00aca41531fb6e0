//! The whole site, rendered from fabricated records: every page kind, hostile text, determinism, links.

use std::collections::BTreeMap;
use std::path::Path;

use super::fixture::{self, Fixture};
use super::*;
use crate::analysis::summary;
use crate::content::dataset::Origin;
use crate::content::page::{DataFiles, MapPages, SiteSettings};
use crate::lock::Patience;
use crate::site::links::{LinkCheck, attributes};
use crate::site::output::Folder;
use crate::store::record::SampleRecord;

fn rendered(site: &Site<'_>) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let result = render(site, &mut |file| {
        files.insert(file.path, file.bytes);
        Ok(())
    });
    if let Err(problems) = result {
        panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>());
    }
    files
}

fn text<'a>(files: &'a BTreeMap<String, Vec<u8>>, path: &str) -> &'a str {
    let bytes = files
        .get(path)
        .unwrap_or_else(|| panic!("no {path} in {:?}", files.keys()));
    std::str::from_utf8(bytes).expect("UTF-8")
}

/// A page as snapshots keep it: every edit of the style sheet would change all of them.
fn unhashed(files: &BTreeMap<String, Vec<u8>>, path: &str) -> String {
    let hashes = assets::BUILT_IN.map(|(name, text)| assets::short_hash(&assets::built_in(name, text)));
    hashes.iter().fold(text(files, path).to_owned(), |page, hash| {
        page.replace(hash.as_str(), "HASH")
    })
}

fn broken_links(files: &BTreeMap<String, Vec<u8>>, base_url: Option<&str>) -> Vec<String> {
    let mut check = LinkCheck::new(base_url);
    for (path, bytes) in files {
        check.add(&OutputFile {
            path: path.clone(),
            bytes: bytes.clone(),
        });
    }
    check.finish().iter().map(ToString::to_string).collect()
}

#[test]
fn the_site_is_whole_and_every_link_leads_somewhere() {
    let fixture = Fixture::demo();
    for base_url in [None, Some("https://me.github.io/repo/")] {
        let files = rendered(&fixture.site(base_url));
        assert_eq!(broken_links(&files, base_url), Vec::<String>::new());
        for path in [
            "index.html",
            "404.html",
            ".nojekyll",
            "robots.txt",
            "method/index.html",
            "models/index.html",
            "models/orca-toy/index.html",
            "experiments/claims/index.html",
            "experiments/claims/comparison/index.html",
            "experiments/claims/samples/2600.json/index.html",
            "experiments/claims/maps/llama-toy/2600.json/index.html",
            "data/claims/llama-toy/2600.json.json",
            "data/claims.csv",
            "data/claims.jsonl",
            "search/index.html",
            "search/excerpts/0.js",
        ] {
            assert!(files.contains_key(path), "{path}");
        }
        for (name, text) in assets::BUILT_IN {
            let path = urls::asset(name, &assets::short_hash(&assets::built_in(name, text)));
            assert!(files.contains_key(&path), "{path}");
        }
        assert_eq!(files.contains_key("sitemap.xml"), base_url.is_some());
    }
}

#[test]
fn each_page_kind_looks_as_it_did() {
    let sample = fixture::sample("s-1", "s-1", "Taxes fell twice.", "Ada Merton", "D");
    let fixture = Fixture::of(vec![sample], &["llama-toy", "orca-toy"]);
    let files = rendered(&fixture.site(Some("https://me.github.io/repo/")));
    for (name, path) in [
        ("front", "index.html"),
        ("experiment", "experiments/claims/index.html"),
        ("sample", "experiments/claims/samples/s-1/index.html"),
        ("map", "experiments/claims/maps/llama-toy/s-1/index.html"),
        ("comparison", "experiments/claims/comparison/index.html"),
        ("models", "models/index.html"),
        ("model", "models/orca-toy/index.html"),
        ("page", "method/index.html"),
        ("not_found", "404.html"),
        ("sitemap", "sitemap.xml"),
    ] {
        insta::assert_snapshot!(name, unhashed(&files, path));
    }
}

#[test]
fn pages_of_imported_maps_say_whose_they_are_and_count_nothing() {
    let sample = fixture::sample("s-1", "s-1", "Taxes fell twice.", "Ada Merton", "D");
    let fixture = Fixture::of(vec![sample], &["llama-toy", "orca-toy"]).imported();
    let files = rendered(&fixture.site(None));
    assert_eq!(broken_links(&files, None), Vec::<String>::new());
    for (name, path) in [
        ("imported_experiment", "experiments/claims/index.html"),
        ("imported_map", "experiments/claims/maps/orca-toy/s-1/index.html"),
    ] {
        insta::assert_snapshot!(name, unhashed(&files, path));
    }
    for path in [
        "index.html",
        "experiments/claims/index.html",
        "experiments/claims/samples/s-1/index.html",
        "experiments/claims/maps/llama-toy/s-1/index.html",
        "experiments/claims/comparison/index.html",
    ] {
        let page = text(&files, path);
        assert!(page.contains("igsite did not compute"), "{path}");
        for never in [
            "numerically exact, to",
            "not numerically exact",
            "within tolerance</dt>",
        ] {
            assert!(!page.contains(never), "{never} in {path}");
        }
    }
}

#[test]
fn a_map_says_what_its_rule_knows_of_its_error() {
    let fixture = || {
        let sample = fixture::sample("s-1", "s-1", "Taxes fell twice.", "Ada Merton", "D");
        Fixture::of(vec![sample], &["llama-toy", "orca-toy"])
    };
    let path = "experiments/claims/maps/llama-toy/s-1/index.html";
    let adaptive = rendered(&fixture().adaptive().site(None));
    insta::assert_snapshot!("map_adaptive", unhashed(&adaptive, path));
    let estimated = rendered(&fixture().estimated().site(None));
    insta::assert_snapshot!("map_estimated", unhashed(&estimated, path));
    let unknown = rendered(&fixture().site(None));
    assert!(text(&unknown, path).contains("the error of this rule is not known"));
    assert!(!text(&unknown, path).contains("How the estimate converged"));
}

#[test]
fn a_map_of_a_gpu_says_which_and_how_it_was_looked_at() {
    use crate::store::record::{BesideCpu, DeviceRecord};

    let path = "experiments/claims/maps/llama-toy/s-1/index.html";
    let page = |layers: Option<usize>, driver: Option<&str>, at_input: Option<f64>| {
        let sample = fixture::sample("s-1", "s-1", "Taxes fell twice.", "Ada Merton", "D");
        let mut fixture = Fixture::of(vec![sample], &["llama-toy", "orca-toy"]);
        for record in fixture.records.iter_mut().flatten().flatten() {
            let made = record.provenance.as_mut().unwrap();
            made.backend = crate::terms::DeviceKind::Vulkan;
            made.device = Some(DeviceRecord {
                name: "A <fast> card".into(),
                driver: driver.map(str::to_owned),
                engine: "cubecl 0.11.3".into(),
                autotune: layers.is_some(),
                beside_cpu: BesideCpu {
                    layers,
                    tokens: 81,
                    apart: 2.5e-6,
                    allowed: 1e-3,
                },
                at_input,
            });
        }
        let files = rendered(&fixture.site(None));
        said(text(&files, path), "id=\"provenance\"", "Data:")
    };
    let whole = page(None, Some("driver 7"), Some(1.5e-7));
    for part in [
        "vulkan",
        "A &lt;fast&gt; card",
        "driver 7",
        "cubecl 0.11.3, not tuned",
        "a prompt of the run, 81 tokens: 2.5",
        "allowed",
        "F of whole prompts",
    ] {
        assert!(whole.contains(part), "{part}: {whole}");
    }
    let part = page(Some(4), None, None);
    assert!(
        part.contains("the first 4 layers, 81 tokens") && part.contains("tuned on the device"),
        "{part}"
    );
    assert!(
        !part.contains("Driver") && !part.contains("F of whole prompts"),
        "{part}"
    );
}

/// What a page says between two texts, without its drawings.
fn said<'p>(page: &'p str, from: &str, to: &str) -> String {
    let (_, rest) = page.split_once(from).unwrap_or_else(|| panic!("no {from}"));
    let (part, _) = rest.split_once(to).unwrap_or_else(|| panic!("no {to}"));
    let drawings = part.split("<svg").enumerate();
    let without = drawings.map(|(index, part): (usize, &'p str)| match part.split_once("</svg>") {
        Some((_, rest)) if index > 0 => rest.to_owned(),
        _ => part.to_owned(),
    });
    without.collect()
}

#[test]
fn maps_by_every_method_say_what_they_know_and_what_became_of_their_test() {
    let sample = fixture::sample(
        "s-1",
        "s-1",
        "Taxes fell twice in one year, not once.",
        "Ada Merton",
        "D",
    );
    let fixture = Fixture::of(vec![sample], &["llama-toy", "orca-toy"]).methods();
    let files = rendered(&fixture.site(None));
    assert_eq!(broken_links(&files, None), Vec::<String>::new());
    let page = text(&files, "experiments/claims/maps/llama-toy/s-1/index.html");
    let maps: Vec<&str> = page.split("<section class=\"attribution\"").collect();
    let of = |method: &str| {
        let by = format!(", by <bdi>{method}</bdi></small></h2>");
        *maps
            .iter()
            .find(|map| map.contains(&by))
            .unwrap_or_else(|| panic!("no map {by}"))
    };
    for (name, method) in [
        ("map_gim", "GIM"),
        ("map_occlusion", "occlusion"),
        ("map_shapley", "Shapley values"),
    ] {
        insta::assert_snapshot!(name, said(of(method), "<h3>How right is it?</h3>", "</section>"));
    }
    // A heatmap that is finer than its units says so, and F without a word is there for every map of the same target.
    assert!(of("occlusion").contains("<span class=\"at t\">Scores are of words:"));
    assert!(!of("GIM").contains("<span class=\"at t\">Scores are of words:"));
    assert!(
        maps[1..]
            .iter()
            .all(|map| map.contains(" data-without-w=\"") && map.contains(" data-f=\""))
    );
    // The methods are held beside each other: every two, and each less the first.
    let section = said(page, "<h2 id=\"methods\">", "</section>");
    let targets = section.matches("<h3 id=\"methods-").count();
    assert_eq!(section.matches("<details data-of=\"map-").count(), 4 * targets);
    assert_eq!(
        section.matches("<caption>Rank agreement of every two methods").count(),
        targets
    );
    assert_eq!(section.matches("<th scope=\"row\">").count(), 2 * 10 * targets);
    assert!(section.contains("<th scope=\"col\" class=\"num\" data-sort=\"number\">F without it</th>"));
    // What failed says why, and shows no number.
    let failed = text(&files, "experiments/claims/maps/orca-toy/s-1/index.html");
    assert!(failed.contains("The test failed, and has no numbers: F is not finite where 3 words are removed."));
    let maps = failed.matches("<h3>Is it true?</h3>").count();
    assert_eq!(
        failed.matches("<caption>The map beside what explains nothing").count(),
        maps - 1
    );
}

#[test]
fn an_experiment_says_whether_its_maps_hold_and_which_method_finds_the_cause() {
    let fixture = Fixture::demo().methods();
    let files = rendered(&fixture.site(None));
    assert_eq!(broken_links(&files, None), Vec::<String>::new());
    let page = text(&files, "experiments/claims/index.html");
    insta::assert_snapshot!(
        "experiment_evidence",
        said(
            page,
            "<section aria-labelledby=\"hold\">",
            "<details><summary>Models in numbers</summary>"
        )
    );
    // A row a model, method and target, all of them with a verdict.
    let rows = 4 * 5 * 2;
    let table = said(page, "<table data-figure=\"tests\">", "</table>");
    assert_eq!(table.matches("<th scope=\"row\">").count(), rows);
    assert_eq!(table.matches("class=\"badge ").count(), rows);
    // Of each control a row for each of the tests that did not fail, and one for each map.
    let mut csv = csv::Reader::from_reader(text(&files, "data/claims/tests.csv").as_bytes());
    let names: Vec<String> = csv.headers().expect("a header").iter().map(str::to_owned).collect();
    assert_eq!(names, data::TEST_COLUMNS.map(|(name, _)| name));
    let lines: Vec<csv::StringRecord> = csv.records().map(|row| row.expect("a row")).collect();
    let maps = rows * fixture.records[0][0].len();
    assert_eq!(lines.len(), maps + 5 * (maps - 1));
    let test = &fixture.records[0][0][0].attributions[0].faithfulness[0];
    let first = |column: &str| lines[0][names.iter().position(|name| *name == column).expect(column)].to_owned();
    assert_eq!(first("tested"), "map");
    assert_eq!(first("comprehensiveness").parse::<f64>().ok(), test.comprehensiveness);
    assert_eq!(
        lines.iter().filter(|line| !line[12].is_empty()).count(),
        1,
        "one test failed"
    );
    // The front page has it in a sentence.
    let headline = "every control";
    assert!(text(&files, "index.html").contains(headline) || text(&files, "index.html").contains("position"));
    // Each map's own page has what speaks for it and against it: the known cause, and the tests of such maps.
    let path = "experiments/claims/maps/llama-toy/2600.json/index.html";
    let map = text(&files, path);
    let all = map.matches("<section class=\"attribution\"").count();
    assert_eq!(map.matches("<ul class=\"reasons\">").count(), all);
    assert_eq!(map.matches("good\">known cause</span>").count(), all);
    assert_eq!(map.matches("put to the test</span>").count(), all);
    assert!(map.contains("in the segment claim, where it should be.") && map.contains("#hold\">The tests</a>"));
    let mut elsewhere = Fixture::demo().methods();
    elsewhere.project.experiments[0].expected = vec!["answer".to_owned()];
    let files = rendered(&elsewhere.site(None));
    let map = text(&files, path);
    assert_eq!(map.matches("bad\">known cause</span>").count(), all);
    assert!(map.contains("in the segment claim; it should be in answer."));
    // Without tests there is nothing of it.
    let plain = rendered(&Fixture::demo().site(None));
    assert!(!plain.contains_key("data/claims/tests.csv"));
    assert!(!text(&plain, "experiments/claims/index.html").contains("Do the maps hold?"));
}

#[test]
fn a_map_that_did_not_converge_is_marked_wherever_it_is() {
    let mut fixture = Fixture::demo().adaptive();
    for record in fixture.records.iter_mut().flatten().flatten() {
        for attribution in &mut record.attributions {
            attribution.converged = Some(record.model.id != "orca-toy");
        }
    }
    let files = rendered(&fixture.site(None));
    let count = |path: &str| {
        text(&files, path)
            .matches("<span class=\"badge bad\">not numerically exact</span>")
            .count()
    };
    assert_eq!(count("experiments/claims/index.html"), 6, "one a sample");
    assert_eq!(count("experiments/claims/samples/2600.json/index.html"), 1);
    assert_eq!(count("experiments/claims/maps/orca-toy/2600.json/index.html"), 2);
    assert_eq!(count("experiments/claims/maps/llama-toy/2600.json/index.html"), 0);
    let comparison = text(&files, "experiments/claims/comparison/index.html");
    assert!(comparison.contains("6 of the 24 maps compared here did not reach their tolerance"));
    assert!(count("experiments/claims/comparison/index.html") > 0);
    let map = text(&files, "experiments/claims/maps/orca-toy/2600.json/index.html");
    assert!(map.contains("Not exact: stopped after"), "{map}");
    assert!(
        text(&files, "experiments/claims/index.html").contains("36 of 48 maps are numerically exact, to within 1.0%")
    );
    assert!(text(&files, "models/orca-toy/index.html").contains("0 of 12"));
}

#[test]
fn a_map_that_is_lost_near_the_zero_vector_is_marked_in_words_wherever_it_is() {
    let mut fixture = Fixture::demo().near_zero();
    // Pages with several models show the first map of each record: here the lost one.
    for record in fixture.records.iter_mut().flatten().flatten() {
        record.attributions.reverse();
    }
    fixture.project.experiments[0].attribution.targets.reverse();
    let files = rendered(&fixture.site(None));
    let badge = "<span class=\"badge bad\">not exact: lost near the zero vector</span>";
    for (path, least) in [
        ("experiments/claims/index.html", 6),
        ("experiments/claims/samples/2600.json/index.html", 4),
        ("experiments/claims/maps/orca-toy/2600.json/index.html", 1),
        ("experiments/claims/comparison/index.html", 1),
    ] {
        let page = text(&files, path);
        assert!(
            page.matches(badge).count() >= least,
            "{path}: {}",
            page.matches(badge).count()
        );
    }
    let words = "82.0% of this map is made where the input is a billionth of itself or less";
    let map = text(&files, "experiments/claims/maps/orca-toy/2600.json/index.html");
    for words in [
        words,
        "Do not read the scores of this map.",
        "<code>zero: {from: 0.0001}</code>",
        "<tr><th scope=\"row\">0.000000001</th>",
        "121.0%",
        // The map whose path is entered.
        "zero vector, path from 0.0001 of the input",
        "which the scores leave out: the path is entered at α = 0.0001",
        "the baseline is the input times 0.0001",
    ] {
        assert!(map.contains(words), "{words}");
    }
    assert!(text(&files, "experiments/claims/samples/2600.json/index.html").contains(words));
    // A path without a beginning at zero has nothing of that.
    let others = rendered(&Fixture::demo().adaptive().site(None));
    let other = text(&others, "experiments/claims/maps/orca-toy/2600.json/index.html");
    assert!(!other.contains("near the zero vector") && !other.contains("Made near"));
}

#[test]
fn a_map_that_leaves_out_jumps_of_f_is_marked_in_words_wherever_it_is() {
    let fixture = Fixture::demo().routed();
    // What the experiment counts.
    let maps: Vec<_> = fixture.records[0]
        .iter()
        .flatten()
        .flat_map(|record| &record.attributions)
        .collect();
    let incomplete = maps.iter().filter(|map| summary::is_incomplete(map)).count();
    let converged = maps.iter().filter(|map| map.converged == Some(true)).count();
    let small = maps.iter().filter(|map| summary::is_right(map)).count();
    assert!(
        incomplete > 6 && small > 0 && incomplete + small == converged,
        "{incomplete} {small} {converged}"
    );

    let files = rendered(&fixture.site(None));
    let badge = "<span class=\"badge bad\">incomplete: F jumps where experts change</span>";
    let good = "<span class=\"badge open\">numerically exact</span>";
    let map = text(&files, "experiments/claims/maps/mistral-toy/2600.json/index.html");
    for words in [
        "<p class=\"alarm\">Incomplete. <bdi>The integral converged, with an error estimate of 0.4% of the map, but the \
         scores do not sum to F(input) − F(baseline); delta is ",
        ", 72.8% of F(input) − F(baseline). Where the choice of experts changes along the path (1234 changes), F jumps: by ",
        " in all, the routing residual, which no scores hold. With the input’s experts all along the path \
         (<code>routing: frozen</code>)",
        "<dd>the integral did, by its error estimate; the scores miss F(input) − F(baseline) by the routing residual</dd>",
        "The delta holds the routing residual, which no number of points takes away.",
    ] {
        assert!(map.contains(words), "{words}: {map}");
    }
    assert!(!map.contains(good) && !map.contains("yes, by its error estimate"));
    let sample = text(&files, "experiments/claims/samples/2600.json/index.html");
    assert!(
        sample.contains(badge) && sample.contains("which no scores hold"),
        "{sample}"
    );
    let experiment = text(&files, "experiments/claims/index.html");
    assert!(experiment.contains(badge));
    assert!(experiment.contains(&format!("{small} of 48 maps are numerically exact, to within 1.0%")));
    let told =
        format!("{incomplete} more are incomplete: the choice of experts changes along the path, and F jumps there");
    assert!(experiment.contains(&told), "{experiment}");
    assert!(experiment.contains("73.0% of F(input) − F(baseline) in the median"));
    assert!(text(&files, "models/mistral-toy/index.html").contains("more incomplete</small>"));
    // Compared are the maps of the right answer, whose experts are frozen.
    assert!(!text(&files, "experiments/claims/comparison/index.html").contains("incomplete: F jumps"));
    // Jumps within the tolerance are told, and change nothing.
    let map = text(&files, "experiments/claims/maps/orca-toy/2600.json/index.html");
    assert!(
        map.contains("the routing residual, 0.1% of F(input) − F(baseline), which no scores hold."),
        "{map}"
    );
    assert!(map.contains(good) && !map.contains(badge));
}

#[test]
fn an_experiment_on_a_data_set_of_the_hub_says_which_commit() {
    let mut fixture = Fixture::demo();
    assert!(!text(&rendered(&fixture.site(None)), "experiments/claims/index.html").contains("<dt>Data set</dt>"));
    fixture.project.experiments[0].origin = Some(Origin {
        repository: "ann/claims".into(),
        revision: "refs/convert/parquet".into(),
        commit: "0123456789abcdef".into(),
        config: Some("default".into()),
        split: Some("<b>".into()),
    });
    let files = rendered(&fixture.site(None));
    let line = "<dt>Data set</dt><dd><bdi>ann/claims of the Hugging Face hub, configuration default, split &lt;b&gt;, revision refs/convert/parquet, commit 0123456789abcdef</bdi></dd>";
    assert!(text(&files, "experiments/claims/index.html").contains(line));
}

#[test]
fn the_record_says_what_its_rule_did() {
    let json = |fixture: &Fixture| -> serde_json::Value {
        let record = &fixture.records[0][0][0];
        let json: serde_json::Value = serde_json::from_slice(&data::json(record).expect("JSON")).expect("JSON");
        json["attributions"][0].clone()
    };
    let keys = |json: &serde_json::Value| {
        [
            "steps",
            "estimate_error",
            "tolerance",
            "max_evaluations",
            "error_estimate",
        ]
        .map(|key| json[key].clone())
    };
    let null = serde_json::Value::Null;
    let adaptive = json(&Fixture::demo().adaptive());
    assert_eq!(adaptive["quadrature"], "adaptive");
    assert_eq!(
        keys(&adaptive),
        [null.clone(), null.clone(), 0.01.into(), 4096.into(), 0.0042.into()]
    );
    assert_eq!(adaptive["history"].as_array().expect("rounds").len(), 5);
    assert_eq!(adaptive["history"][4]["evaluations"], 705);
    let fixed = json(&Fixture::demo());
    assert_eq!(
        keys(&fixed),
        [512.into(), false.into(), 0.01.into(), null.clone(), null.clone()]
    );
    assert_eq!((&fixed["errors"], &fixed["history"]), (&null, &serde_json::json!([])));
    let estimated = json(&Fixture::demo().estimated());
    assert_eq!(
        keys(&estimated),
        [512.into(), true.into(), 0.01.into(), null.clone(), 0.0031.into()]
    );
    assert_eq!(estimated["history"][0]["error_estimate"], null);
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let (first, second) = (Fixture::demo(), Fixture::demo());
    assert!(rendered(&first.site(None)) == rendered(&second.site(None)));
}

#[test]
fn nothing_is_loaded_from_elsewhere_and_nothing_needs_inline_scripts_or_styles() {
    let files = rendered(&Fixture::demo().site(None));
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
        let page = std::str::from_utf8(bytes).expect("UTF-8");
        assert!(
            page.contains("Content-Security-Policy") && !page.contains("unsafe-inline"),
            "{path}"
        );
        for (tag, name, value) in attributes(page) {
            assert!(name != "style" && !name.starts_with("on"), "{path}: <{tag} {name}>");
            let loads = name == "src" || (name == "href" && tag == "link");
            assert!(!loads || !value.contains("//"), "{path}: <{tag}> loads {value}");
        }
    }
}

/// Everything a data set may bring that could break a page.
fn hostile() -> Vec<String> {
    vec![
        "<script>alert(1)</script>".into(),
        "\"><img src=x onerror=alert(1)> ' onmouseover='x' &amp; &lt;".into(),
        "</title></textarea></pre></td></table><h1 id=main>".into(),
        "{{ 7 * 7 }} {% raw %} {# x #} [a](javascript:x) <!-- -->".into(),
        "\u{202e}right to left\u{2066} \u{200f}שלום\u{200f} مرحبا \u{feff}bom".into(),
        "🙂👩‍👩‍👧 e\u{301} \u{1f1e9}\u{1f1ea} nul\0 esc\u{1b} bell\u{7} cr\r lf\n tab\t del\u{7f} c1\u{85} \u{fffe}".into(),
        "x".repeat(10_000),
        ",;\"quoted\"\r\n=cmd()|' \"".into(),
        String::new(),
    ]
}

fn hostile_fixture() -> Fixture {
    let samples = hostile()
        .iter()
        .enumerate()
        .map(|(index, text)| fixture::sample(text, &format!("h{index}"), text, text, "D"))
        .collect();
    let mut fixture = Fixture::of(samples, &["llama-toy", "orca-toy"]);
    let bad = "<script>alert('m')</script>\u{202e}\"&";
    fixture.project.experiments[0].title = bad.into();
    fixture.project.experiments[0].yaml = format!("title: {bad}\n");
    for model in fixture.project.models.values_mut() {
        model.title = bad.into();
    }
    for record in fixture.records.iter_mut().flatten().flatten() {
        let prediction = record.prediction.as_mut().expect("a prediction");
        prediction.text = bad.into();
        prediction.token_id = 7;
        record.tokens[0].text = bad.into();
        record.model.source = bad.into();
        record.attributions[0].target.text = bad.into();
        record.attributions[0].baseline = Some(crate::terms::Baseline::Token(bad.to_owned()));
    }
    fixture
}

#[test]
fn hostile_text_is_text_on_every_page() {
    let fixture = hostile_fixture().adaptive();
    let files = rendered(&fixture.site(Some("https://x.example/")));
    assert_eq!(broken_links(&files, Some("https://x.example/")), Vec::<String>::new());
    let known = [
        "html",
        "head",
        "meta",
        "title",
        "link",
        "script",
        "body",
        "a",
        "header",
        "div",
        "nav",
        "ul",
        "li",
        "ol",
        "button",
        "main",
        "h1",
        "h2",
        "h3",
        "p",
        "span",
        "small",
        "i",
        "b",
        "bdi",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "section",
        "article",
        "form",
        "label",
        "input",
        "select",
        "option",
        "output",
        "details",
        "summary",
        "pre",
        "code",
        "dl",
        "dt",
        "dd",
        "blockquote",
        "fieldset",
        "legend",
        "footer",
        "svg",
        "rect",
        "path",
        "circle",
        "sup",
        "em",
        "text",
        "figure",
        "figcaption",
        "u",
    ];
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
        let page = std::str::from_utf8(bytes).expect("UTF-8");
        let scripts = if path == urls::SEARCH { 3 } else { 1 };
        assert_eq!(page.matches("<script").count(), scripts, "{path}: only our own scripts");
        assert_eq!(page.matches("<img").count(), 0, "{path}");
        for forbidden in [
            '\0', '\u{1b}', '\u{7}', '\r', '\u{7f}', '\u{85}', '\u{fffe}', '\u{feff}', '\u{202e}', '\u{2066}',
        ] {
            assert!(!page.contains(forbidden), "{path} holds {forbidden:?}");
        }
        for (tag, name, _) in attributes(page) {
            assert!(known.contains(&tag.as_str()), "{path}: <{tag}>");
            assert!(
                !name.starts_with("on") && name != "style" && !name.contains(['"', '\'', '<']),
                "{path}: <{tag} {name}>"
            );
        }
        balanced(path, page);
        let title = page
            .split("<title>")
            .nth(1)
            .and_then(|rest| rest.split("</title>").next())
            .expect("a title");
        assert!(title.chars().count() < 400, "{path}: {title}");
    }
    let sample = text(&files, "experiments/claims/samples/h5/index.html");
    assert!(sample.contains("nul␀") && sample.contains("esc␛") && sample.contains("👩‍👩‍👧") && sample.contains("⟨U+0085⟩"));
    assert!(text(&files, "experiments/claims/samples/h3/index.html").contains("{{ 7 * 7 }}"));
}

/// Every tag that is opened is closed, in order, as our templates mean it; the ends of cells, rows and items may be
/// left out.
fn balanced(path: &str, page: &str) {
    let void = ["meta", "link", "input", "rect", "path", "circle", "!doctype"];
    let implied = |open: &mut Vec<&str>, ends: &[&str]| {
        while open.last().is_some_and(|name| ends.contains(name)) {
            open.pop();
        }
    };
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let name = piece
            .split(|c: char| c.is_whitespace() || c == '>')
            .next()
            .unwrap_or("");
        if let Some(name) = name.strip_prefix('/') {
            match name {
                "tbody" | "table" => implied(&mut open, &["td", "th", "tr"]),
                "tr" => implied(&mut open, &["td", "th"]),
                "ul" | "ol" => implied(&mut open, &["li"]),
                "div" | "dl" => implied(&mut open, &["dt", "dd"]),
                _ => {}
            }
            assert_eq!(open.pop(), Some(name), "{path}: </{name}>");
        } else if !void.contains(&name.trim_end_matches('/')) {
            match name {
                "td" | "th" => implied(&mut open, &["td", "th"]),
                "tr" => implied(&mut open, &["td", "th", "tr"]),
                "li" => implied(&mut open, &["li"]),
                "dt" | "dd" => implied(&mut open, &["dt", "dd"]),
                _ => {}
            }
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{path}: {open:?} left open");
}

#[test]
fn data_files_read_back_to_the_same() {
    let fixture = hostile_fixture().adaptive();
    let files = rendered(&fixture.site(None));
    let records: Vec<&SampleRecord> = fixture.records[0].iter().flatten().collect();
    for (line, record) in text(&files, "data/claims.jsonl").lines().zip(&records) {
        assert_eq!(&serde_json::from_str::<SampleRecord>(line).expect("JSON"), *record);
    }
    assert_eq!(text(&files, "data/claims.jsonl").lines().count(), records.len());
    let one: SampleRecord = serde_json::from_str(text(&files, "data/claims/orca-toy/h5.json")).expect("JSON");
    assert_eq!(one, fixture.records[0][1][5]);

    let mut csv = csv::Reader::from_reader(text(&files, "data/claims.csv").as_bytes());
    assert_eq!(
        csv.headers().expect("a header").iter().collect::<Vec<_>>(),
        data::COLUMNS.map(|(name, _)| name)
    );
    let mut rows = csv.records().map(|row| row.expect("a row"));
    for record in records {
        for attribution in &record.attributions {
            for (index, token) in record.tokens.iter().enumerate() {
                let row = rows.next().expect("a row a token");
                assert_eq!(
                    (&row[2], &row[4], &row[15]),
                    (
                        record.sample.id.as_str(),
                        record
                            .prediction
                            .as_ref()
                            .map_or("", |prediction| prediction.text.as_str()),
                        token.text.as_str()
                    )
                );
                assert_eq!(
                    row[20].parse::<f64>().expect("a score").to_bits(),
                    attribution.scores[index].to_bits()
                );
                let errors = attribution.errors.as_ref().expect("known");
                assert_eq!(
                    row[21].parse::<f64>().expect("an error").to_bits(),
                    errors[index].to_bits()
                );
                let converged = attribution.converged.expect("a path integral").to_string();
                assert_eq!((&row[11], &row[24]), ("", converged.as_str()));
            }
        }
    }
    assert!(rows.next().is_none());
}

/// Unpacks files of gzip that stand behind each other.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).expect("gzip");
    plain
}

#[test]
fn a_site_that_is_written_smaller_says_the_same() {
    let mut fixture = Fixture::demo();
    let whole = rendered(&fixture.site(None));
    fixture.project.pages[0].site = SiteSettings {
        maps: MapPages::Needed,
        data: DataFiles::Packed,
        ..SiteSettings::default()
    };
    let small = rendered(&fixture.site(None));
    assert_eq!(broken_links(&small, None), Vec::<String>::new());
    let ids = ["falcon-toy", "llama-toy"];
    let (mut kept, mut left) = (0, 0);
    for (model, record) in (0..2).flat_map(|model| fixture.records[0][model].iter().map(move |one| (model, one))) {
        let slug = crate::content::names::slug(&record.sample.id);
        let path = urls::map_page("claims", ids[model], &slug);
        // Where the answer is right, both targets are one map, and the sample's page has it.
        let needed = record.correct == Some(false);
        assert_eq!(small.contains_key(&path), needed, "{path}");
        (kept, left) = (kept + usize::from(needed), left + usize::from(!needed));
        let page = text(&small, &urls::sample("claims", &slug));
        let link = if needed {
            format!("../../maps/{}/{slug}/index.html", ids[model])
        } else {
            format!("index.html#map-{}", ids[model])
        };
        assert!(page.contains(&format!("href=\"{link}\"")), "{slug}: {link}");
        // A record is what all have in common, and its own.
        let packed = text(&small, &urls::records("claims", &slug));
        let packed: serde_json::Value = serde_json::from_str(packed).expect("JSON");
        assert_eq!(packed["schema"], data::RECORDS_SCHEMA);
        let mut together = packed["shared"].as_object().expect("an object").clone();
        assert!(together.contains_key("prompt") && packed["records"][model].get("prompt").is_none());
        together.extend(packed["records"][model].as_object().expect("an object").clone());
        let read: SampleRecord = serde_json::from_value(together.into()).expect("a record");
        assert_eq!(read, *record);
        assert!(!small.contains_key(&urls::record("claims", ids[model], &slug)));
    }
    assert!(kept > 0 && left > 0, "{kept} and {left}");
    for name in ["csv", "jsonl"] {
        let path = format!("data/claims.{name}");
        assert_eq!(unpacked(&small[&format!("{path}.gz")]), whole[&path], "{name}");
        assert!(!small.contains_key(&path));
    }
    let size = |files: &BTreeMap<String, Vec<u8>>| files.values().map(Vec::len).sum::<usize>();
    assert!(small.len() < whole.len() && size(&small) < size(&whole));
}

#[test]
fn links_are_shown_with_cards_where_the_address_is_known() {
    let fixture = Fixture::demo();
    let base_url = "https://me.github.io/repo/";
    let files = rendered(&fixture.site(Some(base_url)));
    let mut cards = 0;
    for (path, bytes) in files.iter().filter(|(path, _)| path.ends_with(".html")) {
        let page = std::str::from_utf8(bytes).expect("UTF-8");
        let image = page.split("og:image\" content=\"").nth(1);
        let image = image.map(|rest| rest.split('"').next().unwrap_or_default());
        let without = ["/comparison/", "/words/", "/pages/"];
        let of_results = path.starts_with("experiments/") && !without.iter().any(|kind| path.contains(kind));
        assert_eq!(image.is_some(), of_results, "{path}");
        let Some(image) = image else { continue };
        let card = &files[image.strip_prefix(base_url).expect("an absolute address")];
        assert_eq!(&card[..8], b"\x89PNG\r\n\x1a\n", "{path}");
        assert!(
            card.len() < 40_000 && page.contains("summary_large_image"),
            "{path}: {}",
            card.len()
        );
        cards += 1;
    }
    let experiment = &fixture.project.experiments[0];
    let each = experiment.samples.len() * (1 + experiment.models.len());
    assert_eq!(cards, 1 + each, "an experiment, its samples, the maps of every model");
    let without = rendered(&fixture.site(None));
    assert!(!without.keys().any(|path| path.ends_with("card.png")));
    assert!(!text(&without, "experiments/claims/index.html").contains("og:image"));
}

#[test]
fn a_marked_record_is_said_and_never_drawn() {
    let mut fixture = Fixture::demo();
    fixture::mark_non_finite(&mut fixture.records[0][0][0]);
    let files = rendered(&fixture.site(None));
    assert_eq!(broken_links(&files, None), Vec::<String>::new());
    let map = text(&files, "experiments/claims/maps/falcon-toy/2600.json/index.html");
    assert!(
        map.contains("marked: not finite") && map.contains("was not finite at α = 0") && !map.contains("class=\"map\"")
    );
    let sample = text(&files, "experiments/claims/samples/2600.json/index.html");
    assert_eq!(sample.matches("<div class=\"map\"").count(), 3, "three models");
    let rows = |from: &str| said(sample, from, "</ul>").matches("<li").count();
    assert_eq!(
        (rows("id=\"map\""), rows("id=\"differences\"")),
        (4, 3),
        "three models have differences"
    );
    assert!(
        said(sample, "id=\"map\"", "</section>").contains("<dd>–"),
        "no map, no score"
    );
    assert!(text(&files, "experiments/claims/index.html").contains("2 maps are marked"));
    assert!(text(&files, "data/claims.csv").contains("gradient at 0"));
}

#[test]
fn a_fixed_rule_never_looks_more_certain_than_it_is() {
    let files = rendered(&Fixture::demo().site(None));
    let map = text(&files, "experiments/claims/maps/orca-toy/2637.json/index.html");
    assert!(
        map.contains("Error estimate unknown") && map.contains("not sufficient"),
        "{map}"
    );
    assert!(text(&files, "index.html").contains("the error of single scores is unknown"));
}

#[test]
fn an_experiment_without_options_models_or_samples_still_renders() {
    let mut fixture = Fixture::demo();
    let experiment = &mut fixture.project.experiments[0];
    experiment.options.clear();
    experiment.samples.iter_mut().for_each(|sample| sample.gold = None);
    for record in fixture.records.iter_mut().flatten().flatten() {
        (record.correct, record.sample.gold) = (None, None);
        record.options.clear();
    }
    let files = rendered(&fixture.site(None));
    assert!(!text(&files, "experiments/claims/index.html").contains("Confusion"));

    let empty = Fixture::of(Vec::new(), &["llama-toy"]);
    assert_eq!(broken_links(&rendered(&empty.site(None)), None), Vec::<String>::new());
    let nothing = Site {
        project: &empty.project,
        results: Vec::new(),
        base_url: None,
    };
    assert!(text(&rendered(&nothing), "index.html").contains("No experiment has been built yet"));
}

#[test]
fn two_things_for_one_path_are_refused() {
    let mut fixture = Fixture::demo();
    let mut page = fixture.project.pages[1].clone();
    page.path = "content/Models/index.md".into();
    page.route = vec!["Models".into(), "index".into()];
    page.markdown = "x".into();
    fixture.project.pages.push(page);
    let error = render(&fixture.site(None), &mut |_| Ok(())).expect_err("refused");
    let told: String = error.iter().map(ToString::to_string).collect();
    assert!(
        told.contains("both make") && told.contains("content/Models/index.md"),
        "{told}"
    );
}

#[test]
fn missing_records_are_said() {
    let mut fixture = Fixture::demo();
    fixture.records[0][1].pop();
    let error = render(&fixture.site(None), &mut |_| Ok(())).expect_err("refused");
    assert!(error.iter().any(|problem| {
        problem
            .to_string()
            .contains("has not a record for every model and sample")
    }));
}

/// Not a check but a tool: `cargo test --lib fixture_site -- --ignored` writes `target/fixture-site` to be looked at.
#[test]
#[ignore = "writes a site to look at"]
fn fixture_site() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fixture-site");
    for (name, fixture) in [
        ("demo", Fixture::demo()),
        ("hostile", hostile_fixture()),
        ("adaptive", Fixture::demo().adaptive()),
        ("estimated", Fixture::demo().estimated()),
        ("methods", Fixture::demo().adaptive().methods()),
    ] {
        let folder = Folder::take(&target.join(name), Path::new("."), Patience::None);
        let done = folder.map(|mut folder| crate::publish::write(&fixture.site(None), &mut folder).map(|_| ()));
        assert!(matches!(done, Ok(Ok(()))), "{done:?}");
    }
}

#[test]
fn pages_are_light() {
    let claim = "The new canal will make the desert rain, and the fish will walk to market by themselves on every second day of a long and dry summer.";
    let sample = fixture::sample("s-1", "s-1", claim, "Sid Quill", "F");
    let fixture = Fixture::of(vec![sample], &["falcon-toy", "llama-toy", "mistral-toy", "orca-toy"]).adaptive();
    let tokens: usize = fixture.records[0].iter().map(|records| records[0].tokens.len()).sum();
    assert!(tokens >= 400, "{tokens}");
    let files = rendered(&fixture.site(None));
    for (path, most) in [("samples/s-1", 60_000), ("maps/falcon-toy/s-1", 61_000)] {
        let bytes = files[&format!("experiments/claims/{path}/index.html")].len();
        assert!(bytes < most, "{path} has {bytes} bytes");
    }
}
