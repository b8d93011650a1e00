//! The binary `vae-cli`: an allocator and a call. Everything else is in the library beside it.

use std::process::ExitCode;

// Training makes and drops large short-lived buffers; the system's allocator returns them to the
// kernel each time and pays in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vae_cli::main(std::env::args_os())
}
