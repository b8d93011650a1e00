//! Standard normal numbers from random words, many at once: without branches, so that the compiler can use vector
//! instructions. The bits are those of `libm`'s functions on any machine.
//!
//! Logarithm, sine and cosine are those of FreeBSD's msun (`e_logf.c`, `k_sinf.c`, `k_cosf.c`), which has this
//! notice: Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun
//! Microsystems, Inc. business. Permission to use, copy, modify, and distribute this software is freely granted,
//! provided that this notice is preserved.

use std::f64::consts::FRAC_PI_2;

/// Pairs of words that are computed side by side.
const LANES: usize = 16;

/// Turns each pair of words into a pair of independent standard normal numbers (Box-Muller).
///
/// # Panics
/// If there are not as many numbers as words, or if these are no pairs.
pub fn normals(words: &[u32], numbers: &mut [f32]) {
    assert!(words.len() == numbers.len() && words.len().is_multiple_of(2));
    pulp::Arch::new().dispatch(Pairs { words, numbers });
}

struct Pairs<'a> {
    words: &'a [u32],
    numbers: &'a mut [f32],
}

impl pulp::WithSimd for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { words, numbers } = self;
        let (many, few) = words.as_chunks::<{ 2 * LANES }>();
        let (to_many, to_few) = numbers.split_at_mut(words.len() - few.len());
        for (words, numbers) in many.iter().zip(to_many.as_chunks_mut::<{ 2 * LANES }>().0) {
            side_by_side(words, numbers);
        }
        pair_by_pair(few, to_few);
    }
}

#[inline(always)]
fn pair_by_pair(words: &[u32], numbers: &mut [f32]) {
    for (words, numbers) in words.chunks_exact(2).zip(numbers.chunks_exact_mut(2)) {
        let radius = radius(words[0]);
        let (sin, cos) = sine_and_cosine(angle(words[1]));
        numbers[0] = radius * cos;
        numbers[1] = radius * sin;
    }
}

/// The same for `LANES` pairs. Each loop is simple enough for a compiler to use vector instructions.
#[inline(always)]
fn side_by_side(words: &[u32; 2 * LANES], numbers: &mut [f32; 2 * LANES]) {
    let (mut first, mut second) = ([0; LANES], [0; LANES]);
    for i in 0..LANES {
        first[i] = words[2 * i];
        second[i] = words[2 * i + 1];
    }
    let mut radii = [0.0; LANES];
    for i in 0..LANES {
        radii[i] = radius(first[i]);
    }
    let (mut sines, mut cosines) = ([0.0; LANES], [0.0; LANES]);
    for i in 0..LANES {
        let (sine, cosine) = sine_and_cosine(angle(second[i]));
        sines[i] = sine;
        cosines[i] = cosine;
    }
    for i in 0..LANES {
        numbers[2 * i] = radii[i] * cosines[i];
        numbers[2 * i + 1] = radii[i] * sines[i];
    }
}

/// Returns sqrt(-2 log u) for a uniform u in (0, 1] that has all bits of the word.
#[inline(always)]
fn radius(word: u32) -> f32 {
    // The nearest number to the word, from two signed halves: few processors have a vector instruction for
    // unsigned ones.
    let nearest = (word >> 16) as i32 as f32 * 65_536.0 + (word & 0xffff) as i32 as f32;
    let u = (nearest + 1.0) * (1.0 / 4_294_967_296.0);
    (-2.0 * log_of_unit(u)).sqrt()
}

/// Returns a uniform angle in [0, 2 pi) from the 24 high bits of a word.
#[inline(always)]
fn angle(word: u32) -> f32 {
    std::f32::consts::TAU * ((word >> 8) as i32 as f32 * (1.0 / 16_777_216.0))
}

