//! Tests: representations whose scores follow from their definition, and numbers of NumPy and
//! scikit-learn.

use super::*;

/// Values of the factors `a` and `b`, and of `c`, which is noise to the scores. Every combination occurs
/// equally often, so the three are independent.
const SIZES: [u32; 3] = [8, 5, 6];

/// Returns the codes and the factors of all combinations, each four times.
fn grid<const W: usize>(code: impl Fn([f64; 3]) -> [f64; W]) -> (Vec<f64>, Vec<u32>) {
    let [a, b, c] = SIZES;
    let all = (0..4 * a * b * c).map(|i| [i % a, i / a % b, i / a / b % c]);
    let codes = all.clone().flat_map(|v| code(v.map(f64::from))).collect();
    (codes, all.flat_map(|[a, b, _]| [a, b]).collect())
}

/// Returns the scores of codes in which all dimensions are active.
fn of(rows: &[f64], width: usize, factors: &Factors, seed: u64) -> Option<Disentanglement> {
    Disentanglement::of(Codes { rows, width, active: &vec![true; width] }, factors, seed)
}

/// Returns the scores of a grid. `a` is ordered, `b` categorical.
fn scores<const W: usize>(code: impl Fn([f64; 3]) -> [f64; W]) -> Disentanglement {
    let (codes, values) = grid(code);
    let factors = Factors { values: &values, ordered: &[true, false] };
    of(&codes, W, &factors, 0).unwrap()
}

fn is(found: f64, expected: f64) -> bool {
    (found - expected).abs() < 1e-12
}

/// Whether a share of 800 batches is within four standard errors of a fair coin.
fn is_coin(found: f64) -> bool {
    (found - 0.5).abs() < 4.0 * (0.25 / 800f64).sqrt()
}

#[test]
fn a_dimension_for_each_factor_is_perfect() {
    let found = scores(|[a, b, _]| [-3.0 * b, 0.1 * a + 7.0]);
    // R^2 of `a` is 1 and 0. The five values of `b` are told with accuracy 1 and, by chance, 1/5.
    assert!(is(found.sap, (1.0 + 0.8) / 2.0), "{found:?}");
    let others = [found.mig, found.modularity, found.dci_disentanglement, found.dci_completeness];
    assert!(others.iter().all(|score| is(*score, 1.0)), "{found:?}");
    let predicted = [found.dci_informativeness, found.factor_vae_score, found.beta_vae_score];
    assert_eq!(predicted, [1.0; 3]);
}

#[test]
fn a_dimension_that_is_not_active_has_no_mutual_information() {
    // The last dimension is a small copy of the first.
    let (rows, values) = grid(|[a, b, _]| [a, b, 1e-3 * a]);
    let factors = Factors { values: &values, ordered: &[true, false] };
    let of = |active: &[bool; 3]| {
        Disentanglement::of(Codes { rows: &rows, width: 3, active }, &factors, 0).unwrap()
    };
    let (counted, left_out) = (of(&[true; 3]), of(&[true, true, false]));
    assert!(is(counted.mig, 0.5) && is(left_out.mig, 1.0), "{counted:?} {left_out:?}");
    assert_eq!(Disentanglement { mig: counted.mig, ..left_out }, counted);
    assert!(is(of(&[false; 3]).mig, 0.0));
}

#[test]
fn the_batch_variance_is_relative_to_that_of_all_examples() {
    // With `a` fixed, the first dimension has the larger variance, and the smaller share of its variance.
    let found = scores(|[a, b, c]| [100.0 * a + c, b + 0.01 * c]);
    assert_eq!(found.factor_vae_score, 1.0);
}

#[test]
fn a_dimension_of_noise_lowers_modularity_alone() {
    let perfect = scores(|[a, b, _]| [a, b]);
    let found = scores(|[a, b, c]| [a, c, b]);
    assert!(is(found.modularity, 2.0 / 3.0), "{found:?}");
    // All other scores stay as they are.
    let close = |of: fn(&Disentanglement) -> f64| is(of(&found), of(&perfect));
    assert!(close(|s| s.mig) && close(|s| s.sap), "{found:?}");
    assert!(close(|s| s.dci_disentanglement) && close(|s| s.dci_completeness), "{found:?}");
    assert!(close(|s| s.dci_informativeness) && close(|s| s.factor_vae_score), "{found:?}");
    assert!(close(|s| s.beta_vae_score), "{found:?}");
}

