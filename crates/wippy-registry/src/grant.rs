//! The names that `imports` takes, and what each grants.

use std::fmt;

/// A group of host interfaces that an entry may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// `wasi:cli`: arguments, environment, stdio. Always real; naming it documents.
    Cli,
    /// `wasi:io`, `wasi:poll`: streams and pollables. Always real; naming it documents.
    Io,
    /// `wasi:clocks`. Always real; naming it documents.
    Clocks,
    /// `wasi:filesystem`: the mounts. Always real; naming it documents.
    Filesystem,
    /// `wasi:random`. Always real; naming it documents.
    Random,
    /// `wasi:sockets`: TCP, UDP and name look-up, as the policy allows.
    Sockets,
    /// `wasi:http`: outgoing requests, as the policy allows.
    Http,
    /// `funcs` (`wippy:runtime/funcs@0.1.0`): calling functions of the registry.
    Funcs,
    /// `wippy:actor` (`wippy:actor/process@0.1.0`): messages.
    Actor,
    /// `wippy:process`: spawning, linking, monitoring, names, upgrade.
    Process,
}

impl Grant {
    /// Every grant, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::Cli,
        Self::Io,
        Self::Clocks,
        Self::Filesystem,
        Self::Random,
        Self::Sockets,
        Self::Http,
        Self::Funcs,
        Self::Actor,
        Self::Process,
    ];

    /// The name that `imports` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cli => "wasi:cli",
            Self::Io => "wasi:io",
            Self::Clocks => "wasi:clocks",
            Self::Filesystem => "wasi:filesystem",
            Self::Random => "wasi:random",
            Self::Sockets => "wasi:sockets",
            Self::Http => "wasi:http",
            Self::Funcs => "funcs",
            Self::Actor => "wippy:actor",
            Self::Process => "wippy:process",
        }
    }

    /// Whether the group has power of its own, so that it does nothing without its grant.
    pub fn has_power(self) -> bool {
        matches!(self, Self::Sockets | Self::Http | Self::Funcs | Self::Actor | Self::Process)
    }
}

/// The groups that an entry was granted.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Grants(u16);

/// A name that `imports` does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" is no host import: known are {}", Grants::NAMES.join(", "))]
pub struct UnknownImport {
    name: String,
}

impl Grants {
    /// Nothing granted.
    pub const NONE: Self = Self(0);

    /// Every name that `imports` knows.
    pub const NAMES: [&'static str; 12] = [
        "wasi:cli",
        "wasi:io",
        "wasi:poll",
        "wasi:clocks",
        "wasi:filesystem",
        "wasi:random",
        "wasi:sockets",
        "wasi:http",
        "funcs",
        "wippy:actor",
        "wippy:process",
        "wasi1",
    ];

    /// What one name of `imports` grants. Case and `@version` are ignored, and the name of
    /// a single interface grants its group.
    ///
    /// ```
    /// use wippy_registry::{Grant, Grants};
    /// let grants = Grants::parse("WASI:io/streams@0.2.3").unwrap();
    /// assert!(grants.contains(Grant::Io) && !grants.contains(Grant::Http));
    /// ```
    ///
    /// # Errors
    ///
    /// When no import has that name.
    pub fn parse(name: &str) -> Result<Self, UnknownImport> {
        let lower = name.trim().to_ascii_lowercase();
        let bare = lower.split('@').next().unwrap_or("");
        let group = bare.split('/').next().unwrap_or("");
        let grants = match group {
            "wasi:cli" => Self::of(Grant::Cli),
            "wasi:io" | "wasi:poll" => Self::of(Grant::Io),
            "wasi:clocks" => Self::of(Grant::Clocks),
            "wasi:filesystem" => Self::of(Grant::Filesystem),
            "wasi:random" => Self::of(Grant::Random),
            "wasi:sockets" => Self::of(Grant::Sockets),
            "wasi:http" => Self::of(Grant::Http),
            "funcs" | "wippy:runtime" => Self::of(Grant::Funcs),
            "wippy:actor" => Self::of(Grant::Actor),
            "wippy:process" => Self::of(Grant::Process),
            "wasi1" => [Grant::Cli, Grant::Io, Grant::Clocks, Grant::Filesystem, Grant::Random]
                .into_iter()
                .collect(),
            _ => return Err(UnknownImport { name: name.to_owned() }),
        };
        Ok(grants)
    }

    /// One group.
    pub fn of(grant: Grant) -> Self {
        Self(1 << grant as u16)
    }

    /// Whether a group is granted.
    pub fn contains(self, grant: Grant) -> bool {
        self.0 & Self::of(grant).0 != 0
    }

    /// Both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The groups, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL.into_iter().filter(move |grant| self.contains(*grant))
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<T: IntoIterator<Item = Grant>>(grants: T) -> Self {
        grants.into_iter().map(Self::of).fold(Self::NONE, Self::union)
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Grant::name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_grants() {
        for name in Grants::NAMES {
            assert_ne!(Grants::parse(name).unwrap(), Grants::NONE, "{name}");
        }
        for grant in Grant::ALL {
            assert_eq!(Grants::parse(grant.name()).unwrap(), Grants::of(grant));
        }
    }

    #[test]
    fn names_of_interfaces_case_and_versions() {
        for (name, expected) in [
            ("wasi:io/streams@0.2.0", "[\"wasi:io\"]"),
            ("Wasi:Poll", "[\"wasi:io\"]"),
            ("wippy:runtime/funcs@0.1.0", "[\"funcs\"]"),
            ("wippy:actor/process@0.1.0", "[\"wippy:actor\"]"),
            ("wippy:process/control@0.1.0", "[\"wippy:process\"]"),
            (
                "wasi1",
                "[\"wasi:cli\", \"wasi:io\", \"wasi:clocks\", \"wasi:filesystem\", \"wasi:random\"]",
            ),
        ] {
            assert_eq!(format!("{:?}", Grants::parse(name).unwrap()), expected);
        }
        assert_eq!(
            Grants::parse("wasi:nn").unwrap_err().to_string(),
            "\"wasi:nn\" is no host import: known are wasi:cli, wasi:io, wasi:poll, wasi:clocks, \
             wasi:filesystem, wasi:random, wasi:sockets, wasi:http, funcs, wippy:actor, \
             wippy:process, wasi1"
        );
    }
}
