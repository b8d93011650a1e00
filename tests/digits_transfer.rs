//! What a small CNN reads that was trained on one set of images: are the built-in digits worth
//! training on (trained on them alone it reads real MNIST, and the reverse), and are the samples of
//! a conditional model the digits that it was asked for?

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use vae_data::rng::Stream;
use vae_data::source::SourceSettings;
use vae_data::{Environment, Examples, ImageBatcher, OpenedSource, Pixels, Split, Transform};
use vae_eval::{Generator, PriorSource, normal_quantile};
use vae_tests::{data_dir, say};
use vae_train::{Backend, Trainer};

/// conv 16, conv 32, dense 128; ReLU and 2x2 pooling after each convolution.
#[derive(Module, Debug)]
struct Reader {
    conv1: Conv2d,
    conv2: Conv2d,
    pool: MaxPool2d,
    dense: Linear,
    output: Linear,
}

impl Reader {
    fn new(device: &Device) -> Self {
        Self {
            conv1: Conv2dConfig::new([1, 16], [3, 3]).init(device),
            conv2: Conv2dConfig::new([16, 32], [3, 3]).init(device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            dense: LinearConfig::new(32 * 5 * 5, 128).init(device),
            output: LinearConfig::new(128, 10).init(device),
        }
    }

    /// Logits `[batch, 10]` of images `[batch, 784]`.
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let [n, _] = x.dims();
        let x = self.pool.forward(relu(self.conv1.forward(x.reshape([n, 1, 28, 28]))));
        let x = self.pool.forward(relu(self.conv2.forward(x)));
        self.output.forward(relu(self.dense.forward(x.reshape([n, 32 * 5 * 5]))))
    }
}

fn labels(examples: &Examples, indices: &[u32]) -> Vec<i64> {
    let labels = examples.labels.as_ref().unwrap();
    indices.iter().map(|i| i64::from(labels[*i as usize])).collect()
}

fn batcher(examples: &Arc<Examples>) -> ImageBatcher {
    let transform = Arc::new(Transform::Pixels(Pixels::Grey));
    ImageBatcher::new(Arc::clone(examples), transform, Stream::new(0, "unused"))
}

/// Trained on 10,000 images for three epochs.
fn train(examples: Examples) -> Reader {
    let device = Device::flex();
    device.seed(0);
    let mut examples = examples;
    examples.truncate(10_000);
    let examples = Arc::new(examples);
    let training = device.clone().autodiff();
    let mut reader = Reader::new(&training);
    let mut optimizer = AdamConfig::new().init();
    let loss = CrossEntropyLossConfig::new().init(&device);
    for epoch in 0..3 {
        let order = Stream::new(0, "order").derive(epoch).permutation(examples.len());
        for batch in batcher(&examples).batches(order, 100, &device) {
            let targets = labels(&examples, &batch.indices);
            let n = targets.len();
            let targets = Tensor::<1, Int>::from_data(TensorData::new(targets, [n]), &device);
            let loss = loss.forward(reader.forward(batch.x), targets);
            let grads = GradientsParams::from_grads(loss.backward(), &reader);
            reader = optimizer.step(1e-3, reader, grads);
        }
    }
    reader.valid()
}

/// The reader trained on real MNIST, which two tests ask, trained once.
fn reader_of_mnist(environment: &Environment) -> &'static Reader {
    static READER: OnceLock<Reader> = OnceLock::new();
    READER.get_or_init(|| train(read("mnist", Split::Train, environment)))
}

/// The share of `examples` that it reads right, in percent.
fn accuracy(reader: &Reader, examples: Examples) -> f64 {
    let examples = Arc::new(examples);
    let order = (0..examples.len() as u32).collect();
    let mut right = 0;
    for batch in batcher(&examples).batches(order, 500, &Device::flex()) {
        let read = reader.forward(batch.x).argmax(1).into_data();
        let truth = labels(&examples, &batch.indices);
        right += read.iter::<i64>().zip(truth).filter(|(a, b)| a == b).count();
    }
    100.0 * right as f64 / examples.len() as f64
}

/// A split of a named source.
fn read(source: &str, split: Split, environment: &Environment) -> Examples {
    let opened = OpenedSource::open(source, &SourceSettings::default(), environment).unwrap();
    opened.read(split, environment).unwrap()
}

