//! A picture of delays over rates.

use crate::load::Outcome;
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

const SIZE: (u32, u32) = (900, 540);

/// A line of the picture.
pub struct Curve {
    name: String,
    /// Calls a second, milliseconds.
    points: Vec<(f64, f64)>,
}

impl Curve {
    pub fn new(name: String, outcomes: &[Outcome], delay: impl Fn(&Outcome) -> f64) -> Self {
        let points = outcomes.iter().map(|it| (it.per_second, delay(it)));
        Self {
            name,
            points: points.collect(),
        }
    }
}

/// Writes an SVG with delays on a logarithmic scale.
///
/// # Errors
/// The file cannot be written.
pub fn plot(path: &Path, title: &str, curves: &[Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = points().map(|point| point.0).fold(1.0, f64::max);
    let longest = points().map(|point| point.1).fold(0.1, f64::max);
    let shortest = points().map(|point| point.1).fold(longest, f64::min).max(0.001);
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(16)
        .x_label_area_size(42)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..most * 1.05, (shortest * 0.8..longest * 1.3).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("calls a second")
        .y_desc("milliseconds")
        .draw()?;
    for (number, curve) in curves.iter().enumerate() {
        let color = Palette99::pick(number).stroke_width(2);
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), color))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
