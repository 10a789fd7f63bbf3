//! Texts with `*`, which stands for any text, the empty one too.

/// A compiled pattern. Those that people write most need no search.
#[derive(Debug)]
pub(super) enum Pattern {
    /// `*`
    Any,
    /// No `*` inside.
    Exact(Box<str>),
    /// One `*`, at the end: what stands before it.
    Prefix(Box<str>),
    /// Any other.
    Glob(Box<str>),
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        match text.split_once('*') {
            None => Self::Exact(text.into()),
            Some(("", "")) => Self::Any,
            Some((prefix, "")) => Self::Prefix(prefix.into()),
            Some(_) => Self::Glob(text.into()),
        }
    }

    pub(super) fn fits(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => **exact == *text,
            Self::Prefix(prefix) => text.starts_with(&**prefix),
            Self::Glob(glob) => fits(glob, text),
        }
    }
}

/// Whether the pattern `glob` fits the whole text. Each part between two stars is looked for
/// from the left, which never needs a second try: at most length times length steps.
pub(super) fn fits(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, fitting, others) in [
            ("*", &["", "a", "a:b.c"][..], &[][..]),
            ("", &[""], &["a"]),
            ("funcs.call", &["funcs.call"], &["funcs.calls", "func", ""]),
            ("funcs.*", &["funcs.", "funcs.call", "funcs.a.b"], &["funcs", "Funcs.call"]),
            ("*.get", &["fs.get", ".get"], &["fs.get.x", "get"]),
            ("app:*:x", &["app::x", "app:a:x", "app:a:b:x"], &["app:x", "app:a:x:y"]),
            ("a*b*c", &["abc", "aXbXc", "abbcc", "abcbc"], &["ac", "abcb", "bc"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("**", &["", "a"], &[]),
            ("ü*ß", &["üß", "ü-ß"], &["ü", "u-ß"]),
        ] {
            let compiled = Pattern::new(pattern);
            for text in fitting {
                assert!(compiled.fits(text) && fits(pattern, text), "{pattern:?} {text:?}");
            }
            for text in others {
                assert!(!compiled.fits(text) && !fits(pattern, text), "{pattern:?} {text:?}");
            }
        }
    }
}
