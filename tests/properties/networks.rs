//! Networks: pictures of every size that convolutions promise, and initial weights.

use vae_model::parameters::parameters;
use vae_model::{DataSpec, Noise, Vae, VaeSpec};
use vae_train::TrainConfig;

use super::statistics::noise;
use crate::common::{device, host, tensor, vae_spec};

#[test]
fn convolutions_take_and_give_pictures_of_every_size_that_can_be_halved_so_often() {
    for (input, channels) in [
        ([1, 28, 28], "[2, 3]"),
        ([3, 28, 28], "[4]"),
        ([1, 32, 32], "[2, 3, 4]"),
        ([3, 32, 32], "[2, 3, 4]"),
        ([1, 64, 64], "[2, 2, 3, 4]"),
        ([3, 64, 64], "[2, 2, 3, 4]"),
    ] {
        let text = format!(
            "[model]\nlatent = 3\n[model.encoder]\nkind = \"conv\"\nchannels = {channels}\nhidden = [5]\n"
        );
        let config = TrainConfig::from_toml("c.toml", &text, &[]).unwrap();
        let spec = VaeSpec::new(config.model.clone(), DataSpec::new(&input)).unwrap();
        let vae = spec.init(&noise(42), &device());
        let numbers = spec.data().numbers();
        let x = tensor(noise(43).uniform("x", [1, 2, numbers]), [2, numbers], &device());
        let z = vae.encode(x, None).mean();
        assert_eq!(z.dims(), [2, 3]);
        let mean = vae.decode(z, None).mean();
        assert_eq!(mean.dims(), [2, numbers]);
        assert!(host(mean).iter().all(|v| (0.0..=1.0).contains(v)), "{text}");
    }
}

#[test]
fn glorot_weights_have_their_variance_and_a_decoder_of_black_and_white_starts_at_the_mean() {
    let spec = |table: &str| {
        let table = format!("[model]\nlatent = 5\ninit = \"glorot\"\n{table}");
        vae_spec(&table, DataSpec::new(&[1, 8, 8]))
    };
    let vae = spec("[model.encoder]\nhidden = [300]").init(&noise(4), &device());
    let of = |vae: &Vae, path: &str| parameters(vae)[path].values.clone();
    let weights = of(&vae, "encoder.layers.0.weight");
    let bound = (6.0f32 / (64.0 + 300.0)).sqrt();
    assert!(weights.iter().all(|w| w.abs() <= bound));
    let variance = weights.iter().map(|w| w * w).sum::<f32>() / weights.len() as f32;
    // Of a uniform distribution: 2 / (inputs + outputs).
    assert!((variance * 364.0 / 2.0 - 1.0).abs() < 0.05, "{variance}");
    assert!(of(&vae, "encoder.layers.0.bias").iter().all(|b| *b == 0.0));
    // A pixel that is always black has a logit all the same.
    let started = vae.starting_at(|| [vec![0.75], vec![0.0; 63]].concat());
    let bias = of(&started, "decoder.output.bias");
    assert!((bias[0] - 3f32.ln()).abs() < 1e-5, "{}", bias[0]);
    assert!(bias[1].is_finite() && bias[1] < -6.0, "{}", bias[1]);
    // Others start at 0.
    let other = spec("[model.likelihood]\nkind = \"gaussian\"").init(&noise(4), &device());
    let other = other.starting_at(|| panic!("the mean is not needed"));
    assert!(of(&other, "decoder.output.bias").iter().all(|b| *b == 0.0));
}
