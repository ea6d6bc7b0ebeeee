//! The helper program of this crate's own tests; the one that ships is `rds-csi helper`.

use std::process::ExitCode;

fn main() -> ExitCode {
    host::helper_main(std::env::args_os())
}
