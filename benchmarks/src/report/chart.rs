//! Charts as SVG. Text is set by anyone who shows the file: no fonts are needed to write it.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

use super::outcome::{OURS, Outcome};
use super::table::figure;

const WIDTH: u32 = 860;
const LINE: u32 = 20;
const LEFT: i32 = 120;
const RIGHT: i32 = 130;

const INK: RGBColor = RGBColor(40, 40, 40);
const OURS_COLOUR: RGBColor = RGBColor(38, 115, 77);
const PEER_COLOUR: RGBColor = RGBColor(150, 160, 175);
const SPREAD_COLOUR: RGBColor = RGBColor(70, 70, 70);

fn fail(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("the chart could not be drawn: {error}")
}

/// Draws each workload as bars, the median of each contender, with a line from the least to the most.
///
/// # Errors
/// The file cannot be written.
pub fn bars(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let lines: usize = outcomes.iter().map(|outcome| outcome.rows.len() + 3).sum();
    let area = SVGBackend::new(path, (WIDTH, lines as u32 * LINE + LINE)).into_drawing_area();
    area.fill(&WHITE).map_err(fail)?;
    let mut top = LINE as i32;
    for outcome in outcomes {
        top = panel(&area, outcome, top)?;
    }
    area.present().map_err(fail)
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    outcome: &Outcome,
    mut top: i32,
) -> anyhow::Result<i32> {
    let title = ("sans-serif", 15).into_font().color(&INK);
    let label = ("sans-serif", 12).into_font().color(&INK);
    let workload = &outcome.workload;
    let heading = format!("{}: {}, {}", workload.name, workload.title, workload.unit);
    area.draw(&Text::new(heading, (8, top), title))
        .map_err(fail)?;
    top += LINE as i32 + 4;
    let most = outcome.rows.iter().map(|row| row.median());
    let most = most
        .filter(|value| value.is_finite())
        .fold(f64::MIN_POSITIVE, f64::max);
    let room = f64::from(WIDTH as i32 - LEFT - RIGHT);
    let at = |value: f64| LEFT + (value / most * room).clamp(0.0, room) as i32;
    for row in &outcome.rows {
        let median = row.median();
        let is_ours = row.contender.starts_with(OURS);
        let colour = if is_ours { OURS_COLOUR } else { PEER_COLOUR };
        let (from, to) = (top, top + LINE as i32 - 5);
        let bar = Rectangle::new(
            [(LEFT, from), (at(median).max(LEFT + 1), to)],
            colour.filled(),
        );
        area.draw(&bar).map_err(fail)?;
        let (least, most) = (
            crate::stats::min(&row.values),
            crate::stats::max(&row.values),
        );
        let middle = (from + to) / 2;
        let spread = PathElement::new([(at(least), middle), (at(most), middle)], SPREAD_COLOUR);
        area.draw(&spread).map_err(fail)?;
        let name = Text::new(row.contender, (8, from + 2), label.clone());
        area.draw(&name).map_err(fail)?;
        let value = at(median.max(most)) + 8;
        let value = Text::new(figure(median), (value, from + 2), label.clone());
        area.draw(&value).map_err(fail)?;
        top += LINE as i32;
    }
    Ok(top + LINE as i32 * 2 - 4)
}

/// A line of a chart: its name, and its points.
pub type Line = (String, Vec<(f64, f64)>);

/// Draws panels of lines on a logarithmic scale upwards; the points' places along are named.
///
/// # Errors
/// The file cannot be written.
pub fn lines(path: &Path, places: &[&str], panels: &[(String, Vec<Line>)]) -> anyhow::Result<()> {
    const HEIGHT: u32 = 320;
    const COLOURS: [RGBColor; 7] = [
        INK,
        PEER_COLOUR,
        RGBColor(200, 120, 60),
        RGBColor(110, 90, 170),
        RGBColor(190, 70, 90),
        OURS_COLOUR,
        RGBColor(110, 180, 140),
    ];
    let size = (WIDTH, HEIGHT * panels.len() as u32);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE).map_err(fail)?;
    for ((title, lines), area) in panels.iter().zip(area.split_evenly((panels.len(), 1))) {
        let values = lines
            .iter()
            .flat_map(|(_, points)| points)
            .map(|point| point.1);
        let (least, most) = values.fold((f64::MAX, 1.0_f64), |(least, most), value| {
            (least.min(value), most.max(value))
        });
        let along = 0.0..places.len().saturating_sub(1).max(1) as f64;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 15))
            .margin(10)
            .x_label_area_size(30)
            .y_label_area_size(70)
            .build_cartesian_2d(along, (least.max(1.0) * 0.8..most * 1.3).log_scale())
            .map_err(fail)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_labels(places.len())
            .x_label_formatter(&|x| places.get(x.round() as usize).unwrap_or(&"").to_string())
            .y_label_formatter(&|ns| figure(*ns))
            .y_desc("ns")
            .draw()
            .map_err(fail)?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
            let style = colour.stroke_width(2);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), style))
                .map_err(fail)?
                .label(name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(fail)?;
    }
    area.present().map_err(fail)
}
