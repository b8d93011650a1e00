//! The figures of `evaluate`: their names, their values for people, and how each was made.

use serde_json::{Map, Value, json};
use vae_data::{Examples, Pixels, Transform};
use vae_eval::{
    Annealed, COMPARED, CurvePoint, Disentanglement, Evaluation, FeatureNetwork, Interval, Quality,
};

use super::text::{columns, with_commas};

/// Keys in JSON of what `--ais` measures.
pub const ANNEALING: [&str; 6] =
    ["nll_ais", "nll_ais_stderr", "ais_steps", "ais_chains", "ais_ess_min", "ais_ess_median"];
/// Keys of what `--quality` measures.
pub const QUALITY: [&str; 5] =
    ["frechet_distance", "kernel_distance", "precision", "recall", "features"];
/// Keys of what `--disentanglement` measures.
pub const DISENTANGLEMENT: [&str; 8] = [
    "mig",
    "dci_disentanglement",
    "dci_completeness",
    "dci_informativeness",
    "sap",
    "modularity",
    "factor_vae_score",
    "beta_vae_score",
];
/// Keys of what `--samples` measures.
const IMPORTANCE: [&str; 5] = ["nll", "nll_stderr", "ess_min", "ess_median", "k_curve"];

/// Returns the keys of all figures, with the flag that asks for them. Those without a flag are in every
/// evaluation of a model that has them.
pub fn keys() -> Vec<(String, Option<&'static str>)> {
    let asked = [
        ("--samples", &IMPORTANCE[..]),
        ("--ais", &ANNEALING),
        ("--quality", &QUALITY),
        ("--disentanglement", &DISENTANGLEMENT),
    ];
    let flag_of =
        |key: &str| asked.iter().find(|(_, keys)| keys.contains(&key)).map(|(flag, _)| *flag);
    let every = json!(Evaluation::default());
    let every = every.as_object().into_iter().flat_map(Map::keys).cloned();
    let others = asked[1..].iter().flat_map(|(_, keys)| keys.iter().map(|key| (*key).to_owned()));
    every.chain(others).map(|key| (key.clone(), flag_of(&key))).collect()
}

/// Median of the effective sample sizes below which nll is not to be believed.
const BELIEVABLE: f64 = 5.0;
/// The same of chains of annealed importance sampling, for nll_ais.
const BELIEVABLE_CHAINS: f64 = 2.0;

/// Says why an nll is not to be believed. `None` if it is. `ess_median` is the median of the effective sample
/// sizes.
pub fn doubt(ess_median: Option<f64>) -> Option<&'static str> {
    ess_median.filter(|ess| *ess < BELIEVABLE).map(|_| {
        "for half of the examples a few importance weights outweigh all others, so nll is probably too high: \
         take more importance samples, and see how far nll falls"
    })
}

/// Says why an nll_ais is not to be believed. `None` if it is.
pub fn doubt_of_chains(ess_median: f64) -> Option<&'static str> {
    (ess_median < BELIEVABLE_CHAINS).then_some(
        "for half of the examples one chain outweighs the others, so nll_ais is probably too high: take more \
         annealing steps, and see how far nll_ais falls",
    )
}

/// Says what of the JSON of an evaluation is not to be believed.
pub fn doubts_of_json(figures: &Map<String, Value>) -> impl Iterator<Item = String> {
    let number = |key: &str| figures.get(key).and_then(Value::as_f64);
    let of_chains = number("ais_ess_median").and_then(doubt_of_chains);
    let images = figures.get("images").and_then(Value::as_u64);
    let of_quality = number("frechet_distance").and(images);
    let of_quality = of_quality.and_then(|images| FeatureNetwork::doubt(images as usize));
    let texts = [doubt(number("ess_median")), of_chains].into_iter().flatten();
    texts.map(str::to_owned).chain(of_quality)
}

/// Says what x was made of `examples` of the data called `data`, for the protocol: likelihoods of other values
/// of x cannot be compared.
pub fn of_what(
    data: &str,
    split: &str,
    (examples, transform): (&Examples, &Transform),
    seed: u64,
) -> String {
    let values = match transform {
        // They are what they were, cut or drawn with any seed.
        Transform::Pixels(Pixels::Grey | Pixels::Binary | Pixels::Stochastic)
            if examples.is_binary() =>
        {
            "black and white pixels".to_owned()
        }
        Transform::Pixels(Pixels::Stochastic) => {
            format!("pixels that are white as often as they are bright, drawn once by seed {seed}")
        }
        Transform::Pixels(Pixels::Binary) => "black and white pixels, cut at one half".to_owned(),
        Transform::Pixels(Pixels::Grey) => "grey pixels".to_owned(),
        Transform::Pixels(Pixels::Signed) => "grey pixels from -1 to 1".to_owned(),
        Transform::Affine { .. } => "numbers as the run scales them".to_owned(),
    };
    format!("{data} {split}, {values}")
}

