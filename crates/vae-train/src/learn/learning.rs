//! `Learning`: what changes one network, the model or an auxiliary one, from step to step.

use super::metrics::Pending;
use super::optimizer::Optimizer;
use super::schedule::Schedule;

/// Optimizer, schedule and pending losses of one network.
pub(super) struct Learning {
    pub(super) optimizer: Optimizer,
    pub(super) schedule: Schedule,
    /// Losses that have not been read back yet.
    pub(super) pending: Pending,
}
