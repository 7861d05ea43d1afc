//! Texts as bounds of a column: not longer than what a reader needs to tell files apart.

/// A text that is not greater than `text`, and whether it is shorter.
pub(super) fn least(text: &str, most: Option<usize>) -> (Vec<u8>, bool) {
    let shorter = most.filter(|most| text.len() > *most).map(|most| text.floor_char_boundary(most));
    match shorter.filter(|end| *end > 0) {
        Some(end) => (text.as_bytes()[..end].to_vec(), true),
        None => (text.as_bytes().to_vec(), false),
    }
}

/// A text that is not less than `text`, and whether it is shorter: the last character that can be is
/// replaced by the next one of its length.
pub(super) fn greatest(text: &str, most: Option<usize>) -> (Vec<u8>, bool) {
    let shorter = most.filter(|most| text.len() > *most).map(|most| text.floor_char_boundary(most));
    match shorter.and_then(|end| next(&text[..end])) {
        Some(next) => (next.into_bytes(), true),
        None => (text.as_bytes().to_vec(), false),
    }
}

/// The least text of no more bytes that is greater than all which begin with `text`.
fn next(text: &str) -> Option<String> {
    text.char_indices().rev().find_map(|(at, last)| {
        let next = char::from_u32(u32::from(last) + 1).filter(|next| next.len_utf8() == last.len_utf8())?;
        Some(format!("{}{next}", &text[..at]))
    })
}
