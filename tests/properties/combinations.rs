//! Every pair of choices gives numbers or is refused.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::optim::GradientsParams;
use vae_model::config::Choice;
use vae_model::likelihood::LikelihoodConfig;
use vae_model::network::NetworkConfig;
use vae_model::posterior::PosteriorConfig;
use vae_model::prior::PriorConfig;
use vae_model::{Batch, DataSpec, Networks, NetworksSpec, Noise, ObjectiveConfig, Role, VaeSpec};
use vae_train::TrainConfig;

use super::statistics::noise;
use crate::common::{NUMBERS, by_path, device, host, tensor};

/// Tables of an axis: all its kinds, each with the settings that are listed for it, if any are.
fn tables<C: Choice>(settings: &[(&str, String)]) -> Vec<String> {
    let of_kind = |kind: &&'static str| {
        let own = settings.iter().filter(|(k, _)| k == kind).map(|(_, s)| s.as_str());
        let mut own: Vec<&str> = own.collect();
        if own.is_empty() {
            own.push("");
        }
        own.into_iter().map(|s| format!("kind = \"{kind}\"\n{s}\n")).collect::<Vec<_>>()
    };
    C::KINDS.iter().flat_map(of_kind).collect()
}

fn settings(list: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    list.iter().map(|(kind, settings)| (*kind, (*settings).to_owned())).collect()
}

fn networks() -> Vec<String> {
    tables::<NetworkConfig>(&settings(&[
        ("mlp", "hidden = [8]"),
        ("conv", "channels = [4]\nhidden = [8]"),
    ]))
}

fn posteriors() -> Vec<String> {
    tables::<PosteriorConfig>(&settings(&[
        ("gaussian", ""),
        ("gaussian", "flow_steps = 2\nflow_hidden = 8"),
        ("vq", "codes = 4\nwidth = 3"),
        ("vq", "codes = 4\nwidth = 1\ncodebook = \"gradient\"\nrestart = 0.0"),
    ]))
}

fn priors() -> Vec<String> {
    tables::<PriorConfig>(&settings(&[
        ("standard", ""),
        ("standard", "condition = \"label\""),
        ("mixture", "k = 3"),
        ("mixture", "k = 3\ncomponents = \"learned\""),
        ("vamp", "k = 3"),
        ("realnvp", "couplings = 2\nhidden = [8]"),
        ("hierarchical", "latent = 2\nhidden = [8]"),
    ]))
}

fn likelihoods() -> Vec<String> {
    tables::<LikelihoodConfig>(&settings(&[
        ("gaussian", "spread = \"pixel\""),
        ("gaussian", "squared_error = true"),
        ("laplace", "spread = \"global\""),
    ]))
}

fn objectives() -> Vec<String> {
    const CRITIC: &str = "[objective.critic]\nhidden = [8]";
    let mut all = settings(&[
        ("elbo", ""),
        ("elbo", "beta = 0.0\ndecoder_penalty = 0.1"),
        ("elbo", "beta = 0.0\nlatent_penalty = 0.1"),
        ("elbo", "free_bits = 0.1\nsamples = 2"),
        ("elbo", "capacity = 1.0"),
        ("elbo", "average_decodings = 2"),
        ("iwae", "samples = 2"),
        ("iwae", "samples = 2\nelbo_weight = 0.1"),
        ("iwae", "samples = 2\ngroups = 2\ncombination = \"piwae\""),
        ("iwae", "samples = 2\ngroups = 2\nestimator = \"dreg\""),
        ("tc", ""),
        ("tc", "estimator = \"weighted\""),
        ("mmd", ""),
        ("mmd", "beta = 1.0\nkernel = \"gaussian\""),
    ]);
    all.push(("tc", format!("estimator = \"discriminator\"\n{CRITIC}")));
    all.push(("adversarial", format!("beta = 1.0\n{CRITIC}")));
    all.push(("vae-gan", "[objective.discriminator]\nhidden = [8]".to_owned()));
    for over in ["z", "x", "xz"] {
        for loss in ["logistic", "wasserstein-clip", "wasserstein-gp"] {
            all.push(("adversarial", format!("over = \"{over}\"\nloss = \"{loss}\"\n{CRITIC}")));
        }
    }
    tables::<ObjectiveConfig>(&all)
}

