//! Plots, as SVG whose text is left to the reader's own fonts.

use std::fmt::Debug;
use std::ops::Range;

use anyhow::{Result, anyhow, ensure};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::{
    BLACK, Cartesian2d, Circle, DrawingArea, IntoDrawingArea, IntoLogRange as _, Palette, Palette99,
    PathElement, Ranged, WHITE,
};
use plotters::series::LineSeries;
use plotters::style::Color as _;

use super::legend;

const SIZE: (u32, u32) = (880, 480);
const FONT: &str = "sans-serif";

/// Lines over one quantity.
#[derive(Debug)]
pub struct Plot {
    /// Of its file.
    pub name: String,
    pub title: String,
    pub x: Axis,
    pub y: Axis,
    pub lines: Vec<Line>,
}

#[derive(Debug)]
pub struct Axis {
    pub title: &'static str,
    pub scale: Scale,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// From 0 on.
    Linear,
    /// Of positive values alone.
    Logarithmic,
}

#[derive(Debug)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Plot {
    pub fn new(name: &str, title: &str, x: (&'static str, Scale), y: (&'static str, Scale)) -> Self {
        let axis = |(title, scale)| Axis { title, scale };
        Self { name: name.to_owned(), title: title.to_owned(), x: axis(x), y: axis(y), lines: Vec::new() }
    }

    pub fn line(&mut self, name: impl Into<String>, points: Vec<(f64, f64)>) {
        self.lines.push(Line { name: name.into(), points });
    }

    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.points.is_empty())
    }

    pub fn file(&self) -> String {
        format!("{}.svg", self.name)
    }

    /// # Errors
    /// When there is nothing to draw.
    pub fn svg(&self) -> Result<String> {
        let (x, y) =
            (self.x.range(self.values(|point| point.0))?, self.y.range(self.values(|point| point.1))?);
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(undrawn)?;
        match (self.x.scale, self.y.scale) {
            (Scale::Linear, Scale::Linear) => self.draw(&area, x, y),
            (Scale::Linear, Scale::Logarithmic) => self.draw(&area, x, y.log_scale()),
            (Scale::Logarithmic, Scale::Linear) => self.draw(&area, x.log_scale(), y),
            (Scale::Logarithmic, Scale::Logarithmic) => self.draw(&area, x.log_scale(), y.log_scale()),
        }?;
        drop(area);
        Ok(svg)
    }

    fn values(&self, of: impl Fn(&(f64, f64)) -> f64) -> Vec<f64> {
        self.lines.iter().flat_map(|line| &line.points).map(of).collect()
    }

    fn draw<X, Y>(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, x: X, y: Y) -> Result<()>
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, (FONT, 20))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(x, y)
            .map_err(undrawn)?;
        let label = |value: &f64| tick(*value);
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(WHITE).x_desc(self.x.title).y_desc(self.y.title).label_style((FONT, 14));
        mesh.x_label_formatter(&label).y_label_formatter(&label).draw().map_err(undrawn)?;
        for (index, line) in self.lines.iter().enumerate() {
            draw_line(&mut chart, line, index)?;
        }
        let drawn: Vec<Vec<_>> = self
            .lines
            .iter()
            .map(|line| line.points.iter().map(|point| chart.backend_coord(point)).collect())
            .collect();
        let (width, height) = chart.plotting_area().get_pixel_range();
        let mut legend = chart.configure_series_labels();
        legend.position(legend::place(&drawn, &width, &height));
        legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).label_font((FONT, 14));
        legend.draw().map_err(undrawn)?;
        area.present().map_err(undrawn)
    }
}

impl Axis {
    /// From the least value to the greatest, with some room.
    fn range(&self, values: Vec<f64>) -> Result<Range<f64>> {
        let values: Vec<f64> = match self.scale {
            Scale::Linear => values,
            Scale::Logarithmic => values.into_iter().filter(|value| *value > 0.0).collect(),
        };
        ensure!(values.iter().all(|value| value.is_finite()) && !values.is_empty(), "nothing to draw");
        let greatest = values.iter().copied().fold(f64::MIN, f64::max);
        Ok(match self.scale {
            Scale::Linear => 0.0..if greatest > 0.0 { greatest * 1.1 } else { 1.0 },
            Scale::Logarithmic => values.iter().copied().fold(f64::MAX, f64::min) / 1.2..greatest * 1.2,
        })
    }
}

fn draw_line<X, Y>(
    chart: &mut ChartContext<'_, SVGBackend<'_>, Cartesian2d<X, Y>>,
    line: &Line,
    index: usize,
) -> Result<()>
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    let color = Palette99::pick(index).to_rgba();
    chart
        .draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)))
        .map_err(undrawn)?
        .label(&line.name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    let points = line.points.iter().map(|&point| Circle::new(point, 3, color.filled()));
    chart.draw_series(points).map_err(undrawn)?;
    Ok(())
}

/// As short as can be: 1k, 65.5k, 2.1M.
fn tick(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        value if value >= 1e6 => (1e6, "M"),
        value if value >= 1e3 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let digits = if (value / scaled).abs() >= 0.1 || value == 0.0 { 1 } else { 3 };
    let text = format!("{:.digits$}", value / scaled);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn undrawn(error: impl Debug) -> anyhow::Error {
    anyhow!("drawing a plot: {error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (7.0, "7"),
            (0.05, "0.05"),
            (1000.0, "1k"),
            (65_536.0, "65.5k"),
            (2_097_152.0, "2.1M"),
            (10.0, "10"),
        ] {
            assert_eq!(tick(value), text);
        }
    }

    #[test]
    fn lines_are_drawn_on_every_scale() {
        for x in [Scale::Linear, Scale::Logarithmic] {
            for y in [Scale::Linear, Scale::Logarithmic] {
                let mut plot = Plot::new("growth", "How it grows", ("doors", x), ("ns", y));
                plot.line("ours", vec![(1.0, 30.0), (1000.0, 31.0)]);
                let svg = plot.svg().unwrap();
                assert!(svg.contains("How it grows") && svg.contains("\nours\n"), "{svg}");
            }
        }
    }

    #[test]
    fn nothing_is_not_drawn() {
        let mut plot = Plot::new("none", "", ("x", Scale::Linear), ("y", Scale::Logarithmic));
        plot.line("empty", Vec::new());
        assert!(plot.is_empty() && plot.svg().is_err());
    }
}
