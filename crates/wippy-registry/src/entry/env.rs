//! The environment: variables, and where they are kept.

use indexmap::IndexMap;
use wippy_model::EntryId;

use super::target::Storage;
use crate::schema::{Decoder, Fields, IdOf, Mode, Name, Written, record};
use crate::yaml::Content;

record! {
    /// Variables in memory, gone with the runtime.
    pub struct EnvStorageMemory {
        /// Variables that are there from the start.
        values: IndexMap<String, String> as IndexMap<String, Written> => or(IndexMap::new()),
    }
}

record! {
    /// Variables in a file of `NAME=value` lines.
    pub struct EnvStorageFile {
        /// The file, relative to the project root.
        file_path | path: String as Name => required,
        /// Whether the file is created where it is missing.
        auto_create: bool => or(false),
        /// The permission bits of a file that is created.
        file_mode: u32 as Mode => or(0o600),
        /// The permission bits of a folder that is created.
        dir_mode: u32 as Mode => or(0o700),
    }
}

record! {
    /// The variables of the operating system. They cannot be set.
    pub struct EnvStorageOs {
        /// The start of the names of variables that are seen; all without it.
        prefix: String => or(String::new()),
    }
}

record! {
    /// Several storages, asked in order. What is set goes to the first.
    pub struct EnvStorageRouter {
        /// The storages.
        storages: Vec<EntryId> as Vec<IdOf<Storage>> => required,
    }
    check at_least_one;
}

record! {
    /// One variable. A default counts, and an empty text is a value.
    pub struct EnvVariable {
        /// The variable's name in its storage.
        variable: String as Name => required,
        /// Where it is kept.
        storage: EntryId as IdOf<Storage> => required,
        /// The value where the storage has none.
        default: String as Written => optional,
        /// Whether it cannot be set.
        readonly | read_only: bool => or(false),
    }
}

fn at_least_one(fields: &mut Fields<'_>, cx: &mut Decoder<'_>) -> Option<()> {
    let storages = fields.peek("storages")?;
    if matches!(&storages.content, Content::List(items) if items.is_empty()) {
        let message = "`storages` names no storage";
        cx.error("empty-list", storages.span, message, "name at least one storage");
        return None;
    }
    Some(())
}
