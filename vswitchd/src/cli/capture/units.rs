//! Times and sizes as people write them.

use std::time::Duration;

/// `10s`, `500ms`, `5m`, `1h`; a bare number is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("expected a time such as 500ms, 10s, 5m or 1h, found {text:?}");
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let millis = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let millis = number.checked_mul(millis).filter(|millis| *millis > 0);
    millis.map(Duration::from_millis).ok_or_else(wrong)
}

/// `500000`, `100k`, `100M`, `1G`: powers of 1000.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("expected a size such as 500k, 100M or 1G, found {text:?}");
    let (number, unit) = split(text);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(factor).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(wrong)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_nonsense_is_named() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(bytes("100M"), Ok(100_000_000));
        for text in ["", "0s", "s", "10 s", "-1s", "1d", "99999999999999999999"] {
            assert!(duration(text).unwrap_err().contains(&format!("{text:?}")));
        }
        for text in ["", "0", "M", "1.5M", "10MiB"] {
            assert!(bytes(text).unwrap_err().contains("expected a size"));
        }
    }
}
