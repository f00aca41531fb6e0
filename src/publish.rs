//! A rendered site on its way into its folder: every file is checked and staged as it is rendered, and nothing in the
//! folder changes unless all of it is right.

use std::collections::HashSet;

use crate::diagnostic::{Diagnostic, Diagnostics, Kind};
use crate::interrupt;
use crate::render::{self, Receiver, Site};
use crate::site::links::{FileLinks, LinkCheck};
use crate::site::output::{Counts, Folder, Growing, Looked, Output, Written};
use crate::site::publish::{PublishCheck, Weighed};
use crate::site::{OutputFile, blamed, urls};

/// Renders a site, checks every link of it and writes what changed into `folder`. Nothing in the folder changes unless
/// all of it went well.
pub fn write(site: &Site<'_>, folder: &mut Folder) -> Result<(Counts, Written), Diagnostics> {
    folder.renew()?;
    if let Some(base_url) = &site.base_url {
        check_base_url(base_url)?;
    }
    let mut writer = Writer {
        links: LinkCheck::new(site.base_url.as_deref()),
        publish: PublishCheck::default(),
        output: Output::open(folder)?,
    };
    render::render_to(site, &mut writer)?;
    let broken = writer.links.broken();
    if !broken.is_empty() {
        return Err(blamed(site.project, &broken));
    }
    let (mut counts, written) = writer.output.commit()?;
    counts.warnings = writer.publish.finish(site.base_url.as_deref());
    Ok((counts, written))
}

/// Renders what needs no results, and tells what a build of it would refuse.
pub fn rehearse(site: &Site<'_>) -> Result<(), Diagnostics> {
    let mut links = LinkCheck::new(site.base_url.as_deref());
    render::render(site, &mut |file| {
        links.add(&file);
        Ok(())
    })?;
    let pages: HashSet<String> = site.project.pages.iter().map(|page| urls::page(&page.route)).collect();
    // What stands in these comes with the results.
    let of_results = |path: &str| site.project.book.is_none() && RESULTS.iter().any(|folder| path.starts_with(folder));
    let broken = links.certain(|page, path| pages.contains(page) && !of_results(path));
    if broken.is_empty() {
        Ok(())
    } else {
        Err(blamed(site.project, &broken))
    }
}

/// Folders of the site whose files need results.
const RESULTS: [&str; 4] = ["experiments/", "models/", "data/", "search/"];

/// Checks links and stages files as they are rendered.
struct Writer<'f> {
    links: LinkCheck,
    publish: PublishCheck,
    output: Output<'f>,
}

impl Receiver for Writer<'_> {
    type Looked = (FileLinks, Weighed, Looked);
    type Growing = Growing;

    fn look(&self, file: &OutputFile) -> Result<Self::Looked, Diagnostic> {
        interrupt::check()?;
        Ok((self.links.scan(file), Weighed::of(file), self.output.look(file)?))
    }

    fn begin(&self, path: &str) -> Result<Growing, Diagnostic> {
        self.output.begin(path)
    }

    fn grow(file: &mut Growing, part: &[u8]) -> Result<(), Diagnostic> {
        file.add(part)
    }

    fn end(&self, file: Growing) -> Result<Self::Looked, Diagnostic> {
        let links = FileLinks::none(file.path());
        let weighed = Weighed::of_data(file.path(), file.bytes());
        Ok((links, weighed, self.output.end(file)?))
    }

    fn take(&mut self, (links, weighed, file): Self::Looked) -> Result<(), Diagnostic> {
        self.links.take(links);
        self.publish.take(weighed);
        self.output.take(file)
    }
}

/// A base URL as links are made with it: absolute, `http` or `https`, without query or fragment.
pub fn check_base_url(base_url: &str) -> Result<(), Diagnostic> {
    let rest = base_url
        .strip_prefix("https://")
        .or_else(|| base_url.strip_prefix("http://"));
    let valid = rest.is_some_and(|rest| {
        let host = rest.split('/').next().unwrap_or("");
        !host.is_empty() && !rest.contains(['?', '#', '"', '<', '>', '\\']) && !rest.contains(char::is_whitespace)
    });
    if valid {
        return Ok(());
    }
    Err(
        Diagnostic::new(Kind::Content, format!("`{base_url}` cannot be the base URL"))
            .expected("an address such as https://me.github.io/repo/"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_an_address_of_a_folder() {
        for good in ["https://me.github.io/repo/", "http://localhost:8000"] {
            assert!(check_base_url(good).is_ok(), "{good}");
        }
        for bad in [
            "me.github.io",
            "ftp://x/",
            "https://",
            "https://x/?a",
            "https://x y/",
            "/repo/",
        ] {
            assert!(check_base_url(bad).is_err(), "{bad}");
        }
    }
}