/// A figure of a model: its name in JSON, its value for people, and how it is made.
pub struct Figure {
    /// The key in JSON.
    pub name: &'static str,
    /// The value, for people.
    pub value: String,
    /// How it is made, whatever the model.
    pub what: String,
    /// More values, for people. Empty if there are none.
    pub more: String,
}

impl Figure {
    /// Makes a figure that is one value.
    pub fn new(name: &'static str, value: String, what: impl Into<String>) -> Self {
        Self { name, value, what: what.into(), more: String::new() }
    }
}

/// Returns the figures that the model has, in the order in which they are printed. `data` says what they are of;
/// see [`of_what`].
pub fn of_evaluation(result: &Evaluation, data: &str, samples: usize) -> Vec<Figure> {
    let mut figures = Vec::new();
    let mut add = |name, value: Option<String>, what: &str| {
        figures.extend(value.map(|value| Figure::new(name, value, what)));
    };
    let nats = |value: f64| format!("{value:.3}");
    let reconstruction = if result.likelihood {
        "-log p(x|z), one draw of z for each"
    } else {
        "a loss, not a likelihood: the pixels are not binary, or its constant is left out"
    };
    let some = with_commas(result.images.min(COMPARED));
    let aggregate = format!("of q(z) over {some} examples");
    add("images", Some(with_commas(result.images)), data);
    add("neg_elbo", result.neg_elbo.map(nats), "reconstruction + kl");
    add("reconstruction", Some(nats(result.reconstruction)), reconstruction);
    add("kl", result.kl.map(nats), "KL(q(z|x) || p(z))");
    add(
        "mutual_information",
        result.mutual_information.map(nats),
        &format!(
            "KL(q(z|x) || q(z)), {aggregate}, at most the logarithm of their number, {:.1}",
            (result.images.min(COMPARED) as f64).ln()
        ),
    );
    add(
        "total_correlation",
        result.total_correlation.map(nats),
        &format!("KL(q(z) || prod q(z_i)), {aggregate}"),
    );
    add(
        "dimension_wise_kl",
        result.dimension_wise_kl.map(nats),
        &format!("sum of KL(q(z_i) || p(z_i)), {aggregate}"),
    );
    add(
        "active_units",
        Some(format!("{}/{}", result.active_units, result.latent)),
        "latent dimensions whose posterior mean has a variance over the data above 0.01",
    );
    add(
        "aggregate_mmd",
        result.aggregate_mmd.map(|mmd| format!("{mmd:.5}")),
        "squared maximum mean discrepancy of q(z) and p(z), without a unit",
    );
    let of_means = "of the decoded mean of q(z|x)";
    add("mse", Some(format!("{:.5}", result.mse)), &format!("{of_means}, per number of x"));
    add(
        "psnr",
        result.psnr.map(|psnr| format!("{psnr:.2}")),
        &format!("{of_means}, in decibels, averaged over images"),
    );
    add(
        "ssim",
        result.ssim.map(|ssim| format!("{ssim:.4}")),
        &format!("structural similarity {of_means}, Gaussian window of 11x11 pixels"),
    );
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let coverage = |intervals: &Vec<Interval>| {
        let each = intervals.iter().map(|interval| {
            format!("{:.0} % in that of {:.0} %", 100.0 * interval.coverage, 100.0 * interval.share)
        });
        each.collect::<Vec<_>>().join(", ")
    };
    figures.extend(result.calibration.as_ref().map(|intervals| Figure {
        more: coverage(intervals),
        ..Figure::new(
            "calibration",
            String::new(),
            "numbers of x inside the central intervals of p(x|z)",
        )
    }));
    figures.extend(result.knn_accuracy.map(|share| {
        let what = format!("classes by five nearest neighbours of the mean of q(z|x), of {some}");
        Figure::new("knn_accuracy", percent(share), what)
    }));
    figures.extend(result.probe_accuracy.map(|share| {
        let what = format!(
            "classes by a linear classifier of the mean of q(z|x), trained on half of {some}, tested on the \
             others"
        );
        Figure::new("probe_accuracy", percent(share), what)
    }));
    let error = |error: f64| format!("standard error {error:.3}");
    figures.extend(result.nll.map(|nll| Figure {
        more: result.nll_stderr.map(error).unwrap_or_default(),
        ..Figure::new("nll", nats(nll), format!("-log p(x) from {samples} importance samples"))
    }));
    let points = |curve: &Vec<CurvePoint>| {
        let points = curve.iter().map(|point| format!("{} from {}", nats(point.nll), point.k));
        points.collect::<Vec<_>>().join(", ")
    };
    figures.extend(result.k_curve.as_ref().map(|curve| Figure {
        more: points(curve),
        ..Figure::new("k_curve", String::new(), "nll by groups of the same samples")
    }));
    figures.extend(result.ess_median.map(|ess| Figure {
        more: format!("the smallest is {:.1}", result.ess_min.unwrap_or(f64::NAN)),
        ..Figure::new(
            "ess_median",
            format!("{ess:.1}"),
            format!("median of the effective sample sizes, from 1 to {samples}"),
        )
    }));
    figures.extend(result.bits_per_dim.map(|bits| {
        let of = if result.nll.is_some() { "nll" } else { "neg_elbo" };
        Figure::new("bits_per_dim", format!("{bits:.4}"), format!("{of} in bits per number of x"))
    }));
    figures
}

