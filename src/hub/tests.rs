//! The hub's library side against the server of `tests/support`: data sets, pinned commits, faults that last.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

#[path = "../../tests/support/hub_server.rs"]
mod hub_server;

use hub_server::{COMMIT, HubServer, What, git_hash, sha256};

const PARQUET: &str = "refs/convert/parquet";

fn hub(endpoint: &str, cache: &Path, offline: bool) -> Hub {
    let hub = Hub {
        patience: Patience {
            pauses: vec![Duration::from_millis(1); 3],
            ..Patience::default()
        },
        // Small and short: a test does not wait.
        limits: Limits {
            listing_bytes: 100_000,
            listing_files: 100,
            unstated: 1_000_000,
            rate: 1000,
            window: Duration::from_millis(200),
            listing_time: Duration::from_millis(2000),
            ..Limits::default()
        },
        ..Hub::new(offline, true)
    };
    let settings = Settings {
        endpoint: endpoint.parse().unwrap(),
        token: None,
        cache: cache.to_path_buf(),
    };
    hub.settings.set(settings).unwrap();
    hub
}

/// A data set on a branch with slashes, with files in folders.
fn served() -> (HubServer, Vec<u8>) {
    let bytes: Vec<u8> = (0..200_000u32).flat_map(|n| n.to_le_bytes()).collect();
    let files: BTreeMap<String, Vec<u8>> = [
        ("default/train/0000.parquet".to_owned(), bytes.clone()),
        ("default/a name #1.csv".to_owned(), b"id\n1\n".to_vec()),
    ]
    .into();
    (
        HubServer::new().files("datasets/org/claims", COMMIT, &[PARQUET], files),
        bytes,
    )
}

#[test]
fn a_data_set_is_listed_and_its_files_are_brought() {
    let (server, bytes) = served();
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    assert_eq!(listing.commit, COMMIT);
    assert_eq!(listing.files, ["default/a name #1.csv", "default/train/0000.parquet"]);
    let snapshot = online.files(&listing, &listing.files).unwrap();
    assert_eq!((snapshot.files, snapshot.bytes), (2, 800_005));
    assert_eq!(
        std::fs::read(snapshot.folder.join("default/train/0000.parquet")).unwrap(),
        bytes
    );
    assert!(
        snapshot
            .folder
            .starts_with(cache.path().join("datasets--org--claims/snapshots"))
    );
    // Again: nothing comes.
    let again = online.files(&listing, &listing.files).unwrap();
    assert_eq!((again.files, again.bytes), (0, 0));

    server.asked();
    let offline = hub(&server.endpoint, cache.path(), true);
    let cached = offline.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    assert_eq!((&cached.commit, &cached.files), (&listing.commit, &listing.files));
    offline.files(&cached, &listing.files).unwrap();
    // A commit that was listed once is asked for no more; what is missing of it is not there by silence.
    let pinned = online.list(RepoKind::Dataset, "org/claims", COMMIT).unwrap();
    assert_eq!((&pinned.files, server.asked().len()), (&listing.files, 0));
    let error = offline
        .files(&cached, &["other.csv".to_owned()])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&format!(
            "`other.csv` of `org/claims` at revision `{PARQUET}` is not in the cache"
        )),
        "{error}"
    );
    let error = offline
        .list(RepoKind::Dataset, "org/claims", "main")
        .unwrap_err()
        .to_string();
    assert!(error.contains("`org/claims` is not in the cache"), "{error}");
    assert_eq!(server.asked(), []);
    // A model of the same name is something else.
    assert!(online.list(RepoKind::Model, "org/claims", PARQUET).is_err());
}

#[test]
fn faults_that_last_end_the_download_and_keep_what_came() {
    let (server, bytes) = served();
    let server = server
        .fault("GET", "/blobs/", What::Cut(1000), 1)
        .fault("GET", "/blobs/", What::Cut(0), 4);
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    let wanted = ["default/train/0000.parquet".to_owned()];
    let error = online.files(&listing, &wanted).unwrap_err().to_string();
    assert!(
        error.contains("cannot fetch `default/train/0000.parquet` of `org/claims`: no answer"),
        "{error}"
    );
    let partial = cache
        .path()
        .join("datasets--org--claims/blobs")
        .join(sha256(&bytes) + ".incomplete");
    assert_eq!(std::fs::metadata(partial).unwrap().len(), 1000);
    server.heal();
    let snapshot = online.files(&listing, &wanted).unwrap();
    assert_eq!(snapshot.bytes, bytes.len() as u64 - 1000);
}

