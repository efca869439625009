//! The API server's rules for names and values.
//!
//! Source: k8s.io/apimachinery `util/validation` (DNS-1123, qualified names, label values, port
//! names) and pkg/apis/networking/validation.

use std::net::IpAddr;

use ipnet::IpNet;

use super::ManifestError;
use super::view::View;

/// A DNS-1123 subdomain: what most objects are named by.
pub(super) fn object_name<'a>(view: &View<'a>) -> Result<&'a str, ManifestError> {
    let text = view.text()?;
    if is_subdomain(text) {
        return Ok(text);
    }
    Err(view.invalid("a name of lower-case letters, digits, '-' and '.', at most 253 characters"))
}

/// A label key: an optional DNS prefix and '/', then a name of at most 63 characters.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_label_name(name),
        None => is_label_name(text),
    }
}

/// A label value: empty, or a name of at most 63 characters.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

/// A port name: at most 15 of lower-case letters, digits and single inner '-', one letter at least
/// (RFC 6335 section 5.1).
pub(super) fn is_port_name(text: &str) -> bool {
    text.len() <= 15
        && text.bytes().any(|byte| byte.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| lower_or_digit(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && !text.contains("--")
}

/// An address block such as `10.0.0.0/8`. Bits beyond the prefix are cleared, as the API server
/// does when it compares.
pub(super) fn block(view: &View<'_>) -> Result<IpNet, ManifestError> {
    let expected = "an address block such as 10.0.0.0/8 or 2001:db8::/32";
    let net: IpNet = view.text()?.parse().map_err(|_| view.invalid(expected))?;
    Ok(net.trunc())
}

/// An address.
pub(super) fn address(view: &View<'_>) -> Result<IpAddr, ManifestError> {
    view.text()?
        .parse()
        .map_err(|_| view.invalid("an IPv4 or IPv6 address"))
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(part: &str) -> bool {
    let bytes = part.as_bytes();
    let edges = bytes.first().is_some_and(|byte| lower_or_digit(*byte))
        && bytes.last().is_some_and(|byte| lower_or_digit(*byte));
    edges
        && bytes
            .iter()
            .all(|byte| lower_or_digit(*byte) || *byte == b'-')
}

fn is_label_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edges = bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric);
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    edges && bytes.len() <= 63 && bytes.iter().all(inner)
}

fn lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_names_follow_rfc_6335() {
        for good in ["http", "a", "dns-tcp", "p80", "abcdefghijklmno"] {
            assert!(is_port_name(good), "{good}");
        }
        for bad in [
            "",
            "80",
            "-http",
            "http-",
            "a--b",
            "HTTP",
            "abcdefghijklmnop",
            "a_b",
        ] {
            assert!(!is_port_name(bad), "{bad}");
        }
    }

    #[test]
    fn label_keys_may_have_one_dns_prefix() {
        for good in ["app", "kubernetes.io/metadata.name", "A_b.c-1", "a.b/c"] {
            assert!(is_label_key(good), "{good}");
        }
        for bad in ["", "/a", "a/", "a/b/c", "Example.com/a", "-a", "a b"] {
            assert!(!is_label_key(bad), "{bad}");
        }
    }
}
