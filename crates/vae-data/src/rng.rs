//! Counter-based random numbers: a number is a pure function of (seed, purpose, position).
//!
//! The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
//! 3"). It has no state to save or restore. The same position of the same stream gives the same
//! number on any machine, in any order and on any thread. All random numbers of the workspace
//! (initial weights, noise of the posterior, order of an epoch, built-in data) are made here.

mod normal;

pub use normal::normals;

/// A stream of random numbers: a Philox key computed from a seed and a purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
}

/// Mixes 64 bits so that similar inputs give unrelated keys (the finalizer of SplitMix64).
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Stream {
    /// Makes the stream of `seed` for one purpose, such as `"posterior"` or a parameter's path.
    pub fn new(seed: u64, purpose: &str) -> Self {
        // FNV-1a over the purpose: short, stable, and mixed again below.
        let name = purpose.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::from_bits(mix(mix(seed) ^ name))
    }

    fn from_bits(bits: u64) -> Self {
        Self { key: [bits as u32, (bits >> 32) as u32] }
    }

    /// Returns a separate stream for the item `index`, such as an epoch, a step or an image.
    pub fn derive(&self, index: u64) -> Self {
        let bits = u64::from(self.key[0]) | (u64::from(self.key[1]) << 32);
        Self::from_bits(mix(bits ^ mix(index)))
    }

    /// Returns the four words at one position: the Philox4x32-10 bijection of `counter`.
    pub fn block(&self, counter: [u32; 4]) -> [u32; 4] {
        let [mut c0, mut c1, mut c2, mut c3] = counter;
        let [mut k0, mut k1] = self.key;
        for _ in 0..10 {
            let p0 = u64::from(c0) * 0xD251_1F53;
            let p1 = u64::from(c2) * 0xCD9E_8D57;
            (c0, c1, c2, c3) =
                ((p1 >> 32) as u32 ^ c1 ^ k0, p1 as u32, (p0 >> 32) as u32 ^ c3 ^ k1, p0 as u32);
            k0 = k0.wrapping_add(0x9E37_79B9);
            k1 = k1.wrapping_add(0xBB67_AE85);
        }
        [c0, c1, c2, c3]
    }

    /// Returns four uniform numbers in [0, 1), multiples of 2^-24.
    pub fn uniform4(&self, counter: [u32; 4]) -> [f32; 4] {
        self.block(counter).map(unit)
    }

    /// Returns a uniformly random permutation of `0..n` (Fisher-Yates).
    pub fn permutation(&self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        let mut numbers = self.sequence();
        for i in (1..n).rev() {
            order.swap(i, numbers.below(i as u32 + 1) as usize);
        }
        order
    }

    /// Returns the numbers of the stream in sequence, for code without positions.
    pub fn sequence(&self) -> Sequence {
        Sequence { stream: *self, counter: 0, words: [0; 4], used: 4 }
    }
}

/// Returns a uniform number in [0, 1) from the 24 high bits of a word.
fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A stream that is read one number at a time.
#[derive(Clone, Debug)]
pub struct Sequence {
    stream: Stream,
    counter: u64,
    words: [u32; 4],
    used: usize,
}

impl Sequence {
    /// Returns the next 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            let c = self.counter;
            // The last word separates sequences from positions that callers choose.
            self.words = self.stream.block([c as u32, (c >> 32) as u32, 0, u32::MAX]);
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Returns a uniform number in [0, 1).
    pub fn uniform(&mut self) -> f32 {
        unit(self.word())
    }

    /// Returns a uniform number in [low, high).
    pub fn range(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Returns a standard normal number.
    pub fn normal(&mut self) -> f32 {
        let words = [self.word(), self.word()];
        let mut numbers = [0.0; 2];
        normals(&words, &mut numbers);
        numbers[0]
    }

    /// Returns a uniform integer in `0..n`, without bias (Lemire's multiplication with rejection).
    /// `n` must not be 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let threshold = n.wrapping_neg() % n;
        loop {
            let product = u64::from(self.word()) * u64::from(n);
            if product as u32 >= threshold {
                return (product >> 32) as u32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_known_answers_of_its_authors() {
        // kat_vectors of the Random123 distribution, philox4x32-10.
        let pi = Stream { key: [0xa409_3822, 0x299f_31d0] };
        for (stream, counter, expected) in [
            (Stream { key: [0, 0] }, [0; 4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            (
                Stream { key: [u32::MAX; 2] },
                [u32::MAX; 4],
                [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
            ),
            (
                pi,
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ] {
            assert_eq!(stream.block(counter), expected);
        }
    }

    #[test]
    fn normal_numbers_have_the_moments_of_a_standard_normal() {
        let stream = Stream::new(7, "moments");
        let n = 200_000;
        let words: Vec<u32> = (0..n / 4).flat_map(|i| stream.block([i, 0, 0, 0])).collect();
        let mut draws = vec![0.0; words.len()];
        normals(&words, &mut draws);
        let draws: Vec<f64> = draws.into_iter().map(f64::from).collect();
        let moment = |p: i32| draws.iter().map(|x| x.powi(p)).sum::<f64>() / f64::from(n);
        // The standard errors of the means of x, x^2, x^3 and x^4 are the square roots of 1, 2, 15
        // and 96 over sqrt(n). The tolerance is four standard errors.
        let error = |variance: f64| 4.0 * (variance / f64::from(n)).sqrt();
        assert!(moment(1).abs() < error(1.0));
        assert!((moment(2) - 1.0).abs() < error(2.0));
        assert!(moment(3).abs() < error(15.0));
        assert!((moment(4) - 3.0).abs() < error(96.0));
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_its_stream() {
        let stream = Stream::new(1, "order");
        let mut order = stream.derive(0).permutation(1000);
        assert_ne!(order, stream.derive(1).permutation(1000));
        order.sort_unstable();
        assert!(order.into_iter().eq(0..1000));
    }

    #[test]
    fn streams_of_different_seeds_purposes_and_items_differ() {
        let all = [
            Stream::new(0, "a"),
            Stream::new(1, "a"),
            Stream::new(0, "b"),
            Stream::new(0, "a").derive(0),
            Stream::new(0, "a").derive(1),
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[..i] {
                assert_ne!(a.block([0; 4]), b.block([0; 4]));
            }
        }
    }
}
