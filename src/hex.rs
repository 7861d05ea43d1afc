//! Bytes as hexadecimal digits, which is how CloudTrail writes hashes and signatures.

/// Writes bytes as lower-case hex.
pub fn encode(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Reads hex in either case; `None` if it is not hex.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    for pair in text.as_bytes().chunks(2) {
        bytes.push(byte(pair)?);
    }
    Some(bytes)
}

/// Reads so many bytes of hex in either case; `None` if it is not that.
pub fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (decoded, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *decoded = byte(pair)?;
    }
    Some(bytes)
}

fn byte(pair: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_takes_as_many_digits_as_it_has_room_for() {
        assert_eq!(decode_array("00fFa1"), Some([0, 255, 161]));
        for text in ["", "00fF", "00fFa1b2", "00fFag", "00fF+1", "0é00f"] {
            assert_eq!(decode_array::<3>(text), None, "{text}");
        }
        let bytes: [u8; 32] = std::array::from_fn(|at| u8::try_from(at * 7 % 256).unwrap());
        assert_eq!(decode_array(&encode(&bytes)), Some(bytes));
    }
}
