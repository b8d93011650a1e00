//! A forest of decision trees that predicts a factor from codes, and the importance of the dimensions.

use vae_data::rng::Stream;

use super::Data;

/// Trees of a forest. Each is grown on a random half of the training examples (Buehlmann and Yu 2002,
/// "Analyzing bagging").
const TREES: u64 = 10;
/// Bins of a dimension, with about the same number of training examples in each. Splits are between bins.
const BINS: usize = 64;

/// Data that the forests of all factors share.
pub struct Forest<'a> {
    /// The bin of each code, `[width][n]`.
    bins: Vec<Vec<u8>>,
    /// The training examples.
    train: &'a [usize],
    /// k log k for all counts k of examples.
    k_log_k: Vec<f64>,
}

/// The class of each example, and the number of classes.
struct Classes<'a> {
    labels: &'a [usize],
    count: usize,
}

enum Node {
    /// The class that is predicted.
    Leaf(usize),
    /// Examples whose bin is not above `bin` continue at node `next`, the others at the one after it.
    Split { dimension: usize, bin: usize, next: usize },
}

/// A split, and its gain: the entropy that it removes, in nats, summed over the examples of the node.
struct Split {
    dimension: usize,
    bin: usize,
    gain: f64,
}

impl<'a> Forest<'a> {
    /// Divides the dimensions into bins.
    pub fn new(data: &Data, train: &'a [usize]) -> Self {
        let of_dimension = |d: usize| {
            let column = data.column(d);
            let mut sorted: Vec<f64> = train.iter().map(|i| column[*i]).collect();
            sorted.sort_by(f64::total_cmp);
            let mut edges: Vec<f64> = (1..BINS).map(|i| sorted[i * sorted.len() / BINS]).collect();
            edges.dedup();
            // At most BINS - 1, so it fits.
            column.iter().map(|x| edges.partition_point(|edge| edge <= x) as u8).collect()
        };
        let k_log_k = (0..=train.len()).map(|k| k as f64 * (k.max(1) as f64).ln()).collect();
        Self { bins: (0..data.width).map(of_dimension).collect(), train, k_log_k }
    }

    /// Returns the importance of each dimension for `labels`, which are below `classes`, and the accuracy on
    /// the examples `test`. The importance is the sum of the gains of its splits in all trees. The class
    /// that most trees predict is the prediction.
    pub fn fit(
        &self,
        labels: &[usize],
        classes: usize,
        test: &[usize],
        stream: &Stream,
    ) -> (Vec<f64>, f64) {
        let classes = Classes { labels, count: classes };
        let mut importance = vec![0.0; self.bins.len()];
        let trees: Vec<Vec<Node>> = (0..TREES)
            .map(|tree| self.grow(&classes, &stream.derive(tree), &mut importance))
            .collect();
        let is_right = |example: &&usize| {
            let mut votes = vec![0; classes.count];
            trees.iter().for_each(|tree| votes[self.predict(tree, **example)] += 1);
            most(&votes) == labels[**example]
        };
        let right = test.iter().filter(is_right).count();
        (importance, right as f64 / test.len() as f64)
    }

    /// Grows a tree and adds the gains of its splits to `importance`. A split must improve the Bayesian
    /// information criterion (Schwarz 1978, "Estimating the dimension of a model"). Without this rule, most
    /// splits of a deep tree fit noise, and dimensions of noise become important.
    fn grow(&self, classes: &Classes, stream: &Stream, importance: &mut [f64]) -> Vec<Node> {
        let half = self.train.len().div_ceil(2);
        let order = stream.permutation(self.train.len());
        let examples: Vec<usize> =
            order.iter().take(half).map(|i| self.train[*i as usize]).collect();
        let price = 0.5 * (half as f64).ln();
        let mut nodes = vec![Node::Leaf(0)];
        let mut open = vec![(0, examples)];
        while let Some((at, examples)) = open.pop() {
            let mut counts = vec![0; classes.count];
            examples.iter().for_each(|i| counts[classes.labels[*i]] += 1);
            // A split adds a threshold, and one more distribution over the classes of the node.
            let parameters = counts.iter().filter(|count| **count > 0).count() as f64;
            let order = stream.derive(at as u64).permutation(self.bins.len());
            let split = self.best_split(classes, &examples, &counts, &order);
            let Some(split) = split.filter(|split| split.gain > price * parameters) else {
                nodes[at] = Node::Leaf(most(&counts));
                continue;
            };
            let Split { dimension, bin, gain } = split;
            importance[dimension] += gain;
            let next = nodes.len();
            nodes[at] = Node::Split { dimension, bin, next };
            let (low, high): (Vec<usize>, Vec<usize>) =
                examples.iter().partition(|i| usize::from(self.bins[dimension][**i]) <= bin);
            for (i, part) in [low, high].into_iter().enumerate() {
                nodes.push(Node::Leaf(0));
                open.push((next + i, part));
            }
        }
        nodes
    }

    /// Returns the split with the largest gain; if several have it, the first. Dimensions are tried in
    /// `order`. It is random, so that copies of a dimension share the importance.
    fn best_split(
        &self,
        classes: &Classes,
        examples: &[usize],
        counts: &[usize],
        order: &[u32],
    ) -> Option<Split> {
        // n times the entropy of n examples: n log n - sum_c n_c log n_c.
        let spread = |n: usize, counts: &mut dyn Iterator<Item = usize>| {
            self.k_log_k[n] - counts.map(|count| self.k_log_k[count]).sum::<f64>()
        };
        let before = spread(examples.len(), &mut counts.iter().copied());
        let mut best: Option<Split> = None;
        for dimension in order.iter().map(|d| *d as usize) {
            let bins = &self.bins[dimension];
            let mut of_bins = vec![0; BINS * classes.count];
            for i in examples {
                of_bins[usize::from(bins[*i]) * classes.count + classes.labels[*i]] += 1;
            }
            let mut low = vec![0; classes.count];
            for (bin, of_bin) in of_bins.chunks_exact(classes.count).enumerate() {
                if of_bin.iter().all(|count| *count == 0) {
                    continue;
                }
                low.iter_mut().zip(of_bin).for_each(|(low, count)| *low += count);
                let n: usize = low.iter().sum();
                let high = &mut counts.iter().zip(&low).map(|(all, low)| all - low);
                let after = spread(n, &mut low.iter().copied()) + spread(examples.len() - n, high);
                let gain = before - after;
                if best.as_ref().is_none_or(|best| gain > best.gain) {
                    best = Some(Split { dimension, bin, gain });
                }
            }
        }
        best
    }

    /// Returns the class that a tree predicts for an example.
    fn predict(&self, tree: &[Node], example: usize) -> usize {
        let mut at = 0;
        loop {
            match tree[at] {
                Node::Leaf(class) => return class,
                Node::Split { dimension, bin, next } => {
                    at = next + usize::from(usize::from(self.bins[dimension][example]) > bin);
                }
            }
        }
    }
}

/// Returns the index of the largest count; if several have it, the first.
fn most(counts: &[usize]) -> usize {
    (1..counts.len()).fold(0, |best, i| if counts[i] > counts[best] { i } else { best })
}
