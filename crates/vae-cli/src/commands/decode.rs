//! `decode`: latent codes to data.

use anyhow::Result;
use vae_data::Values;

use super::{Form, write, written};
use crate::args::DecodeArgs;
use crate::failure::request;
use crate::open;
use crate::printer::Printer;

/// Decodes.
pub fn run(args: &DecodeArgs, printer: &Printer) -> Result<()> {
    Form::of(&args.out)?;
    let codes = vae_data::source::read_array(&args.codes)?;
    let (generator, checkpoint) = open::generator(&args.model, args.seed, printer)?;
    let label = super::label(args.label, &generator.vae)?;
    if generator.vae.classes() > 0 && label.is_none() {
        return Err(request("this model is conditional on labels: say which class with --label"));
    }
    let latent = generator.vae.config().latent;
    let Values::Floats(z) = &codes.values else {
        return Err(request(format!(
            "{}: codes are floating-point numbers [n, {latent}], not bytes",
            args.codes.display()
        )));
    };
    if codes.shape.dims() != [latent] {
        return Err(request(format!(
            "{}: holds rows of shape {:?}, the model's codes are [n, {latent}]",
            args.codes.display(),
            codes.shape.dims()
        )));
    }
    let decoded = generator.decode(z, label.as_ref().map(std::slice::from_ref), args.draw);
    let names = checkpoint.data.settings.columns.as_deref();
    write(&args.out, generator.vae.shape(), &decoded, None, names)?;
    written(printer, &args.out, codes.len())
}
