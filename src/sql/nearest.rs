//! The names nearest to one that does not exist.

use strsim::damerau_levenshtein;

const MOST: usize = 3;

/// Up to three of `candidates` that `wanted` may have meant, the likeliest first.
pub(super) fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let wanted = wanted.to_lowercase();
    let mut scored: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter_map(|candidate| Some((score(&wanted, &candidate.to_lowercase())?, candidate)))
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(MOST).map(|(_, name)| name.to_owned()).collect()
}

/// How far apart two names are, if they can be meant for one another at all.
fn score(wanted: &str, candidate: &str) -> Option<usize> {
    let bare = |name: &str| name.replace('_', "");
    let distance = damerau_levenshtein(&bare(wanted), &bare(candidate));
    let allowed = (wanted.chars().count() / 3).max(1);
    if distance <= allowed {
        return Some(distance * 2);
    }
    let part = wanted.len() >= 4 && (candidate.contains(wanted) || wanted.contains(candidate));
    (part && candidate.len() >= 4).then_some(allowed * 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const NAMES: [&str; 5] = ["eventname", "eventtime", "eventcategory", "sourceipaddress", "errorcode"];

    #[test]
    fn a_slip_of_the_finger_finds_the_name() {
        assert_eq!(nearest("evenname", NAMES)[0], "eventname");
        assert_eq!(nearest("event_name", NAMES)[0], "eventname");
        assert_eq!(nearest("sourceip", NAMES), ["sourceipaddress"]);
    }

    #[test]
    fn a_name_like_no_other_finds_nothing() {
        assert!(nearest("bananas", NAMES).is_empty());
        assert!(nearest("", NAMES).is_empty());
    }
}
