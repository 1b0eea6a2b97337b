//! Where a plot has room for the names of its lines.

use std::ops::Range;

use plotters::chart::SeriesLabelPosition;

/// Pixels, from the upper left.
type Point = (i32, i32);

/// Of each stretch of a line, so many points are looked at.
const LOOKS: i32 = 64;

/// By thirds of the width and of the height. Of equals the first is taken.
const PLACES: [(i32, i32, SeriesLabelPosition); 8] = [
    (2, 0, SeriesLabelPosition::UpperRight),
    (0, 0, SeriesLabelPosition::UpperLeft),
    (2, 2, SeriesLabelPosition::LowerRight),
    (0, 2, SeriesLabelPosition::LowerLeft),
    (1, 0, SeriesLabelPosition::UpperMiddle),
    (1, 2, SeriesLabelPosition::LowerMiddle),
    (2, 1, SeriesLabelPosition::MiddleRight),
    (0, 1, SeriesLabelPosition::MiddleLeft),
];

/// The part of the plot that the lines run through least.
pub fn place(lines: &[Vec<Point>], x: &Range<i32>, y: &Range<i32>) -> SeriesLabelPosition {
    let crowd = |(column, row): (i32, i32)| {
        let inside = |point: &Point| (third(point.0, x), third(point.1, y)) == (column, row);
        lines.iter().flat_map(|line| line.windows(2)).flat_map(looks).filter(inside).count()
    };
    let place = PLACES.into_iter().min_by_key(|&(column, row, _)| crowd((column, row)));
    place.map_or(SeriesLabelPosition::UpperRight, |(.., position)| position)
}

fn third(value: i32, range: &Range<i32>) -> i32 {
    ((value - range.start) * 3 / (range.end - range.start).max(1)).clamp(0, 2)
}

fn looks(ends: &[Point]) -> Vec<Point> {
    let &[from, to] = ends else { return Vec::new() };
    let between = |from: i32, to: i32, look: i32| from + (to - from) * look / LOOKS;
    (0..=LOOKS).map(|look| (between(from.0, to.0, look), between(from.1, to.1, look))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_where_no_line_is() {
        let place = |lines: &[Vec<Point>]| format!("{:?}", place(lines, &(0..300), &(0..300)));
        let high = vec![(0, 20), (300, 20)];
        let rising = vec![(0, 290), (300, 10)];
        assert_eq!(place(&[]), "UpperRight");
        assert_eq!(place(std::slice::from_ref(&high)), "LowerRight");
        assert_eq!(place(std::slice::from_ref(&rising)), "UpperLeft");
        assert_eq!(place(&[high, rising]), "LowerRight");
    }
}
