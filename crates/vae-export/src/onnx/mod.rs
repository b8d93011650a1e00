//! Models as ONNX graphs, for onnxruntime and other programs: `encoder.onnx` and `decoder.onnx`.
//!
//! ```text
//! x [n, ...]       -> range -> network -> posterior  -> mean, log_var [n, latent]
//! z [n, latent]    -> network -> likelihood -> range -> x [n, ...]
//! label [n, classes], one-hot: the second input of both, if encoder and decoder depend on labels
//! ```
//!
//! x is in the range of the data. The graphs are made from the configuration and the parameters by
//! their paths: vae-model does not know of ONNX. `docs/onnx.md` has names, shapes and ranges.

mod conv;
mod graph;
mod likelihood;
mod mlp;
mod posterior;
mod proto;
mod range;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost::Message;
use vae_data::Transform;
use vae_eval::record::fits;
use vae_model::init::Stored;
use vae_model::network::NetworkConfig;
use vae_model::parameters::parameters;
use vae_model::{Vae, write_atomically};

use crate::error::ExportError;
use graph::{Graph, Value};
use proto::{GraphProto, ModelProto, OperatorSetIdProto, StringStringEntryProto};

/// The name of the encoder's file.
pub const ENCODER: &str = "encoder.onnx";
/// The name of the decoder's file.
pub const DECODER: &str = "decoder.onnx";

/// The version of the operations, of 2022: every operation here is at least as old.
const OPSET: i64 = 17;
/// The version of the file format that belongs to it.
const IR_VERSION: i64 = 8;
/// Readers take no message above 2 GiB.
const MAX_BYTES: usize = i32::MAX as usize;

/// A trained model to write as ONNX graphs.
#[derive(Clone, Debug)]
pub struct OnnxExport<'a> {
    /// The model.
    pub vae: &'a Vae,
    /// The transform from the range of the data to x. It becomes a part of the graphs.
    pub transform: &'a Transform,
    /// Whether the encoder was trained. If not, only the decoder is written.
    pub trains_encoder: bool,
    /// Texts to write into each file, by key, such as the configuration.
    pub metadata: BTreeMap<String, String>,
}