#[test]
fn noise_has_no_score_or_chance() {
    let found = scores(|[_, _, c]| [c, (c * 5.0) % 6.0 + 2.0, (c - 2.0).abs()]);
    let none = [found.mig, found.sap, found.modularity];
    assert!(none.iter().all(|score| is(*score, 0.0)), "{found:?}");
    assert_eq!((found.dci_disentanglement, found.dci_completeness), (0.0, 0.0));
    // No split of a forest is worth its parameters, so all predictions are the most frequent class of the
    // training half. In the test half that class is a little rarer than chance, (1/8 + 1/5) / 2.
    let chance = 0.1625;
    assert!((0.1..chance).contains(&found.dci_informativeness), "{found:?}");
    assert!(is_coin(found.factor_vae_score) && is_coin(found.beta_vae_score), "{found:?}");
}

#[test]
fn copies_of_a_dimension_are_disentangled_and_not_complete() {
    let found = scores(|[a, b, _]| [a, b, 2.0 * a, 2.0 * b]);
    assert!(is(found.mig, 0.0) && is(found.sap, 0.0) && is(found.modularity, 1.0), "{found:?}");
    assert!(is(found.dci_disentanglement, 1.0), "{found:?}");
    // Two of four dimensions share the importance: 1 - log 2 / log 4 if they share it equally.
    assert!((0.5..0.6).contains(&found.dci_completeness), "{found:?}");
    let predicted = [found.dci_informativeness, found.factor_vae_score, found.beta_vae_score];
    assert_eq!(predicted, [1.0; 3]);
}

#[test]
fn the_importance_of_a_dimension_is_the_entropy_that_its_splits_remove() {
    // The first dimension is the pair of `a`. The second tells the values of one pair of four apart.
    let found = scores(|[a, b, _]| [(a / 2.0).floor(), f64::from(u8::from(a == 1.0)), b]);
    // They remove log 4 and log 2 / 4 nats, 8/9 and 1/9 of the sum.
    let entropy = -(8.0 / 9.0 * (8.0f64 / 9.0).ln() + 1.0 / 9.0 * (1.0f64 / 9.0).ln());
    let completeness = (1.0 + 1.0 - entropy / 3f64.ln()) / 2.0;
    assert!((found.dci_completeness - completeness).abs() < 0.01, "{found:?} {completeness}");
    assert!(is(found.dci_disentanglement, 1.0), "{found:?}");
    // `b` and two values of `a` are always right, the other six half of the time.
    assert!((found.dci_informativeness - (1.0 + 5.0 / 8.0) / 2.0).abs() < 0.03, "{found:?}");
}

#[test]
fn sums_and_differences_of_two_factors_are_mixed() {
    // Two factors of eight values, which are exchangeable in both dimensions.
    let all = (0..16 * 64).map(|i| [i % 8, i / 8 % 8]);
    let codes: Vec<f64> =
        all.clone().map(|v| v.map(f64::from)).flat_map(|[a, b]| [a + b, a - b]).collect();
    let values: Vec<u32> = all.flatten().collect();
    let factors = Factors { values: &values, ordered: &[true; 2] };
    let found = of(&codes, 2, &factors, 0).unwrap();
    // Both dimensions have R^2 = 1/2 and the same mutual information for both factors.
    let none = [found.mig, found.sap, found.modularity];
    assert!(none.iter().all(|score| is(*score, 0.0)), "{found:?}");
    // 1 - H(p) for an importance between p = 1/3 and 2/3 is below 0.0818.
    assert!(found.dci_disentanglement < 0.0818 && found.dci_completeness < 0.0818, "{found:?}");
    assert!(is_coin(found.factor_vae_score) && is_coin(found.beta_vae_score), "{found:?}");
}

