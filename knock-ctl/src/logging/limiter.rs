//! Keeps what sources cause from filling the log.

use std::time::{Duration, Instant};

/// Lines about sources in any second.
const LINES_PER_SECOND: u64 = 100;

/// Bytes of lines about sources in any hour.
const BYTES_PER_HOUR: u64 = 10_000_000;

/// How often it is said that something was left out.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// Whom a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Never left out.
    Controller,
    /// A door that has opened, and what follows from that.
    Door,
    /// What any packet can cause. Leaves half of the room there is to what doors do.
    InPassing,
}

/// Which lines are written, by the clock of whoever asks.
#[derive(Debug)]
pub(super) struct Limiter {
    lines: Bucket,
    bytes: Bucket,
    /// Since that was last said.
    left_out: u64,
    told: Option<Instant>,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            lines: Bucket::new(LINES_PER_SECOND, Duration::from_secs(1)),
            bytes: Bucket::new(BYTES_PER_HOUR, Duration::from_secs(3600)),
            left_out: 0,
            told: None,
        }
    }

    /// Whether a line of that many bytes is written; if not, it is counted.
    pub(super) fn admit(&mut self, about: About, bytes: usize, now: Instant) -> bool {
        let share = match about {
            About::Controller => return true,
            About::Door => 1,
            About::InPassing => 2,
        };
        let after = self.lines.after(1, share, now).zip(self.bytes.after(bytes as u64, share, now));
        match after {
            Some((lines, bytes)) => {
                self.lines.empty_at = Some(lines);
                self.bytes.empty_at = Some(bytes);
            }
            None => self.left_out += 1,
        }
        after.is_some()
    }

    /// How many lines were left out and not yet told of, where it is time to tell.
    pub(super) fn left_out(&mut self, now: Instant) -> Option<u64> {
        let just_told = self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        if self.left_out == 0 || just_told {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

/// A leaky bucket: half of the limit fits into it, and as much leaks from it in a period. So no period takes in more than the
/// limit, wherever it begins.
#[derive(Debug)]
struct Bucket {
    period: Duration,
    /// In which one unit leaks.
    unit: Duration,
    /// `None`: it is empty.
    empty_at: Option<Instant>,
}

impl Bucket {
    fn new(limit: u64, period: Duration) -> Self {
        let unit = Duration::from_nanos(period.as_nanos() as u64 / (limit / 2));
        Self { period, unit, empty_at: None }
    }

    /// When it is empty once this much more is in it. `None`: that would be above the given share of what fits.
    fn after(&self, units: u64, share: u32, now: Instant) -> Option<Instant> {
        let leaks_for = Duration::from_nanos((self.unit.as_nanos() as u64).saturating_mul(units));
        let after = self.empty_at.map_or(now, |empty_at| empty_at.max(now)).checked_add(leaks_for)?;
        (after.saturating_duration_since(now) <= self.period / share).then_some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Times of the lines that are written when one comes each `interval` for `time`.
    fn written(
        limiter: &mut Limiter,
        about: About,
        bytes: usize,
        interval: Duration,
        time: Duration,
    ) -> Vec<Instant> {
        let begin = Instant::now();
        let times = (0..).map(|number| begin + number * interval).take_while(|now| *now < begin + time);
        times.filter(|now| limiter.admit(about, bytes, *now)).collect()
    }

    /// The most of these that lie in one period.
    fn most_within(times: &[Instant], period: Duration) -> usize {
        let count =
            |first: usize| times[first..].iter().take_while(|time| **time - times[first] < period).count();
        (0..times.len()).map(count).max().unwrap_or_default()
    }

    #[test]
    fn no_second_has_more_than_a_hundred_lines_and_a_flood_is_not_silenced() {
        for about in [About::Door, About::InPassing] {
            let mut limiter = Limiter::new();
            let times = written(&mut limiter, about, 60, Duration::from_micros(100), 10 * SECOND);
            assert!(most_within(&times, SECOND) <= 100, "{}", most_within(&times, SECOND));
            assert!(times.len() >= 500, "{}", times.len());
            assert_eq!(limiter.left_out, 100_000 - times.len() as u64);
        }
    }

    #[test]
    fn no_hour_has_more_than_ten_megabytes() {
        let mut limiter = Limiter::new();
        let (bytes, interval) = (1000, Duration::from_millis(50));
        let times = written(&mut limiter, About::Door, bytes, interval, 2 * HOUR);
        assert!(most_within(&times, HOUR) * bytes <= 10_000_000);
        assert!(times.len() * bytes >= 14_900_000, "{}", times.len());
    }

    #[test]
    fn what_passes_by_leaves_room_for_doors() {
        let mut limiter = Limiter::new();
        let now = Instant::now();
        let written =
            |limiter: &mut Limiter, about| (0..1000).filter(|_| limiter.admit(about, 60, now)).count();
        assert_eq!(written(&mut limiter, About::InPassing), 25);
        assert_eq!(written(&mut limiter, About::Door), 25);
        assert_eq!(written(&mut limiter, About::Controller), 1000);
    }

    #[test]
    fn a_line_that_could_never_be_written_is_left_out() {
        let mut limiter = Limiter::new();
        assert!(!limiter.admit(About::Door, usize::MAX, Instant::now()));
        assert!(limiter.admit(About::Door, 60, Instant::now()));
    }

    #[test]
    fn what_was_left_out_is_told_once_a_minute() {
        let mut limiter = Limiter::new();
        let begin = Instant::now();
        assert_eq!(limiter.left_out(begin), None);
        let flood = |limiter: &mut Limiter, now| {
            (0..150).filter(|_| !limiter.admit(About::Door, 60, now)).count() as u64
        };
        assert_eq!(flood(&mut limiter, begin), 100);
        assert_eq!(limiter.left_out(begin), Some(100));
        let again = flood(&mut limiter, begin + 30 * SECOND);
        assert_eq!(limiter.left_out(begin + 59 * SECOND), None);
        assert_eq!(limiter.left_out(begin + 60 * SECOND), Some(again));
        assert_eq!(limiter.left_out(begin + 200 * SECOND), None);
    }
}
