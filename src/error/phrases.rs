//! Normalises a provider's text for comparison: lower case, one space between words.

use std::time::Duration;

/// The part of a message that is compared; longer messages quote other texts.
const COMPARED_BYTES: usize = 16 << 10;

/// `insufficient_quota`, `InsufficientQuota`, `Insufficient  quota` and `insufficient-quota` are all `insufficient quota`.
pub(super) fn normal(text: &str) -> String {
    let mut end = text.len().min(COMPARED_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    let text = text.get(..end).unwrap_or_default();
    let mut normal = String::with_capacity(text.len());
    let (mut before, mut letters) = (' ', text.chars().peekable());
    while let Some(letter) = letters.next() {
        let next = letters.peek().copied().unwrap_or(' ');
        let is_space = letter.is_whitespace()
            || matches!(letter, '_' | '-')
            || (letter == '.' && before.is_alphabetic() && next.is_alphabetic());
        let begins_word = letter.is_uppercase() && before.is_lowercase();
        if (is_space || begins_word) && !normal.is_empty() && !normal.ends_with(' ') {
            normal.push(' ');
        }
        match letter {
            _ if is_space => {}
            '\u{2019}' => normal.push('\''),
            _ => normal.extend(letter.to_lowercase()),
        }
        before = letter;
    }
    normal
}

/// The position of `phrase` in `text`, at word boundaries.
pub(super) fn normalized_phrase(text: &str, phrase: &str) -> Option<usize> {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(phrase).find_map(|(at, found)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let behind = text.get(at.saturating_add(found.len())..);
        let behind = behind.and_then(|behind| behind.chars().next());
        let starts = !is_word(before) || !is_word(phrase.chars().next());
        let ends = !is_word(behind) || !is_word(phrase.chars().next_back());
        (starts && ends).then_some(at)
    })
}

/// The wait that a message names: `Please try again in 1m2.5s`, `retry after 59 seconds`.
pub(crate) fn wait(message: &str) -> Option<Duration> {
    const BEFORE_A_WAIT: [&str; 6] = [
        "try again in ",
        "try again after ",
        "retry in ",
        "retry after ",
        "retrying after ",
        "please wait ",
    ];
    let text = message.to_ascii_lowercase();
    BEFORE_A_WAIT.iter().find_map(|phrase| {
        let (_, behind) = text.split_once(phrase)?;
        let mut words = behind.split_whitespace();
        let number = words.next()?.trim_end_matches(['.', ',', ';', '!', ')']);
        if number.ends_with(|c: char| c.is_ascii_alphabetic()) {
            return crate::policy::parse_duration(number);
        }
        let unit = words.next().unwrap_or("seconds");
        let unit = unit.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
        let unit = match unit {
            "ms" | "millisecond" | "milliseconds" => "ms",
            "m" | "min" | "mins" | "minute" | "minutes" => "m",
            "h" | "hour" | "hours" => "h",
            "d" | "day" | "days" => "d",
            _ => "s",
        };
        crate::policy::parse_duration(&[number, unit].concat())
    })
}

/// The integers that follow `name`, such as 30000 in `limit: 30,000`.
pub(super) fn numbers(normal: &str, name: &str) -> impl Iterator<Item = u64> {
    normal.match_indices(name).filter_map(|(at, found)| {
        let behind = normal.get(at.saturating_add(found.len())..)?;
        let behind = behind.trim_start_matches([':', '=', ' ']);
        let behind = ["of ", "is "]
            .iter()
            .find_map(|word| behind.strip_prefix(word))
            .unwrap_or(behind);
        let end = behind
            .find(|c: char| !c.is_ascii_digit() && c != ',')
            .unwrap_or(behind.len());
        let (digits, rest) = behind.split_at_checked(end)?;
        let is_fraction = rest
            .strip_prefix('.')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        if is_fraction {
            return None;
        }
        digits.replace(',', "").parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_variants_are_equal() {
        for spelling in [
            "insufficient_quota",
            "InsufficientQuota",
            "INSUFFICIENT_QUOTA",
            " Insufficient\n quota ",
            "insufficient-quota",
        ] {
            assert_eq!(normal(spelling).trim_end(), "insufficient quota");
        }
        assert_eq!(
            normal("AllocationQuota.FreeTierOnly"),
            "allocation quota free tier only"
        );
        assert_eq!(normal("in 34.07s. You\u{2019}ve"), "in 34.07s. you've");
        assert_eq!(normal(&"é".repeat(COMPARED_BYTES)).len(), COMPARED_BYTES);
    }

    #[test]
    fn phrases_match_at_word_boundaries() {
        assert_eq!(normalized_phrase("see https: tps", "tps"), Some(11));
        assert_eq!(normalized_phrase("see https", "tps"), None);
        assert_eq!(
            normalized_phrase("1000 calls / month.", "/ month"),
            Some(11)
        );
        assert_eq!(normalized_phrase("余额不足", "额不"), Some(3));
    }

    #[test]
    fn waits_are_read_in_every_known_form() {
        for (message, millis) in [
            ("Please try again in 7.66s. Visit", Some(7660)),
            ("please try again after 1 seconds", Some(1000)),
            ("Please retry in 48.939935699s.", Some(48_939)),
            ("Please retry after 59 seconds.", Some(59_000)),
            ("Try again in 6m0s.", Some(360_000)),
            ("Please try again in 20ms.", Some(20)),
            ("Please try again in 2 minutes", Some(120_000)),
            ("Please wait 3 before", Some(3000)),
            ("Please try again later.", None),
            ("please wait before trying again.", None),
        ] {
            let found = wait(message).map(|wait| wait.as_millis());
            assert_eq!(found, millis, "{message}");
        }
    }

    #[test]
    fn numbers_are_read_after_their_name() {
        for (text, found) in [
            ("limit: 0, model", Some(0)),
            ("limit 30,000, requested", Some(30_000)),
            ("limit of 5.", Some(5)),
            ("limit: 0.5", None),
            ("the limit is reached; limit=7", Some(7)),
            ("limit", None),
        ] {
            assert_eq!(numbers(text, "limit").next(), found, "{text}");
        }
    }
}
