//! Whether two samples are from one distribution.

/// The p-value of the two-sample Kolmogorov-Smirnov test, by its limit distribution: how often two samples of one
/// distribution differ as much as these.
///
/// # Panics
/// When a sample is empty.
pub fn kolmogorov_smirnov(one: &[u64], other: &[u64]) -> f64 {
    assert!(!one.is_empty() && !other.is_empty(), "no sample");
    let (mut one, mut other) = (one.to_vec(), other.to_vec());
    one.sort_unstable();
    other.sort_unstable();
    let share = |sample: &[u64], value: u64| {
        sample.partition_point(|&drawn| drawn <= value) as f64 / sample.len() as f64
    };
    let distance = one
        .iter()
        .chain(&other)
        .map(|&value| (share(&one, value) - share(&other, value)).abs())
        .fold(0.0, f64::max);
    let (one, other) = (one.len() as f64, other.len() as f64);
    exceeding(distance * (one * other / (one + other)).sqrt())
}

/// How often the Kolmogorov distribution exceeds a value.
fn exceeding(value: f64) -> f64 {
    // Below, the series converges slowly, to all but 1.
    if value < 0.2 {
        return 1.0;
    }
    let term = |number: f64| (-2.0 * number * number * value * value).exp();
    let sum: f64 =
        (1..=100).map(|number| if number % 2 == 1 { 1.0 } else { -1.0 } * term(f64::from(number))).sum();
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distribution_has_its_tabled_values() {
        for (value, share) in [(1.2238, 0.10), (1.3581, 0.05), (1.6276, 0.01), (1.9495, 0.001)] {
            assert!((exceeding(value) - share).abs() < share / 100.0, "{value}: {}", exceeding(value));
        }
        assert_eq!(exceeding(0.0), 1.0);
        assert!((exceeding(0.2) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn samples_of_one_distribution_are_not_told_apart() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut sample = || (0..2000).map(|_| random.u64(..1000)).collect::<Vec<_>>();
        let rejected = (0..200).filter(|_| kolmogorov_smirnov(&sample(), &sample()) < 0.05).count();
        // One in twenty.
        assert!((2..=24).contains(&rejected), "{rejected} of 200");
    }

    #[test]
    fn a_shift_of_a_tenth_is_seen() {
        let mut random = fastrand::Rng::with_seed(1);
        let one: Vec<u64> = (0..2000).map(|_| random.u64(..1000)).collect();
        let other: Vec<u64> = (0..2000).map(|_| random.u64(..1000) + 100).collect();
        assert!(kolmogorov_smirnov(&one, &other) < 0.001);
        assert!(kolmogorov_smirnov(&one, &one) > 0.999);
    }
}
