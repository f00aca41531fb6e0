//! `IGSITE_REQUIRE`: which tests may skip on this machine.
mod support;

use support::needs::{Need, VARIABLE, found_or_skip, required};

#[test]
fn words_are_known_or_an_error() {
    assert_eq!(required(""), Ok(vec![]));
    assert_eq!(
        required("shared, java,node,vulkan,browser"),
        Ok(vec![Need::Shared, Need::Java, Need::Node, Need::Vulkan, Need::Browser])
    );
    assert_eq!(
        required("shared,browsers"),
        Err(
            "IGSITE_REQUIRE has the unknown word \"browsers\"; it takes shared, browser, node, java, slurm, vulkan, qemu, with \
             commas between them"
                .to_owned()
        )
    );
}

/// Also on a machine where nothing is missing.
#[test]
fn the_variable_of_this_run_is_right() {
    let value = std::env::var(VARIABLE).unwrap_or_default();
    required(&value).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn what_is_missing_skips_or_fails() {
    let required = required(&std::env::var(VARIABLE).unwrap_or_default()).unwrap();
    for need in [
        Need::Shared,
        Need::Browser,
        Need::Node,
        Need::Java,
        Need::Slurm,
        Need::Vulkan,
    ] {
        let missing = || found_or_skip(need, None::<()>, || "no such thing on this machine".to_owned());
        if required.contains(&need) {
            let error = std::panic::catch_unwind(missing).unwrap_err();
            let error = error.downcast_ref::<String>().unwrap();
            let expected = format!("no such thing on this machine, and IGSITE_REQUIRE requires it ({need:?})");
            assert_eq!(*error, expected);
        } else {
            assert_eq!(missing(), None);
        }
        assert_eq!(found_or_skip(need, Some(1), || unreachable!()), Some(1));
    }
}
