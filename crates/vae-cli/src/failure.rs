//! From an error to a message and an exit code.
//!
//! Libraries say what is wrong and name keys of the configuration; they know of no flags. The flag
//! that helps is added here, by `advice`, and nowhere else.

use std::error::Error as StdError;
use std::process::ExitCode;

use anyhow::Error;
use vae_data::DataError;
use vae_eval::EvalError;
use vae_export::ExportError;
use vae_model::FileError;
use vae_model::compatibility::Unusable;
use vae_train::{TrainError, backend};
use vae_view::ViewError;

/// A wrong request that this crate finds.
#[derive(Debug)]
struct Request(String);

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Request {}

/// Returns the error of a wrong request.
pub fn request(message: impl Into<String>) -> Error {
    Request(message.into()).into()
}

/// Prints `error` on stderr. Returns exit code 2 if the request or its input was wrong, else 1.
pub fn report(error: &Error) -> ExitCode {
    // `| head` closes the pipe when it has enough lines, which is not a failure.
    if error.downcast_ref::<std::io::Error>().is_some_and(is_broken_pipe) {
        return ExitCode::SUCCESS;
    }
    crate::output::printer::print_to_stderr(&format!("error: {}", message(error)));
    ExitCode::from(if is_request(error) { 2 } else { 1 })
}

/// Returns what went wrong, from the outermost context to the cause, and the flag that helps. A cause
/// that its context has named already is left out.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    let advice: String =
        error.chain().filter_map(advice).map(|advice| format!("; {advice}")).collect();
    text + &advice
}

/// Returns what to type instead, to follow the message and `; `.
fn advice(cause: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref::<TrainError>() {
        return training_advice(error);
    }
    if let Some(error) = cause.downcast_ref::<EvalError>() {
        return evaluation_advice(error);
    }
    if let Some(error) = cause.downcast_ref::<DataError>() {
        return data_advice(error);
    }
    if let Some(error) = cause.downcast_ref::<ExportError>() {
        return export_advice(error);
    }
    unusable_advice(cause.downcast_ref::<Unusable>()?)
}

fn unusable_advice(error: &Unusable) -> Option<String> {
    match error {
        Unusable::Shape { .. }
        | Unusable::NoLabels
        | Unusable::UnknownClass { .. }
        | Unusable::OtherSupport { .. } => Some("name other data with --data".to_owned()),
        Unusable::NoLikelihood => {
            Some("give these settings to `vae-cli train` with --set".to_owned())
        }
        Unusable::NoEncoder
        | Unusable::NoPrior
        | Unusable::NoDensity
        | Unusable::NoPriorDensity
        | Unusable::OtherMeasure
        | Unusable::OtherLabels => None,
    }
}

fn training_advice(error: &TrainError) -> Option<String> {
    match error {
        TrainError::Data(error) => data_advice(error),
        TrainError::File(error) => file_advice(error),
        TrainError::Eval(error) => evaluation_advice(error),
        TrainError::Override { .. } => Some("write it as --set KEY.PATH=VALUE".to_owned()),
        TrainError::BatchTooLarge { examples, .. } => {
            Some(format!("set --batch-size to at most {examples}"))
        }
        TrainError::Locked { .. } => Some("wait for it, or choose another --out".to_owned()),
        TrainError::Changed { .. } => {
            Some("to train with this configuration, choose another --out".to_owned())
        }
        TrainError::Unauthorized { .. } => Some(
            "give that of the server with --token-file FILE, or in VAE_REMOTE_TOKEN".to_owned(),
        ),
        TrainError::NoToken { .. } => {
            Some("add --token-file FILE, which is made if it is not there".to_owned())
        }
        TrainError::Backend { name, .. } => backend::TABLE
            .iter()
            .find(|entry| entry.is_cpu && entry.name != *name)
            .map(|entry| format!("or use --backend {}", entry.name)),
        _ => None,
    }
}

fn evaluation_advice(error: &EvalError) -> Option<String> {
    match error {
        EvalError::File(error) => file_advice(error),
        EvalError::Unusable(error) => unusable_advice(error),
        EvalError::Data(error) => data_advice(error),
        EvalError::NotANumber { .. } => Some("set it with --learning-rate".to_owned()),
        EvalError::Request(_) | EvalError::Failed(_) => None,
    }
}

