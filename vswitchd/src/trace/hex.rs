//! Bytes as people write them: hexadecimal digits, with blanks or colons between them.

use std::fmt::Write;

/// The bytes as digits, without blanks.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// The bytes that these digits stand for.
///
/// # Errors
/// A sentence: what was found instead of a digit, or that one is missing.
pub fn from_hex(text: &str) -> Result<Vec<u8>, String> {
    let mut digits = Vec::new();
    for (position, found) in text.chars().enumerate() {
        match found.to_digit(16) {
            Some(digit) => digits.push(digit as u8),
            None if found.is_whitespace() || found == ':' => {}
            None => {
                return Err(format!(
                    "expected hexadecimal digits, found {found:?} at position {position}"
                ));
            }
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    match rest {
        [] => Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect()),
        _ => Err(format!(
            "expected two hexadecimal digits a byte, found {} in all",
            digits.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_blanks_do_not_matter() {
        assert_eq!(from_hex(&to_hex(&[0, 0x7f, 0xff])), Ok(vec![0, 0x7f, 0xff]));
        assert_eq!(from_hex("EE:ee 01\n"), Ok(vec![0xee, 0xee, 1]));
    }

    #[test]
    fn what_is_no_hexadecimal_is_named() {
        assert!(from_hex("0g").unwrap_err().contains("'g' at position 1"));
        assert!(from_hex("012").unwrap_err().contains("found 3 in all"));
    }
}
