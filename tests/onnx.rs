//! ONNX graphs in onnxruntime compute what the library computes: for every preset, and for the
//! choices that no preset makes.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use npyz::{AutoSerialize, WriterBuilder};
use serde_json::Value;
use vae_data::rng::Stream;
use vae_data::{Examples, Pixels, Scale, Shape, Transform, Values};
use vae_eval::{KeyedNoise, Phase};
use vae_export::ExportError;
use vae_export::onnx::OnnxExport;
use vae_model::compatibility::check_encoder;
use vae_model::config::Choice;
use vae_model::likelihood::LikelihoodConfig;
use vae_model::network::NetworkConfig;
use vae_model::parameters::parameters;
use vae_model::{DataSpec, ModelFile, Noise, Vae, VaeConfig, VaeSpec};
use vae_tests::{config, run_python};
use vae_train::presets;

use crate::program;

/// The outputs of an encoder; none if it is not trained.
type Outputs = &'static [&'static str];
const GAUSSIAN: Outputs = &["mean", "log_var"];
const MEAN: Outputs = &["mean"];
const CODES: Outputs = &["mean", "codes"];
const UNTRAINED: Outputs = &[];

/// What the encoder of each preset returns.
const PRESETS: [(&str, Outputs); 37] = [
    ("aae", GAUSSIAN),
    ("aae-mixture", GAUSSIAN),
    ("ali", GAUSSIAN),
    ("autoencoder", MEAN),
    ("beta-tcvae", GAUSSIAN),
    ("beta-vae", GAUSSIAN),
    ("capacity", GAUSSIAN),
    ("ciwae", GAUSSIAN),
    ("conditional", GAUSSIAN),
    ("conv", GAUSSIAN),
    ("conv-color", GAUSSIAN),
    ("deep-mlp", GAUSSIAN),
    ("default", GAUSSIAN),
    ("denoising", GAUSSIAN),
    ("dreg", GAUSSIAN),
    ("factor-vae", GAUSSIAN),
    ("gan", UNTRAINED),
    ("gated", GAUSSIAN),
    ("iaf", MEAN),
    ("info-vae", GAUSSIAN),
    ("iwae", GAUSSIAN),
    ("label-prior", GAUSSIAN),
    ("miwae", GAUSSIAN),
    ("mixture", GAUSSIAN),
    ("mnist-mlp", GAUSSIAN),
    ("mnist-tanh", GAUSSIAN),
    ("piwae", GAUSSIAN),
    ("rae", MEAN),
    ("realnvp", GAUSSIAN),
    ("sigma-vae", GAUSSIAN),
    ("two-level", GAUSSIAN),
    ("vae-gan", GAUSSIAN),
    ("vamp", GAUSSIAN),
    ("vq-vae", CODES),
    ("wae-mmd", MEAN),
    ("wgan", UNTRAINED),
    ("wgan-gp", UNTRAINED),
];

/// Images without a power of 2 in their sizes, and vectors.
const GREY: Shape = Shape::Image { channels: 1, height: 9, width: 7 };
const COLOUR: Shape = Shape::Image { channels: 3, height: 24, width: 40 };
const VECTOR: Shape = Shape::Vector { len: 31 };

/// Rows of every input.
const ROWS: usize = 7;
const CLASSES: usize = 4;

/// A model with random weights, and what it is given.
struct Case {
    name: String,
    vae: Vae,
    examples: Examples,
    transform: Transform,
    trains_encoder: bool,
}

fn uniform(purpose: &str, n: usize) -> Vec<f32> {
    KeyedNoise::new(5, Phase::Generate).uniform(purpose, [1, 1, n])
}

