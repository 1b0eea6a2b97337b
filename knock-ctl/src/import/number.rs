//! Numbers as knockd reads them, by atoi(3).

use super::lines::trim_text;

/// `text` as a number: digits behind blanks and a sign, and what follows them, which knockd ignores. `None` where there is
/// no digit, which knockd takes for 0.
pub(super) fn number(text: &str) -> Option<(i64, &str)> {
    let text = trim_text(text);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let number = digits.parse().unwrap_or(i64::MAX);
    Some((if negative { -number } else { number }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_atoi_ends_them() {
        assert_eq!(number("5"), Some((5, "")));
        assert_eq!(number(" +05s"), Some((5, "s")));
        assert_eq!(number("9000 # last"), Some((9000, " # last")));
        assert_eq!(number("-1"), Some((-1, "")));
        assert_eq!(number("99999999999999999999"), Some((i64::MAX, "")));
        for text in ["", "x", "-", "+-5", "é"] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
