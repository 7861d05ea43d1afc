//! Joda's patterns, `yyyy-MM-dd'T'HH:mm:ss`, as its `DateTimeFormat` reads them: a quote that is never
//! closed holds to the end.

use chrono::{Datelike, Utc};

use super::pattern::{Field, Item, Pattern};

/// Reads a pattern of `parse_datetime` and `format_datetime`.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    if text.is_empty() {
        return Err("Invalid pattern specification".to_owned());
    }
    let tokens = tokens(text);
    let mut pattern = Pattern::default();
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Text(text) => pattern.literal(text),
            Token::Letters(letter, count) => {
                add(&mut pattern, *letter, *count, tokens.get(index + 1)).ok_or_else(|| {
                    format!("Illegal pattern component: {}", letter.to_string().repeat(*count.min(&40)))
                })?;
            }
        }
    }
    Ok(pattern)
}

enum Token {
    Text(String),
    Letters(char, usize),
}

impl Token {
    /// Digits that follow at once limit a number that has no end of its own.
    fn is_number(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Letters('M', count) => *count <= 2,
            Self::Letters(letter, _) => "cCxyYdhHmsSeDFwWkK".contains(*letter),
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(first) = rest.peek().copied() {
        if first.is_ascii_alphabetic() {
            let mut count = 0;
            while rest.next_if_eq(&first).is_some() {
                count += 1;
            }
            tokens.push(Token::Letters(first, count));
            continue;
        }
        let mut text = String::new();
        let mut quoted = false;
        while let Some(character) = rest.next_if(|c| quoted || !c.is_ascii_alphabetic()) {
            match character {
                '\'' if rest.next_if_eq(&'\'').is_some() => text.push('\''),
                '\'' => quoted = !quoted,
                other => text.push(other),
            }
        }
        tokens.push(Token::Text(text));
    }
    tokens
}

fn add(pattern: &mut Pattern, letter: char, count: usize, next: Option<&Token>) -> Option<()> {
    let number_follows = next.is_some_and(Token::is_number);
    let name = |field, short| Item::Name { field, short };
    match letter {
        'G' => pattern.items.push(name(Field::Era, false)),
        'C' => pattern.number(Field::Century, count, count),
        'x' | 'y' | 'Y' if count == 2 => {
            let field = if letter == 'x' { Field::WeekYear } else { Field::Year };
            let pivot = i64::from(Utc::now().year()) - 30;
            pattern.items.push(Item::TwoDigits { field, pivot, lenient: !number_follows });
        }
        'x' | 'y' | 'Y' => {
            let field = match letter {
                'x' => Field::WeekYear,
                'y' => Field::Year,
                _ => Field::YearOfEra,
            };
            pattern.number(field, count, if number_follows { count } else { 9 });
        }
        'M' if count >= 3 => pattern.items.push(name(Field::Month, count == 3)),
        'M' => pattern.number(Field::Month, count, 2),
        'd' => pattern.number(Field::Day, count, 2),
        'a' => pattern.items.push(name(Field::HalfDay, false)),
        'h' => pattern.number(Field::ClockHourOfHalfDay, count, 2),
        'H' => pattern.number(Field::Hour, count, 2),
        'k' => pattern.number(Field::ClockHour, count, 2),
        'K' => pattern.number(Field::HourOfHalfDay, count, 2),
        'm' => pattern.number(Field::Minute, count, 2),
        's' => pattern.number(Field::Second, count, 2),
        'S' => pattern.items.push(Item::Fraction { min: count.min(18), max: count.min(18) }),
        'e' => pattern.number(Field::DayOfWeek, count, 1),
        'E' => pattern.items.push(name(Field::DayOfWeek, count < 4)),
        'D' => pattern.number(Field::DayOfYear, count, 3),
        'w' => pattern.number(Field::Week, count, 2),
        'z' => pattern.items.push(Item::ZoneName { short: count < 4 }),
        'Z' if count <= 2 => pattern.items.push(Item::Offset { colon: count == 2 }),
        'Z' => pattern.items.push(Item::ZoneId),
        _ => return None,
    }
    Some(())
}

/// Whether a pattern shows the zone, which `timestamp` does not have.
pub(super) fn shows_zone(pattern: &str) -> bool {
    pattern.split('\'').step_by(2).any(|outside| outside.contains(['z', 'Z']))
}