fn data_advice(error: &DataError) -> Option<String> {
    match error {
        DataError::UnreadSetting { .. } => {
            Some("name other data with --data DIR or --data FILE".to_owned())
        }
        _ => None,
    }
}

fn export_advice(error: &ExportError) -> Option<String> {
    match error {
        ExportError::UnknownShape { .. } => {
            Some("name it with --input, such as --input 1,28,28".to_owned())
        }
        ExportError::UnknownClasses { .. } => Some("name it with --classes N".to_owned()),
        ExportError::Train(error) => training_advice(error),
        ExportError::Mismatch { .. }
        | ExportError::Io { .. }
        | ExportError::Malformed { .. }
        | ExportError::Request(_) => None,
    }
}

fn file_advice(error: &FileError) -> Option<String> {
    match error {
        FileError::HoldsClassifier { .. } => {
            Some("use it with `vae-cli classify --apply FILE`".to_owned())
        }
        FileError::Io { .. } | FileError::Malformed { .. } => None,
    }
}

fn is_broken_pipe(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::BrokenPipe
}

fn is_request(error: &Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Request>()
            || cause.is::<Unusable>()
            || matches!(
                cause.downcast_ref(),
                Some(ViewError::Format { .. } | ViewError::TooLarge { .. })
            )
            || cause.downcast_ref::<TrainError>().is_some_and(TrainError::is_request)
            || cause.downcast_ref::<EvalError>().is_some_and(EvalError::is_request)
            || cause.downcast_ref::<DataError>().is_some_and(DataError::is_request)
            || cause.downcast_ref::<ExportError>().is_some_and(ExportError::is_request)
    })
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn an_error_of_a_library_gets_the_flag_that_helps() {
        let data = || "digits".to_owned();
        let unread = || DataError::UnreadSetting {
            name: data(),
            setting: "data.size",
            readers: "the path of a folder of pictures".to_owned(),
        };
        let [key, was, is] = ["train.seed", "0", "1"].map(str::to_owned);
        let holds_classifier = || FileError::HoldsClassifier { path: "classifier.vae".into() };
        for (error, flag) in [
            (TrainError::Override { text: "model.latent".to_owned() }.into(), "--set"),
            (
                TrainError::BatchTooLarge { batch_size: 2, data: data(), examples: 1 }.into(),
                "--batch-size",
            ),
            (TrainError::Locked { folder: "runs/a".into() }.into(), "--out"),
            (TrainError::Changed { key, was, is }.into(), "--out"),
            (TrainError::File(holds_classifier()).into(), "classify --apply"),
            (EvalError::File(holds_classifier()).into(), "classify --apply"),
            (
                EvalError::NotANumber { step: 1, term: "loss".to_owned(), value: f64::NAN }.into(),
                "--learning-rate",
            ),
            (TrainError::Data(unread()).into(), "--data DIR"),
            (unread().into(), "--data DIR"),
            (ExportError::UnknownShape { source_name: data() }.into(), "--input"),
            (ExportError::UnknownClasses { source_name: data() }.into(), "--classes"),
            (Unusable::NoLabels.into(), "--data"),
            (Unusable::UnknownClass { found: 9, known: 2 }.into(), "--data"),
            (Unusable::NoLikelihood.into(), "--set"),
            (EvalError::Unusable(Unusable::NoLabels).into(), "--data"),
            (EvalError::Data(unread()).into(), "--data DIR"),
            (TrainError::Eval(EvalError::Unusable(Unusable::NoLabels)).into(), "--data"),
            (TrainError::Eval(EvalError::File(holds_classifier())).into(), "classify --apply"),
        ] {
            let error: Error = error;
            assert!(!error.to_string().contains("--"), "{error}");
            assert!(message(&error).contains(flag), "{error}");
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let missing = std::io::Error::other("the disk is full");
        let error = Error::from(DataError::io(std::path::Path::new("x.npy"), missing));
        assert_eq!(message(&error.context("encoding")), "encoding: x.npy: the disk is full");
    }

    #[test]
    fn the_advice_of_an_error_with_context_ends_one_sentence() {
        let error = Unusable::Shape { expected: vec![1, 28, 28], found: vec![256] };
        let error = Err::<(), _>(error).context("curves").unwrap_err();
        assert_eq!(
            message(&error),
            "curves: the examples have shape [256], the model was trained on [1, 28, 28]; name \
             other data with --data"
        );
        assert!(is_request(&error));
    }
}
