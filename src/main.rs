//! The `dragoman` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    match dragoman::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dragoman: {error:#}");
            ExitCode::FAILURE
        }
    }
}
