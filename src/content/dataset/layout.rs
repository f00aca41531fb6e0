//! Which files of a data set repository hold a split: the layouts that the hub's own converter and most authors use.
//!
//! Pure: names in, names out. `{config}/{split}/0000.parquet` (the branch `refs/convert/parquet`),
//! `data/{split}-00000-of-00002.parquet`, `{config}/{split}-….parquet`, `{split}.csv`, `data/{split}.jsonl`,
//! `{split}/….parquet`. A file of another name is a split of that name. A README that says otherwise is not read.

use std::collections::BTreeSet;

use super::source::Format;

/// The files of one split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In the order in which they are joined.
    pub files: Vec<String>,
    /// How they are laid out: all alike.
    pub format: Format,
    /// The configuration, where the repository has such.
    pub config: Option<String>,
    /// The split, as the repository calls it.
    pub split: String,
}

/// Why there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// No file of a kind that igsite reads.
    Files,
    /// Of these configurations none was named, or another one.
    Config(Vec<String>),
    /// Of these splits none was named, or another one.
    Split(Vec<String>),
    /// This many of this many parts exist.
    Parts(usize, usize),
}

/// A data file's name, taken apart.
struct Part<'a> {
    file: &'a str,
    format: Format,
    config: &'a str,
    split: &'a str,
    /// `00000-of-00002` says 2.
    of: Option<usize>,
}

/// Looks for a split among a repository's files. Without a split named, the only one; without a configuration,
/// `default` or the only one.
pub fn find(files: &[String], config: Option<&str>, split: Option<&str>) -> Result<Found, Missing> {
    // Of a large data set the hub converts a beginning, and calls it so.
    let is_whole = |part: &Part| !part.split.starts_with("partial-") && !part.config.starts_with("partial-");
    let mut parts: Vec<Part> = files
        .iter()
        .filter_map(|file| Part::of(file))
        .filter(is_whole)
        .collect();
    if parts.is_empty() {
        return Err(Missing::Files);
    }
    let configs = names(parts.iter().map(|part| part.config));
    let has = |name: &str| configs.iter().any(|config| config == name);
    let config = match config {
        Some(config) if has(config) => config,
        Some(_) => return Err(Missing::Config(named(configs))),
        None => match (configs.as_slice(), has("default"), has("")) {
            ([only], ..) => only.as_str(),
            (_, true, _) => "default",
            (_, _, true) => "",
            _ => return Err(Missing::Config(configs)),
        },
    };
    parts.retain(|part| part.config == config);
    let splits = names(parts.iter().map(|part| part.split));
    let split = match split {
        Some(split) => splits.iter().find(|known| *known == split).or_else(|| {
            let meant = usual_name(split);
            splits.iter().find(|known| usual_name(known) == meant)
        }),
        None => Some(&splits[0]).filter(|_| splits.len() == 1),
    };
    let Some(split) = split else {
        return Err(Missing::Split(splits));
    };
    parts.retain(|part| part.split == *split);
    // The same rows in two forms are taken once, in the form that says most.
    let Some(format) = parts.iter().map(|part| part.format).min_by_key(|format| format.rank()) else {
        return Err(Missing::Files);
    };
    parts.retain(|part| part.format == format);
    if let Some(of) = parts.iter().filter_map(|part| part.of).max()
        && parts.len() < of
    {
        return Err(Missing::Parts(parts.len(), of));
    }
    parts.sort_by_key(|part| padded(part.file));
    Ok(Found {
        files: parts.iter().map(|part| part.file.to_owned()).collect(),
        format,
        config: Some(config.to_owned()).filter(|config| !config.is_empty()),
        split: split.clone(),
    })
}

impl<'a> Part<'a> {
    /// None for what is no data file, or lies deeper than the layouts go.
    fn of(file: &'a str) -> Option<Self> {
        let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
        let (stem, extension) = name.rsplit_once('.')?;
        let format = Format::of_extension(extension)?;
        let mut folders: Vec<&str> = folders.split('/').filter(|folder| !folder.is_empty()).collect();
        if stem.is_empty() || folders.iter().any(|folder| folder.starts_with('.')) {
            return None;
        }
        if folders.first() == Some(&"data") {
            folders.remove(0);
        }
        let (base, of) = without_shard(stem);
        let (config, split) = match folders.as_slice() {
            [] => ("", base),
            [folder] if is_usual(folder) && !is_usual(base) => ("", *folder),
            [folder] => (*folder, base),
            [config, split] => (*config, *split),
            _ => return None,
        };
        Some(Self {
            file,
            format,
            config,
            split,
            of,
        })
    }
}

/// `train-00000-of-00002`, and the same with a hash behind it, to `train` and 2.
fn without_shard(stem: &str) -> (&str, Option<usize>) {
    let whole = (stem, None);
    let Some((before, after)) = stem.rsplit_once("-of-") else {
        return whole;
    };
    let Some((base, number)) = before.rsplit_once('-') else {
        return whole;
    };
    let count = after.split('-').next().unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match count.parse() {
        Ok(of) if digits(number) && digits(count) => (base, Some(of)),
        _ => whole,
    }
}

