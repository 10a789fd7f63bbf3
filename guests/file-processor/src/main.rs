//! The same job as a preview1 command: prints what the component returns.

mod job;

use std::process::ExitCode;

fn main() -> ExitCode {
    match job::run() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
