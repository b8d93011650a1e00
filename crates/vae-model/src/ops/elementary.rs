//! Elementary functions without branches, which a compiler can turn into vector instructions. Those
//! of the standard library are called number by number.
//!
//! Functions are inlined always: only then are they compiled with the vector instructions of their
//! caller. `mul_add` is then one instruction with one rounding. (A processor without it computes the same
//! bits, slowly.)

/// Returns 2^n and exp(r) - 1 with exp(y) = 2^n exp(r), |r| <= ln 2 / 2, for -87 <= y <= 0. Smaller y
/// count as -87, and NaN stays NaN.
#[inline(always)]
fn split_exp(y: f32) -> (f32, f32) {
    // Adding this to a small number rounds the number to an integer, stored in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts. Integer multiples of the first part are exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    // (exp(r) - 1 - r) / r^2 by the polynomial of degree 4 with the smallest relative error of exp(r) - 1
    // (Remez' algorithm in Python's mpmath with 40 digits, then rounded): 1.7e-8.
    const SERIES: [f32; 5] =
        [0.499_999_97, 0.166_665_43, 0.041_667_2, 8.366_520_5e-3, 1.388_252_1e-3];
    // `f32::max` would return -87 for NaN.
    let y = if y < -87.0 { -87.0 } else { y };
    let shifted = y.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN_2_LOW, n.mul_add(-LN_2_HIGH, y));
    let [c0, c1, c2, c3, c4] = SERIES;
    let tail = r.mul_add(r.mul_add(r.mul_add(r.mul_add(c4, c3), c2), c1), c0);
    let series = (r * r).mul_add(tail, r);
    let two_to_n = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    (two_to_n, series)
}

/// Returns exp(y) for y <= 0 with a relative error below 1e-7. For y below -87 it returns exp(-87).
#[inline(always)]
pub fn exp_of_negative(y: f32) -> f32 {
    let (two_to_n, series) = split_exp(y);
    series.mul_add(two_to_n, two_to_n)
}

/// Returns exp(y) - 1 for y <= 0 with a relative error below 1.1e-7.
#[inline(always)]
pub fn exp_m1_of_negative(y: f32) -> f32 {
    let (two_to_n, series) = split_exp(y);
    two_to_n.mul_add(series, two_to_n - 1.0)
}

/// Returns log(x) for finite x >= 1 with a relative error below 3e-7. NaN stays NaN.
#[inline(always)]
pub fn log_from_1(x: f32) -> f32 {
    const LN_2: f32 = std::f32::consts::LN_2;
    // x = 2^n m with m in [1/sqrt 2, sqrt 2).
    let offset = 1.0f32.to_bits() - std::f32::consts::FRAC_1_SQRT_2.to_bits();
    let shifted = x.to_bits().wrapping_add(offset);
    let n = (shifted >> 23) as i32 - 127;
    let m = f32::from_bits(x.to_bits().wrapping_sub((n as u32) << 23));
    // log m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172, by the series of artanh.
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let tail = q.mul_add(q.mul_add(1.0 / 9.0, 1.0 / 7.0), 1.0 / 5.0);
    let series = q.mul_add(q.mul_add(tail, 1.0 / 3.0), 1.0);
    let log = (2.0 * s).mul_add(series, n as f32 * LN_2);
    // The bits of NaN are not its value.
    if x >= 1.0 { log } else { x - 1.0 }
}

/// Returns sigmoid(x) and 1 - sigmoid(x). Neither cancels.
#[inline(always)]
pub fn sigmoid_and_rest(x: f32) -> (f32, f32) {
    let e = exp_of_negative(-x.abs());
    // Divisions are slow: one is enough.
    let large = 1.0 / (1.0 + e);
    let small = e * large;
    if x > 0.0 { (large, small) } else { (small, large) }
}

/// Returns tanh(x) with a relative error below 2.2e-7.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    // tanh |x| = (1 - t) / (1 + t) with t = exp(-2 |x|).
    let t = exp_m1_of_negative(-2.0 * x.abs());
    (-t / (2.0 + t)).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_exact_to_rounding() {
        let near = |name: &str, x: f64, found: f32, expected: f64, error: f64| {
            let off = (f64::from(found) - expected).abs();
            assert!(off <= error * expected.abs(), "{name}({x}) is {found}, not {expected}");
        };
        // From 1e-6 to 80, both signs.
        for i in 0..=80_000 {
            let size = 1e-6f32 * 10.0f32.powf(i as f32 / 10_125.0);
            let (y, exact) = (-size, -f64::from(size));
            near("exp", exact, exp_of_negative(y), exact.exp(), 1e-7);
            near("exp_m1", exact, exp_m1_of_negative(y), exact.exp_m1(), 1.1e-7);
            for (x, exact) in [(size, -exact), (y, exact)] {
                near("tanh", exact, tanh(x), exact.tanh(), 2.2e-7);
                let (sigmoid, rest) = sigmoid_and_rest(x);
                near("sigmoid", exact, sigmoid, 1.0 / (1.0 + (-exact).exp()), 5e-7);
                near("1 - sigmoid", exact, rest, 1.0 / (1.0 + exact.exp()), 5e-7);
            }
            let above_1 = 1.0 + size;
            near("log", f64::from(above_1), log_from_1(above_1), f64::from(above_1).ln(), 3e-7);
        }
    }

    #[test]
    fn ends_are_finite_and_nan_stays_nan() {
        for x in [1e4, f32::MAX, f32::INFINITY] {
            assert_eq!((tanh(x), tanh(-x)), (1.0, -1.0));
            assert_eq!(exp_m1_of_negative(-x), -1.0);
            assert!(exp_of_negative(-x) < 1e-37);
            assert_eq!(sigmoid_and_rest(x).0, 1.0);
        }
        assert_eq!(log_from_1(1.0), 0.0);
        assert!((log_from_1(65_536.0) - 16.0 * std::f32::consts::LN_2).abs() < 2e-6);
        assert_eq!((tanh(0.0), exp_of_negative(0.0), exp_m1_of_negative(0.0)), (0.0, 1.0, 0.0));
        let nan = f32::NAN;
        assert!(tanh(nan).is_nan() && exp_of_negative(nan).is_nan());
        assert!(log_from_1(nan).is_nan());
        assert!(exp_m1_of_negative(nan).is_nan() && sigmoid_and_rest(nan).0.is_nan());
    }
}
