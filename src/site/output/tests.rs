//! The folder from outside: what is written, what is left alone.

use super::*;
use crate::lock::Patience;

fn take(path: &Path) -> Result<Folder> {
    Folder::take(path, Path::new("project"), Patience::None)
}

/// An output with these files staged.
fn stage<'f>(folder: &'f Folder, files: &[(&str, &str)]) -> Result<Output<'f>> {
    let mut output = Output::open(folder)?;
    for (path, text) in files {
        output.add(&OutputFile {
            path: (*path).to_owned(),
            bytes: text.as_bytes().to_vec(),
        })?;
    }
    Ok(output)
}

fn build(path: &Path, files: &[(&str, &str)]) -> Result<Counts> {
    let folder = take(path)?;
    Ok(stage(&folder, files)?.commit()?.0)
}

fn counts(written: usize, unchanged: usize, removed: usize) -> Counts {
    Counts {
        written,
        unchanged,
        removed,
        ..Counts::default()
    }
}

fn listing(folder: &Path) -> Vec<String> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().flatten();
    let files = entries.filter(|entry| entry.path() != folder);
    files
        .map(|entry| entry.path().strip_prefix(folder).expect("inside").display().to_string())
        .collect()
}

#[test]
fn only_what_changed_is_written_and_what_is_gone_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join("new/site");
    assert_eq!(
        build(&site, &[("a.html", "1"), ("d/e/b.html", "2")]).expect("builds"),
        counts(2, 0, 0)
    );
    let mark = fs::read(site.join(MARK)).expect("a mark");
    assert_eq!(
        build(&site, &[("a.html", "1"), ("d/e/b.html", "2")]).expect("builds"),
        counts(0, 2, 0)
    );
    assert_eq!(fs::read(site.join(MARK)).expect("a mark"), mark);
    assert_eq!(build(&site, &[("a.html", "3")]).expect("builds"), counts(1, 0, 1));
    assert_eq!(listing(&site), [MARK, "a.html"]);
}

#[test]
fn a_folder_with_foreign_files_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("thesis.tex"), "years of work").expect("written");
    let error = build(folder.path(), &[("a.html", "1")])
        .expect_err("refused")
        .to_string();
    assert!(error.contains("`thesis.tex`") && error.contains("--output"), "{error}");
    assert_eq!(listing(folder.path()), ["thesis.tex"]);
}

#[test]
fn foreign_files_in_a_marked_folder_stay_and_are_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path();
    build(site, &[("a/x.html", "1")]).expect("builds");
    fs::write(site.join("a/notes.txt"), "mine").expect("written");
    fs::write(site.join("b.html"), "mine").expect("written");
    let error = build(site, &[("a/x.html", "2"), ("b.html", "2")])
        .expect_err("refused")
        .to_string();
    assert!(error.contains("b.html") && error.contains("did not write"), "{error}");
    assert_eq!(
        fs::read(site.join("a/x.html")).expect("kept"),
        b"1",
        "a failed build leaves the old site as it was"
    );
    assert_eq!(build(site, &[("c.html", "2")]).expect("builds"), counts(1, 0, 1));
    assert_eq!(listing(site), [MARK, "a", "a/notes.txt", "b.html", "c.html"]);
}

#[test]
fn a_build_that_stops_half_way_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path().join("site");
    build(&site, &[("a.html", "1")]).expect("builds");
    let before = listing(&site);
    let ours = take(&site).expect("opens");
    drop(stage(&ours, &[("a.html", "2")]).expect("added"));
    drop(ours);
    assert_eq!(listing(&site), before);
    assert_eq!(fs::read(site.join("a.html")).expect("kept"), b"1");
    drop(take(&folder.path().join("never")).expect("opens"));
    assert!(!folder.path().join("never").exists());
}

#[test]
fn an_edited_file_that_is_made_no_more_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path();
    build(site, &[("a.html", "1"), ("b.html", "1")]).expect("builds");
    fs::write(site.join("a.html"), "edited by hand").expect("written");
    let done = build(site, &[("b.html", "1")]).expect("builds");
    assert_eq!(
        done,
        Counts {
            unchanged: 1,
            kept: vec!["a.html".into()],
            ..Counts::default()
        }
    );
}

