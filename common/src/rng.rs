//! Randomness behind a trait, so that a simulation with the same seed takes the same turns.

use std::time::Duration;

/// A source of random bytes.
pub trait Rng: Send {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8]);

    /// Any number.
    fn u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Any number below `limit`; 0 if the limit is 0. The bias is below `limit` in 2⁶⁴.
    fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.u64()) * u128::from(limit);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// Any duration from `shortest` to `longest`, in nanoseconds; `shortest` if they are the wrong way round.
    fn jitter(&mut self, shortest: Duration, longest: Duration) -> Duration {
        let width = u64::try_from(longest.saturating_sub(shortest).as_nanos()).unwrap_or(u64::MAX);
        shortest + Duration::from_nanos(self.below(width.saturating_add(1)))
    }
}

/// The cryptographic library's, fed by the system: fit for keys and tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    /// Ends the process if there are none: whatever went on without would be guessable.
    fn fill(&mut self, buffer: &mut [u8]) {
        if aws_lc_rs::rand::fill(buffer).is_err() {
            tracing::error!("the system gives no random bytes, stopping");
            std::process::abort();
        }
    }
}

/// xoshiro256++, seeded: the same seed gives the same numbers. Never for keys.
#[derive(Clone, Debug)]
pub struct SeededRng([u64; 4]);

impl SeededRng {
    /// Spreads the seed over the state with splitmix64, as the generator's authors advise.
    pub fn new(seed: u64) -> SeededRng {
        let mut state = seed;
        SeededRng(std::array::from_fn(|_| splitmix(&mut state)))
    }
}

impl Rng for SeededRng {
    fn fill(&mut self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

impl SeededRng {
    fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitmix_gives_its_published_numbers() {
        let mut state = 1_234_567;
        let first: Vec<u64> = (0..3).map(|_| splitmix(&mut state)).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn xoshiro_gives_its_published_numbers() {
        let mut rng = SeededRng([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| rng.u64()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draw = |seed| {
            let mut bytes = [0; 21];
            SeededRng::new(seed).fill(&mut bytes);
            bytes
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn numbers_stay_in_their_bounds_and_reach_them() {
        let mut rng = SeededRng::new(7);
        let drawn: Vec<u64> = (0..200).map(|_| rng.below(5)).collect();
        for value in 0..5 {
            assert!(drawn.contains(&value), "{value}");
        }
        assert!(drawn.iter().all(|value| *value < 5));
        assert_eq!(rng.below(0), 0);
        let (short, long) = (Duration::from_millis(2), Duration::from_millis(3));
        assert!((0..200).all(|_| (short..=long).contains(&rng.jitter(short, long))));
        assert_eq!(rng.jitter(long, short), long);
    }

    #[test]
    fn the_kernel_fills_the_whole_buffer() {
        let mut bytes = [0; 4096];
        SystemRng.fill(&mut bytes);
        assert!(bytes.chunks(64).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
        assert_ne!(SystemRng.u64(), SystemRng.u64());
    }
}
