//! The hub's library side against the server of `tests/support`: data sets, pinned commits, faults that last.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

#[path = "../../tests/support/hub_server.rs"]
mod hub_server;

use hub_server::{COMMIT, HubServer, What, sha256};

const PARQUET: &str = "refs/convert/parquet";

fn hub(endpoint: &str, cache: &Path, offline: bool) -> Hub {
    let hub = Hub {
        patience: Patience {
            pauses: vec![Duration::from_millis(1); 3],
            ..Patience::default()
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
