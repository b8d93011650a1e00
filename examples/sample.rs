//! Samples from a model file and prints the images as text.
//!
//! ```sh
//! cargo run --release -p vae-examples --example train
//! cargo run --release -p vae-examples --example sample     # or: --example sample -- PATH
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use vae_eval::Generator;
use vae_train::{Backend, Checkpoint};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or("runs/example.vae".into(), PathBuf::from);
    let device = Backend::any_cpu()?.device;
    let checkpoint = Checkpoint::read(&path, &device)?;

    let generator = Generator {
        // The model's own prior, or the one that was fitted after a training without a prior; none
        // if such a training has not ended.
        prior: checkpoint.prior_source(),
        // The way from x back to the range of the data.
        transform: Arc::new(checkpoint.transform),
        vae: checkpoint.vae,
        device,
        // The same seed gives the same samples on every backend.
        seed: 0,
    };

    // Row by row: the mean of p(x|z) for each of four z. `true` would draw x from p(x|z).
    let samples = generator.sample(4, None, false)?;
    let [_, _, width] = *generator.vae.shape() else {
        return Err("this example prints images, and the model makes vectors".into());
    };
    for image in samples.chunks(generator.vae.numbers()) {
        for row in image.chunks(width) {
            let shade = |p: &f32| [' ', '.', ':', '+', '#'][(p.clamp(0.0, 1.0) * 4.0) as usize];
            println!("{}", row.iter().map(shade).collect::<String>());
        }
    }
    Ok(())
}
