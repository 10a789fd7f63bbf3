//! Names that were probably meant: one letter off, two swapped, or written in another case.

/// Whether `given` is probably a misspelling of `name`. Never true for equal names.
pub(super) fn is_near(given: &str, name: &str) -> bool {
    if given == name {
        return false;
    }
    let edits_max = match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        _ => 2,
    };
    folded(given) == folded(name) || distance_within(given, name, edits_max)
}

/// Whether two names differ only as `tag_count` differs from `tag-count`.
pub(super) fn is_same(given: &str, name: &str) -> bool {
    given.len() == name.len()
        && given
            .bytes()
            .zip(name.bytes())
            .all(|(given, name)| given == name || (given == b'_' && name == b'-'))
}

/// The one name that `given` is: exactly, else with `_` for `-`.
pub(super) fn position<'a>(
    given: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<usize> {
    names
        .clone()
        .position(|name| name == given)
        .or_else(|| names.clone().position(|name| is_same(given, name)))
}

fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Edit distance with swaps of neighbours (optimal string alignment), in three rows. Names
/// of very different lengths are not compared, so that the work is bounded.
fn distance_within(a: &str, b: &str, edits_max: usize) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if edits_max == 0 || a.len().abs_diff(b.len()) > edits_max {
        return false;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, to) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX);
            let mut cost = (at(&last, column) + usize::from(from != to))
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(to)
                && b.get(column - 1) == Some(from);
            if swapped {
                cost = cost.min(at(&before, column - 1) + 1);
            }
            current.push(cost);
        }
        before = last;
        last = current;
    }
    last.last().is_some_and(|distance| *distance <= edits_max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        for (given, name, near) in [
            ("tag-coutn", "tag-count", true),
            ("tagCount", "tag-count", true),
            ("tagcount", "tag-count", true),
            ("nmae", "name", true),
            ("names", "name", true),
            ("name", "name", false),
            ("note", "name", false),
            ("y", "x", false),
            ("X", "x", true),
            ("ids", "id", false),
            ("count", "tag-count", false),
            ("", "name", false),
        ] {
            assert_eq!(is_near(given, name), near, "{given} for {name}");
        }
    }
}
