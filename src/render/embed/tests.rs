use std::path::Path;

use super::*;
use crate::content::project::LeftOut;
use crate::render::fixture::Fixture;
use crate::render::markdown::{Rendered, Setting, Source, render};
use crate::site::urls;

/// A text on a page of the fixture's site.
fn shown(fixture: &Fixture, own: Option<&str>, text: &str) -> Result<Rendered, String> {
    let site = fixture.site(None);
    let results: Vec<Results<'_>> = site
        .results
        .iter()
        .map(|results| Results::of(&fixture.project, results).expect("whole"))
        .collect();
    let theme = Theme::load(&fixture.project.root).expect("templates");
    let links = Links::on("docs/page/index.html");
    let shortcodes = Embeds {
        project: &fixture.project,
        results: &results,
        theme: &theme,
        links: &links,
        own,
    };
    let setting = Setting {
        links: &links,
        pages: &BTreeMap::new(),
        shortcodes: &shortcodes,
    };
    let source = Source {
        text,
        file: Path::new("content/docs/page.md"),
        first_line: Some(1),
        folder: "docs".to_owned(),
        prefix: "",
    };
    render(&source, "", &setting).map_err(|errors| errors.iter().map(|error| format!("{error}\n")).collect())
}

fn attribute<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
    let start = format!(" {name}=\"");
    html.split(&start)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn a_heatmap_has_the_colours_of_its_own_page() {
    let fixture = Fixture::demo();
    let mut pages = BTreeMap::new();
    let site = fixture.site(None);
    let done = crate::render::render(&site, &mut |file| {
        pages.insert(file.path, file.bytes);
        Ok(())
    });
    assert!(done.is_ok());
    // Where the answer is right, both targets are one map.
    let wrong = fixture.records[0][1]
        .iter()
        .find(|record| record.correct == Some(false));
    let sample = &wrong.expect("a wrong answer").sample.id;
    let path = urls::map("claims", "llama-toy", sample);
    let page = std::str::from_utf8(&pages[&path]).expect("UTF-8");
    for level in ["token", "word", "sentence", "segment"] {
        for target in ["predicted", "gold"] {
            let text = format!(
                "{{{{ heatmap(experiment=\"claims\", model=\"llama-toy\", sample=\"{sample}\", target=\"{target}\", level=\"{level}\") }}}}"
            );
            let html = shown(&fixture, None, &text).expect("fine").html;
            let map = &html[html.find("<div class=\"map\"").expect("a map")
                ..html.find("<div class=\"legend\">").expect("a legend")];
            assert!(page.contains(map), "{level} {target}");
        }
    }
    let path = urls::sample("claims", "2600.json");
    let page = std::str::from_utf8(&pages[&path]).expect("UTF-8");
    let html = shown(
        &fixture,
        None,
        "{{ comparison(experiment=\"claims\", sample=\"2600.json\") }}",
    )
    .expect("fine")
    .html;
    let maps: Vec<&str> = html.split("<div class=\"map\"").skip(1).collect();
    assert_eq!(maps.len(), fixture.project.experiments[0].models.len());
    for map in maps {
        let map = map.split("</div>").next().expect("its end");
        assert!(page.contains(map), "{map}");
    }
}

#[test]
fn ids_are_new_and_links_lead_to_pages() {
    let fixture = Fixture::demo();
    let one = "{{ heatmap(experiment=\"claims\", model=\"llama-toy\", sample=\"2600.json\") }}\n\n";
    let html = shown(&fixture, None, &format!("## Map\n\n{one}{one}{one}"))
        .expect("fine")
        .html;
    let ids = attribute(&html, "id");
    assert_eq!(ids, ["map", "map-2", "map-3", "map-4"]);
    let site = fixture.site(None);
    let mut files = std::collections::BTreeSet::new();
    let done = crate::render::render(&site, &mut |file| {
        files.insert(file.path);
        Ok(())
    });
    assert!(done.is_ok());
    for href in attribute(&html, "href")
        .into_iter()
        .filter(|href| !href.starts_with('#'))
    {
        let path = href.strip_prefix("../../").expect("a link from docs/page/");
        assert!(files.contains(path), "{href}");
    }
}

#[test]
fn a_description_means_its_own_experiment() {
    let fixture = Fixture::demo();
    let text = "{{ plot(of=\"accuracy\") }}";
    assert!(
        shown(&fixture, Some("claims"), text)
            .expect("fine")
            .html
            .contains("data-figure=\"accuracy\"")
    );
    assert!(
        shown(&fixture, None, text)
            .unwrap_err()
            .contains("`experiment` is missing")
    );
}

#[test]
fn a_marked_record_is_said_not_drawn() {
    let mut fixture = Fixture::demo();
    for attribution in fixture.records[0]
        .iter_mut()
        .flatten()
        .flat_map(|record| &mut record.attributions)
    {
        attribution.non_finite = Some(crate::terms::NonFinite {
            alpha: 0.5,
            what: crate::terms::PathValue::Output,
        });
        attribution.scores.clear();
    }
    for text in [
        "{{ heatmap(model=\"llama-toy\", sample=\"2600.json\") }}",
        "{{ comparison(sample=\"2600.json\") }}",
    ] {
        let html = shown(&fixture, Some("claims"), text).expect("fine").html;
        assert!(
            html.contains("marked: no map") && !html.contains("class=\"map\""),
            "{html}"
        );
    }
}

#[test]
fn experiments_that_are_left_out() {
    let mut fixture = Fixture::demo();
    fixture.project.left_out = BTreeMap::from([
        ("later".to_owned(), LeftOut::Draft),
        ("other".to_owned(), LeftOut::NotChosen),
    ]);
    let of = |id: &str| {
        shown(
            &fixture,
            None,
            &format!("{{{{ table(experiment=\"{id}\", of=\"models\") }}}}"),
        )
    };
    assert!(of("later").unwrap_err().contains("is a draft"));
    let other = of("other").expect("a page");
    assert!(other.html.contains("Not in this build") && other.warnings.iter().count() == 1);
    assert!(of("lateer").unwrap_err().ends_with("did you mean `later`?\n"));
}
