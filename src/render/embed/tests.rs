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
        content: Path::new("content"),
        book: None,
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
    let path = urls::map_page("claims", "llama-toy", sample);
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
    // By word, the maps of all models stand below each other as on the sample's page.
    let list = |html: &str| {
        let list = html[html.find("<dl class=\"inter").expect("a list")..]
            .split("</dl>")
            .next();
        let (_, cells) = list.and_then(|list| list.split_once('>')).expect("its cells");
        cells.to_owned()
    };
    let path = urls::sample("claims", "2600.json");
    assert_eq!(list(&html), list(std::str::from_utf8(&pages[&path]).expect("UTF-8")));
    let models = fixture.project.experiments[0].models.len();
    assert_eq!(html.matches("<dd").count(), models * html.matches("<dt").count());
    // By another level, each has its own page's colours.
    let html = shown(
        &fixture,
        None,
        "{{ comparison(experiment=\"claims\", sample=\"2600.json\", level=\"segment\") }}",
    )
    .expect("fine")
    .html;
    let maps: Vec<&str> = html.split("<div class=\"map\"").skip(1).collect();
    assert_eq!(maps.len(), models);
    for map in maps {
        let map = map.split("</div>").next().expect("its end");
        assert!(page.contains(map), "{map}");
    }
}

#[test]
fn a_map_of_some_segments_has_their_words_and_scores_alone() {
    let fixture = Fixture::demo().adaptive();
    let call = |more: &str| {
        let text = format!("{{{{ heatmap(experiment=\"claims\", model=\"llama-toy\", sample=\"2600.json\"{more}) }}}}");
        let html = shown(&fixture, None, &text).expect("fine").html;
        html[html.find("<div class=\"map\"").expect("a map")..].to_owned()
    };
    let (whole, claim) = (call(""), call(", segments=\"subject\""));
    let numbers = |html: &str, level: &str| -> Vec<String> {
        let given = attribute(html, &format!("data-{level}"))[0].to_owned();
        given.split(' ').map(str::to_owned).collect()
    };
    let record = &fixture.records[0][1][0];
    let segment = record.segments.iter().find(|segment| segment.name == "claim");
    let segment = segment.expect("a claim");
    let text = crate::content::units::CharText::new(&record.prompt);
    let claimed = text.slice(segment.start, segment.end);
    // Its text, word by word, and nothing else.
    let parts = claim.split("</div>").next().expect("its end").split('<').skip(1);
    let plain: String = parts
        .filter_map(|part| part.split_once('>'))
        .map(|(_, text)| text)
        .collect();
    assert_eq!(plain.trim(), escape(claimed).trim());
    for level in ["t", "w", "s"] {
        let (all, some) = (numbers(&whole, level), numbers(&claim, level));
        let is_part = all.windows(some.len()).any(|part| part == some);
        assert!(some.len() < all.len() && is_part, "{level}: {some:?}");
    }
    assert_eq!(numbers(&claim, "g").len(), 1);
    assert!(claim.contains("<bdi>claim</bdi>"), "the caption says so");
    let two = call(", segments=[\"claim\", \"answer\"]");
    assert!(two.contains(" … "), "pieces that are no neighbours");
    let compared = |names: &str| {
        let text = format!("{{{{ comparison(sample=\"2600.json\", segments=[\"{names}\"]) }}}}");
        shown(&fixture, Some("claims"), &text)
    };
    let wrong = compared("clami").unwrap_err();
    assert!(
        wrong.contains("has no segment `clami`") && wrong.contains("did you mean `claim`?"),
        "{wrong}"
    );
    let html = compared("claim").expect("fine").html;
    assert_eq!(html.matches("class=\"inter").count(), 1);
    assert!(
        html.contains("<small>claim</small>") && !html.contains("rest of prompt"),
        "{html}"
    );
}

