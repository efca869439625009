//! Kernel parameters under `/proc/sys`.
//!
//! Names are dotted (`net.ipv4.ip_forward`) or, as in sysctl(8), slashed when a part contains a
//! dot itself (`net/ipv4/conf/eth0.100/rp_filter`). `net` parameters are those of the calling
//! thread's network namespace: use [`crate::NetNs::run`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// The file of a parameter.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let relative = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    Path::new("/proc/sys").join(relative)
}

/// The value, without the newline.
///
/// # Errors
/// ENOENT if the kernel has no such parameter.
pub fn read(name: &str) -> Result<String> {
    fs::read_to_string(path(name))
        .map(|value| value.trim_end().to_owned())
        .map_err(|source| Error::kernel("read sysctl", name, source))
}

/// Sets the value.
///
/// # Errors
/// ENOENT if the kernel has no such parameter, EACCES or EROFS where it may not be written, EINVAL
/// for a value out of range.
pub fn write(name: &str, value: &str) -> Result<()> {
    fs::write(path(name), value)
        .map_err(|source| Error::kernel("write sysctl", format!("{name}={value}"), source))
}

/// Sets the value unless it is so already: a read-only `/proc/sys` that agrees is no error.
///
/// # Errors
/// As [`write()`].
pub fn ensure(name: &str, value: &str) -> Result<()> {
    if read(name).is_ok_and(|current| current == value) {
        Ok(())
    } else {
        write(name, value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_slashes_unless_there_are_slashes() {
        assert_eq!(
            path("net.ipv4.ip_forward"),
            Path::new("/proc/sys/net/ipv4/ip_forward")
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.100/rp_filter"),
            Path::new("/proc/sys/net/ipv4/conf/eth0.100/rp_filter")
        );
    }

    #[test]
    fn an_absent_parameter_is_not_found_by_name() {
        let error = read("net.ipv4.no_such_thing").unwrap_err();
        assert!(error.is_not_found());
        assert!(
            error
                .to_string()
                .starts_with("read sysctl net.ipv4.no_such_thing: "),
            "{error}"
        );
    }
}
