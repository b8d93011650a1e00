//! Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::output::printer::print_to_stderr;

/// Returns a flag that Ctrl-C sets, which prints `message`. A second Ctrl-C ends the program at once.
pub fn stop_on_signal(message: &'static str) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    // If no handler can be set, Ctrl-C ends the program at once. What was written last stays whole.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        print_to_stderr(&format!("{message} (press Ctrl-C again to stop at once)"));
    });
    stop
}
