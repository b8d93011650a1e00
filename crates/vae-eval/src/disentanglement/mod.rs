//! Disentanglement scores of codes, for data whose generative factors are known.
//!
//! The scores are those that Locatello et al. (2019), "Challenging common assumptions in the unsupervised
//! learning of disentangled representations", compare. Details that the papers leave open are as in their
//! program, disentanglement_lib. The doc comment of a score names each difference from that program.

mod batches;
mod dci;
mod forest;
mod information;
mod sap;

use serde::Serialize;
use vae_data::rng::Stream;

use batches::Batches;
use dci::Dci;

/// Disentanglement scores, each from 0 to 1. Higher is better.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Disentanglement {
    /// Mutual information gap: the difference between the two largest mutual informations of a dimension
    /// and the factor, over the factor's entropy, averaged over the factors (Chen et al. 2018). Dimensions
    /// that are not active have none.
    pub mig: f64,
    /// 1 if each dimension predicts one factor only; 0 if each predicts all factors equally (Eastwood and
    /// Williams 2018).
    pub dci_disentanglement: f64,
    /// 1 if each factor is predicted by one dimension only; 0 if all dimensions predict it equally
    /// (Eastwood and Williams 2018).
    pub dci_completeness: f64,
    /// The accuracy of predicting a factor from the codes of test examples, averaged over the factors
    /// (Eastwood and Williams 2018). Chance is the share of the most frequent value.
    pub dci_informativeness: f64,
    /// Separated attribute predictability: the difference between the two best scores of predicting the
    /// factor from one dimension, averaged over the factors (Kumar et al. 2018). At most 1 for an ordered
    /// factor, and about 1 - 1/k for a categorical factor of k values.
    pub sap: f64,
    /// 1 if each dimension has mutual information with one factor only; 0 if with all factors equally, or
    /// with none (Ridgeway and Mozer 2018). The mean over the dimensions.
    pub modularity: f64,
    /// The accuracy of predicting which factor is fixed in a batch from the dimension that varies least
    /// (Kim and Mnih 2018). Chance is 1 / factors.
    pub factor_vae_score: f64,
    /// The accuracy of a linear classifier that predicts which factor pairs of examples share, from the
    /// differences of their codes (Higgins et al. 2017). Chance is 1 / factors.
    pub beta_vae_score: f64,
}

/// Codes of examples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Codes<'a> {
    /// Rows of `width` numbers, such as posterior means.
    pub rows: &'a [f64],
    /// Number of dimensions.
    pub width: usize,
    /// Whether the draws of each dimension say something of x, `[width]`. If not, they are noise, although
    /// their means still depend on x a little.
    pub active: &'a [bool],
}

/// The generative factors of examples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Factors<'a> {
    /// Indexes of values, `[n, factors]`, row-major. A continuous factor is binned by the caller.
    pub values: &'a [u32],
    /// Whether the values of each factor have an order. Categories have none.
    pub ordered: &'a [bool],
}

impl Disentanglement {
    /// Returns the scores of `codes`. A factor that has the same value in all examples is left out. Random
    /// draws depend on `seed` alone.
    ///
    /// `None` with fewer than four examples, two dimensions, or two factors that vary. Also `None` if all
    /// values of a factor differ, if a code is NaN or infinite, or if `codes` and `factors` have different
    /// numbers of examples.
    pub(crate) fn of(codes: Codes, factors: &Factors, seed: u64) -> Option<Self> {
        let data = Data::new(codes.rows, codes.width, factors)?;
        let stream = Stream::new(seed, "disentanglement");
        let information = information::matrix(&data);
        let dci = Dci::of(&data, &stream.derive(0));
        let batches = Batches::new(&data)?;
        Some(Self {
            mig: information::mig(&information, codes.active, &data),
            dci_disentanglement: dci.disentanglement,
            dci_completeness: dci.completeness,
            dci_informativeness: dci.informativeness,
            sap: sap::sap(&data),
            modularity: information::modularity(&information),
            factor_vae_score: batches.factor_vae_score(&stream.derive(1)),
            beta_vae_score: batches.beta_vae_score(&stream.derive(2))?,
        })
    }

    /// Returns whether the scores exist for `n` examples with these factors and finite codes of `width`
    /// dimensions.
    pub(crate) fn exists(n: usize, width: usize, factors: &Factors) -> bool {
        let codes = vec![0.0; n * width];
        Data::new(&codes, width, factors).is_some_and(|data| Batches::new(&data).is_some())
    }
}

/// At least four codes of at least two finite numbers, and at least two factors that vary.
struct Data<'a> {
    codes: &'a [f64],
    width: usize,
    factors: Vec<Factor>,
}

/// A factor with at least two values.
struct Factor {
    /// The index of each example's value in `levels`.
    indexes: Vec<usize>,
    /// The values that occur, in increasing order.
    levels: Vec<u32>,
    /// Whether the values have an order.
    ordered: bool,
}

impl<'a> Data<'a> {
    fn new(codes: &'a [f64], width: usize, factors: &Factors) -> Option<Self> {
        let n = codes.len().checked_div(width)?;
        let count = factors.ordered.len();
        let fits = codes.len() == n * width && factors.values.len() == n * count;
        if !fits || n < 4 || width < 2 || codes.iter().any(|z| !z.is_finite()) {
            return None;
        }
        let of_column = |(j, ordered): (usize, &bool)| {
            let values = factors.values.iter().skip(j).step_by(count);
            let mut levels: Vec<u32> = values.clone().copied().collect();
            levels.sort_unstable();
            levels.dedup();
            let indexes = values.map(|v| levels.partition_point(|level| level < v)).collect();
            Factor { indexes, levels, ordered: *ordered }
        };
        let factors = factors.ordered.iter().enumerate().map(of_column);
        let factors: Vec<Factor> = factors.filter(|factor| factor.levels.len() > 1).collect();
        (factors.len() > 1).then_some(Self { codes, width, factors })
    }

    /// Returns the number of examples.
    fn len(&self) -> usize {
        self.codes.len() / self.width
    }

    /// Returns the code of an example.
    fn row(&self, example: usize) -> &[f64] {
        &self.codes[example * self.width..][..self.width]
    }

    /// Returns one dimension of all codes.
    fn column(&self, dimension: usize) -> Vec<f64> {
        self.codes.iter().skip(dimension).step_by(self.width).copied().collect()
    }
}

impl Factor {
    /// Returns the examples of each value.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups = vec![Vec::new(); self.levels.len()];
        self.indexes.iter().enumerate().for_each(|(i, value)| groups[*value].push(i));
        groups
    }
}

/// Returns the mean over the factors of the difference between the two largest scores of a factor.
/// `score` takes a dimension and a factor.
fn mean_gap(data: &Data, score: impl Fn(usize, usize) -> f64) -> f64 {
    let gap = |factor: usize| {
        let mut scores: Vec<f64> = (0..data.width).map(|d| score(d, factor)).collect();
        scores.sort_by(|a, b| b.total_cmp(a));
        scores[0] - scores[1]
    };
    (0..data.factors.len()).map(gap).sum::<f64>() / data.factors.len() as f64
}

#[cfg(test)]
mod tests;