/// Checks that the losses of both players and all their gradients are numbers.
fn assert_trainable(what: &str, config: &TrainConfig) {
    const BATCH: usize = 6;
    let data = DataSpec { shape: vec![1, 4, 4], classes: 3 };
    let numbers = data.numbers();
    let (objective, device) = (&config.objective, device());
    let spec = NetworksSpec::new(config.model.clone(), objective.clone(), data).unwrap();
    let networks = spec.init(&noise(35), &device.clone().autodiff()).unwrap().train();
    let x = noise(36).uniform("x", [1, BATCH, numbers]);
    let one_hot = (0..BATCH * 3).map(|i| f32::from((i / 3) % 3 == i % 3)).collect();
    let batch = Batch {
        x: tensor(x, [BATCH, numbers], &device),
        corrupted: None,
        labels: Some(tensor(one_hot, [BATCH, 3], &device)),
        data_set_size: 10 * BATCH,
    };
    for role in
        [Role::Model].into_iter().chain((0..networks.auxiliaries.len()).map(Role::Auxiliary))
    {
        let loss = objective.loss(role, &networks, &batch, &noise(37), 1.0);
        let (names, values) = (loss.names(), host(loss.values()));
        assert!(values.iter().all(|v| v.is_finite()), "{what}, {role:?}: {names:?} {values:?}");
        let grads = loss.total.backward();
        let vae = &networks.vae;
        let found = match role {
            Role::Model => by_path(vae, GradientsParams::from_grads(grads, vae)),
            Role::Auxiliary(i) => {
                let network = &networks.auxiliaries[i];
                by_path(network, GradientsParams::from_grads(grads, network))
            }
        };
        for (path, gradient) in &found {
            let finite = gradient.iter().all(|g| g.is_finite());
            assert!(finite, "{what}, {role:?}: {path}: {gradient:?}");
        }
        let moves = found.values().flatten().any(|g| *g != 0.0);
        assert!(moves, "{what}: {role:?} learns nothing");
    }
}

#[test]
fn what_the_encoder_sees_is_not_what_the_loss_explains() {
    let text = "[model]\nlatent = 3\n[model.encoder]\nhidden = [8]\n[model.posterior]\nkind = \"point\"\n\
                [objective]\nbeta = 0.0\n";
    let config = TrainConfig::from_toml("c.toml", text, &[]).unwrap();
    let spec = VaeSpec::new(config.model.clone(), DataSpec::new(&[NUMBERS])).unwrap();
    let networks = Networks::from(spec.init(&noise(38), &device()));
    let rows = |seed| tensor(noise(seed).uniform("x", [1, 5, NUMBERS]), [5, NUMBERS], &device());
    let (clean, noisy) = (rows(39), rows(40));
    let batch = Batch { corrupted: Some(noisy.clone()), ..Batch::new(clean.clone()) };
    let loss = config.objective.loss(Role::Model, &networks, &batch, &noise(41), 0.0);
    let vae = &networks.vae;
    let z = vae.encode(noisy, None).mean();
    let expected = host(vae.decode(z, None).log_prob(clean)).iter().sum::<f64>() / -5.0;
    assert!((host(loss.total)[0] - expected).abs() < 1e-5 * expected.abs());
}

#[test]
fn every_pair_of_choices_that_is_accepted_gives_numbers() {
    let networks = networks();
    let mut accepted: BTreeSet<String> = BTreeSet::new();
    let mut pairs: BTreeSet<[String; 2]> = BTreeSet::new();
    let mut count = 0;
    let mut tables = BTreeSet::new();
    for posterior in posteriors() {
        for prior in priors() {
            for likelihood in likelihoods() {
                for objective in objectives() {
                    // Networks and condition change from one to the next.
                    let network = &networks[count % networks.len()];
                    let condition = ["none", "label", "label"][count % 3];
                    let text = format!(
                        "[model]\nlatent = 3\ncondition = \"{condition}\"\n\
                         [model.encoder]\n{network}[model.posterior]\n{posterior}\
                         [model.prior]\n{prior}[model.likelihood]\n{likelihood}\
                         [objective]\n{objective}"
                    );
                    let parts = [network, &posterior, &prior, &likelihood, &objective];
                    tables.extend(parts.map(String::clone));
                    // What is refused has said why; `refusals.rs` reads some of it.
                    let Ok(config) = TrainConfig::from_toml("combination", &text, &[]) else {
                        continue;
                    };
                    count += 1;
                    accepted.extend(parts.map(String::clone));
                    // A combination without a new pair has nothing new to show.
                    let mut is_new = false;
                    for (i, a) in parts.iter().enumerate() {
                        for b in &parts[i + 1..] {
                            is_new |= pairs.insert([(*a).clone(), (*b).clone()]);
                        }
                    }
                    if is_new {
                        assert_trainable(&text, &config);
                    }
                }
            }
        }
    }
    let never: Vec<&String> = tables.difference(&accepted).collect();
    assert!(never.is_empty(), "in no combination: {never:?}");
}
