//! Disks that are full, read-only, layered and far away: `tests/store_world.sh`, on a project with tiny models.
#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the reason for a skipped test")]
mod support;

use std::process::Command;

use support::shared_out::project;

#[test]
fn nothing_is_lost_on_any_disk() {
    // It mounts file systems in a namespace of its own.
    let may_mount = Command::new("unshare")
        .args(["--mount", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output()
        .is_ok_and(|out| out.status.success());
    if !may_mount {
        println!("skipped: this process may not mount file systems");
        return;
    }
    let project = project(6, 4);
    let out = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store_world.sh"))
        .arg(env!("CARGO_BIN_EXE_igsite"))
        .arg(project.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    println!("{said}");
    assert!(out.status.success(), "{said}{}", String::from_utf8_lossy(&out.stderr));
}
