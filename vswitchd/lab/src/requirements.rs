//! What a machine must allow for a lab, each thing with the sentence that says what to do when it does not.

use std::{
    fs::{self, OpenOptions},
    io,
    path::Path,
    process::Command,
};

use nix::unistd::geteuid;

use crate::error::{Error, Result, io_error};

/// Programs the lab cannot do without, each with the Debian package that has it.
const TOOLS: [(&str, &str); 5] = [
    ("unshare", "util-linux"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("ip", "iproute2"),
];

/// Checks all of it.
///
/// # Errors
/// [`Error::Requirement`]: the first thing missing, with its remedy.
pub fn check() -> Result<()> {
    for (tool, package) in TOOLS {
        if crate::binaries::in_path(tool).is_none() {
            return Err(Error::Requirement(format!(
                "`{tool}` is not installed; install the package {package}"
            )));
        }
    }
    check_tun(Path::new("/dev/net/tun"))?;
    if geteuid().is_root() {
        Ok(())
    } else {
        check_user_namespaces()
    }
}

fn check_tun(device: &Path) -> Result<()> {
    let Err(error) = OpenOptions::new().read(true).write(true).open(device) else {
        return Ok(());
    };
    let shown = device.display();
    Err(Error::Requirement(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!(
                "{shown} is not open to this user; `sudo chmod 666 {shown}` opens it (or run as root)"
            )
        }
        io::ErrorKind::NotFound => {
            format!(
                "{shown} is missing; `sudo modprobe tun` brings it where the kernel has the module"
            )
        }
        _ => format!(
            "{shown} cannot be opened: {error}; is the tun module loaded (`sudo modprobe tun`)?"
        ),
    }))
}

fn check_user_namespaces() -> Result<()> {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "true"])
        .output()
        .map_err(io_error("cannot run", "unshare"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Requirement(format!(
        "user namespaces are closed to this user ({}); {} (or run as root)",
        String::from_utf8_lossy(&output.stderr).trim(),
        remedy_for_user_namespaces(Path::new("/proc/sys")),
    )))
}

/// The switch that is off, of those distributions have.
fn remedy_for_user_namespaces(sysctls: &Path) -> String {
    let reads = |name: &str, value: &str| {
        fs::read_to_string(sysctls.join(name)).is_ok_and(|found| found.trim() == value)
    };
    if reads("kernel/unprivileged_userns_clone", "0") {
        "`sudo sysctl kernel.unprivileged_userns_clone=1` opens them".into()
    } else if reads("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "`sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` opens them".into()
    } else if reads("user/max_user_namespaces", "0") {
        "`sudo sysctl user.max_user_namespaces=15000` opens them".into()
    } else {
        "the kernel or a container's seccomp profile forbids them".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tun_device_is_one_sentence_with_the_remedy() {
        let message = check_tun(Path::new("/nonexistent/tun"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "/nonexistent/tun is missing; `sudo modprobe tun` brings it where the kernel has the module"
        );
    }

    #[test]
    fn the_switch_that_is_off_is_named() {
        let sysctls = tempfile::tempdir().unwrap();
        fs::create_dir(sysctls.path().join("kernel")).unwrap();
        fs::write(
            sysctls
                .path()
                .join("kernel/apparmor_restrict_unprivileged_userns"),
            "1\n",
        )
        .unwrap();
        assert!(
            remedy_for_user_namespaces(sysctls.path())
                .contains("apparmor_restrict_unprivileged_userns=0")
        );
    }
}
