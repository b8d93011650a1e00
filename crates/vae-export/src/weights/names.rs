//! The exported name and layout of each parameter. `docs/pytorch.md` has the same rules as a table.

use vae_model::init::Stored;

/// Where a parameter is in an exported file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Its name there.
    pub name: String,
    /// Whether it is transposed: `[in, out]` here is `[out, in]` in PyTorch.
    pub transposed: bool,
}

/// Returns the exported name and layout of the parameter at `path` with so many dimensions.
///
/// `path` is that of [`vae_model::parameters`], or `sampler.NAME` for a fitted prior. Different paths
/// of one model have different names.
pub fn exported(path: &str, dimensions: usize) -> Exported {
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let in_flow = parent.starts_with("posterior.flow.");
    let in_code_prior = parent == super::FITTED;
    let named = |name: &str, transposed| Exported { name: format!("{parent}.{name}"), transposed };
    match last {
        // nn.Linear; convolutions have four dimensions and PyTorch's layout.
        "weight" => Exported { name: path.to_owned(), transposed: dimensions == 2 },
        // nn.GroupNorm.
        "scale" if parent.ends_with(".norm") => named("weight", false),
        "shift" if parent.ends_with(".norm") => named("bias", false),
        // nn.Embedding.
        "codebook" | "embedding" => named(&format!("{last}.weight"), false),
        // The linear layers of a step of inverse autoregressive flow, and of the prior over codes.
        "inputs" | "context" | "mean" | "gate" if in_flow => named(&format!("{last}.weight"), true),
        "inward" | "outward" if in_code_prior => named(&format!("{last}.weight"), true),
        "bias" if in_flow => named("inputs.bias", false),
        "mean_bias" if in_flow => named("mean.bias", false),
        "gate_bias" if in_flow => named("gate.bias", false),
        "inward_bias" if in_code_prior => named("inward.bias", false),
        // Plain tensors.
        _ => Exported { name: path.to_owned(), transposed: false },
    }
}

impl Exported {
    /// Returns the shape in a file of a parameter of the shape `own`. Rows and columns are exchanged
    /// if the parameter is transposed; the same call maps a shape in a file back.
    pub fn shape(&self, own: &[usize]) -> Vec<usize> {
        match *own {
            [rows, columns] if self.transposed => vec![columns, rows],
            _ => own.to_vec(),
        }
    }

    /// Returns the values in a file of a parameter; the same call maps values in a file back.
    pub fn layout(&self, stored: Stored) -> Stored {
        let shape = self.shape(&stored.shape);
        if !self.transposed {
            return stored;
        }
        let (rows, columns) = (shape[0], shape[1]);
        let at = |i: usize| stored.values[i % columns * rows + i / columns];
        Stored { values: (0..rows * columns).map(at).collect(), shape }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_transposed_and_back() {
        let values = vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let own = Stored { shape: vec![2, 3], values };
        let linear = exported("encoder.layers.0.weight", 2);
        let theirs = linear.layout(own.clone());
        assert_eq!(theirs.shape, [3, 2]);
        assert_eq!(theirs.values, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(linear.layout(theirs), own);
    }

    #[test]
    fn layers_have_the_names_and_layouts_of_pytorch() {
        for (path, dimensions, name, transposed) in [
            ("decoder.output.weight", 2, "decoder.output.weight", true),
            ("decoder.output.weight", 4, "decoder.output.weight", false),
            ("decoder.output.bias", 1, "decoder.output.bias", false),
            ("encoder.stages.0.first.norm.scale", 1, "encoder.stages.0.first.norm.weight", false),
            ("prior.couplings.1.scale.weight", 2, "prior.couplings.1.scale.weight", true),
            ("prior.inputs", 2, "prior.inputs", false),
            ("posterior.flow.0.inputs", 2, "posterior.flow.0.inputs.weight", true),
            ("posterior.flow.0.bias", 1, "posterior.flow.0.inputs.bias", false),
            ("posterior.codebook", 2, "posterior.codebook.weight", false),
            ("sampler.inward_bias", 1, "sampler.inward.bias", false),
            ("sampler.outward_bias", 2, "sampler.outward_bias", false),
            ("sampler.factors", 3, "sampler.factors", false),
        ] {
            let found = exported(path, dimensions);
            assert_eq!(found, Exported { name: name.to_owned(), transposed }, "{path}");
        }
    }
}
