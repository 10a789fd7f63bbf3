//! The graph that entries form by the IDs in their data: dangling IDs, wrong kinds,
//! circles, and the order in which entries are loaded.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wippy_model::EntryId;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::entry::EntryKind;
use crate::schema::nearest_id;
use crate::yaml::{Sources, Span};

/// An ID in the data of an entry.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    /// The entry that names.
    pub(crate) from: EntryId,
    /// The entry that is named.
    pub(crate) to: EntryId,
    /// The field: `wasi.mounts[0].fs`.
    pub(crate) field: String,
    /// Where.
    pub(crate) span: Span,
    /// What must be named, in words.
    pub(crate) what: &'static str,
    /// The kinds that may be named; none means every kind.
    pub(crate) kinds: &'static [&'static str],
    /// Whether it may name nothing.
    pub(crate) optional: bool,
}

/// What is known of a declared entry, even where its data is wrong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared {
    /// The kind; none where it is unknown.
    pub(crate) kind: Option<EntryKind>,
    /// Where.
    pub(crate) span: Span,
}

/// The entries by ID, as far as they are declared.
pub(crate) type Declarations = HashMap<EntryId, Declared>;

/// Reports references to nothing and to the wrong kind. Gives back those that hold.
pub(crate) fn check(
    references: Vec<Reference>,
    declared: &Declarations,
    sources: &Sources,
    found: &mut Diagnostics,
) -> Vec<Reference> {
    let mut hold = Vec::with_capacity(references.len());
    for reference in references {
        match declared.get(&reference.to) {
            None => found.push(dangling(&reference, declared, sources)),
            Some(target) => {
                let fits = |kind: EntryKind| {
                    reference.kinds.is_empty() || reference.kinds.contains(&kind.name())
                };
                match target.kind {
                    Some(kind) if !fits(kind) => {
                        found.push(misfit(&reference, kind, target.span, sources));
                    }
                    _ => hold.push(reference),
                }
            }
        }
    }
    hold
}

fn dangling(reference: &Reference, declared: &Declarations, sources: &Sources) -> Diagnostic {
    let Reference { from, to, field, what, kinds, .. } = reference;
    let fits = |kind: Option<EntryKind>| {
        kinds.is_empty() || kind.is_none_or(|kind| kinds.contains(&kind.name()))
    };
    let fitting = declared.iter().filter(|(_, target)| fits(target.kind)).map(|(id, _)| id);
    // In the order of IDs, so that one of two equally near names is always the same.
    let fitting: BTreeSet<&str> = fitting.map(EntryId::as_str).collect();
    let help = match nearest_id(to, &fitting) {
        Some(near) => format!("did you mean `{near}`?"),
        None => match kinds.first() {
            Some(kind) => format!("declare {to} (kind: {kind}), or correct the ID"),
            None => format!("declare {to}, or correct the ID"),
        },
    };
    let place = sources.place(reference.span);
    if reference.optional {
        let message =
            format!("entry {from}: `{field}` names {to}, which does not exist; it is left out");
        return Diagnostic::warning("dangling-id", message).at(place).help(help);
    }
    let what = match what.strip_prefix("a ").or_else(|| what.strip_prefix("an ")) {
        Some(what) if !kinds.is_empty() => format!("the {what} "),
        _ => String::new(),
    };
    let message = format!("entry {from}: `{field}` names {what}{to}, which does not exist");
    Diagnostic::error("dangling-id", message).at(place).help(help)
}

fn misfit(reference: &Reference, kind: EntryKind, span: Span, sources: &Sources) -> Diagnostic {
    let Reference { from, to, field, what, kinds, .. } = reference;
    Diagnostic::error(
        "wrong-kind",
        format!("entry {from}: `{field}` must name {what}, and {to} is of kind {kind}"),
    )
    .at(sources.place(reference.span))
    .related(format!("{to} is declared here"), sources.place(span))
    .help(format!("name an entry of kind {}", kinds.join(" or ")))
}

/// The order in which each entry comes after those it names; where that leaves a choice,
/// the order of IDs. What is part of a circle is reported and left out.
pub(crate) fn order(
    declared: &Declarations,
    references: &[Reference],
    sources: &Sources,
    found: &mut Diagnostics,
) -> Vec<EntryId> {
    let mut needs: BTreeMap<&EntryId, BTreeSet<&EntryId>> = BTreeMap::new();
    let mut needed_by: HashMap<&EntryId, Vec<&EntryId>> = HashMap::new();
    for id in declared.keys() {
        needs.entry(id).or_default();
    }
    for Reference { from, to, .. } in references {
        if let Some(set) = needs.get_mut(from)
            && set.insert(to)
        {
            needed_by.entry(to).or_default().push(from);
        }
    }
    let mut ready: BTreeSet<&EntryId> =
        needs.iter().filter(|(_, set)| set.is_empty()).map(|(id, _)| *id).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(id) = ready.pop_first() {
        order.push(id.clone());
        needs.remove(id);
        for dependent in needed_by.get(id).into_iter().flatten() {
            if let Some(set) = needs.get_mut(*dependent) {
                set.remove(id);
                if set.is_empty() {
                    ready.insert(dependent);
                }
            }
        }
    }
    // What is left is in a circle, or needs something that is.
    while let Some(circle) = circle(&needs) {
        found.push(circular(&circle, references, sources));
        for id in circle {
            needs.remove(id);
        }
    }
    order
}

/// A circle among these entries: each names the next, the last names the first.
fn circle<'a>(needs: &BTreeMap<&'a EntryId, BTreeSet<&'a EntryId>>) -> Option<Vec<&'a EntryId>> {
    let mut dead_ends = BTreeSet::new();
    for start in needs.keys() {
        let mut path: Vec<&EntryId> = vec![*start];
        while let Some(last) = path.last().copied() {
            let mut onward = needs.get(last).into_iter().flatten();
            let next = onward.find(|id| needs.contains_key(*id) && !dead_ends.contains(*id));
            match next {
                None => {
                    dead_ends.insert(last);
                    path.pop();
                }
                Some(next) => match path.iter().position(|id| id == next) {
                    Some(at) => {
                        let mut circle = path.split_off(at);
                        // The smallest ID first, so that one circle has one text.
                        let smallest =
                            circle.iter().enumerate().min_by_key(|(_, id)| **id).map(|(at, _)| at);
                        circle.rotate_left(smallest.unwrap_or(0));
                        return Some(circle);
                    }
                    None => path.push(next),
                },
            }
        }
    }
    None
}

fn circular(circle: &[&EntryId], references: &[Reference], sources: &Sources) -> Diagnostic {
    let first = circle.first().copied();
    let path: Vec<_> = circle.iter().copied().chain(first).map(EntryId::as_str).collect();
    let message = match circle {
        [alone] => format!("entry {alone} names itself"),
        _ => format!("these entries name each other in a circle: {}", path.join(" -> ")),
    };
    let mut diagnostic =
        Diagnostic::error("circle", message).help("remove one of these references");
    for (from, to) in circle.iter().zip(circle.iter().skip(1).copied().chain(first)) {
        let edge = references.iter().find(|edge| edge.from == **from && edge.to == *to);
        let Some(edge) = edge else { continue };
        let place = sources.place(edge.span);
        let label = format!("{from} names {to} in `{}`", edge.field);
        diagnostic = match diagnostic.place {
            None => diagnostic.at(place).label(label),
            Some(_) => diagnostic.related(label, place),
        };
    }
    diagnostic
}
