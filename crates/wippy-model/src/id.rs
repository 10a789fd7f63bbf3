//! The name of an entry: `namespace:name`, split at the first colon.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of an entry, `namespace:name`.
///
/// Cheap to clone and to compare. The namespace may hold dots; the name may hold
/// further colons, because the text is split at the first one.
///
/// ```
/// use wippy_model::EntryId;
/// let id = EntryId::parse("app.workers:resize").unwrap();
/// assert_eq!(id.namespace(), "app.workers");
/// assert_eq!(id.name(), "resize");
/// assert_eq!(EntryId::parse_in("app", "resize").unwrap().to_string(), "app:resize");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EntryId {
    text: Arc<str>,
}

/// A text that is no entry ID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no entry ID: write it as namespace:name")]
pub struct EntryIdError(String);

impl EntryId {
    /// Makes an ID of its two parts.
    ///
    /// # Errors
    ///
    /// When a part is empty or the namespace holds a colon.
    pub fn new(namespace: &str, name: &str) -> Result<Self, EntryIdError> {
        Self::parse(&format!("{namespace}:{name}"))
    }

    /// Reads `namespace:name`.
    ///
    /// # Errors
    ///
    /// When there is no colon, a part is empty, or a part holds white space.
    pub fn parse(text: &str) -> Result<Self, EntryIdError> {
        match text.split_once(':') {
            Some((namespace, name))
                if !namespace.is_empty()
                    && !name.is_empty()
                    && !text.contains(char::is_whitespace) =>
            {
                Ok(Self { text: text.into() })
            }
            _ => Err(EntryIdError(text.to_owned())),
        }
    }

    /// Reads an ID as it is written inside the namespace `own`: a text without a
    /// colon means a name of that namespace.
    ///
    /// # Errors
    ///
    /// As [`EntryId::parse`].
    pub fn parse_in(own: &str, text: &str) -> Result<Self, EntryIdError> {
        if text.contains(':') { Self::parse(text) } else { Self::new(own, text) }
    }

    /// The part before the first colon.
    pub fn namespace(&self) -> &str {
        self.text.split_once(':').map_or("", |(namespace, _)| namespace)
    }

    /// The part after the first colon.
    pub fn name(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, name)| name)
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({})", self.text)
    }
}

impl TryFrom<String> for EntryId {
    type Error = EntryIdError;
    fn try_from(text: String) -> Result<Self, EntryIdError> {
        Self::parse(&text)
    }
}

impl From<EntryId> for String {
    fn from(id: EntryId) -> Self {
        id.text.as_ref().to_owned()
    }
}

impl std::str::FromStr for EntryId {
    type Err = EntryIdError;
    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_the_first_colon() {
        let id = EntryId::parse("a.b:c:d").unwrap();
        assert_eq!((id.namespace(), id.name()), ("a.b", "c:d"));
    }

    #[test]
    fn a_name_alone_is_of_the_own_namespace() {
        assert_eq!(EntryId::parse_in("app", "x").unwrap().as_str(), "app:x");
        assert_eq!(EntryId::parse_in("app", "lib:x").unwrap().as_str(), "lib:x");
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["", "x", ":x", "x:", "a b:c", "a:b\n"] {
            let error = EntryId::parse(text).unwrap_err();
            assert!(error.to_string().contains("namespace:name"), "{text}");
        }
    }
}