#[test]
fn what_is_learned_on_the_digits_holds_on_mnist_and_the_reverse() {
    let Some(folder) = data_dir() else { return };
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let load = |source, split| read(source, split, &environment);
    let on_mnist = accuracy(&train(load("digits", Split::Train)), load("mnist", Split::Test));
    say(&format!("trained on digits, reads {on_mnist:.2} % of MNIST's test images"));
    let on_digits = accuracy(reader_of_mnist(&environment), load("digits", Split::Test));
    say(&format!("trained on MNIST, reads {on_digits:.2} % of the digits' test images"));
    assert!(on_mnist >= 85.0, "{on_mnist}");
    assert!(on_digits >= 85.0, "{on_digits}");
}

#[test]
fn conditional_samples_are_read_as_the_digits_that_were_asked_for() {
    const OF_EACH: usize = 100;
    let Some(folder) = data_dir() else { return };
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let config = vae_tests::config("conditional", &["data.source=mnist", "train.epochs=3"]);
    let data = vae_train::data::load(&config, &environment).unwrap();
    let transform = Arc::clone(&data.transform);
    let backend = Backend::open("flex").unwrap();
    let mut trainer = Trainer::new(config, data, &backend).unwrap();
    trainer.train(None, vec![], &AtomicBool::new(false)).unwrap();
    let generator = Generator {
        vae: trainer.vae(),
        transform,
        device: backend.device,
        seed: 0,
        prior: Some(PriorSource::Model),
    };
    let asked: Vec<u32> = (0..10 * OF_EACH).map(|i| (i % 10) as u32).collect();
    let samples = generator.sample(10 * OF_EACH, Some(&asked), false).unwrap();
    let mnist = read("mnist", Split::Train, &environment);
    let bytes = samples.iter().map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
    let made = Examples {
        values: vae_data::Values::Bytes(bytes),
        labels: Some(asked),
        ..mnist.select(&[])
    };
    let right = accuracy(reader_of_mnist(&environment), made);
    say(&format!("trained on MNIST, reads {right:.1} % of conditional samples as asked for"));
    assert!(right >= 95.0, "{right}");
}

#[test]
fn the_manifold_of_two_dimensions_has_all_ten_digits() {
    const SIDE: usize = 20;
    let Some(folder) = data_dir() else { return };
    let environment = Environment { data_dir: Some(folder), ..Environment::default() };
    let sets = [
        "data.source=mnist",
        "model.latent=2",
        "model.encoder.hidden=[400,200]",
        "train.epochs=10",
    ];
    let config = vae_tests::config("mnist-mlp", &sets);
    let data = vae_train::data::load(&config, &environment).unwrap();
    let transform = Arc::clone(&data.transform);
    let backend = Backend::open("flex").unwrap();
    let mut trainer = Trainer::new(config, data, &backend).unwrap();
    trainer.train(None, vec![], &AtomicBool::new(false)).unwrap();
    let (vae, device, seed) = (trainer.vae(), backend.device, 0);
    let generator = Generator { vae, transform, device, seed, prior: None };
    // The grid of `vae-cli manifold`.
    let at = |i: usize| normal_quantile((i as f64 + 0.5) / SIDE as f64) as f32;
    let z: Vec<f32> = (0..SIDE * SIDE).flat_map(|i| [at(i % SIDE), at(i / SIDE)]).collect();
    let decoded = generator.decode(&z, None, false).unwrap();
    let x = Tensor::<2>::from_data(TensorData::new(decoded, [SIDE * SIDE, 784]), &Device::flex());
    let read = softmax(reader_of_mnist(&environment).forward(x), 1).into_data();
    let read: Vec<f32> = read.iter::<f32>().collect();
    // More likely than all other digits together.
    let likely = |digit: usize| read.chunks(10).filter(|p| p[digit] > 0.5).count();
    let found: Vec<usize> = (0..10).map(likely).collect();
    say(&format!("of {} tiles of the manifold, read as each digit: {found:?}", SIDE * SIDE));
    assert!(found.iter().all(|tiles| *tiles > 0), "{found:?}");
}
