//! `MySQL`'s patterns, as Trino reads them: `%Y-%m-%d %H:%i:%s`.

use super::pattern::{Field, Item, Pattern};

/// Two digits of a year mean 1970 to 2069.
const PIVOT_YEAR: i64 = 2020;

/// Reads a pattern of `date_format` and `date_parse`.
pub(super) fn pattern(text: &str) -> Result<Pattern, String> {
    let mut pattern = Pattern::default();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            pattern.literal(character.encode_utf8(&mut [0; 4]));
            continue;
        }
        let Some(specifier) = characters.next() else { break };
        specify(&mut pattern, specifier)?;
    }
    Ok(pattern)
}

fn specify(pattern: &mut Pattern, specifier: char) -> Result<(), String> {
    match specifier {
        'a' => pattern.items.push(Item::Name { field: Field::DayOfWeek, short: true }),
        'b' => pattern.items.push(Item::Name { field: Field::Month, short: true }),
        'c' => pattern.number(Field::Month, 1, 2),
        'd' => pattern.number(Field::Day, 2, 2),
        'e' => pattern.number(Field::Day, 1, 2),
        'f' => pattern.items.push(Item::Fraction { min: 6, max: 9 }),
        'H' => pattern.number(Field::Hour, 2, 2),
        'h' | 'I' => pattern.number(Field::ClockHourOfHalfDay, 2, 2),
        'i' => pattern.number(Field::Minute, 2, 2),
        'j' => pattern.number(Field::DayOfYear, 3, 3),
        'k' => pattern.number(Field::Hour, 1, 2),
        'l' => pattern.number(Field::ClockHourOfHalfDay, 1, 2),
        'M' => pattern.items.push(Item::Name { field: Field::Month, short: false }),
        'm' => pattern.number(Field::Month, 2, 2),
        'p' => pattern.items.push(Item::Name { field: Field::HalfDay, short: false }),
        'r' => time(pattern, Field::ClockHourOfHalfDay, true),
        'S' | 's' => pattern.number(Field::Second, 2, 2),
        'T' => time(pattern, Field::Hour, false),
        'v' => pattern.number(Field::Week, 2, 2),
        'x' => pattern.number(Field::WeekYear, 4, 4),
        'W' => pattern.items.push(Item::Name { field: Field::DayOfWeek, short: false }),
        'Y' => pattern.number(Field::Year, 4, 4),
        'y' => {
            pattern.items.push(Item::TwoDigits { field: Field::Year, pivot: PIVOT_YEAR, lenient: false });
        }
        'w' | 'U' | 'u' | 'V' | 'X' | 'D' => {
            return Err(format!("%{specifier} not supported in date format string"));
        }
        other => pattern.literal(other.encode_utf8(&mut [0; 4])),
    }
    Ok(())
}

fn time(pattern: &mut Pattern, hour: Field, half: bool) {
    pattern.number(hour, 2, 2);
    pattern.literal(":");
    pattern.number(Field::Minute, 2, 2);
    pattern.literal(":");
    pattern.number(Field::Second, 2, 2);
    if half {
        pattern.literal(" ");
        pattern.items.push(Item::Name { field: Field::HalfDay, short: false });
    }
}