/// The names that people give to the three usual splits.
fn usual_name(split: &str) -> &str {
    match split {
        "train" | "training" => "train",
        "validation" | "valid" | "val" | "dev" => "validation",
        "test" | "testing" | "eval" | "evaluation" => "test",
        other => other,
    }
}

fn is_usual(split: &str) -> bool {
    matches!(usual_name(split), "train" | "validation" | "test")
}

/// Each name once, sorted.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().map(str::to_owned).collect()
}

fn named(mut configs: Vec<String>) -> Vec<String> {
    configs.retain(|config| !config.is_empty());
    configs
}

/// Numbers in a name sort as numbers: `10` after `9`.
fn padded(name: &str) -> String {
    let (mut sorted, mut digits) = (String::new(), String::new());
    for c in name.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            digits.push(c);
        } else {
            if !digits.is_empty() {
                sorted += &format!("{digits:0>20}");
                digits.clear();
            }
            sorted.push(c);
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(
        files: &[&str],
        config: Option<&str>,
        split: Option<&str>,
    ) -> Result<(Vec<String>, Option<String>), Missing> {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        find(&files, config, split).map(|found| (found.files, found.config))
    }

    #[test]
    fn the_usual_layouts_are_known() {
        for (files, config, split, expected, of_config) in [
            // refs/convert/parquet
            (
                &[
                    "default/test/0000.parquet",
                    "default/train/0001.parquet",
                    "default/train/0000.parquet",
                ][..],
                None,
                "train",
                &["default/train/0000.parquet", "default/train/0001.parquet"][..],
                Some("default"),
            ),
            (
                &["cola/train/0000.parquet", "sst2/train/0000.parquet"],
                Some("sst2"),
                "train",
                &["sst2/train/0000.parquet"],
                Some("sst2"),
            ),
            // What authors write.
            (
                &[
                    "README.md",
                    "data/train-00001-of-00002-0a1b.parquet",
                    "data/train-00000-of-00002-9f.parquet",
                    "data/test-00000-of-00001.parquet",
                ],
                None,
                "train",
                &[
                    "data/train-00000-of-00002-9f.parquet",
                    "data/train-00001-of-00002-0a1b.parquet",
                ],
                None,
            ),
            (
                &["plain_text/test-00000-of-00001.parquet"],
                None,
                "test",
                &["plain_text/test-00000-of-00001.parquet"],
                Some("plain_text"),
            ),
            (
                &["train.csv", "valid.csv", ".hidden/train.csv"],
                None,
                "validation",
                &["valid.csv"],
                None,
            ),
            (
                &["data/dev.jsonl", "data/train.jsonl"],
                None,
                "dev",
                &["data/dev.jsonl"],
                None,
            ),
            (
                &["train/b9.tsv", "train/b10.tsv", "test/a.tsv"],
                None,
                "train",
                &["train/b9.tsv", "train/b10.tsv"],
                None,
            ),
            (
                &["train.csv", "train.jsonl", "train.parquet", "other/x.csv"],
                None,
                "train",
                &["train.parquet"],
                None,
            ),
            (
                &["alpaca-cleaned.jsonl", "README.md"],
                None,
                "alpaca-cleaned",
                &["alpaca-cleaned.jsonl"],
                None,
            ),
            (
                &["en/questions.csv"],
                None,
                "questions",
                &["en/questions.csv"],
                Some("en"),
            ),
        ] {
            let expected = expected.iter().map(|file| (*file).to_owned()).collect();
            assert_eq!(
                found(files, config, Some(split)),
                Ok((expected, of_config.map(str::to_owned))),
                "{files:?}"
            );
        }
        assert_eq!(found(&["a/only/x.csv"], None, None).map(|found| found.0.len()), Ok(1));
    }

    #[test]
    fn what_is_not_there_is_told_with_what_there_is() {
        let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let files = &["default/test/0000.parquet", "default/train/0000.parquet"];
        assert_eq!(
            found(files, None, Some("tran")),
            Err(Missing::Split(some(&["test", "train"])))
        );
        assert_eq!(found(files, None, None), Err(Missing::Split(some(&["test", "train"]))));
        assert_eq!(
            found(files, Some("de"), Some("train")),
            Err(Missing::Config(some(&["default"])))
        );
        assert_eq!(
            found(&["a/train/0.parquet", "b/train/0.parquet"], None, Some("train")),
            Err(Missing::Config(some(&["a", "b"])))
        );
        assert_eq!(
            found(&["README.md", "x.zip", "a/b/c/d.csv"], None, None),
            Err(Missing::Files)
        );
        assert_eq!(
            found(&["train-00000-of-00003.parquet"], None, Some("train")),
            Err(Missing::Parts(1, 3))
        );
    }
}