/// A model of random numbers: biases, scales and shifts are random too, some of which are 0 or 1 at
/// first. Weights are larger than at first, so that different x have different codes.
fn random_model(config: &VaeConfig, shape: Shape) -> Vae {
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        model: &'a VaeConfig,
    }
    let device = Device::flex();
    let data = DataSpec { shape: shape.dims(), classes: CLASSES };
    let spec = VaeSpec::new(config.clone(), data).unwrap();
    let mut tensors = parameters(&spec.init(&KeyedNoise::new(3, Phase::Init), &device));
    for (path, stored) in &mut tensors {
        if stored.shape.len() > 1 {
            stored.values.iter_mut().for_each(|v| *v *= 2.5);
        } else {
            let noise = uniform(path, stored.values.len());
            stored.values.iter_mut().zip(noise).for_each(|(v, u)| *v += u - 0.5);
        }
    }
    let mut file = ModelFile::default();
    file.add_section("model", tensors);
    let metadata = [
        ("config", toml::to_string(&Whole { model: config }).unwrap()),
        ("input", serde_json::to_string(&shape.dims()).unwrap()),
        ("classes", CLASSES.to_string()),
    ];
    file.metadata = metadata.map(|(key, text)| (key.to_owned(), text)).into();
    file.model(Path::new("random"), &device).unwrap()
}

impl Case {
    fn new(name: &str, config: &VaeConfig, shape: Shape, pixels: Pixels, scale: Scale) -> Self {
        let values = uniform("examples", ROWS * shape.len());
        let values = match shape {
            Shape::Image { .. } => {
                Values::Bytes(values.iter().map(|u| (u * 256.0) as u8).collect())
            }
            Shape::Vector { .. } => {
                Values::Floats(values.iter().map(|u| 40.0 * u - 13.0).collect())
            }
        };
        let examples = Examples::new(shape, values);
        let transform = Transform::fit(&examples, pixels, scale).unwrap();
        let vae = random_model(config, shape);
        Self { name: name.to_owned(), vae, examples, transform, trains_encoder: true }
    }

    fn preset(name: &str) -> Self {
        let config = config(name, &[]);
        let shape = match (&config.model.encoder, config.data.source.as_str()) {
            (NetworkConfig::Conv(_), _) => COLOUR,
            (NetworkConfig::Mlp(_), "curves") => VECTOR,
            (NetworkConfig::Mlp(_), _) => GREY,
        };
        let (pixels, scale) = (config.data.pixels, config.data.scale);
        let case = Self::new(name, &config.model, shape, pixels, scale);
        let trains_encoder = check_encoder(&config.objective.requirements()).is_ok();
        Self { trains_encoder, ..case }
    }

    fn export(&self) -> OnnxExport<'_> {
        let metadata = [("preset".to_owned(), self.name.clone())].into();
        let Self { vae, transform, trains_encoder, .. } = self;
        OnnxExport { vae, transform, trains_encoder: *trains_encoder, metadata }
    }

    /// Writes the graphs, their inputs and what they should return.
    fn write(&self, root: &Path) {
        let folder = root.join(&self.name);
        let mut files = self.export().write(&folder).unwrap();
        if !self.trains_encoder {
            files.insert(0, folder.join("encoder.onnx"));
            assert!(!files[0].exists(), "{}", self.name);
        }
        assert_eq!(files, ["encoder.onnx", "decoder.onnx"].map(|file| folder.join(file)));

        let (device, indices) = (Device::flex(), (0..ROWS as u32).collect::<Vec<_>>());
        let rows = |values: &[f32], width: usize| {
            Tensor::<2>::from_data(TensorData::new(values.to_vec(), [ROWS, width]), &device)
        };
        let host = |t: Tensor<2>| t.into_data().iter::<f32>().collect::<Vec<_>>();
        let npy = |name: &str, shape: &[usize], values: &[f32]| {
            write_npy(&folder.join(name), shape, values);
        };
        let (shape, latent) = (self.vae.shape(), self.vae.config().latent);

        let mut labels = vec![0.0; ROWS * CLASSES];
        (0..ROWS).for_each(|i| labels[i * CLASSES + (i * 3 + 1) % CLASSES] = 1.0);
        npy("label.npy", &[CLASSES], &labels);
        let labels = Some(rows(&labels, CLASSES));

        let x = self.transform.gather(&self.examples, &indices, &Stream::new(1, "pixels"));
        let data: Vec<f32> = match (&self.examples.values, &self.transform) {
            // Pixels that were drawn, which no transform draws again.
            (_, Transform::Pixels(Pixels::Stochastic)) => x.clone(),
            (Values::Bytes(bytes), _) => bytes.iter().map(|b| f32::from(*b) / 255.0).collect(),
            (Values::Floats(values), _) => values.clone(),
        };
        npy("x.npy", shape, &data);
        if self.trains_encoder {
            let q = self.vae.encode(rows(&x, self.vae.numbers()), labels.as_ref());
            npy("encoder.mean.npy", &[latent], &host(q.mean()));
            if let Some(gaussian) = q.gaussian() {
                npy("encoder.log_var.npy", &[latent], &host(gaussian.log_var.clone()));
            }
            if let Some(codes) = q.codes() {
                let [_, positions] = codes.dims();
                let codes: Vec<i64> = codes.into_data().iter::<i64>().collect();
                write_npy(&folder.join("encoder.codes.npy"), &[positions], &codes);
            }
        }

        let z = KeyedNoise::new(6, Phase::Generate).normal("z", [1, ROWS, latent]);
        npy("z.npy", &[latent], &z);
        let mut x = host(self.vae.decode(rows(&z, latent), labels.as_ref()).mean());
        self.transform.to_data_range(&mut x);
        npy("decoder.x.npy", shape, &x);
    }
}