impl OnnxExport<'_> {
    /// Writes the graphs into `folder`, which is made if it is not there. Older graphs are replaced.
    /// Returns the paths of the files.
    ///
    /// # Errors
    /// If the transform does not fit the model, if a graph is too large for the format, if there is
    /// an encoder of another model that would stay beside this decoder, or if a file cannot be
    /// written.
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, ExportError> {
        if !fits(self.transform, self.vae.shape()) {
            let why = format!("the transform does not fit examples of {:?}", self.vae.shape());
            return Err(ExportError::Request(why));
        }
        let parameters = parameters(self.vae);
        let mut files = vec![(folder.join(DECODER), self.decoder(&parameters))];
        let encoder = folder.join(ENCODER);
        if self.trains_encoder {
            files.insert(0, (encoder, self.encoder(&parameters)));
        } else if encoder.exists() {
            return Err(ExportError::Request(format!(
                "{}: the encoder of another model is here, and this model has none: remove it, or \
                 name another folder",
                encoder.display()
            )));
        }
        for (path, model) in &files {
            check_size(path, model.encoded_len())?;
        }
        std::fs::create_dir_all(folder)
            .map_err(|source| ExportError::Io { path: folder.to_owned(), source })?;
        let mut written = Vec::new();
        for (path, model) in files {
            write_atomically(&path, &model.encode_to_vec())
                .map_err(|source| ExportError::Io { path: path.clone(), source })?;
            written.push(path);
        }
        Ok(written)
    }

    /// Returns why the encoder has no output `log_var`. `None` if it has one.
    pub fn why_no_log_var(&self) -> Option<&'static str> {
        posterior::why_no_log_var(&self.vae.config().posterior)
    }

    /// Adds the input `label`, if encoder and decoder depend on labels.
    fn label(&self, graph: &mut Graph<'_>) -> Option<(Value, usize)> {
        let classes = self.vae.config().condition_width(self.vae.spec().data());
        (classes > 0).then(|| (graph.input("label", &[classes], "class as a one-hot row"), classes))
    }

    fn encoder(&self, parameters: &BTreeMap<String, Stored>) -> ModelProto {
        let (config, shape) = (self.vae.config(), self.vae.shape());
        let mut graph = Graph::new("encoder", parameters);
        let x = graph.input("x", shape, range::about_input(self.transform));
        let label = self.label(&mut graph);
        let x = range::to_model(&mut graph, self.transform, &x);
        let label = label.as_ref().map(|(label, classes)| (label, *classes));
        let features = match &config.encoder {
            NetworkConfig::Mlp(mlp) => {
                mlp::encoder(&mut graph, mlp, &x, label.map(|(label, _)| label))
            }
            NetworkConfig::Conv(conv) => conv::encoder(&mut graph, conv, shape, &x, label),
        };
        posterior::outputs(
            &mut graph,
            &config.posterior,
            &config.encoder,
            config.latent,
            &features,
        );
        let mut about =
            format!("q(z|x) of a variational autoencoder: {}", config.encoder.summary());
        if let Some(why) = self.why_no_log_var() {
            about.push_str(&format!(". No log_var: {why}"));
        }
        self.model(graph.finish(), about)
    }

    fn decoder(&self, parameters: &BTreeMap<String, Stored>) -> ModelProto {
        let (config, shape) = (self.vae.config(), self.vae.shape());
        let mut graph = Graph::new("decoder", parameters);
        let mut z = graph.input("z", &[config.latent], "latent code");
        if let Some((label, _)) = self.label(&mut graph) {
            z = graph.concat(&z, &label);
        }
        let outputs = match &config.decoder {
            NetworkConfig::Mlp(mlp) => mlp::decoder(&mut graph, mlp, &z),
            NetworkConfig::Conv(conv) => conv::decoder(&mut graph, conv, shape, &z),
        };
        let x = likelihood::mean(&mut graph, &config.likelihood, self.vae.numbers(), &outputs);
        let x = range::to_data(&mut graph, self.transform, &x);
        let x = graph.reshape(&x, shape);
        let mean = likelihood::about_mean(&config.likelihood);
        let about = format!("{mean}: {}", range::about_output(self.transform));
        graph.output(&x, "x", shape, &about);
        let about = format!("p(x|z) of a variational autoencoder: {}", config.decoder.summary());
        self.model(graph.finish(), about)
    }

    fn model(&self, graph: GraphProto, about: String) -> ModelProto {
        let opset = OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) };
        let metadata = self.metadata.iter().map(|(key, value)| StringStringEntryProto {
            key: Some(key.clone()),
            value: Some(value.clone()),
        });
        ModelProto {
            ir_version: Some(IR_VERSION),
            opset_import: vec![opset],
            producer_name: Some("vae".to_owned()),
            producer_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            doc_string: Some(about),
            graph: Some(graph),
            metadata_props: metadata.collect(),
        }
    }
}

/// Checks that a file of `bytes` bytes can be read.
fn check_size(path: &Path, bytes: usize) -> Result<(), ExportError> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    Err(ExportError::Request(format!(
        "{}: the graph has {bytes} bytes, and an ONNX file holds at most {MAX_BYTES}: train a \
         smaller model",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_that_readers_refuse_is_refused() {
        let path = Path::new("out/decoder.onnx");
        assert!(check_size(path, MAX_BYTES).is_ok());
        let error = check_size(path, MAX_BYTES + 1).unwrap_err();
        assert!(error.is_request());
        let message = error.to_string();
        assert!(
            message.contains("out/decoder.onnx") && message.contains("2147483648"),
            "{message}"
        );
    }
}
