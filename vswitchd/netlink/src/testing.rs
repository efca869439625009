//! For tests that need namespaces: runs a test again, alone, in namespaces of its own.
//!
//! Behind the feature `testing`. As root the test gets a new network and mount namespace; an
//! ordinary user gets a user namespace around them, in which the test is root.

use std::{any::type_name, env, process::Command};

/// Set in the inner run to the test's name.
const MARK: &str = "NETLINK_TEST_ISOLATED";

/// Runs `body`, a test's whole content, in a fresh network and mount namespace.
///
/// Call it with a closure written in the test function itself: the test's name is taken from the
/// closure's type. Nothing the test does to interfaces or mounts is left behind.
///
/// # Panics
/// With the inner run's output if the inner run fails; with a sentence if namespaces cannot be had.
pub fn isolated<F: FnOnce()>(body: F) {
    let test = test_name::<F>();
    if env::var(MARK).is_ok_and(|inner| inner == test) {
        return body();
    }
    let output = Command::new("unshare")
        .args(["--net", "--mount"])
        .args(if nix::unistd::geteuid().is_root() {
            &[][..]
        } else {
            &["--user", "--map-root-user"]
        })
        .arg("--")
        .arg(env::current_exe().expect("the test's own path"))
        .args([&test, "--exact", "--nocapture", "--test-threads=1"])
        .env(MARK, &test)
        .output()
        .expect("this test needs the program `unshare` (package util-linux)");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        !text.contains("unshare failed"),
        "this test needs namespaces: run it as root, or allow user namespaces \
         (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0):\n{text}"
    );
    assert!(
        output.status.success(),
        "{test}, in its own namespaces:\n{text}"
    );
    assert!(
        text.contains("1 passed"),
        "{test} was not found in its own binary:\n{text}"
    );
}

/// `crate::module::test::{{closure}}` without the crate and the closure.
fn test_name<F>() -> String {
    let path = type_name::<F>().trim_end_matches("::{{closure}}");
    path.split_once("::")
        .map_or(path, |(_crate, test)| test)
        .to_owned()
}
