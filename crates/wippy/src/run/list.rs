//! `wippy run list`: the commands of this project.

use std::fmt::Write as _;

use serde_json::json;

use crate::cli::RunArgs;
use crate::failure::{Failure, Outcome, status};
use crate::log::Mode;
use crate::{output, project};

/// Prints a table of name and `short`, sorted by name; or JSON.
pub(super) fn list(args: &RunArgs, words: &[String]) -> Outcome {
    let json = match words {
        [] => args.json,
        [word] if word == "--json" => true,
        [word, ..] => {
            return Err(Failure::usage_with_help(
                "usage",
                format!("`wippy run list` does not know `{word}`"),
                "it takes --json; a command of the name `list` runs with -x ns:entry",
            ));
        }
    };
    let (project, _log) = project::load(&args.project, args.log, Mode::Command)?;
    let commands = project.registry().commands();
    if json {
        let commands: Vec<_> = commands
            .iter()
            .map(|(command, entry)| {
                json!({
                    "name": command.name,
                    "short": command.short,
                    "entry": entry.id.as_str(),
                    "kind": entry.kind().name(),
                })
            })
            .collect();
        output::print_line(&format!("{:#}", serde_json::Value::from(commands)))?;
        return Ok(status::OK);
    }
    if commands.is_empty() {
        output::complain("this project has no commands: a process with meta.command is one\n");
    }
    let width = commands.iter().map(|(command, _)| command.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut table = String::new();
    for (command, _) in commands {
        let row = format!("{:width$}  {}", command.name, command.short);
        let _ = writeln!(table, "{}", row.trim_end());
    }
    output::print(&table)?;
    Ok(status::OK)
}