#[test]
fn a_site_that_is_marked_with_sha_256_is_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path();
    build(site, &[("a.html", "1"), ("b.html", "2")]).expect("builds");
    let mark = fs::read_to_string(site.join(MARK)).expect("a mark");
    let older = |text: &str, mark: &str| mark.replace(&hash_of(text.as_bytes()), &hash::of_bytes(text.as_bytes()));
    fs::write(site.join(MARK), older("1", &older("2", &mark))).expect("written");
    let done = build(site, &[("b.html", "2")]).expect("builds");
    assert_eq!((done.removed, done.kept.len()), (1, 0), "{done:?}");
    assert!(!site.join("a.html").exists());
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_not_followed_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, outside) = (folder.path().join("site"), folder.path().join("outside"));
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("x.html"), "1").expect("written");
    build(&site, &[("d/x.html", "1"), ("a.html", "1")]).expect("builds");
    fs::remove_dir_all(site.join("d")).expect("removed");
    std::os::unix::fs::symlink(&outside, site.join("d")).expect("linked");
    assert!(build(&site, &[("d/x.html", "2")]).is_err());
    build(&site, &[("a.html", "1")]).expect("builds");
    assert!(outside.join("x.html").exists());
}

#[test]
fn a_file_may_become_a_folder_and_a_folder_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    build(folder.path(), &[("a", "1"), ("b/c", "1")]).expect("builds");
    assert_eq!(
        build(folder.path(), &[("a/x", "1"), ("b", "1")]).expect("builds"),
        counts(2, 0, 2)
    );
    assert_eq!(listing(folder.path()), [MARK, "a", "a/x", "b"]);
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in ["../x", "/x", "a//b", "a/./b", "", MARK, "a\\b", "C:/x"] {
        assert!(build(folder.path(), &[(path, "1")]).is_err(), "{path}");
    }
    assert!(build(folder.path(), &[("A.html", "1"), ("a.html", "1")]).is_err());
    fs::write(folder.path().join(MARK), "{").expect("written");
    assert!(
        build(folder.path(), &[])
            .expect_err("damaged")
            .to_string()
            .contains("damaged")
    );
}

#[test]
fn what_was_written_is_told_by_content_and_times_and_not_by_what_stands_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path();
    let ours = take(site).expect("ours");
    let (_, written) = stage(&ours, &[("a.html", "1"), ("d/b.html", "2")])
        .and_then(Output::commit)
        .expect("builds");
    let state = written.state().expect("fine times");
    assert_eq!(ours.state().as_ref(), Some(&state));
    // Found as it should be: the same.
    let (_, again) = stage(&ours, &[("a.html", "1"), ("d/b.html", "2")])
        .and_then(Output::commit)
        .expect("builds");
    assert_eq!(again.state().as_ref(), Some(&state));
    // Another's file before the state is asked for.
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(site.join("d/b.html"), "3").expect("edited");
    assert_eq!(written.state(), None);
    assert_ne!(ours.state(), Some(state));
}

#[test]
fn a_foreign_file_that_comes_while_the_site_is_made_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let site = folder.path();
    build(site, &[("a.html", "1")]).expect("builds");
    let ours = take(site).expect("ours");
    let output = stage(&ours, &[("a.html", "2"), ("new/b.html", "2")]).expect("staged");
    fs::create_dir(site.join("new")).expect("made");
    fs::write(site.join("new/b.html"), "mine").expect("written");
    let error = output.commit().expect_err("in the way").to_string();
    assert!(
        error.contains("new/b.html") && error.contains("did not write"),
        "{error}"
    );
    drop(ours);
    assert_eq!(fs::read(site.join("a.html")).expect("kept"), b"1");
    assert_eq!(fs::read(site.join("new/b.html")).expect("kept"), b"mine");
    assert!(!site.join(STAGE).exists());
}
