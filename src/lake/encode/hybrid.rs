//! Parquet's hybrid of runs and packed bits, in which it writes levels and the codes of dictionaries.
//!
//! Values that repeat eight times and more are a run; all others are packed, eight at a time.
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE>

#![expect(clippy::cast_possible_truncation, reason = "bytes are cut off one by one")]

/// Values that are packed together.
const GROUP: usize = 8;

/// Groups behind one header: it is kept to one byte.
const MOST_GROUPS: usize = 63;

/// How many bits the numbers up to `most` take.
pub(super) fn width(most: usize) -> u32 {
    usize::BITS - most.leading_zeros()
}

/// Appends `values`, each of which is of no more than `width` bits.
pub(super) fn encode<T: Copy + PartialEq + Into<u64>>(values: &[T], width: u32, out: &mut Vec<u8>) {
    let mut rest = values;
    // Where the header of the groups stands that are being packed, and how many they are.
    let (mut header, mut groups) = (0, 0);
    while let Some((group, behind)) = rest.split_first_chunk::<GROUP>() {
        if group.iter().all(|value| *value == group[0]) {
            close(out, header, &mut groups);
            let length = rest.iter().take_while(|value| **value == group[0]).count();
            run(group[0].into(), length, width, out);
            rest = &rest[length..];
            continue;
        }
        if groups == 0 {
            header = out.len();
            out.push(0);
        }
        pack(group.map(Into::into), width, out);
        groups += 1;
        if groups == MOST_GROUPS {
            close(out, header, &mut groups);
        }
        rest = behind;
    }
    match rest {
        [] => {}
        [first, ..] if groups == 0 && rest.iter().all(|value| value == first) => {
            run((*first).into(), rest.len(), width, out);
        }
        _ => {
            if groups == 0 {
                header = out.len();
                out.push(0);
            }
            let mut group = [0; GROUP];
            group.iter_mut().zip(rest).for_each(|(packed, value)| *packed = (*value).into());
            pack(group, width, out);
            groups += 1;
        }
    }
    close(out, header, &mut groups);
}

/// Appends a value that is repeated.
pub(super) fn run(value: u64, length: usize, width: u32, out: &mut Vec<u8>) {
    let mut header = length << 1;
    while header > 0x7F {
        out.push(header as u8 | 0x80);
        header >>= 7;
    }
    out.push(header as u8);
    out.extend_from_slice(&value.to_le_bytes()[..width.div_ceil(8) as usize]);
}

fn close(out: &mut [u8], header: usize, groups: &mut usize) {
    if *groups > 0 {
        out[header] = (*groups << 1 | 1) as u8;
        *groups = 0;
    }
}

fn pack(group: [u64; GROUP], width: u32, out: &mut Vec<u8>) {
    if width <= 16 {
        let packed = group.iter().rev().fold(0u128, |packed, value| packed << width | u128::from(*value));
        out.extend_from_slice(&packed.to_le_bytes()[..width as usize]);
        return;
    }
    let (mut packed, mut bits) = (0u64, 0);
    for value in group {
        packed |= value << bits;
        bits += width;
        while bits >= 8 {
            out.push(packed as u8);
            packed >>= 8;
            bits -= 8;
        }
    }
}
