//! `wippy inspect FILE.wasm`: what a binary exports, imports and needs.

use crate::cli::InspectArgs;
use crate::failure::{Failure, Outcome, status};
use crate::output;

/// Prints what is known of a binary without running it.
pub(crate) fn inspect(args: &InspectArgs) -> Outcome {
    let bytes =
        std::fs::read(&args.file).map_err(|error| Failure::file("read", &args.file, &error))?;
    let inspection = wippy_wasm::inspect(&bytes)
        .map_err(|error| Failure::of_start(&error.context(args.file.display())))?;
    match args.json {
        true => output::print_line(&format!("{:#}", inspection.to_json()))?,
        false => output::print_line(inspection.to_string().trim_end())?,
    }
    Ok(status::OK)
}
