//! The pinned SHA-256 of a binary: `sha256:` and 64 hexadecimal digits.

use std::fmt;

use sha2::{Digest as _, Sha256};
use wippy_model::{Error, Value};

/// A SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

/// The hash that an entry demands of its binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashPin {
    /// The binary must have this one.
    Sha256(Hash),
    /// None is written yet, or it is a placeholder such as `sha256:...`, or it is no hash.
    /// Loading says so as an error, unless `wippy hash` asks for the entry to write it.
    Unfilled,
}

impl Hash {
    /// The hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads `sha256:` and 64 hexadecimal digits, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                *byte = *byte << 4 | u8::try_from((*digit as char).to_digit(16)?).ok()?;
            }
        }
        Some(Self(hash))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl HashPin {
    /// The hash that is demanded, once it is filled in.
    pub fn sha256(&self) -> Option<&Hash> {
        match self {
            Self::Sha256(hash) => Some(hash),
            Self::Unfilled => None,
        }
    }

    /// Refuses bytes that do not have this hash.
    ///
    /// # Errors
    ///
    /// Of kind `Invalid`, naming expected and actual, when the bytes have another hash or
    /// none is filled in.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Error> {
        let actual = Hash::of(bytes);
        let (expected, message) = match self {
            Self::Sha256(expected) if *expected == actual => return Ok(()),
            Self::Sha256(expected) => {
                (Value::from(expected.to_string()), format!("expected {expected}, got {actual}"))
            }
            Self::Unfilled => (Value::Null, format!("no hash is filled in; it is {actual}")),
        };
        let details =
            Value::map([("expected", expected), ("actual", Value::from(actual.to_string()))]);
        let next = "run `wippy hash --write` if this binary is the one you mean";
        Err(Error::invalid(format!("the binary's hash does not match: {message}; {next}"))
            .with_retryable(false)
            .with_details(details))
    }
}

/// Whether a text stands for a hash that is still to be filled in.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let rest = text.strip_prefix("sha256:").unwrap_or(text).trim();
    rest.is_empty()
        || rest.chars().all(|char| matches!(char, '.' | '…' | '?' | '<' | '>' | '0' | 'x' | 'X'))
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_and_back() {
        assert_eq!(Hash::of(b"").to_string(), EMPTY);
        assert_eq!(Hash::parse(EMPTY), Some(Hash::of(b"")));
        assert_eq!(Hash::parse(&EMPTY.to_uppercase().replace("SHA", "sha")), Some(Hash::of(b"")));
        for text in ["", "sha256:", "sha256:...", &EMPTY[7..], &EMPTY[..70], "sha256:é"] {
            assert_eq!(Hash::parse(text), None, "{text}");
        }
        assert_eq!(Hash::parse(&EMPTY.replace('e', "g")), None);
    }

    #[test]
    fn a_wrong_hash_names_both() {
        let pin = HashPin::Sha256(Hash::of(b""));
        assert!(pin.verify(b"").is_ok());
        assert_eq!(
            pin.verify(b"x").unwrap_err().message(),
            format!(
                "the binary's hash does not match: expected {EMPTY}, got {}; run `wippy hash \
                 --write` if this binary is the one you mean",
                Hash::of(b"x")
            )
        );
    }

    #[test]
    fn placeholders() {
        for text in ["sha256:...", "sha256:", "", "sha256:…", "..."] {
            assert!(is_placeholder(text), "{text}");
        }
        assert!(!is_placeholder("sha256:abc"));
    }
}
