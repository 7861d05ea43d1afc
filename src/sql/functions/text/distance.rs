//! How texts differ or sound: `levenshtein_distance`, `hamming_distance`, `soundex`, `luhn_check`.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::super::scalar::{Arguments, Function, Kind, put};

/// The functions of this file.
pub(super) fn scalar() -> Vec<ScalarUDF> {
    const ONE: &[&[Kind]] = &[&[Kind::Text]];
    const TWO: &[&[Kind]] = &[&[Kind::Text, Kind::Text]];
    vec![
        Function::new("levenshtein_distance", TWO, DataType::Int64, |args| distances(args, levenshtein))
            .into(),
        Function::new("hamming_distance", TWO, DataType::Int64, |args| distances(args, hamming)).into(),
        Function::new("soundex", ONE, DataType::Utf8, soundexes).into(),
        Function::new("luhn_check", ONE, DataType::Boolean, luhn_checks).into(),
    ]
}

fn distances(args: &Arguments, distance: fn(&str, &str) -> Result<usize>) -> Result<ArrayRef> {
    let (left, right) = (args.text(0)?, args.text(1)?);
    args.to_numbers::<Int64Type, _>(|row| {
        let (Some(left), Some(right)) = (left.at(row), right.at(row)) else { return Ok(None) };
        Ok(i64::try_from(distance(left, right)?).ok())
    })
}

/// The fewest insertions, deletions and changes; a row of the table at a time.
fn levenshtein(left: &str, right: &str) -> Result<usize> {
    let right: Vec<char> = right.chars().collect();
    if left.chars().count().saturating_mul(right.len()) > 1_000_000 {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: The combined inputs for Levenshtein distance are too large"
        );
    }
    let mut costs: Vec<usize> = (0..=right.len()).collect();
    for (index, left) in left.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = index + 1;
        for (column, right) in right.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = costs[column + 1];
            costs[column + 1] = changed.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    Ok(costs[right.len()])
}

fn hamming(left: &str, right: &str) -> Result<usize> {
    if left.chars().count() != right.chars().count() {
        return exec_err!(
            "INVALID_FUNCTION_ARGUMENT: The input strings to hamming_distance function must have the same length"
        );
    }
    Ok(left.chars().zip(right.chars()).filter(|(left, right)| left != right).count())
}

fn soundexes(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_texts(|row, out| texts.at(row).map(|text| put(out, &soundex(text))).transpose())
}

/// The first letter, and the sounds of three more: as Apache Commons Codec has it.
fn soundex(text: &str) -> String {
    const SOUNDS: &[u8; 26] = b"01230120022455012623010202";
    let sound = |letter: u8| SOUNDS[usize::from(letter - b'A')];
    let letters: Vec<u8> =
        text.bytes().filter(u8::is_ascii_alphabetic).map(|letter| letter.to_ascii_uppercase()).collect();
    let Some(first) = letters.first() else { return String::new() };
    let mut code = String::from(char::from(*first));
    let mut last = sound(*first);
    for letter in &letters[1..] {
        // These two do not part letters of one sound.
        if matches!(letter, b'H' | b'W') {
            continue;
        }
        let digit = sound(*letter);
        if digit != b'0' && digit != last {
            code.push(char::from(digit));
        }
        last = digit;
        if code.len() == 4 {
            break;
        }
    }
    format!("{code:0<4}")
}

fn luhn_checks(args: &Arguments) -> Result<ArrayRef> {
    let texts = args.text(0)?;
    args.to_booleans(|row| {
        let Some(text) = texts.at(row) else { return Ok(None) };
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return exec_err!("INVALID_FUNCTION_ARGUMENT: Input string must contain only digits");
        }
        let digits = text.bytes().rev().map(|b| u32::from(b - b'0')).enumerate();
        let sum: u32 = digits
            .map(|(place, digit)| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
            .sum();
        Ok(Some(!text.is_empty() && sum.is_multiple_of(10)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_trino() {
        for (left, right, distance) in [
            ("", "", 0),
            ("root", "boot", 1),
            ("hello", "hell", 1),
            ("", "hello", 5),
            ("hello world", "hel wold", 3),
            ("año", "ano", 1),
        ] {
            assert_eq!(levenshtein(left, right).unwrap(), distance);
        }
        assert_eq!(hamming("hello", "jello").unwrap(), 1);
        assert!(hamming("a", "ab").is_err());
        assert!(levenshtein(&"x".repeat(2000), &"y".repeat(2000)).is_err());
    }

    #[test]
    fn sounds_are_those_of_commons_codec() {
        for (text, code) in [
            ("Robert", "R163"),
            ("Rupert", "R163"),
            ("Ashcraft", "A261"),
            ("Tymczak", "T522"),
            ("Pfister", "P236"),
            ("Honeyman", "H555"),
            ("a", "A000"),
            ("", ""),
        ] {
            assert_eq!(soundex(text), code, "{text}");
        }
    }
}