#[test]
fn bytes_of_another_length_than_they_should_have_come_again() {
    let (server, bytes) = served();
    let cache = tempfile::tempdir().unwrap();
    let blobs = cache.path().join("datasets--org--claims/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(sha256(&bytes)), "cut off by a crash").unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    let snapshot = online
        .files(&listing, &["default/train/0000.parquet".to_owned()])
        .unwrap();
    assert_eq!(snapshot.bytes, bytes.len() as u64);
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_anything_is_asked() {
    let (server, _) = served();
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    for (repo, revision) in [("../x", "main"), ("a/b/c", "main"), ("a/b", "../../x"), ("a/b", "")] {
        assert!(
            online.list(RepoKind::Model, repo, revision).is_err(),
            "{repo} {revision}"
        );
    }
    assert_eq!(server.asked(), []);
}

const TABLE: &str = "default/train/0000.parquet";
const SMALL: &str = "default/a name #1.csv";

/// What is said when one file is wanted of a server with these faults.
fn told(file: &str, faults: &[(&'static str, &str, What)]) -> String {
    let (server, _) = served();
    for (method, part, what) in faults {
        server.add_fault(method, part, what.clone(), 100);
    }
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let began = std::time::Instant::now();
    let brought = online
        .list(RepoKind::Dataset, "org/claims", PARQUET)
        .and_then(|listing| online.files(&listing, &[file.to_owned()]));
    assert!(began.elapsed() < Duration::from_secs(20), "{faults:?}");
    // Whatever came without end is not kept.
    let kept = walkdir::WalkDir::new(cache.path()).into_iter().flatten();
    let kept: u64 = kept.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(kept < 1_000_000, "{faults:?}: {kept}");
    let told = brought.unwrap_err().to_string().replace(&server.endpoint, "HUB");
    // How many bytes came depends on the machine.
    match (told.find("(only "), told.find(" came in ")) {
        (Some(from), Some(to)) => format!("{}(only SO MANY{}", &told[..from], &told[to..]),
        _ => told,
    }
}

#[test]
fn what_comes_without_end_is_not_waited_for() {
    let circle = What::Status(
        302,
        vec![("Location", "/api/datasets/org/claims/revision/x".to_owned())],
    );
    let all: Vec<String> = [
        ("an endless list", SMALL, vec![("GET", "/api/", What::Endless)]),
        ("a list that drips", SMALL, vec![("GET", "/api/", What::Drip(20))]),
        ("redirects in a circle", SMALL, vec![("GET", "/api/", circle)]),
        (
            "an endless file without a length",
            TABLE,
            vec![("HEAD", ".parquet", What::Unstated), ("GET", "/blobs/", What::Endless)],
        ),
        (
            "a file that is longer than it is said to be",
            TABLE,
            vec![("HEAD", ".parquet", What::Stated(1000))],
        ),
        ("a file that drips", TABLE, vec![("GET", "/blobs/", What::Drip(5))]),
        (
            "a file that breaks off again and again",
            TABLE,
            vec![("GET", "/blobs/", What::Cut(1))],
        ),
    ]
    .into_iter()
    .map(|(what, file, faults)| format!("{what}\n{}\n", told(file, &faults)))
    .collect();
    insta::assert_snapshot!(all.join("\n"));
    // The HTTP library itself gives up.
    let error = told(SMALL, &[("GET", "/api/", What::Headers)]);
    assert!(error.contains("cannot fetch `org/claims`"), "{error}");
}

#[test]
fn what_cannot_be_is_told_before_anything_comes() {
    let enormous = told(TABLE, &[("HEAD", ".parquet", What::Stated(1 << 60))]);
    assert!(
        enormous.contains("no space for `org/claims`") && enormous.contains("1.15 EB are to come"),
        "{enormous}"
    );
    let sums = told(TABLE, &[("HEAD", ".parquet", What::Stated(u64::MAX))]);
    assert!(sums.contains("no space"), "{sums}");

    let files: BTreeMap<String, Vec<u8>> = [("config.json".to_owned(), b"{}".to_vec())].into();
    let server = HubServer::new().files("models/org/m", COMMIT, &["main"], files);
    let server = server.fault("HEAD", "config.json", What::Stated(1 << 30), 1);
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Model, "org/m", "main").unwrap();
    let error = online.files(&listing, &listing.files).unwrap_err().to_string();
    assert!(
        error.contains("a file of 1.07 GB; igsite takes at most 16.78 MB"),
        "{error}"
    );
    assert!(
        !server
            .asked()
            .iter()
            .any(|asked| asked.method == "GET" && asked.path.contains("resolve"))
    );

    let many = (0..101).map(|n| (n.to_string(), vec![]));
    let server = HubServer::new().files("models/org/m", COMMIT, &["main"], many.collect());
    let online = hub(&server.endpoint, cache.path(), false);
    let error = online.list(RepoKind::Model, "org/m", "main").unwrap_err().to_string();
    assert!(error.contains("a list of 101 files, and igsite takes 100"), "{error}");
}

#[test]
fn small_files_have_gits_hash() {
    let (server, _) = served();
    let server = server.fault("GET", "%231.csv", What::OtherBytes, 1);
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    let wanted = [SMALL.to_owned()];
    let error = online.files(&listing, &wanted).unwrap_err().to_string();
    let hash = git_hash(b"id\n1\n");
    assert!(
        error.contains("came as another file than the hub describes: its git hash is ") && error.contains(&hash),
        "{error}"
    );
    let blobs = cache.path().join("datasets--org--claims/blobs");
    assert_eq!(std::fs::read_dir(&blobs).unwrap().count(), 0);
    online.files(&listing, &wanted).unwrap();
    assert!(blobs.join(hash).is_file());
    // Nobody states its length: its hash is compared all the same.
    let (server, _) = served();
    let server = server.fault("HEAD", "%231.csv", What::Unstated, 1);
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    online.files(&listing, &wanted).unwrap();
}

#[test]
fn a_pointer_of_git_lfs_is_no_file() {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n".to_vec();
    let files: BTreeMap<String, Vec<u8>> = [("train.csv".to_owned(), pointer)].into();
    let server = HubServer::new().files("datasets/org/claims", COMMIT, &["main"], files);
    let cache = tempfile::tempdir().unwrap();
    let online = hub(&server.endpoint, cache.path(), false);
    let listing = online.list(RepoKind::Dataset, "org/claims", "main").unwrap();
    let error = online.files(&listing, &listing.files).unwrap_err().to_string();
    assert!(error.contains("pointer of Git LFS"), "{error}");
}

/// A bit of a file of the cache flips: it is refused by name, offline and not; who mends brings it anew.
#[test]
fn damaged_bytes_of_the_cache_are_refused_or_mended() {
    let (server, bytes) = served();
    for (file, name) in [(TABLE, sha256(&bytes)), (SMALL, git_hash(b"id\n1\n"))] {
        let cache = tempfile::tempdir().unwrap();
        let online = || hub(&server.endpoint, cache.path(), false);
        let wanted = [file.to_owned()];
        let listing = online().list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
        online().files(&listing, &wanted).unwrap();
        let blob = cache.path().join("datasets--org--claims/blobs").join(name);
        let whole = std::fs::read(&blob).unwrap();
        let mut damaged = whole.clone();
        damaged[3] ^= 4;
        std::fs::write(&blob, &damaged).unwrap();
        for hub in [
            online(),
            hub(&server.endpoint, cache.path(), true),
            hub(&server.endpoint, cache.path(), true).mending(),
        ] {
            let listing = hub.list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
            let error = hub.files(&listing, &wanted).unwrap_err();
            let told = error.to_string();
            assert!(
                told.contains("is damaged") && told.contains(blob.to_str().unwrap()),
                "{told}"
            );
            assert!(error.file.unwrap().ends_with(file));
            assert_eq!(std::fs::read(&blob).unwrap(), damaged, "left as it is");
        }
        let mending = online().mending();
        assert_eq!(mending.files(&listing, &wanted).unwrap().files, 1);
        assert_eq!(std::fs::read(&blob).unwrap(), whole);
        let warnings = mending.take_warnings();
        assert!(
            warnings.iter().any(|one| one.message.ends_with("it is brought anew")),
            "{warnings:?}"
        );
        assert_eq!(
            std::fs::read_dir(blob.parent().unwrap()).unwrap().count(),
            1,
            "nothing is left over"
        );

        // Bytes without a name, of the right length: a commit that would get them does not.
        std::fs::write(&blob, &damaged).unwrap();
        std::fs::remove_dir_all(cache.path().join("datasets--org--claims/snapshots")).unwrap();
        online().files(&listing, &wanted).unwrap();
        assert_eq!(std::fs::read(&blob).unwrap(), whole);
    }
}

/// What a commit holds is known by a list with a checksum: a part is never taken for the whole.
#[test]
fn a_damaged_list_is_asked_for_again_and_believed_by_nobody() {
    let (server, _) = served();
    let cache = tempfile::tempdir().unwrap();
    let online = || hub(&server.endpoint, cache.path(), false);
    let listing = online().list(RepoKind::Dataset, "org/claims", PARQUET).unwrap();
    online().files(&listing, &listing.files).unwrap();
    let list = cache
        .path()
        .join(format!("datasets--org--claims/.igsite/{COMMIT}.listing"));
    let whole = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, whole.replace("0000", "0001")).unwrap();
    let offline = hub(&server.endpoint, cache.path(), true);
    assert!(offline.list(RepoKind::Dataset, "org/claims", PARQUET).is_err());
    online().list(RepoKind::Dataset, "org/claims", COMMIT).unwrap();
    assert_eq!(std::fs::read_to_string(&list).unwrap(), whole);
}
