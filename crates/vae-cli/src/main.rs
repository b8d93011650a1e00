//! The binary `vae-cli`: sets the allocator and calls the library beside it.

use std::process::ExitCode;

// Training allocates and frees large buffers at every step. The system's allocator returns them to
// the kernel each time, which costs page faults; this one can keep them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps freed memory for the next step. By default it is returned to the system at once, which slows
/// down training on pictures (`docs/performance.md`). The variable `MIMALLOC_PURGE_DELAY` takes precedence.
#[allow(unsafe_code, reason = "the allocator has no safe interface for its options")]
fn keep_freed_memory() {
    unsafe extern "C" {
        fn mi_option_set_default(option: std::ffi::c_int, value: std::ffi::c_long);
    }
    /// `mi_option_purge_delay` of `mimalloc.h`, in versions 2 and 3.
    const PURGE_DELAY: std::ffi::c_int = 15;
    const NEVER: std::ffi::c_long = -1;
    // SAFETY: a function of the linked allocator, with the types of its header; an unknown option is
    // ignored. No other thread runs yet.
    unsafe { mi_option_set_default(PURGE_DELAY, NEVER) }
}

fn main() -> ExitCode {
    keep_freed_memory();
    vae_cli::main(std::env::args_os())
}
