//! Repeated measurements of one quantity.

use serde::Serialize;

/// The median of the repeats, and half of their interquartile range, in the unit of what was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    pub median: f64,
    pub spread: f64,
    pub repeats: usize,
    /// As they were measured.
    #[serde(skip)]
    in_order: Vec<f64>,
}

impl Sample {
    /// `None`: nothing was measured.
    pub fn of(repeats: &[f64]) -> Option<Self> {
        let mut sorted = repeats.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quartile = |quarters| quantile(&sorted, quarters / 4.0);
        let spread = (quartile(3.0)? - quartile(1.0)?) / 2.0;
        Some(Self { median: quartile(2.0)?, spread, repeats: sorted.len(), in_order: repeats.to_vec() })
    }

    /// The median of this one's repeats divided by the other's, each by the one of the same round: what slows the machine down
    /// for a while slows both. `None`: they were not measured in the same rounds.
    pub fn over(&self, other: &Self) -> Option<f64> {
        let rounds = self.in_order.iter().zip(&other.in_order);
        let mut ratios: Vec<f64> = rounds.map(|(this, other)| this / other).collect();
        ratios.sort_by(f64::total_cmp);
        if self.repeats == other.repeats { quantile(&ratios, 0.5) } else { None }
    }
}

/// The value below which `share` of an ascending list lies, interpolated. `None`: the list is empty.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted.get(at.floor() as usize)?, sorted.get(at.ceil() as usize)?);
    Some(below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_move_neither_median_nor_spread() {
        let calm = Sample::of(&[5.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        let disturbed = Sample::of(&[5000.0, 1.0, 2.0, 4.0, 3.0]).unwrap();
        for sample in [calm, disturbed] {
            assert_eq!((sample.median, sample.spread, sample.repeats), (3.0, 1.0, 5));
        }
    }

    #[test]
    fn what_slows_some_rounds_down_does_not_move_the_ratio() {
        let this = Sample::of(&[1.0, 30.0, 31.0, 1.0, 1.1]).unwrap();
        let other = Sample::of(&[2.0, 60.0, 59.0, 2.0, 2.0]).unwrap();
        assert_eq!(this.over(&other), Some(0.5));
        assert_eq!(this.over(&Sample::of(&[2.0]).unwrap()), None);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[1.0, 2.0], 0.5), Some(1.5));
        assert_eq!(quantile(&[1.0, 2.0, 10.0], 1.0), Some(10.0));
        assert_eq!(quantile(&[7.0], 0.99), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(Sample::of(&[]), None);
    }
}
