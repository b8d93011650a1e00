//! Times of the pieces that a training step spends its time in, on the backend `flex`:
//! `cargo bench -p vae-bench`, or `cargo bench -p vae-bench -- encoder` for some of them. A thread of a
//! step has one core: `RAYON_NUM_THREADS=1` measures what it does.
#![allow(clippy::unwrap_used)]

use burn::tensor::{Device, Distribution, Tensor};
use divan::{Bencher, black_box};
use vae_eval::{KeyedNoise, Phase};
use vae_model::Noise;
use vae_model::init::Init;
use vae_model::likelihood::{LikelihoodConfig, LikelihoodDistribution};
use vae_model::network::{Encoder, NetworkConfig};

fn main() {
    divan::main();
}

/// Examples of a batch: those of one of two threads that share 128.
const BATCH: usize = 64;

/// Networks: a name, a configuration, channels, height and width of an example.
const NETWORKS: [(&str, &str, [usize; 3]); 4] = [
    ("mlp", "kind = 'mlp'\nhidden = [400, 400]", [1, 28, 28]),
    ("mlp-silu", "kind = 'mlp'\nhidden = [400, 400]\nactivation = 'silu'", [1, 28, 28]),
    ("conv", "kind = 'conv'\nchannels = [32, 64]", [1, 28, 28]),
    (
        "conv-residual",
        "kind = 'conv'\nchannels = [32, 64, 128]\nresidual = 1\ngroups = 8\nactivation = 'silu'",
        [3, 32, 32],
    ),
];

/// Returns the encoder of a network, and a batch.
fn encoder(name: &str) -> (Encoder, Tensor<2>) {
    let device = Device::flex().autodiff();
    let (_, config, shape) = NETWORKS.iter().find(|network| network.0 == name).unwrap();
    let config: NetworkConfig = toml::from_str(config).unwrap();
    let noise = KeyedNoise::new(1, Phase::Init);
    let (encoder, _) = config.encoder(&Init::drawn(&noise, &device), shape, 0);
    (encoder, random([BATCH, shape.iter().product()], &device))
}

fn random(shape: [usize; 2], device: &Device) -> Tensor<2> {
    Tensor::random(shape, Distribution::Uniform(0.0, 1.0), device)
}

#[divan::bench(args = NETWORKS.map(|network| network.0))]
fn encoder_forward(bencher: Bencher, name: &str) {
    let (encoder, x) = encoder(name);
    bencher.counter(BATCH).bench_local(|| black_box(encoder.forward(x.clone(), None)));
}

#[divan::bench(args = NETWORKS.map(|network| network.0))]
fn encoder_forward_and_backward(bencher: Bencher, name: &str) {
    let (encoder, x) = encoder(name);
    bencher
        .counter(BATCH)
        .bench_local(|| black_box(encoder.forward(x.clone(), None).sum().backward()));
}

/// Likelihoods with one output for each number.
const LIKELIHOODS: [&str; 3] = ["bernoulli", "gaussian", "laplace"];

#[divan::bench(args = LIKELIHOODS)]
fn likelihood_forward_and_backward(bencher: Bencher, name: &str) {
    let device = Device::flex().autodiff();
    let config: LikelihoodConfig = toml::from_str(&format!("kind = '{name}'")).unwrap();
    let outputs = random([BATCH, 784], &device).require_grad();
    let x = random([BATCH, 784], &device);
    bencher.counter(BATCH).bench_local(|| {
        let p = LikelihoodDistribution::new(outputs.clone(), config.clone(), None);
        black_box(p.log_prob(x.clone()).sum().backward())
    });
}

/// Draws of z, as importance sampling needs them.
#[divan::bench(args = [50, 400])]
fn normal_noise(bencher: Bencher, latent: usize) {
    let noise = KeyedNoise::new(1, Phase::Train);
    bencher.counter(400usize).bench_local(|| black_box(noise.normal("z", [400, 1, latent])));
}