/// Returns log(x) for 2^-32 <= x <= 1.
#[inline(always)]
fn log_of_unit(x: f32) -> f32 {
    const LN_2_HIGH: f32 = 0.693_138_1;
    const LN_2_LOW: f32 = 9.058_001e-6;
    const L: [f32; 4] = [0.666_666_6, 0.400_009_72, 0.284_987_87, 0.242_790_79];
    const ROOT_OF_HALF: u32 = 0x3f35_04f3;
    // x = 2^k (1 + f) with 1 + f from sqrt(2) / 2 to sqrt(2).
    let bits = x.to_bits() + (1.0f32.to_bits() - ROOT_OF_HALF);
    let k = ((bits >> 23) as i32 - 0x7f) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff) + ROOT_OF_HALF) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let r = z * (L[0] + w * L[2]) + w * (L[1] + w * L[3]);
    let half_square = 0.5 * f * f;
    s * (half_square + r) + k * LN_2_LOW - half_square + f + k * LN_2_HIGH
}

/// Returns sine and cosine of 0 <= x < 2 pi + pi / 4.
#[inline(always)]
fn sine_and_cosine(x: f32) -> (f32, f32) {
    const S: [f64; 4] = [
        -0.166_666_666_416_265_24,
        0.008_333_329_385_889_463,
        -0.000_198_393_348_360_966_32,
        2.718_311_493_989_822e-6,
    ];
    const C: [f64; 4] = [
        -0.499_999_997_251_031,
        0.041_666_623_323_739_06,
        -0.001_388_676_377_460_993,
        2.439_044_879_627_741e-5,
    ];
    // The largest numbers that are not above pi / 4, 3 pi / 4, 5 pi / 4 and 7 pi / 4.
    const ENDS: [u32; 4] = [0x3f49_0fda, 0x4016_cbe3, 0x407b_53d1, 0x40af_eddf];
    let mut quarter = 0i32;
    for end in ENDS {
        quarter += i32::from(x > f32::from_bits(end));
    }
    let y = f64::from(x) - f64::from(quarter) * FRAC_PI_2;
    let z = y * y;
    let w = z * z;
    let cubed = z * y;
    let sine = (y + cubed * (S[0] + z * S[1])) + cubed * w * (S[2] + z * S[3]);
    let cosine = ((1.0 + z * C[0]) + w * C[1]) + (w * z) * (C[2] + z * C[3]);
    let (sine, cosine) = (sine as f32, cosine as f32);
    let (a, b) = if quarter & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    // Their signs by quarters: + + - - + and + - - + +.
    let sign = |is_negative: i32| ((is_negative as u32) & 2) << 30;
    (f32::from_bits(a.to_bits() ^ sign(quarter)), f32::from_bits(b.to_bits() ^ sign(quarter + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of two words by `libm`.
    fn by_libm(a: u32, b: u32) -> [f32; 2] {
        let u = (a as f32 + 1.0) * (1.0 / 4_294_967_296.0);
        let radius = libm::sqrtf(-2.0 * libm::logf(u));
        let angle = (b >> 8) as f32 * (1.0 / 16_777_216.0);
        let (sin, cos) = libm::sincosf(std::f32::consts::TAU * angle);
        [radius * cos, radius * sin]
    }

    #[test]
    fn numbers_have_the_bits_of_libm_with_any_vector_instructions() {
        // Every sixteenth angle, and words of all sizes. A number of pairs that lanes do not divide.
        let sizes = |i: u32| i.wrapping_mul(2_654_435_761) >> (i % 32);
        let words: Vec<u32> =
            (0..(1 << 20) + 5u32).flat_map(|i| [sizes(i), i.wrapping_mul(4096)]).collect();
        let ends = [0, 1, u32::MAX - 1, u32::MAX].map(|a| [a, 0]).concat();
        for words in [words, ends] {
            let expected: Vec<u32> =
                words.chunks(2).flat_map(|w| by_libm(w[0], w[1])).map(f32::to_bits).collect();
            let mut numbers = vec![0.0; words.len()];
            let mut archs = vec![pulp::Arch::new(), pulp::Arch::Scalar];
            #[cfg(target_arch = "x86_64")]
            archs.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
            for arch in archs {
                arch.dispatch(Pairs { words: &words, numbers: &mut numbers });
                let bits: Vec<u32> = numbers.iter().map(|x| x.to_bits()).collect();
                assert!(bits == expected, "{arch:?}");
            }
        }
    }
}
