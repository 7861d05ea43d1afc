//! The words and numbers of a time that somebody typed, and what the words mean to dateutil.

/// Numbers (also with a fraction), words, and every other character by itself.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let chars: Vec<char> = text.chars().filter(|&c| c != '\0').collect();
    let mut at = 0;
    while at < chars.len() {
        let start = at;
        if chars[at].is_ascii_digit() {
            while at < chars.len() && chars[at].is_ascii_digit() {
                at += 1;
            }
            let fraction = |at: usize| {
                matches!(chars.get(at), Some('.')) || (matches!(chars.get(at), Some(',')) && at - start >= 2)
            };
            // `01.03.2024` is a date and `00.123` a fraction: a second dot tells.
            if fraction(at) && chars.get(at + 1).is_some_and(char::is_ascii_digit) {
                let digits = chars[at + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
                if !matches!(chars.get(at + 1 + digits), Some('.')) && !is_date_with_dots(&tokens) {
                    at += 1 + digits;
                }
            }
            tokens.push(chars[start..at].iter().collect::<String>().replace(',', "."));
        } else if chars[at].is_alphabetic() {
            while at < chars.len()
                && (chars[at].is_alphabetic() || (chars[at] == '.' && at + 2 < chars.len()))
            {
                at += 1;
            }
            tokens.push(chars[start..at].iter().collect::<String>().trim_end_matches('.').to_owned());
        } else {
            at += 1;
            tokens.push(if chars[start].is_whitespace() { " ".to_owned() } else { chars[start].to_string() });
        }
    }
    tokens
}

fn is_date_with_dots(tokens: &[String]) -> bool {
    matches!(tokens, [.., number, dot] if dot == "." && number.bytes().all(|b| b.is_ascii_digit()))
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const JUMP: [&str; 18] =
    [" ", ".", ",", ";", "-", "/", "'", "at", "on", "and", "ad", "m", "t", "of", "st", "nd", "rd", "th"];

pub(super) fn month(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    let named = |name: &str| word == name || word == name[..3] || (word == "sept" && name == "september");
    u32::try_from(MONTHS.iter().position(|name| named(name))? + 1).ok()
}

pub(super) fn weekday(word: &str) -> Option<u32> {
    let word = word.to_ascii_lowercase();
    u32::try_from(WEEKDAYS.iter().position(|name| word == *name || word == name[..3])?).ok()
}

pub(super) fn afternoon(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "am" | "a" => Some(false),
        "pm" | "p" => Some(true),
        _ => None,
    }
}

/// Which unit a word after a number names: 0 hours, 1 minutes, 2 seconds.
pub(super) fn unit(word: &str) -> Option<usize> {
    match word.to_ascii_lowercase().as_str() {
        "h" | "hour" | "hours" => Some(0),
        "m" | "minute" | "minutes" => Some(1),
        "s" | "second" | "seconds" => Some(2),
        _ => None,
    }
}

pub(super) fn is_jump(word: &str) -> bool {
    JUMP.contains(&word.to_ascii_lowercase().as_str())
}