/// Writes an array `[ROWS, shape...]`.
fn write_npy<T: AutoSerialize + Copy>(path: &Path, shape: &[usize], values: &[T]) {
    let shape: Vec<u64> = [&[ROWS], shape].concat().iter().map(|d| *d as u64).collect();
    let file = std::fs::File::create(path).unwrap();
    let options = npyz::WriteOptions::new().default_dtype().shape(&shape);
    let mut writer = options.writer(std::io::BufWriter::new(file)).begin_nd().unwrap();
    writer.extend(values.iter().copied()).unwrap();
    writer.finish().unwrap();
}

/// Choices that no preset makes.
fn other_cases() -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |name: &str, text: &str, shape, pixels, scale| {
        let config: VaeConfig = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        all.push(Case::new(name, &config, shape, pixels, scale));
    };
    for kind in LikelihoodConfig::KINDS {
        let text = format!("[encoder]\nhidden = [16]\n[likelihood]\nkind = \"{kind}\"");
        add(&format!("likelihood {kind}"), &text, GREY, Pixels::Grey, Scale::None);
    }
    let conv = "kind = \"conv\"\nchannels = [4, 6]\nhidden = [8]";
    for activation in ["relu", "leaky-relu", "tanh", "elu", "silu"] {
        let text = format!(
            "latent = 3\n[encoder]\n{conv}\nresidual = 2\ngroups = 2\nactivation = \"{activation}\"\n\
             [likelihood]\nkind = \"laplace\"\noutput = \"identity\"\nspread = \"pixel\""
        );
        add(&format!("conv {activation}"), &text, COLOUR, Pixels::Signed, Scale::None);
    }
    let conditional = "latent = 6\ncondition = \"label\"\n[encoder]\nhead_depth = 3";
    for (name, posterior) in [
        ("gaussian", "kind = \"gaussian\"\nlog_var_range = [-0.2, 0.2]"),
        ("flow", "kind = \"gaussian\"\nflow_steps = 3\nflow_hidden = 10"),
        ("point", "kind = \"point\""),
        ("vq", "kind = \"vq\"\nnum_embeddings = 50\nembedding_dim = 2"),
    ] {
        let conv = format!("{conditional}\n{conv}\n[posterior]\n{posterior}");
        add(&format!("conditional conv {name}"), &conv, COLOUR, Pixels::Binary, Scale::None);
        let mlp = format!("{conditional}\nhidden = []\n[posterior]\n{posterior}");
        add(&format!("conditional linear {name}"), &mlp, GREY, Pixels::Stochastic, Scale::None);
    }
    let mlp = "[encoder]\nhidden = [16, 12]\ngated = true\n[likelihood]\nkind = \"gaussian\"\n\
        output = \"tanh\"\nspread = \"pixel\"";
    for scale in [Scale::None, Scale::Standardize, Scale::Minmax] {
        add(&format!("vectors {scale:?}"), mlp, VECTOR, Pixels::Grey, scale);
    }
    let mixed = format!("[encoder]\nhidden = [16]\n[decoder]\n{conv}");
    add("mlp to conv", &mixed, COLOUR, Pixels::Grey, Scale::None);
    all
}