/// Returns what annealed importance sampling found.
pub fn of_annealing(found: &Annealed) -> Vec<Figure> {
    let error = found.nll_stderr.map(|e| format!("standard error {e:.3}, ")).unwrap_or_default();
    let Annealed { steps, chains, ess: [least, median], .. } = found;
    vec![Figure {
        more: format!(
            "{error}median of the effective sample sizes {median:.1}, the smallest {least:.1}"
        ),
        ..Figure::new(
            "nll_ais",
            format!("{:.3}", found.nll),
            format!(
                "-log p(x) by annealed importance sampling from p(z) in {steps} steps with {chains} chains (Wu et \
                 al. 2017)"
            ),
        )
    }]
}

/// Returns the quality of samples, by the features of the network `name`.
pub fn of_quality(quality: &Quality, name: &str, samples: usize) -> Vec<Figure> {
    let n = with_commas(samples);
    let figure = |name, value: String, what: String| Figure::new(name, value, what);
    vec![
        figure(
            "frechet_distance",
            format!("{:.3}", quality.frechet_distance),
            format!("of {n} samples (means) and as many examples, features of {name}; not FID"),
        ),
        figure(
            "kernel_distance",
            format!("{:.5}", quality.kernel_distance),
            format!("squared discrepancy of features of {name}, kernel (xy/d + 1)^3, without bias"),
        ),
        figure(
            "precision",
            format!("{:.4}", quality.precision),
            format!(
                "samples in the neighbourhood of an example, features of {name} (Kynkaanniemi et al. 2019)"
            ),
        ),
        figure(
            "recall",
            format!("{:.4}", quality.recall),
            format!("examples in the neighbourhood of a sample, features of {name}"),
        ),
    ]
}

/// Returns the scores of disentanglement, from 0 to 1.
pub fn of_disentanglement(scores: &Disentanglement) -> Vec<Figure> {
    let figure = |name, score: f64, what: &str| Figure::new(name, format!("{score:.4}"), what);
    vec![
        figure(
            "mig",
            scores.mig,
            "mutual information gap (Chen et al. 2018) of all factors, from posterior means of active \
             dimensions in 20 intervals",
        ),
        figure(
            "dci_disentanglement",
            scores.dci_disentanglement,
            "each dimension predicts one factor, by random forests (Eastwood and Williams 2018)",
        ),
        figure("dci_completeness", scores.dci_completeness, "each factor has one dimension"),
        figure(
            "dci_informativeness",
            scores.dci_informativeness,
            "accuracy of the forests on the second half",
        ),
        figure(
            "sap",
            scores.sap,
            "gap of the best predictions by one dimension (Kumar et al. 2018)",
        ),
        figure(
            "modularity",
            scores.modularity,
            "each dimension has information on one factor (Ridgeway and Mozer 2018)",
        ),
        figure(
            "factor_vae_score",
            scores.factor_vae_score,
            "the fixed factor, from the dimension that varies least (Kim and Mnih 2018)",
        ),
        figure(
            "beta_vae_score",
            scores.beta_vae_score,
            "the shared factor, from differences of codes (Higgins et al. 2017)",
        ),
    ]
}

/// Figures that are in JSON only, and what they are.
const ONLY_IN_JSON: [(&str, &str); 11] = [
    ("kl_per_dimension", "KL(q(z_i|x) || p(z_i)) of each latent dimension"),
    ("rate", "kl, as Alemi et al. 2018 call it"),
    ("distortion", "reconstruction, as Alemi et al. 2018 call it"),
    ("nll_stderr", "standard error of nll over the examples"),
    ("ess_min", "the smallest effective sample size of an example"),
    ("nll_ais_stderr", "standard error of nll_ais over the examples"),
    ("ais_steps", "distributions from p(z) to p(z) p(x|z)"),
    ("ais_chains", "chains per example"),
    ("ais_ess_min", "the smallest effective sample size of an example"),
    ("ais_ess_median", "the median of the effective sample sizes"),
    ("features", "the classifier of the same data whose features are compared"),
];

/// Returns how each figure of `object` was made. Those of `figures` are said there.
pub fn protocol(figures: &[Figure], object: &Value) -> Value {
    let only = ONLY_IN_JSON.iter().filter(|(name, _)| !object[*name].is_null());
    let mut protocol: Map<String, Value> =
        only.map(|(name, what)| ((*name).to_owned(), json!(what))).collect();
    protocol.extend(figures.iter().map(|f| (f.name.to_owned(), json!(f.what))));
    protocol.into()
}

/// Returns the figures as a table for people.
pub fn table(figures: &[Figure]) -> String {
    let row = |figure: &Figure| {
        let separator = if figure.more.is_empty() { "" } else { "; " };
        let what = format!("{}{separator}{}", figure.what, figure.more);
        vec![figure.name.to_owned(), format!("{:>10}", figure.value), what]
    };
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    columns(&rows)
}
