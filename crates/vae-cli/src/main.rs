//! The binary `vae-cli`: sets the allocator and calls the library beside it.

use std::process::ExitCode;

// Training allocates and frees large buffers at every step. The system's allocator returns them to
// the kernel each time, which costs page faults; this one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    vae_cli::main(std::env::args_os())
}
