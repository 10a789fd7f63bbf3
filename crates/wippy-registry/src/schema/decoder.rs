//! What a decoder carries: whose value it reads, where it is, and what it found.

use std::path::Path;

use wippy_model::EntryId;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph::Reference;
use crate::yaml::{Key, Node, Sources, Span};

/// What does not change while one entry is read.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The texts.
    pub(crate) sources: &'a Sources,
    /// The entry; none for settings.
    pub(crate) id: Option<&'a EntryId>,
    /// What is read where it is no entry: `wippy.lock`.
    pub(crate) label: &'a str,
    /// What `meta` holds, the index's own merged under it.
    pub(crate) meta: &'a [(Key, Node)],
    /// The folder of the file, for `file://`.
    pub(crate) folder: Option<&'a Path>,
    /// The folder that `file://` may not leave, symlinks resolved.
    pub(crate) source_root: Option<&'a Path>,
    /// The folder that names of files are shown relative to.
    pub(crate) project_root: &'a Path,
    /// Whether a hash may be missing or wrong.
    pub(crate) unfilled_hashes: bool,
}

/// Reads the fields of one entry and keeps what is wrong with them.
pub(crate) struct Decoder<'a> {
    pub(crate) scope: Scope<'a>,
    pub(crate) found: &'a mut Diagnostics,
    pub(crate) references: &'a mut Vec<Reference>,
    path: Vec<String>,
}

impl<'a> Scope<'a> {
    /// The scope of a file that holds no entries.
    pub(crate) fn of_file(label: &'a str, sources: &'a Sources, project_root: &'a Path) -> Self {
        Self {
            sources,
            id: None,
            label,
            meta: &[],
            folder: None,
            source_root: None,
            project_root,
            unfilled_hashes: false,
        }
    }
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(
        scope: Scope<'a>,
        found: &'a mut Diagnostics,
        references: &'a mut Vec<Reference>,
    ) -> Self {
        Self { scope, found, references, path: Vec::new() }
    }

    /// Reads a part under its name.
    pub(crate) fn inside<T>(
        &mut self,
        step: impl Into<String>,
        read: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push(step.into());
        let value = read(self);
        self.path.pop();
        value
    }

    /// The path of the value that is read: `wasi.mounts[0].guest`.
    pub(crate) fn path(&self) -> String {
        let mut path = String::new();
        for step in &self.path {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }

    /// The path of a field of the value that is read.
    pub(crate) fn path_of(&self, field: &str) -> String {
        match self.path() {
            path if path.is_empty() => field.to_owned(),
            path => format!("{path}.{field}"),
        }
    }

    /// Whether a map here may hold fields that nobody knows: `meta` is free, but for what
    /// decides on permissions, where a slip of the pen would go unseen.
    pub(crate) fn is_free(&self) -> bool {
        self.path.first().is_some_and(|step| step == "meta")
            && !self.path.iter().any(|step| step == "security")
    }

    /// The name of the field that is read, without list indices.
    pub(crate) fn field(&self) -> &str {
        self.path.iter().rev().find(|step| !step.starts_with('[')).map_or("value", String::as_str)
    }

    /// Whose value it is, for messages.
    pub(crate) fn subject(&self) -> String {
        match self.scope.id {
            Some(id) => format!("entry {id}"),
            None => self.scope.label.to_owned(),
        }
    }

    /// Keeps an error at a place.
    pub(crate) fn error(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl AsRef<str>,
        help: impl Into<String>,
    ) {
        let diagnostic = self.diagnostic(Diagnostic::error, code, span, message);
        self.found.push(diagnostic.help(help));
    }

    /// Makes a diagnostic with subject and place.
    pub(crate) fn diagnostic(
        &self,
        make: impl FnOnce(&'static str, String) -> Diagnostic,
        code: &'static str,
        span: Span,
        message: impl AsRef<str>,
    ) -> Diagnostic {
        let message = format!("{}: {}", self.subject(), message.as_ref());
        make(code, message).at(self.scope.sources.place(span))
    }

    /// Keeps the error of a value that is not what its field takes.
    pub(crate) fn wrong(&mut self, node: &Node, expected: &str, example: &str) {
        let message = format!("`{}`: expected {expected}, found {}", self.path(), node.content);
        self.error("wrong-type", node.span, message, self.write_it(example));
    }

    /// How the value of this field may be written; `general` where the field is not known
    /// for a typical value.
    pub(crate) fn example<'e>(&self, general: &'e str) -> &'e str {
        if !matches!(general, "name" | "/data" | "namespace:name") {
            return general;
        }
        match self.field() {
            "addr" => "\":8080\"",
            "directory" => "./data",
            "file" | "file_path" => "./data/file",
            "fs" => "files",
            "func" => "handler",
            "guest" | "cwd" => "/data",
            "method" => "run",
            "name" => "greet",
            "path" if general == "name" => "/main.wasm",
            "prefix" => "/api",
            "variable" => "API_URL",
            _ => general,
        }
    }

    /// The next step that shows how the value is written.
    pub(crate) fn write_it(&self, example: &str) -> String {
        match self.path.last() {
            Some(step) if step.starts_with('[') => format!("write it as `- {example}`"),
            _ => format!("write it as `{}: {}`", self.field(), self.example(example)),
        }
    }
}
