//! From an error to a message and an exit code.

use std::process::ExitCode;

use anyhow::Error;
use vae_data::DataError;
use vae_eval::EvalError;
use vae_model::compatibility::Unusable;
use vae_train::{TrainError, backend};

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

/// Prints `error` on stderr. Returns exit code 2 if the request or its input was wrong, else 1.
pub fn report(error: &Error) -> ExitCode {
    // A reader that has had enough (`| head`) is no failure of ours.
    if error.downcast_ref::<std::io::Error>().is_some_and(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    let advice: String = error.chain().filter_map(advice).collect();
    crate::printer::complain(&format!("error: {error:#}{advice}"));
    ExitCode::from(if is_request(error) { 2 } else { 1 })
}

/// What to type instead: libraries say what is wrong, and know of no flags.
fn advice(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    let other_data = || Some(" (name other data with --data DIR or --data FILE)".to_owned());
    if let Some(DataError::UnreadSetting { .. }) = cause.downcast_ref::<DataError>() {
        return other_data();
    }
    if let Some(unusable) = cause.downcast_ref::<Unusable>() {
        return match unusable {
            Unusable::Shape { .. } | Unusable::NoLabels | Unusable::UnknownClass { .. } => {
                Some(": name other data with --data".to_owned())
            }
            Unusable::NoLikelihood => Some(" (a --set each)".to_owned()),
            Unusable::NoEncoder
            | Unusable::NoDensity
            | Unusable::OtherMeasure
            | Unusable::OtherLabels => None,
        };
    }
    match cause.downcast_ref::<TrainError>()? {
        TrainError::Data(DataError::UnreadSetting { .. }) => other_data(),
        TrainError::Override { .. } => Some(" after --set".to_owned()),
        TrainError::BatchTooLarge { .. } => Some("; set --batch-size to at most that".to_owned()),
        TrainError::Locked { .. } => Some("; wait for it or choose another --out".to_owned()),
        TrainError::Changed { .. } => Some(" (train anew with another --out)".to_owned()),
        TrainError::Backend { name, .. } => backend::TABLE
            .iter()
            .find(|entry| entry.is_cpu && entry.name != *name)
            .map(|entry| format!("; or use --backend {}", entry.name)),
        _ => None,
    }
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

fn is_request(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Request>()
            || cause.is::<Unusable>()
            || cause.downcast_ref::<TrainError>().is_some_and(TrainError::is_request)
            || cause.downcast_ref::<EvalError>().is_some_and(EvalError::is_request)
            || cause.downcast_ref::<DataError>().is_some_and(DataError::is_request)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_library_gets_the_flag_that_helps() {
        let data = || "digits".to_owned();
        let [key, was, is] = ["train.seed", "0", "1"].map(str::to_owned);
        for (error, flag) in [
            (TrainError::Override { text: "model.latent".to_owned() }, "--set"),
            (
                TrainError::BatchTooLarge { batch_size: 2, data: data(), examples: 1 },
                "--batch-size",
            ),
            (TrainError::SizeOfNoFolder { data: data() }, "--data DIR"),
            (TrainError::Locked { folder: "runs/a".into() }, "--out"),
            (TrainError::Changed { key, was, is }, "--out"),
        ] {
            assert!(!error.to_string().contains("--"), "{error}");
            assert!(advice(&error).unwrap().contains(flag), "{error}");
        }
    }
}