#[test]
fn every_preset_and_every_choice_is_the_same_in_onnxruntime() {
    let all: Vec<&str> = presets::ALL.iter().map(|(name, _)| *name).collect();
    let decided: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(all, decided, "the outputs of each preset's encoder must be listed");
    let root = tempfile::tempdir().unwrap();
    for name in &all {
        Case::preset(name).write(root.path());
    }
    let others = other_cases();
    others.iter().for_each(|case| case.write(root.path()));

    let Some(report) = run_python("python/onnx_check.py", &[root.path()]) else { return };
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report.as_object().unwrap().len(), all.len() + others.len());
    let list = |value: &Value| {
        value.as_array().into_iter().flatten().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    for (name, expected) in PRESETS {
        let found: Vec<String> = list(&report[name]["encoder"]["outputs"]);
        assert_eq!(found, expected, "{name}");
        let inputs: Vec<String> = list(&report[name]["decoder"]["inputs"]);
        let label = if name == "conditional" { vec!["z", "label"] } else { vec!["z"] };
        assert_eq!(inputs, label, "{name}");
        assert_eq!(report[name]["decoder"]["metadata"]["preset"], name);
    }
    let inputs: Vec<String> = list(&report["conditional"]["encoder"]["inputs"]);
    assert_eq!(inputs, ["x", "label"]);
}

#[test]
fn a_decoder_without_an_encoder_is_not_written_beside_the_encoder_of_another_model() {
    let folder = tempfile::tempdir().unwrap();
    Case::preset("default").export().write(folder.path()).unwrap();
    let decoder = folder.path().join("decoder.onnx");
    let before = std::fs::read(&decoder).unwrap();
    let error = Case::preset("gan").export().write(folder.path()).unwrap_err();
    assert!(matches!(error, ExportError::Request(_)), "{error}");
    assert!(error.to_string().contains("encoder.onnx"), "{error}");
    assert_eq!(std::fs::read(&decoder).unwrap(), before);
}

#[test]
fn a_transform_of_other_data_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (case, out) = (Case::preset("default"), folder.path().join("new"));
    let transform = &Transform::Affine { offset: vec![0.0; 3], unit: vec![1.0; 3] };
    let error = OnnxExport { transform, ..case.export() }.write(&out).unwrap_err();
    assert!(error.is_request(), "{error}");
    assert!(!out.exists());
}

#[test]
fn a_run_is_exported_and_the_document_reads_it() {
    const DOCUMENT: &str = include_str!("../docs/onnx.md");
    let p = program();
    p.small_run();
    let written = p.ok("export --run runs/small --format onnx --out shared/onnx --json").json();
    assert_eq!(written["out"], "shared/onnx");
    assert_eq!(
        written["files"],
        serde_json::json!(["shared/onnx/encoder.onnx", "shared/onnx/decoder.onnx"])
    );
    let (_, script) = DOCUMENT.split_once("```python\n").unwrap();
    let (script, _) = script.split_once("```").unwrap();
    let folder = p.path("shared/onnx");
    let script = script.replace("\"onnx/", &format!("\"{}/", folder.display()));
    let path = p.path("document.py");
    std::fs::write(&path, script).unwrap();
    if let Some(printed) = run_python(path.to_str().unwrap(), &[]) {
        assert!(printed.contains("(16, 20) (16, 1, 28, 28)"), "{printed}");
        assert!(printed.contains("mnist-mlp"), "{printed}");
    }
}

#[test]
fn what_cannot_be_exported_is_refused_with_the_reason() {
    let p = program();
    p.small_run();
    std::fs::write(p.path("file"), "").unwrap();
    p.fails(2, "export --run runs/small --format onnx --out file", &["--out file", "folder"]);
    p.fails(2, "export --run runs/small --format pdf --out o", &["pdf", "onnx"]);
    p.fails(2, "export --run runs/none --format onnx --out o", &["runs/none"]);
    assert!(!p.path("o").exists());

    p.ok("train gan --backend flex --data digits --limit 500 --batch-size 50 --epochs 1 \
         --out runs/gan -q");
    let exported = p.ok("export --run runs/gan --format onnx --out gan");
    exported.says(&["no encoder.onnx", "no trained encoder"]);
    assert_eq!(exported.stdout.trim(), "gan/decoder.onnx");
    p.ok("export --run runs/small --format onnx --out both");
    p.fails(2, "export --run runs/gan --format onnx --out both", &["both/encoder.onnx", "remove"]);
}
