//! From an error to a message and an exit code.

use std::process::ExitCode;

use anyhow::Error;
use vae_data::DataError;
use vae_train::TrainError;

/// A wrong request that only the command line can know of.
#[derive(Debug)]
pub struct Request(pub String);

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Request {}

/// A wrong request as an error.
pub fn request(message: impl Into<String>) -> Error {
    Request(message.into()).into()
}

/// Prints `error` on stderr and gives the exit code: 2 if the request or its input was wrong, else 1.
pub fn report(error: &Error) -> ExitCode {
    // A reader that has had enough (`| head`) is no failure of ours.
    if error.downcast_ref::<std::io::Error>().is_some_and(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    crate::printer::complain(&format!("error: {error:#}{}", advice(error)));
    ExitCode::from(if is_request(error) { 2 } else { 1 })
}

/// What the flags of this program can do about an error of the data.
fn advice(error: &Error) -> &'static str {
    let data = error.chain().find_map(|cause| match cause.downcast_ref::<TrainError>() {
        Some(TrainError::Data(data)) => Some(data),
        _ => cause.downcast_ref::<DataError>(),
    });
    match data {
        Some(DataError::UnreadSetting { .. }) => {
            " (name other data with --data DIR or --data FILE)"
        }
        _ => "",
    }
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

fn is_request(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Request>()
            || cause.downcast_ref::<TrainError>().is_some_and(TrainError::is_request)
            || cause.downcast_ref::<DataError>().is_some_and(DataError::is_request)
    })
}
