//! What must hold of every density, flow, bound, estimator, discrepancy and critic by mathematics
//! alone: integrals, expectations within their standard errors, inverses, limits; and of every
//! combination of choices that it gives numbers or is refused in words.

mod bounds;
mod codes;
mod combinations;
mod critics;
mod discrepancies;
mod disentanglement;
mod estimators;
mod flows;
mod likelihoods;
mod marginal_likelihood;
mod models;
mod networks;
mod posteriors;
mod priors;
mod refusals;
mod statistics;
mod total_correlation;
