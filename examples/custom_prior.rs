//! Samples a trained model from a prior of one's own: a kernel density of its codes.
//!
//! ```sh
//! cargo run --release -p vae-examples --example custom_prior
//! ```
//!
//! An autoencoder is trained without a prior: nothing makes its codes follow N(0, I). A kernel
//! density follows the codes: p(z) = 1/n sum_i N(z; z_i, h^2 I), with one Gaussian on the code z_i
//! of each of n training examples.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Int, Tensor, TensorData};
use vae_data::{Environment, Examples, Split};
use vae_eval::{EvalError, Generator, KeyedNoise, Phase, PriorSource};
use vae_model::Noise;
use vae_model::posterior::Gaussian;
use vae_model::prior::{Distribution, StandardNormal};
use vae_train::{Backend, Trainer, data, presets};

/// A kernel density in the latent space.
struct KernelDensity {
    /// The centres of the kernels, `[n, latent]`.
    centres: Tensor<2>,
    /// The standard deviation h of each kernel, in every dimension.
    bandwidth: f64,
}

impl Distribution for KernelDensity {
    /// Chooses a kernel for each row, then draws from it.
    fn sample(&self, noise: &dyn Noise, n: usize, device: &Device) -> Tensor<2> {
        let [kernels, latent] = self.centres.dims();
        // Random numbers come from outside. A purpose of its own keeps them independent of others.
        let uniform = noise.uniform("kernel", [1, n, 1]);
        let chosen: Vec<i32> = uniform.iter().map(|u| (u * kernels as f32) as i32).collect();
        let chosen = Tensor::<1, Int>::from_data(TensorData::new(chosen, [n]), device);
        let eps = TensorData::new(noise.normal("prior", [1, n, latent]), [n, latent]);
        let eps = Tensor::<2>::from_data(eps, device);
        self.centres.clone().select(0, chosen) + eps.mul_scalar(self.bandwidth)
    }

    /// log p(z) = log sum_i exp(-|z - z_i|^2 / (2 h^2)) - log n - latent/2 log(2 pi h^2).
    fn log_prob(&self, z: Tensor<3>, _noise: &dyn Noise) -> Tensor<2> {
        let [k, batch, latent] = z.dims();
        let [kernels, _] = self.centres.dims();
        let variance = self.bandwidth * self.bandwidth;
        let z = z.reshape([k * batch, 1, latent]);
        let squares: Tensor<2> =
            (z - self.centres.clone().unsqueeze::<3>()).square().sum_dim(2).squeeze_dim(2);
        let exponents = squares.div_scalar(-2.0 * variance);
        // The largest exponent is taken out of the sum, so that exp does not underflow.
        let largest = exponents.clone().max_dim(1);
        let sum = (exponents - largest.clone()).exp().sum_dim(1).log() + largest;
        let constant = (kernels as f64).ln()
            + 0.5 * latent as f64 * (2.0 * std::f64::consts::PI * variance).ln();
        sum.sub_scalar(constant).reshape([k, batch])
    }

    /// The KL of a Gaussian from a mixture has no closed form.
    fn kl_from(&self, _q: &Gaussian) -> Option<Tensor<2>> {
        None
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Train the autoencoder of a preset, smaller.
    let small = ["data.source=digits", "data.limit=3000", "train.epochs=5", "model.latent=4"];
    let overrides =
        small.iter().map(|s| vae_train::Override::set(s)).collect::<Result<Vec<_>, _>>()?;
    let config = presets::resolve("autoencoder", &overrides)?;
    let environment = Environment::default();
    let data = data::load(&config, &environment)?;
    let (train, transform) = (data.train.clone(), data.transform.clone());
    let mut test = data.resolved.read(Split::Test, &environment)?;
    test.truncate(500);
    let device = Backend::any_cpu()?.device;
    let mut trainer = Trainer::new(config, data, &Backend::any_cpu()?)?;
    trainer.train(None, vec![], &AtomicBool::new(false))?;

    // The codes of the training examples are the centres.
    let mut generator =
        Generator { vae: trainer.vae(), transform, device: device.clone(), seed: 0, prior: None };
    let latent = generator.vae.config().latent;
    let codes = |examples: &Examples| -> Result<Tensor<2>, EvalError> {
        let indices: Vec<u32> = (0..examples.len() as u32).collect();
        let z = generator.encode(examples, &indices)?;
        Ok(Tensor::from_data(TensorData::new(z, [indices.len(), latent]), &device))
    };
    let centres = codes(&train)?;
    let held_out = codes(&test)?.unsqueeze::<3>();
    let density = KernelDensity { bandwidth: bandwidth(&centres), centres };

    // Compare it with N(0, I) on the codes of examples that were not trained on: higher is better.
    let noise = KeyedNoise::new(0, Phase::Evaluate);
    for (name, log_prob) in [
        ("kernel density", density.log_prob(held_out.clone(), &noise)),
        ("N(0, I)", StandardNormal::new(latent).log_prob(held_out, &noise)),
    ] {
        let mean: f32 = log_prob.mean().into_data().iter::<f32>().sum();
        println!("{name}: log p(z) of test codes {mean:.2} nats on average");
    }

    // Sample the model from this density in place of its own prior.
    generator.prior = Some(PriorSource::Custom(Arc::new(density)));
    for image in generator.sample(2, None, false)?.chunks(28 * 28) {
        for row in image.chunks(28) {
            let shade = |p: &f32| [' ', '.', ':', '+', '#'][(p.clamp(0.0, 1.0) * 4.0) as usize];
            println!("{}", row.iter().map(shade).collect::<String>());
        }
    }
    Ok(())
}

/// Scott's rule: n^(-1/(latent + 4)) times the standard deviation of the codes, averaged over
/// dimensions.
fn bandwidth(codes: &Tensor<2>) -> f64 {
    let [n, latent] = codes.dims();
    let variance: f32 = codes.clone().var(0).mean().into_data().iter::<f32>().sum();
    f64::from(variance).sqrt() * (n as f64).powf(-1.0 / (latent as f64 + 4.0))
}
