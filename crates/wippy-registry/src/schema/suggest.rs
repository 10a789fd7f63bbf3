//! "Did you mean": the known name that is nearest to one that is not known.

use std::collections::BTreeSet;

use wippy_model::EntryId;

/// The nearest known name, where one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let longest = lower.chars().count();
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate)
        })
        // A third of the letters may differ: `limit` is `limits`, `foo` is not `fs`.
        .filter(|(distance, candidate)| {
            *distance <= (longest.max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The known ID that is nearest: a near name of the same namespace, or the same name of
/// another one.
pub(crate) fn nearest_id<'a>(id: &EntryId, known: &BTreeSet<&'a str>) -> Option<&'a str> {
    let parts = || known.iter().filter_map(|id| id.split_once(':').map(|parts| (*id, parts)));
    let whole = |found: &str, own: &str| {
        parts().find(|(_, (space, name))| *space == own && *name == found).map(|(id, _)| id)
    };
    let own = id.namespace();
    let siblings = parts().filter(|(_, (space, _))| *space == own).map(|(_, (_, name))| name);
    nearest(id.name(), siblings)
        .and_then(|name| whole(name, own))
        .or_else(|| parts().find(|(_, (_, name))| *name == id.name()).map(|(id, _)| id))
}

/// The next step for an unknown name: the nearest known one, else all of them.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
    what: &str,
) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<_> = known.into_iter().collect();
            format!("{what} are: {}", known.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names() {
        let known = ["limits", "fs", "path", "method", "max_execution_ms"];
        for (name, expected) in [
            ("limit", Some("limits")),
            ("Limits", Some("limits")),
            ("mehtod", Some("method")),
            ("max_exec_ms", Some("max_execution_ms")),
            ("foo", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
        assert_eq!(did_you_mean("foo", ["a", "b"], "known names"), "known names are: a, b");
    }
}
