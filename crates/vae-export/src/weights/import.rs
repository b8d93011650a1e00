//! From the tensors of a file to a run: [`import`].

use std::collections::BTreeMap;

use burn::tensor::Device;
use serde_json::json;
use vae_data::{DataRecord, Pixels, Scale, Transform};
use vae_eval::record::fits;
use vae_eval::{FittedPrior, KeyedNoise, Phase};
use vae_model::init::{Init, Stored};
use vae_model::parameters::parameters;
use vae_model::prior::CodePrior;
use vae_model::{DataSpec, NetworksSpec, Vae};
use vae_train::optimizer::OptimizerState;
use vae_train::{Checkpoint, Progress, RunRecord, TrainError, ValidConfig};

use super::file::WeightFile;
use super::{Description, Exported, FITTED, NameMap, exported};
use crate::error::{ExportError, Mismatch};

/// What a caller says of the data that a model was trained on. A description in the file says the
/// rest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The shape of one example: `[c, h, w]` or `[d]`.
    pub shape: Option<Vec<usize>>,
    /// Number of label classes.
    pub classes: Option<usize>,
}

/// Returns the description in the metadata of a file, if this program wrote it.
///
/// # Errors
/// If there is one that cannot be read.
fn description(file: &WeightFile) -> Result<Option<Description>, ExportError> {
    let parse = |text| {
        serde_json::from_str(text).map_err(|e| {
            ExportError::malformed(file.path(), format!("`description` in its metadata: {e}"))
        })
    };
    file.metadata("description").map(parse).transpose()
}

/// Makes a checkpoint of the weights in `file`, for the model of `config`, on `device`.
///
/// The shape of an example and the number of classes are those of `input`; otherwise those of the
/// file's description; otherwise those of the data source that `config` names. Without a `map`, the
/// tensors of the 784-400-20 example models are recognised by their names. The optimizer has no
/// state, so the training cannot be continued. Auxiliary networks of the objective have their initial
/// weights.
///
/// # Errors
/// If the shape of an example is not known, or if the transform of the data is not; if the tensors of
/// the file, under their names in `map`, are not exactly those of the model (all differences are
/// listed); if a value is NaN or infinite; if the file is damaged.
pub fn import(
    file: &WeightFile,
    config: ValidConfig,
    input: Input,
    map: Option<&NameMap>,
    device: &Device,
) -> Result<Checkpoint, ExportError> {
    let description = description(file)?;
    let data = data_spec(&config, input, description.as_ref())?;
    let transform = transform(&config, &data, description.as_ref())?;
    let refused = |error| TrainError::Config { place: "configuration".to_owned(), error };
    let (model, objective) = (config.model.clone(), config.objective.clone());
    let spec = NetworksSpec::new(model, objective, data).map_err(refused)?;
    let noise = KeyedNoise::new(config.train.seed, Phase::Init);
    let initial = spec.init(&noise, device).map_err(refused)?;

    let example = || NameMap::of_example(file.shapes().map(|(name, _)| name));
    let map = map.cloned().or_else(example).unwrap_or_default();
    let parameters = read_all(file, &map, &initial.vae, device)?;
    let section = format!("{FITTED}.");
    let (fitted, own): (BTreeMap<_, _>, BTreeMap<_, _>) =
        parameters.into_iter().partition(|(path, _)| path.starts_with(&section));
    let malformed = |why| ExportError::malformed(file.path(), why);
    let vae = spec.vae().load(own, device).map_err(malformed)?;
    let fitted = fitted.into_iter().map(|(path, t)| (path[section.len()..].to_owned(), t));
    let fitted_prior = FittedPrior::from_tensors(fitted.collect(), &vae, device)
        .map_err(|why| malformed(format!("its fitted prior: {why}")))?;

    let (data, progress) = description.map(|d| (d.data, d.progress)).unwrap_or_default();
    let source = config.data.source.clone();
    Ok(Checkpoint {
        vae,
        trained: None,
        auxiliary_optimizers: initial
            .auxiliaries
            .iter()
            .map(|_| OptimizerState::default())
            .collect(),
        auxiliaries: initial.auxiliaries,
        fitted_prior,
        transform,
        data: data.unwrap_or_else(|| DataRecord { source, ..DataRecord::default() }),
        progress: progress.unwrap_or_else(Progress::default),
        run: RunRecord {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            imported: Some(file.path().display().to_string()),
            ..RunRecord::default()
        },
        optimizer: OptimizerState::default(),
        config,
    })
}

/// Returns the shape of an example and the number of classes.
fn data_spec(
    config: &ValidConfig,
    input: Input,
    description: Option<&Description>,
) -> Result<DataSpec, ExportError> {
    let source = &config.data.source;
    let of_source = vae_data::source::layout(source, &config.data.source_settings())
        .map(|(shape, n)| (shape.dims(), n));
    let known = description.map(|d| (d.input.clone(), d.classes)).or(of_source).unzip();
    let source_name = source.clone();
    let Some(shape) = input.shape.or(known.0) else {
        return Err(ExportError::UnknownShape { source_name });
    };
    let classes = input.classes.or(known.1).unwrap_or(0);
    if classes == 0 && config.model.uses_labels() {
        return Err(ExportError::UnknownClasses { source_name });
    }
    Ok(DataSpec { shape, classes })
}

