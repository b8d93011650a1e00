//! Refusals: what cannot work is refused with the key that is wrong and what would work.

use vae_data::Environment;
use vae_tests::config;
use vae_train::{TrainConfig, Trainer, data};

#[test]
fn impossible_combinations_are_refused_with_what_would_work() {
    const LEARNED: [&str; 4] = [
        "kind = \"mixture\"\ncomponents = \"learned\"",
        "kind = \"vamp\"",
        "kind = \"realnvp\"",
        "kind = \"hierarchical\"",
    ];
    let prior = |table: &str| format!("[model.prior]\n{table}\n");
    let posterior = |table: &str| format!("[model.posterior]\n{table}\n");
    let objective = |table: &str| format!("[objective]\n{table}\n");
    let (point, flow) = (posterior("kind = \"point\""), posterior("flow_steps = 2"));
    let vamp = prior("kind = \"vamp\"");

    let iwae = objective("kind = \"iwae\"");
    assert_refused(&[&point, &iwae], &["gaussian posterior", "objective.kind = \"elbo\""]);
    let dreg = objective("kind = \"iwae\"\nestimator = \"dreg\"");
    let instead = ["model.posterior.flow_steps = 0", "estimator = \"plain\""];
    assert_refused(&[&flow, &dreg], &instead);
    let instead = ["gaussian posterior without flow steps", "\"mixture\""];
    assert_refused(&[&flow, &vamp], &instead);
    assert_refused(&[&point, &vamp], &instead);
    let tc = objective("kind = \"tc\"");
    assert_refused(&[&flow, &tc], &["gaussian posterior without flow steps"]);
    for table in LEARNED.into_iter().chain(["kind = \"mixture\""]) {
        assert_refused(&[&prior(table), &tc], &["model.prior.kind = \"standard\""]);
    }
    let codes = posterior("kind = \"vq\"\nwidth = 2");
    for kind in ["iwae", "mmd", "adversarial"] {
        assert_refused(
            &[&codes, &objective(&format!("kind = \"{kind}\""))],
            &["objective.kind = \"elbo\""],
        );
    }
    assert_refused(&[&codes, &tc], &["gaussian posterior without flow steps"]);
    assert_refused(&[&codes], &["no KL", "objective.beta = 0"]);
    let no_kl = objective("beta = 0.0");
    for table in [&point, &codes] {
        let realnvp = prior("kind = \"realnvp\"");
        assert_refused(
            &[table, &no_kl, &realnvp],
            &["model.prior.kind", "fitted", "[model.prior]"],
        );
    }
    let latent = "[model]\nlatent = 9\n".to_owned();
    assert_refused(&[&latent, &codes, &no_kl], &["model.posterior.embedding_dim", "latent = 9"]);
    let critic = objective("kind = \"adversarial\"\nover = \"z\"");
    for table in LEARNED {
        let instead = ["standard prior", "components = \"ring\""];
        assert_refused(&[&prior(table), &critic], &instead);
    }
    let vae_gan = objective("kind = \"vae-gan\"\nbeta = 0.0");
    assert_refused(&[&prior(LEARNED[0]), &vae_gan], &["objective.beta", "standard prior"]);
    assert_refused(&[&point, &objective("kind = \"vae-gan\"")], &["gaussian posterior"]);
    for pixels in ["binary", "stochastic"] {
        let data = format!("[data]\npixels = \"{pixels}\"\n");
        for kind in ["discretized-logistic", "continuous-bernoulli"] {
            let likelihood = format!("[model.likelihood]\nkind = \"{kind}\"\n");
            let instead = ["pixels = \"grey\"", "bernoulli likelihood"];
            assert_refused(&[&likelihood, &data], &instead);
        }
        for over in ["x", "xz"] {
            let critic = objective(&format!("kind = \"adversarial\"\nover = \"{over}\""));
            assert_refused(&[&critic, &data], &["pixels = \"grey\""]);
        }
    }
}