#[test]
fn scores_depend_on_the_seed_and_not_on_how_often_they_are_computed() {
    let (codes, values) = grid(|[a, b, c]| [a + b * c, b - 0.3 * a, c * a]);
    let factors = Factors { values: &values, ordered: &[true, false] };
    let of = |seed| of(&codes, 3, &factors, seed).unwrap();
    assert_eq!(of(0), of(0));
    assert_ne!(of(0), of(1));
    assert!(is(of(0).mig, of(1).mig) && is(of(0).sap, of(1).sap));
}

#[test]
fn dimensions_that_have_collapsed_do_not_vote() {
    // The second dimension has a standard deviation of 0.042, so all votes are for the first.
    let found = scores(|[a, b, _]| [a, 0.03 * b]);
    let only_b = scores(|[a, b, _]| [0.01 * a, 0.03 * b]);
    assert!(is_coin(found.factor_vae_score), "{found:?}");
    assert_eq!(only_b.factor_vae_score, 0.0);
    assert_eq!(only_b.beta_vae_score, 1.0);
    // The standard deviation counts, 0.14, and not the variance, 0.02.
    assert_eq!(scores(|[a, b, _]| [a, 0.1 * b]).factor_vae_score, 1.0);
}

#[test]
fn what_has_no_score_is_none() {
    let (codes, values) = grid(|[a, b, _]| [a, b]);
    let of = |codes: &[f64], width, values: &[u32], ordered: &[bool]| {
        of(codes, width, &Factors { values, ordered }, 0)
    };
    let two = [true, true];
    assert!(of(&codes, 2, &values, &two).is_some());
    assert_eq!(of(&codes, 1, &values, &two), None);
    assert_eq!(of(&codes, 0, &values, &two), None);
    assert_eq!(of(&codes, 2, &values[2..], &two), None);
    assert_eq!(of(&codes[..6], 2, &values[..6], &two), None);
    assert_eq!(of(&codes, 2, &values, &[]), None);
    let mut holed = codes.clone();
    holed[5] = f64::NAN;
    assert_eq!(of(&holed, 2, &values, &two), None);
    // A factor that is constant is left out, and one is too few.
    let constant: Vec<u32> = values.chunks(2).flat_map(|v| [v[0], 3]).collect();
    assert_eq!(of(&codes, 2, &constant, &two), None);
    let third: Vec<u32> = values.chunks(2).flat_map(|v| [v[0], 3, v[1]]).collect();
    assert_eq!(of(&codes, 2, &third, &[true; 3]), of(&codes, 2, &values, &two));
    // No two examples share the value of a factor.
    let unique: Vec<u32> = values.chunks(2).zip(0..).flat_map(|(v, i)| [v[0], i]).collect();
    assert_eq!(of(&codes, 2, &unique, &two), None);
}

/// NumPy 2.4.6 and scikit-learn 1.9.1 on the same integers: `numpy.histogram`, `numpy.digitize`,
/// `mutual_info_score`, `numpy.corrcoef`, `NearestCentroid` and `balanced_accuracy_score`.
#[test]
fn scores_without_draws_are_those_of_numpy_and_scikit_learn() {
    let all = (0..300u32).map(|i| (i, i % 7 % 3, i / 3 % 4));
    let code = |(i, a, b): (u32, u32, u32)| {
        [(7 * i * i + 3 * i) % 97 + 40 * a, 11 * i % 23 + 6 * b * b, 5 * i % 17 + 9 * a + 4 * b]
    };
    let codes: Vec<f64> = all.clone().flat_map(code).map(f64::from).collect();
    let values: Vec<u32> = all.flat_map(|(_, a, b)| [2 * a, b]).collect();
    let factors = Factors { values: &values, ordered: &[false, true] };
    let data = Data::new(&codes, 3, &factors).unwrap();
    let information = information::matrix(&data);
    let golden = [
        [0.5352029593299541, 0.09847826174552117],
        [0.0036129746635385172, 1.0260578297686238],
        [0.4326333985243484, 0.23106873094985053],
    ];
    for (found, expected) in information.iter().flatten().zip(golden.as_flattened()) {
        assert!(is(*found, *expected), "{found} {expected}");
    }
    assert!(is(information::mig(&information, &[true; 3], &data), 0.3342282971853844));
    assert!(is(information::modularity(&information), 0.8936233515343295));
    assert!(is(sap::sap(&data), 0.33913484871020905));
}
