//! "Did you mean": the known name that is nearest to one that is not known.

/// The nearest known name, where one is near enough to be meant: a third of its letters
/// may differ.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (name.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let known = ["greet", "compute", "x"];
        for (name, expected) in
            [("gret", Some("greet")), ("comptue", Some("compute")), ("y", Some("x")), ("zzz", None)]
        {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }
}
