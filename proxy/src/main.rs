//! The `outrigger` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let program = arguments.first().map(|name| name.to_string_lossy().into_owned());
    match outrigger::cli::parse(arguments) {
        Ok(parsed) => outrigger::app::main(&program.unwrap_or_default(), parsed),
        Err(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
    }
}
