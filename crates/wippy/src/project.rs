//! The project of this folder, with what the command line puts over it.

use std::path::Path;

use wippy_registry::{LoadOptions, Project, Severity};

use crate::cli::{LogArgs, ProjectArgs};
use crate::failure::Failure;
use crate::log::{Log, Mode};
use crate::output;

/// What the registry is told of the command line.
pub(crate) fn options(args: &ProjectArgs) -> LoadOptions {
    LoadOptions {
        overrides: args.overrides.clone(),
        settings: args.set.clone(),
        config: args.config.clone(),
        unfilled_hashes: false,
    }
}

/// Loads the project of the working directory and installs the log. Warnings are shown,
/// and for a server notices too.
///
/// # Errors
///
/// Everything that is wrong with the project files, or that there are none.
pub(crate) fn load(
    args: &ProjectArgs,
    log_args: LogArgs,
    mode: Mode,
) -> Result<(Project, Log), Failure> {
    let log = Log::install(mode, log_args);
    let project = Project::load(Path::new("."), &options(args))?;
    log.settle(&project.settings().logger, false);
    if !log_args.silent {
        for warning in project.warnings() {
            if mode == Mode::Server || warning.severity == Severity::Warning {
                output::show_one(warning);
            }
        }
    }
    if project.registry().is_empty() {
        return Err(Failure::usage_with_help(
            "no-project",
            "there is no project in this folder: it has no entries",
            "`wippy init` makes one, -C DIR names another",
        ));
    }
    Ok((project, log))
}