#[test]
fn settings_that_do_not_go_together_are_refused_by_name() {
    const HIERARCHICAL: &str = "model.prior.kind = \"hierarchical\"";
    const PIXEL: &str = "model.likelihood = { kind = \"gaussian\", spread = \"pixel\" }";
    // Keys and values, the key that the refusal names, and a word of what would work.
    let cases: &[(&[&str], &str, &str)] = &[
        (&["kind = \"iwae\"", "combination = \"piwae\""], "combination", "groups to 2"),
        (
            &["kind = \"iwae\"", "combination = \"piwae\"", "groups = 2", "estimator = \"dreg\""],
            "estimator",
            "miwae",
        ),
        (
            &["kind = \"iwae\"", "elbo_weight = 0.1", "estimator = \"dreg\""],
            "elbo_weight",
            "elbo_weight = 0",
        ),
        (&["kind = \"iwae\"", "estimator = \"dreg\"", HIERARCHICAL], "estimator", "plain"),
        (
            &["kind = \"iwae\"", "combination = \"piwae\"", "groups = 2", HIERARCHICAL],
            "estimator",
            "miwae",
        ),
        (
            &["kind = \"tc\"", "estimator = \"discriminator\"", "alpha = 2.0"],
            "estimator",
            "stratified",
        ),
        (&["samples = 2", "average_decodings = 2"], "average_decodings", "samples"),
        (&["average_decodings = 2", PIXEL], "average_decodings", "spread"),
        (&["free_bits = 1.0", "capacity = 2.0"], "capacity", "free_bits"),
        (
            &["beta = 0.0", "free_bits = 1.0", "model.posterior.kind = \"point\""],
            "free_bits",
            "has no KL",
        ),
        (&["free_bits = 1.0", "model.posterior.flow_steps = 2"], "free_bits", "capacity"),
        (&["free_bits = 1.0", "model.prior.kind = \"realnvp\""], "free_bits", "standard prior"),
        (&["latent_penalty = 1.0"], "latent_penalty", "point"),
        (&["kind = \"mmd\"", "weight = 0.0"], "weight", "elbo"),
        (&["kind = \"mmd\"", HIERARCHICAL], "beta", "KL"),
        (&["kind = \"adversarial\"", "over = \"xz\"", HIERARCHICAL], "beta", "KL"),
        (&["kind = \"adversarial\"", "reconstruction = 0.0"], "reconstruction", "xz"),
        (&["model.prior.kind = \"mixture\"", "model.latent = 1"], "model.prior", "ring"),
        (&["model.prior.kind = \"realnvp\"", "model.latent = 1"], "model.prior", "latent"),
        (
            &["model.likelihood = { kind = \"discretized-logistic\", output = \"identity\" }"],
            "model.likelihood.output",
            "sigmoid",
        ),
        (
            &["model.likelihood = { kind = \"gaussian\", squared_error = true, sigma = 2.0 }"],
            "model.likelihood.sigma",
            "squared_error",
        ),
        (
            &["model.encoder = { kind = \"conv\", channels = [6], groups = 4 }"],
            "model.encoder.groups",
            "6 channels",
        ),
        (
            &["beta = 0.0", "model.posterior.kind = \"point\"", "model.latent = 2000"],
            "model.latent",
            "gaussian posterior",
        ),
    ];
    for (settings, key, word) in cases {
        let (model, objective): (Vec<&str>, Vec<&str>) =
            settings.iter().partition(|setting| setting.starts_with("model."));
        let text = format!("{}\n[objective]\n{}\n", model.join("\n"), objective.join("\n"));
        assert_refused(&[&text], &[key, word]);
    }
    // On replicas, and of data that a configuration alone does not know.
    let coupled = "[objective]\nkind = \"mmd\"\n[train]\nreplicas = 2\n";
    assert_refused(&[coupled], &["train.replicas", "whole batch"]);
    let tanh = ["model.likelihood.kind=discretized-logistic", "model.likelihood.output=tanh"];
    assert!(refusal("digits", &tanh).contains("from -1 to 1"));
    let vectors = ["model.likelihood.kind=continuous-bernoulli"];
    assert!(refusal("curves", &vectors).contains("gaussian or laplace"));
}

#[test]
fn likelihoods_of_grey_and_critics_on_images_refuse_black_and_white_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.idx");
    std::fs::write(&path, idx(|i| if i % 3 == 0 { 255 } else { 0 })).unwrap();
    let source = path.to_str().unwrap();
    let critic = ["objective.kind=adversarial", "objective.over=x"];
    for sets in [&["model.likelihood.kind=continuous-bernoulli"][..], &critic[..]] {
        let refused = refusal(source, sets);
        assert!(
            refused.contains("black and white") && refused.contains("many levels"),
            "{refused}"
        );
    }
}

/// Checks that a configuration of these tables is refused in these words.
fn assert_refused(tables: &[&str], words: &[&str]) {
    let text = tables.concat();
    let refused = match TrainConfig::from_toml("c.toml", &text, &[]) {
        Err(refused) => refused.to_string(),
        Ok(_) => panic!("accepted: {text}"),
    };
    for word in words {
        assert!(refused.contains(word), "`{word}` is not in: {refused}\n{text}");
    }
}

/// An IDX file of images and none of labels: 240, of which 200 are to train on.
fn idx(pixel: impl Fn(usize) -> u8) -> Vec<u8> {
    let mut bytes = 0x803u32.to_be_bytes().to_vec();
    [240u32, 28, 28].iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend((0..240 * 784).map(pixel));
    bytes
}

/// What a training says that cannot begin.
fn refusal(source: &str, sets: &[&str]) -> String {
    let source = format!("data.source={source}");
    let sets: Vec<&str> = [source.as_str(), "data.limit=200"].iter().chain(sets).copied().collect();
    let config = config("mnist-mlp", &sets);
    let data = data::load(&config, &Environment::default()).unwrap();
    match Trainer::new(config, data, &vae_tests::reference()) {
        Err(refused) => refused.to_string(),
        Ok(_) => panic!("accepted: {sets:?}"),
    }
}

#[test]
fn pictures_that_cannot_be_halved_so_often_are_refused_with_how_often_they_can() {
    let sets = ["model.encoder.kind=conv", "model.encoder.channels=[8, 8, 8]"];
    let refused = refusal("digits", &sets);
    for word in ["model.encoder.channels", "28x28", "3 times", "at most 2"] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }
}

#[test]
fn a_condition_on_labels_that_the_data_lack_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images.idx");
    std::fs::write(&path, idx(|i| (i % 251) as u8)).unwrap();
    let refused = refusal(path.to_str().unwrap(), &["model.condition=label"]);
    for word in ["model.condition", "no labels", "model.condition = \"none\""] {
        assert!(refused.contains(word), "`{word}` is not in: {refused}");
    }
}