#[test]
fn a_claim_is_a_sentence_while_it_is_true() {
    let fixture = Fixture::demo().adaptive();
    let site = fixture.site(None);
    let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
    let (word, score) = results.reasons(1, 0, 1)[0];
    let (name, number) = (results.word(0, word), crate::render::text::signed(score));
    let (is, is_not) = if score > 0.0 {
        ("above", "below")
    } else {
        ("below", "above")
    };
    let call = |more: &str| shown(&fixture, Some("claims"), &format!("Text.\n\n{{{{ claim({more}) }}}}\n"));
    let of = format!("model=\"llama-toy\", sample=\"2600.json\", word=\"{name}\"");
    let html = call(&format!("{of}, is=\"{is}\"")).expect("true").html;
    assert!(
        html.contains(&number) && html.contains("The score of the word"),
        "{html}"
    );
    assert!(
        html.contains("href=\"../../experiments/claims/samples/2600.json/index.html\""),
        "{html}"
    );
    let own = format!("{of}, is=\"{is}\", text=\"It is {{score}} for {{models}}.\"");
    let own = call(&own).expect("true").html;
    assert!(own.contains(&format!("It is {number} for Llama Toy.")), "{own}");
    let wrong = call(&format!("{of}, is=\"{is_not}\"")).unwrap_err();
    for told in [
        "content/docs/page.md:3:4: this claim is not true: the score of the word “",
        &format!("Llama Toy ({number}"),
        &format!("expected: it is {is_not} 0"),
        "experiments/claims/samples/2600.json/index.html has the numbers",
    ] {
        assert!(wrong.contains(told), "{told}: {wrong}");
    }
    // Over all samples, and against something else: not both are true.
    let share = |is: &str| {
        call(&format!(
            "segment=\"claim\", of=\"share\", is=\"{is}\", than=\"answer\""
        ))
    };
    assert!(share("more than").is_err() || share("less than").is_err());
    let accuracy = call("model=\"llama-toy\", of=\"accuracy\", is=\"above\", value=\"0.01\"");
    let accuracy = accuracy.expect("true").html;
    assert!(
        accuracy.contains("The share of right answers is above 1.0%"),
        "{accuracy}"
    );
    for (wrong, expected) in [
        (
            "word=\"x\", is=\"above\"",
            "no sample of experiment `claims` has a word `x`",
        ),
        ("segment=\"clami\", is=\"above\"", "did you mean `claim`?"),
        ("is=\"above\"", "neither is given"),
        ("segment=\"claim\"", "`is` is missing"),
        ("segment=\"claim\", is=\"more than\"", "needs what of"),
        (
            "segment=\"claim\", is=\"above\", than=\"answer\"",
            "`than` means nothing here",
        ),
        ("segment=\"claim\", is=\"above\", value=\"much\"", "expected: a number"),
        (
            "segment=\"claim\", is=\"above\", text=\"{socre}\"",
            "`{socre}` stands for nothing",
        ),
    ] {
        let error = call(wrong).unwrap_err();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn a_number_within_its_error_states_nothing() {
    let mut fixture = Fixture::demo().adaptive();
    for map in &mut fixture.records[0][1][0].attributions {
        map.errors = Some(vec![10.0; map.scores.len()]);
    }
    for is in ["above", "below"] {
        let of = format!("{{{{ claim(model=\"llama-toy\", sample=\"2600.json\", segment=\"claim\", is=\"{is}\") }}}}");
        let error = shown(&fixture, Some("claims"), &of).unwrap_err();
        assert!(error.contains("this claim is not true"), "{is}: {error}");
    }
}

#[test]
fn a_verdict_says_what_came_of_the_tests_and_holds_the_author_to_it() {
    let fixture = Fixture::demo().methods();
    let html = shown(&fixture, Some("claims"), "{{ verdict(model=\"llama-toy\") }}");
    let html = html.expect("fine").html;
    assert!(
        html.contains("class=\"badge") && html.contains("<bdi>Llama Toy</bdi>"),
        "{html}"
    );
    assert!(!html.contains("Falcon Toy"));
    let site = fixture.site(None);
    let results = Results::of(&fixture.project, &site.results[0]).expect("whole");
    let first = |model: &&str| {
        let mut tested = results.evidence.tested.iter();
        tested
            .find(|maps| maps.common.model == **model)
            .and_then(|maps| maps.standing)
    };
    let better = Some(crate::analysis::bootstrap::Standing::Better);
    let holds = ["falcon-toy", "llama-toy"].iter().all(|model| first(model) == better);
    let said = shown(&fixture, Some("claims"), "{{ verdict(is=\"better\") }}");
    assert_eq!(said.is_ok(), holds);
    if let Err(error) = said {
        assert!(
            error.starts_with("content/docs/page.md:1:4: these maps do not beat"),
            "{error}"
        );
    }
    let untested = shown(&Fixture::demo(), Some("claims"), "{{ verdict() }}").unwrap_err();
    assert!(untested.contains("does not put its maps to the test"), "{untested}");
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
