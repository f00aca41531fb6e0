//! Other processors than this machine's, played by qemu-user: what chooses kernels at run time, igsite's own and those of
//! the crates under it, sees no AVX-512, or no AVX either. Programs are compiled for any x86-64, as released ones are.
//!
//! The unit tests of the library use this file too, so it knows nothing of the crate.
#![allow(dead_code, reason = "each test program uses a part")]

use std::process::Command;

use super::needs::{Need, found_or_skip};

/// A processor: qemu's name of it, and which instructions it has.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    pub name: &'static str,
    pub avx2: bool,
}

/// AVX2 and FMA, no AVX-512: most of those in use.
pub const HASWELL: Processor = Processor {
    name: "Haswell",
    avx2: true,
};
/// SSE2 and SSE3, nothing later: what every x86-64 has, or all but.
pub const OPTERON: Processor = Processor {
    name: "Opteron_G1",
    avx2: false,
};

/// Says to the program under qemu which processor it should find.
const VARIABLE: &str = "IGSITE_TEST_PROCESSOR";
const QEMU: &str = "qemu-x86_64";
/// The name of the test that calls [`told`].
const TOLD: &str = "the_processor_is_the_one_that_was_chosen";

impl Processor {
    /// Runs tests of this test program on it, those whose names have one of the `filters`, but for those of `module`,
    /// which runs this; all must pass, and there must be so many at least. One of them calls [`told`].
    pub fn runs(self, filters: &[&str], module: &str, least: usize) {
        let linux = cfg!(all(target_os = "linux", target_arch = "x86_64"));
        let there = linux && Command::new(QEMU).arg("--version").output().is_ok();
        let found = there.then_some(());
        if found_or_skip(Need::Qemu, found, || {
            format!("{QEMU} is not here (the package qemu-user), or this is no x86-64 Linux")
        })
        .is_none()
        {
            return;
        }
        let ran = Command::new(QEMU)
            .args(["-cpu", self.name])
            .arg(std::env::current_exe().unwrap())
            .args(filters)
            .args(["--skip", module])
            .env(VARIABLE, self.name)
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&ran.stdout);
        let passed = out
            .split_once("test result: ok. ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        assert!(
            ran.status.success() && passed.is_some_and(|passed: usize| passed >= least) && out.contains(TOLD),
            "on {}: expected {least} tests that pass\n{out}\n{}",
            self.name,
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}

/// Looks whether this program runs on the processor that [`Processor::runs`] chose; by itself it has nothing to look at.
pub fn told() {
    let Ok(name) = std::env::var(VARIABLE) else { return };
    let processor = [HASWELL, OPTERON].into_iter().find(|one| one.name == name).unwrap();
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::is_x86_feature_detected as has;
        assert!(!has!("avx512f"), "{processor:?} has AVX-512 here");
        assert_eq!(has!("avx2") && has!("fma"), processor.avx2, "{processor:?}");
    }
    #[cfg(not(target_arch = "x86_64"))]
    panic!("{processor:?} is no processor of this kind");
}