/// Returns the transform from stored values to x.
fn transform(
    config: &ValidConfig,
    data: &DataSpec,
    description: Option<&Description>,
) -> Result<Transform, ExportError> {
    let request = |why: &str| Err(ExportError::Request(why.to_owned()));
    let asked = config.data.pixels;
    let transform = match description.map(|description| &description.transform) {
        Some(Transform::Pixels(found)) if *found != asked => {
            return request(&format!(
                "data.pixels is {} in the configuration, and the model was trained on {} pixels, as the \
                 file says: leave data.pixels out",
                json!(asked),
                json!(found)
            ));
        }
        Some(transform) => transform.clone(),
        None if data.shape.len() == 3 => Transform::Pixels(config.data.pixels),
        None if config.data.pixels != Pixels::Grey => {
            return request("data.pixels is for images: use data.scale for vectors");
        }
        None if config.data.scale != Scale::None => {
            return request(
                "data.scale depends on the training data, which are not known: set data.scale = \
                 \"none\", and give the model data that are scaled already",
            );
        }
        None => Transform::Affine { offset: Vec::new(), unit: Vec::new() },
    };
    if !fits(&transform, &data.shape) {
        return request(
            "the transform in the file's description does not fit the shape of an example",
        );
    }
    Ok(transform)
}

/// Returns the shapes of the parameters to read, by path: those of the model, and those of a fitted
/// prior if the file has one.
fn wanted(
    tensors: &BTreeMap<String, String>,
    file: &WeightFile,
    vae: &Vae,
    device: &Device,
) -> BTreeMap<String, Vec<usize>> {
    let shapes = |all: BTreeMap<String, Stored>| all.into_iter().map(|(path, t)| (path, t.shape));
    let mut wanted: BTreeMap<String, Vec<usize>> = shapes(parameters(vae)).collect();
    let prefix = format!("{FITTED}.");
    if tensors.keys().any(|name| name.starts_with(&prefix)) {
        let fitted: BTreeMap<String, Vec<usize>> = match vae.code_space() {
            Some(space) => {
                let noise = KeyedNoise::new(0, Phase::Init);
                let init = Init::drawn(&noise, device);
                shapes(parameters(&CodePrior::new(&init, space.num_embeddings, space.positions)))
                    .collect()
            }
            None => {
                // The number of Gaussians is that of the file.
                let weights =
                    tensors.get(&format!("{prefix}weights")).and_then(|name| file.shape(name));
                let k = weights.and_then(|shape| shape.first()).copied().unwrap_or(1);
                let d = vae.config().latent;
                [("weights", vec![k]), ("means", vec![k, d]), ("factors", vec![k, d, d])]
                    .map(|(name, shape)| (name.to_owned(), shape))
                    .into()
            }
        };
        wanted.extend(fitted.into_iter().map(|(path, shape)| (format!("{prefix}{path}"), shape)));
    }
    wanted
}

/// Reads the parameters of `vae` and of its fitted prior, by path.
///
/// # Errors
/// If the tensors of the file are not exactly these; all differences are listed. If one cannot be
/// read.
fn read_all(
    file: &WeightFile,
    map: &NameMap,
    vae: &Vae,
    device: &Device,
) -> Result<BTreeMap<String, Stored>, ExportError> {
    let mut mismatch = Mismatch::default();
    let shown = |name: &str, shape: &[usize]| format!("`{}` {shape:?}", name.escape_debug());
    // Names in the file by exported names.
    let mut theirs: BTreeMap<String, String> = BTreeMap::new();
    for (name, _) in file.shapes() {
        let ours = map.0.get(name).unwrap_or(name);
        if ours.is_empty() {
            continue;
        }
        if let Some(other) = theirs.insert(ours.clone(), name.clone()) {
            mismatch.map.push(format!(
                "`{}` and `{}` are both `{}`",
                other.escape_debug(),
                name.escape_debug(),
                ours.escape_debug()
            ));
        }
    }
    let not_there = map.0.keys().filter(|name| file.shape(name).is_none());
    let not_there = not_there.map(|name| format!("`{}` is not in the file", name.escape_debug()));
    mismatch.map.extend(not_there);

    let wanted = wanted(&theirs, file, vae, device);
    let mut found: BTreeMap<String, (Exported, String)> = BTreeMap::new();
    for (path, own) in wanted {
        let place = exported(&path, own.len());
        let expected = place.shape(&own);
        let Some(name) = theirs.remove(&place.name) else {
            mismatch.missing.push(shown(&place.name, &expected));
            continue;
        };
        match file.shape(&name) {
            Some(shape) if shape == expected => {
                found.insert(path, (place, name));
            }
            shape => mismatch
                .shapes
                .push(format!("{}, must be {expected:?}", shown(&name, shape.unwrap_or_default()))),
        }
    }
    mismatch.extra.extend(theirs.iter().map(|(ours, name)| {
        let tensor = shown(name, file.shape(name).unwrap_or_default());
        match ours == name {
            true => tensor,
            false => format!("{tensor}, which the map calls `{}`", ours.escape_debug()),
        }
    }));
    if !mismatch.is_empty() {
        return Err(ExportError::Mismatch { path: file.path().to_owned(), mismatch });
    }
    let read = |(path, (place, name)): (String, (Exported, String))| {
        Ok((path, place.layout(file.read(&name)?)))
    };
    found.into_iter().map(read).collect()
}
