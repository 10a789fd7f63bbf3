//! `wippy.lock`: where the sources of a project are.

use wippy_model::Value;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::schema::{Decoder, Fields, Name, Scope, record};
use crate::yaml::{Content, Node};

record! {
    /// Where the sources of a project are.
    pub(crate) struct Lock {
        /// Folders.
        directories: Directories => group,
        /// Modules that the project uses.
        modules: Vec<LockedModule> => or(Vec::new()),
        /// Local folders that stand for modules.
        replacements: Vec<Replacement> => or(Vec::new()),
        /// Free settings.
        options: Value => or(Value::map::<String>([])),
    }
}

record! {
    /// Folders of a project, relative to its root.
    pub(crate) struct Directories {
        /// The source root: every index file below it is read.
        src: String as Name => optional,
        /// Where modules are installed, each in a folder of its name.
        modules: String as Name => or(".wippy".to_owned()),
    }
}

record! {
    /// A module that the project uses.
    pub(crate) struct LockedModule {
        /// Its name: `organisation/module`.
        name: String as Name => required,
        /// Its version.
        version: String => or(String::new()),
        /// Its hash.
        hash: String => or(String::new()),
    }
}

record! {
    /// A local folder that stands for a module.
    pub(crate) struct Replacement {
        /// The module's name.
        from: String as Name => required,
        /// The folder, relative to the project root.
        to: String as Name => required,
    }
}

impl Default for Lock {
    fn default() -> Self {
        Self {
            directories: Directories { src: None, modules: ".wippy".to_owned() },
            modules: Vec::new(),
            replacements: Vec::new(),
            options: Value::map::<String>([]),
        }
    }
}

impl Lock {
    /// Reads a lock file. What is not known there is a warning.
    pub(crate) fn read(node: &Node, scope: Scope<'_>, found: &mut Diagnostics) -> Option<Self> {
        let mut references = Vec::new();
        let pairs = match &node.content {
            Content::Map(pairs) => pairs.as_slice(),
            Content::Null => &[],
            other => {
                let message = format!("wippy.lock: expected a map, found {other}");
                let place = scope.sources.place(node.span);
                let help = "write it as `directories: { src: ./src }`";
                found.push(Diagnostic::error("wrong-type", message).at(place).help(help));
                return None;
            }
        };
        let mut cx = Decoder::new(scope, found, &mut references);
        let mut fields = Fields::new(pairs, &["version"], node.span);
        let lock = Self::take(&mut fields, &mut cx);
        fields.close(&mut cx, Self::table);
        lock
    }
}
