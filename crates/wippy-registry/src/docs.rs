//! `docs/entries.md`, made from the types: a table for each kind and each group of fields.

use std::fmt::Write as _;

use crate::discover::{FILES_MAX, FOLDER_DEPTH_MAX};
use crate::entry::EntryKind;
use crate::lock::Lock;
use crate::project::FILE_BYTES_MAX;
use crate::schema::{Row, Table};
use crate::settings::Settings;
use crate::source_text::SOURCE_BYTES_MAX;

/// The text of `docs/entries.md`.
pub fn entries_markdown() -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut text);
    text
}

fn write(text: &mut String) -> std::fmt::Result {
    text.push_str(include_str!("docs_intro.md"));
    writeln!(
        text,
        "\nLimits: {} MiB a file, {} MiB a file behind `file://`, {FILES_MAX} files, folders \
         nested {FOLDER_DEPTH_MAX} deep, lists and maps nested {} deep, {} values a file with \
         aliases written out.",
        FILE_BYTES_MAX >> 20,
        SOURCE_BYTES_MAX >> 20,
        crate::yaml::DEPTH_MAX,
        crate::yaml::NODES_MAX,
    )?;
    let mut groups: Vec<Table> = Vec::new();
    text.push_str("\n## Kinds\n");
    for kind in EntryKind::ALL {
        let table = kind.table();
        write!(text, "\n### {kind}\n\n{}\n", table.doc)?;
        if !kind.is_in_effect() {
            text.push_str("\n**Read and checked; without effect in this version.**\n");
        }
        write_table(text, &table)?;
        collect(&table, &mut groups);
    }
    let settings = Settings::table();
    let lock = Lock::table();
    let mut file_groups = Vec::new();
    collect(&settings, &mut file_groups);
    collect(&lock, &mut file_groups);
    groups.sort_by_key(|table| table.name);
    text.push_str("\n## Groups of fields\n");
    for table in &groups {
        write!(text, "\n### {}\n\n{}\n", table.name, table.doc)?;
        write_table(text, table)?;
    }
    text.push_str(
        "\n## .wippy.yaml\n\nSettings of the runtime: `version: \"1.0\"` and sections. All are \
         optional. Unknown sections and fields are warnings, and errors in `security`. \
         `--set section.field=value` puts a value over the file.\n",
    );
    write_table(text, &settings)?;
    text.push_str("\n## wippy.lock\n\nWhere the sources of a project are. All is optional.\n");
    write_table(text, &lock)?;
    text.push_str("\n## Groups of fields of .wippy.yaml and wippy.lock\n");
    for table in &file_groups {
        write!(text, "\n### {}\n\n{}\n", table.name, table.doc)?;
        write_table(text, table)?;
    }
    Ok(())
}

/// The groups of fields that a table names, each once.
fn collect(table: &Table, groups: &mut Vec<Table>) {
    for row in &table.rows {
        let Some(group) = row.ty.table.map(|group| group()) else { continue };
        if groups.iter().any(|other| other.name == group.name) {
            continue;
        }
        let mut nested = Vec::new();
        collect(&group, &mut nested);
        groups.push(group);
        nested.retain(|table| groups.iter().all(|other| other.name != table.name));
        groups.append(&mut nested);
    }
}

fn write_table(text: &mut String, table: &Table) -> std::fmt::Result {
    if !table.rows.is_empty() {
        text.push_str("\n| Field | Type | Required | Default | Meaning |\n");
        text.push_str("|---|---|---|---|---|\n");
    }
    for row in &table.rows {
        let required = match row.required {
            true => "yes",
            false => "no",
        };
        let default = row.default.as_deref().unwrap_or("");
        let mut meaning = row.doc.clone();
        for (choice, doc) in &row.ty.choices {
            let _ = write!(meaning, " `{choice}`: {doc}");
        }
        writeln!(text, "| {} | {} | {required} | {default} | {meaning} |", name(row), ty(row))?;
    }
    let quoted = |names: &[&str]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    if !table.ignored.is_empty() {
        writeln!(text, "\nWithout effect here, with a notice: {}.", quoted(table.ignored))?;
    }
    for (field, why) in table.refused {
        writeln!(text, "\n`{field}` is an error: {why}.")?;
    }
    Ok(())
}

fn name(row: &Row) -> String {
    let meta = if row.meta { "meta." } else { "" };
    let mut name = format!("`{meta}{}`", row.name);
    if row.or_meta {
        let _ = write!(name, " (or `meta.{}`)", row.name);
    }
    for alias in row.aliases {
        let _ = write!(name, " (older: `{alias}`)");
    }
    name
}

fn ty(row: &Row) -> String {
    match row.ty.table.map(|table| table()) {
        Some(table) => {
            let link = format!("[{}](#{})", table.name, table.name.to_lowercase());
            row.ty.name.replace("map", &link)
        }
        None => row.ty.name.clone(),
    }
}
