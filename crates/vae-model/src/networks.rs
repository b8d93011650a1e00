//! `Networks`: everything that an objective trains, a model and its auxiliary networks.

use burn::module::Module;

use crate::critic::Critic;
use crate::vae::Vae;

/// Which network a loss trains. The other networks are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The model.
    Model,
    /// The auxiliary network with this index in `Requirements::auxiliaries`.
    Auxiliary(usize),
}

/// A model and its auxiliary networks.
#[derive(Module, Debug)]
pub struct Networks {
    /// The model.
    pub vae: Vae,
    /// The auxiliary networks, in the order of `Requirements::auxiliaries`.
    pub auxiliaries: Vec<Critic>,
}

impl Networks {
    /// Returns the auxiliary network with this index in `Requirements::auxiliaries`.
    pub(crate) fn auxiliary(&self, index: usize) -> &Critic {
        match self.auxiliaries.get(index) {
            Some(network) => network,
            None => unreachable!("a NetworksSpec builds every auxiliary network of its objective"),
        }
    }
}

impl From<Vae> for Networks {
    /// Makes the networks of an objective without auxiliary networks.
    fn from(vae: Vae) -> Self {
        Self { vae, auxiliaries: Vec::new() }
    }
}
