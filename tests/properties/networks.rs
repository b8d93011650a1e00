//! Networks: pictures of every size that convolutions promise.

use vae_model::{DataSpec, Noise, VaeSpec};
use vae_train::TrainConfig;

use super::statistics::noise;
use crate::common::{device, host, tensor};

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
