//! Stores, databases, and entries without a meaning of their own.

use std::time::Duration;

use indexmap::IndexMap;
use wippy_model::Value;

use super::lifecycle::Lifecycle;
use crate::schema::{Count, Name, Table, Written, record};
use crate::yaml::Node;

record! {
    /// Keys and values in memory.
    pub struct StoreMemory {
        /// Keys at the most.
        max_size: u32 as Count => or(10_000),
        /// How often what has expired is removed.
        cleanup_interval: Duration => or(Duration::from_secs(300)),
        /// How it starts and stops.
        lifecycle: Lifecycle => group,
    }
}

record! {
    /// An SQLite database.
    pub struct DbSqlSqlite {
        /// The file, relative to the project root, or `:memory:`.
        file: String as Name => required,
        /// Connections.
        pool: SqlPool => group,
        /// Pragmas that every connection sets.
        options: IndexMap<String, String> as IndexMap<String, Written> => or(IndexMap::new()),
        /// How it starts and stops.
        lifecycle: Lifecycle => group,
    }
}

record! {
    /// Connections of a database.
    pub struct SqlPool {
        /// Open connections at the most.
        max_open: u32 as Count => or(8),
        /// Connections that are kept while nobody uses them.
        max_idle: u32 => or(2),
        /// How long a connection is kept.
        max_lifetime: Duration => or(Duration::from_secs(3600)),
    }
}

/// Data that programs read from the registry. Its fields are free.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryEntry {
    /// The data.
    pub data: Value,
}

impl RegistryEntry {
    pub(crate) fn read(node: &Node, skip: &[&str]) -> Self {
        let mut data = node.to_value();
        if let Value::Map(map) = &mut data {
            map.retain(|key, _| !skip.contains(&key.as_str()));
        }
        Self { data }
    }

    pub(crate) fn table() -> Table {
        Table {
            name: "RegistryEntry",
            doc: "Data that programs read from the registry. Its fields are free.".to_owned(),
            rows: Vec::new(),
            ignored: &[],
            refused: &[],
        }
    }
}
