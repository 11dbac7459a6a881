//! `mesh-app NAME SOCKET [CERTIFICATE]`: the application in every pod of the tests under Istio.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use outrigger_tests::istio::app;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (name, socket, certificate) = match arguments.as_slice() {
        [name, socket] => (name, socket, None),
        [name, socket, certificate] => (name, socket, Some(Path::new(certificate))),
        _ => {
            eprintln!("mesh-app NAME SOCKET [CERTIFICATE]");
            return ExitCode::FAILURE;
        }
    };
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("mesh-app: {error}");
                return ExitCode::FAILURE;
            }
        };
    if let Err(error) = runtime.block_on(app::run(name, Path::new(socket), certificate)) {
        eprintln!("mesh-app: {error:#}");
    }
    ExitCode::FAILURE
}
