//! What shortcodes stand for: a heatmap, a comparison, a table or a plot of an experiment, set into the author's text.
//!
//! One function a kind, each thin: what it shows comes from the functions that the site's own pages are made with,
//! drawn on the scale that those pages have, and around it stands a template of `shortcodes/`. Any other name is that
//! of the project's own `templates/shortcodes/NAME.html`, which gets its arguments as variables.

mod claims;
pub mod names;
mod tables;
mod views;

use std::collections::BTreeMap;

use self::names::{Arguments, KINDS, Picked, What};
use crate::analysis::results::Results;
use crate::content::names::{nearest, quoted, shortened};
use crate::content::project::Project;
use crate::diagnostic::Diagnostic;
use crate::render::markdown::headings::Ids;
use crate::render::markdown::shortcode::{Call, Value};
use crate::render::markdown::{Refusal, Shortcodes, Shown};
use crate::render::text::escape;
use crate::render::theme::Theme;
use crate::site::urls::Links;

/// Everything that shortcodes on one page are made from.
pub struct Embeds<'a> {
    /// Experiments, models and samples by name.
    pub project: &'a Project,
    /// The results; none while a project is only checked.
    pub results: &'a [Results<'a>],
    /// The templates.
    pub theme: &'a Theme,
    /// Links of the page.
    pub links: &'a Links,
    /// The experiment whose own description this is: shortcodes in it need not name it.
    pub own: Option<&'a str>,
}

impl Shortcodes for Embeds<'_> {
    fn html(&self, call: &Call, ids: &mut Ids) -> Result<Shown, Vec<Refusal>> {
        let own_template = template(&call.name);
        let Some((kind, known)) = KINDS.iter().find(|(kind, _)| *kind == call.name) else {
            return if self.theme.has(&own_template) {
                self.own_shortcode(call, &own_template)
            } else {
                Err(vec![self.unknown(call)])
            };
        };
        let node = call.node();
        let mut arguments = Arguments::of(call, &node, known, self.own);
        let picked = names::pick(kind, &mut arguments, self.project);
        let caption = arguments.caption();
        let refused = arguments.refused();
        if !refused.is_empty() {
            return Err(refused);
        }
        match picked {
            Some(Picked::LeftOut(id)) => Ok(left_out(&id, call.at)),
            Some(Picked::Embed { experiment, what }) => {
                let results = self
                    .results
                    .iter()
                    .find(|results| results.experiment.id == experiment.id);
                // While a project is only checked there is nothing to show yet.
                let Some(results) = results else {
                    return Ok(Shown::default());
                };
                let html = match &what {
                    What::Claim(claim) => return self.claim(results, claim, caption, ids, call.at),
                    What::Verdict(pick) => return self.verdict(results, pick, caption, ids, call.at),
                    _ => views::html(self, results, what, caption, ids),
                };
                html.map(plain).map_err(|diagnostic| vec![nowhere(diagnostic)])
            }
            None => Err(vec![self.unknown(call)]),
        }
    }
}

impl Embeds<'_> {
    fn own_shortcode(&self, call: &Call, template: &str) -> Result<Shown, Vec<Refusal>> {
        let arguments: BTreeMap<&str, &Value> = call
            .arguments
            .iter()
            .map(|argument| (argument.name.as_str(), &argument.value))
            .collect();
        match self.theme.render(template, &arguments) {
            Ok(html) => Ok(plain(String::from_utf8_lossy(&html).into_owned())),
            Err(diagnostic) => {
                let used = Diagnostic::content(format!("shortcode `{}` fails", call.name));
                let used = used.help("the error in its template is told beside this one");
                Err(vec![Refusal::at(call.at, used), nowhere(diagnostic)])
            }
        }
    }

    fn unknown(&self, call: &Call) -> Refusal {
        let own = self.theme.own_shortcodes();
        let known = || {
            KINDS
                .iter()
                .map(|(kind, _)| *kind)
                .chain(own.iter().map(String::as_str))
        };
        let mut error = Diagnostic::content(format!("there is no shortcode `{}`", shortened(&call.name)))
            .expected(format!("one of {}", quoted(known())));
        error.help = Some(match nearest(&call.name, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!(
                "a shortcode of your own is a file templates/{}",
                template(&shortened(&call.name))
            ),
        });
        Refusal::at(call.at, error)
    }
}

fn template(name: &str) -> String {
    format!("shortcodes/{name}.html")
}

fn plain(html: String) -> Shown {
    Shown {
        html,
        warnings: Vec::new(),
    }
}

/// An error that names its place itself.
fn nowhere(diagnostic: Diagnostic) -> Refusal {
    Refusal { at: None, diagnostic }
}

/// A build of some experiments is still a build: the place says what is missing there, and so does a warning.
fn left_out(id: &str, at: usize) -> Shown {
    let warning = Diagnostic::content(format!("experiment `{id}` is not in this build, and the page says so"))
        .help("build without --experiment, or name this one too");
    Shown {
        html: format!(
            "<p class=\"left-out\">Not in this build: experiment <code>{}</code>.</p>\n",
            escape(id)
        ),
        warnings: vec![Refusal::at(at, warning)],
    }
}

#[cfg(test)]
mod tests;
