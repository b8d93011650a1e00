//! Numbers over the steps of a training, one line per run.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::error::ViewError;
use crate::figure::{
    Figure, MARGIN, MEDIUM, ROW, SMALL, TITLE, below_title, drawing, text, tick, width_of,
};
use crate::theme::Theme;

/// A plot of panels, each with lines over the same axis.
#[derive(Clone, Debug)]
pub struct Curves {
    /// Above everything.
    pub title: String,
    /// What is on the horizontal axis.
    pub x_label: String,
    /// From left to right, then below.
    pub panels: Vec<Panel>,
    /// The colours.
    pub theme: Theme,
}

/// The lines of one quantity.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What is on the vertical axis.
    pub title: String,
    /// Lines of the same name have the same colour in all panels.
    pub lines: Vec<Line>,
    /// Whether the values fall far at the left, as losses do. The first 5 % of the width do not count for
    /// the vertical axis then.
    pub falls: bool,
}

/// A line.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is, in the legend.
    pub name: String,
    /// From left to right. Numbers that are not finite are left out.
    pub points: Vec<(f64, f64)>,
    /// Drawn dashed, such as what is measured on validation data.
    pub dashed: bool,
}

/// Most panels beside each other.
const COLUMNS: usize = 3;
/// Width and height of a panel.
const PANEL: (u32, u32) = (460, 330);
/// Of the width, the part at the left whose values do not count for the vertical axis: a loss falls a
/// hundred times as far there as it does later.
const START: f64 = 0.05;

impl Curves {
    /// Names of lines, in the order of their first panel.
    fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for line in self.panels.iter().flat_map(|panel| &panel.lines) {
            if !names.contains(&line.name.as_str()) {
                names.push(&line.name);
            }
        }
        names
    }

    fn columns(&self) -> usize {
        self.panels.len().clamp(1, COLUMNS)
    }

    fn width(&self) -> u32 {
        2 * MARGIN + self.columns() as u32 * PANEL.0
    }

    /// Returns the names of each row of the legend.
    fn legend(&self) -> Vec<Vec<&str>> {
        let most = self.width() - 2 * MARGIN;
        let mut rows: Vec<Vec<&str>> = Vec::new();
        let mut used = most;
        for name in self.names() {
            let width = entry(name);
            if used + width > most || rows.is_empty() {
                rows.push(Vec::new());
                used = 0;
            }
            used += width;
            if let Some(row) = rows.last_mut() {
                row.push(name);
            }
        }
        rows
    }
}

/// Returns the width of an entry of the legend.
fn entry(name: &str) -> u32 {
    30 + width_of(name, MEDIUM) + 20
}

impl Figure for Curves {
    fn size(&self) -> (u32, u32) {
        let rows = self.panels.len().div_ceil(self.columns()).max(1) as u32;
        let legend = self.legend().len() as u32 * ROW;
        (self.width(), TITLE + legend + rows * PANEL.1 + 2 * MARGIN)
    }

    fn theme(&self) -> Theme {
        self.theme
    }

    fn draw<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Result<(), ViewError>
    where
        B::ErrorType: 'static,
    {
        let theme = self.theme;
        let below = below_title(area, &self.title, theme)?;
        let names = self.names();
        let legend = self.legend();
        for (i, row) in legend.iter().enumerate() {
            let y = (MARGIN + TITLE + i as u32 * ROW) as i32;
            let mut x = MARGIN as i32;
            for name in row {
                let color = theme.series(names.iter().position(|n| n == name).unwrap_or(0));
                let line = [(x, y), (x + 24, y)];
                let style = color.stroke_width(3);
                area.draw(&PathElement::new(line, style)).map_err(drawing)?;
                let style = text(theme, MEDIUM, HPos::Left, VPos::Center);
                area.draw_text(name, &style, (x + 30, y)).map_err(drawing)?;
                x += entry(name) as i32;
            }
        }
        let (_, panels) = below.split_vertically(legend.len() as u32 * ROW);
        let rows = self.panels.len().div_ceil(self.columns()).max(1);
        for (panel, area) in self.panels.iter().zip(panels.split_evenly((rows, self.columns()))) {
            panel.draw(&area, &names, theme, &self.x_label)?;
        }
        Ok(())
    }
}

impl Panel {
    /// Returns the ranges of both axes.
    fn ranges(&self) -> [std::ops::Range<f64>; 2] {
        let points = || self.lines.iter().flat_map(|line| &line.points).filter(finite);
        let range = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
        };
        let (left, right) = range(&mut points().map(|p| p.0));
        let from = if self.falls { left + START * (right - left) } else { left };
        let (low, high) = range(&mut points().filter(|p| p.0 >= from).map(|p| p.1));
        let widened = |low: f64, high: f64, part: f64| {
            if !low.is_finite() || !high.is_finite() {
                return 0.0..1.0;
            }
            let margin = if high > low { part * (high - low) } else { 0.5 + 0.1 * low.abs() };
            low - margin..high + margin
        };
        let x = if right > left { left..right } else { widened(left, right, 0.0) };
        [x, widened(low, high, 0.05)]
    }

    fn draw<B: DrawingBackend>(
        &self,
        area: &DrawingArea<B, Shift>,
        names: &[&str],
        theme: Theme,
        x_label: &str,
    ) -> Result<(), ViewError>
    where
        B::ErrorType: 'static,
    {
        let [x, y] = self.ranges();
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, text(theme, MEDIUM, HPos::Left, VPos::Top))
            .margin(8)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(x.clone(), y.clone())
            .map_err(drawing)?;
        let style = text(theme, SMALL, HPos::Left, VPos::Top);
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(theme.grid())
            .axis_style(theme.ink())
            .label_style(style)
            .x_labels(6)
            .y_labels(7)
            .x_desc(x_label)
            .x_label_formatter(&|v| tick(*v, x.end - x.start))
            .y_label_formatter(&|v| tick(*v, y.end - y.start))
            .draw()
            .map_err(drawing)?;
        for line in &self.lines {
            let color = theme.series(names.iter().position(|n| *n == line.name).unwrap_or(0));
            let points = below(&below(&line.points, y.end, 1.0), -y.start, -1.0);
            let style = color.stroke_width(2);
            if line.dashed {
                let dashes = DashedLineSeries::new(points.iter().copied(), 6, 4, style);
                chart.draw_series(dashes).map_err(drawing)?;
            } else {
                chart
                    .draw_series(LineSeries::new(points.iter().copied(), style))
                    .map_err(drawing)?;
            }
            if let [point] = points[..] {
                let dot = Circle::new(point, 3, color.filled());
                chart.draw_series([dot]).map_err(drawing)?;
            }
        }
        Ok(())
    }
}

fn finite(point: &&(f64, f64)) -> bool {
    point.0.is_finite() && point.1.is_finite()
}

/// Returns the points of a line whose height, times `sign`, is at most `top`. Where the line crosses
/// it, it ends at it.
fn below(points: &[(f64, f64)], top: f64, sign: f64) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> =
        points.iter().filter(finite).map(|(x, y)| (*x, sign * y)).collect();
    let crossing = |(x0, y0): (f64, f64), (x1, y1): (f64, f64)| {
        let t = (top - y0) / (y1 - y0);
        (x0 + t * (x1 - x0), top)
    };
    let mut found = Vec::new();
    for (i, point) in points.iter().enumerate() {
        let before = if i > 0 { Some(points[i - 1]) } else { None };
        match (before, point.1 <= top) {
            (Some(before), true) if before.1 > top => {
                found.push(crossing(before, *point));
                found.push(*point);
            }
            (Some(before), false) if before.1 <= top => found.push(crossing(before, *point)),
            (_, true) => found.push(*point),
            _ => {}
        }
    }
    found.into_iter().map(|(x, y)| (x, sign * y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, points: &[(f64, f64)]) -> Line {
        Line { name: name.to_owned(), points: points.to_vec(), dashed: false }
    }

    #[test]
    fn the_start_of_a_loss_does_not_hide_the_rest() {
        let points: Vec<(f64, f64)> =
            (0..=100).map(|i| (f64::from(i), if i < 3 { 500.0 } else { 100.0 })).collect();
        let panel =
            Panel { title: "loss".to_owned(), lines: vec![line("a", &points)], falls: true };
        let [x, y] = panel.ranges();
        assert_eq!((x.start, x.end), (0.0, 100.0));
        assert!(y.end < 200.0 && y.start < 100.0, "{y:?}");
    }

    #[test]
    fn a_line_ends_where_it_leaves_the_plot() {
        let points = [(0.0, 30.0), (1.0, 10.0), (2.0, 10.0), (3.0, 30.0), (4.0, f64::NAN)];
        let expected = [(0.5, 20.0), (1.0, 10.0), (2.0, 10.0), (2.5, 20.0)];
        assert_eq!(below(&points, 20.0, 1.0), expected);
        let turned =
            |points: &[(f64, f64)]| points.iter().map(|(x, y)| (*x, -y)).collect::<Vec<_>>();
        assert_eq!(below(&turned(&points), 20.0, -1.0), turned(&expected));
    }

    #[test]
    fn a_legend_has_every_name_once_and_stays_inside() {
        let names: Vec<String> = (0..12).map(|i| format!("a rather long name {i}")).collect();
        let lines: Vec<Line> = names.iter().map(|n| line(n, &[(0.0, 1.0), (1.0, 2.0)])).collect();
        let panel = Panel { title: "loss".to_owned(), lines, falls: true };
        let curves = Curves {
            title: "t".to_owned(),
            x_label: "step".to_owned(),
            panels: vec![panel.clone(), panel],
            theme: Theme::Dark,
        };
        let legend = curves.legend();
        assert_eq!(legend.concat(), names);
        for row in &legend {
            let width: u32 = row.iter().map(|name| entry(name)).sum();
            assert!(width <= curves.width() - 2 * MARGIN);
        }
    }

    #[test]
    fn plots_without_points_are_drawn() {
        let panels =
            vec![Panel { title: "kl".to_owned(), lines: vec![line("a", &[])], falls: true }];
        let (title, x_label) = ("t".to_owned(), "step".to_owned());
        let curves = Curves { title, x_label, panels, theme: Theme::Light };
        let folder = std::env::temp_dir().join(format!("vae-view-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["empty.png", "empty.svg"] {
            crate::write_figure(&curves, &folder.join(name)).unwrap();
        }
        let svg = std::fs::read_to_string(folder.join("empty.svg")).unwrap();
        assert!(svg.contains("<svg") && svg.contains("kl"));
        let picture = image::open(folder.join("empty.png")).unwrap();
        assert_eq!((picture.width(), picture.height()), curves.size());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn where_values_do_not_fall_all_points_count() {
        let lines = vec![line("a", &[(1.0, 30.0), (2.0, 1.0), (4.0, 2.0)])];
        let panel = |falls| Panel { title: "kl".to_owned(), lines: lines.clone(), falls };
        assert!(panel(false).ranges()[1].contains(&30.0));
        assert!(!panel(true).ranges()[1].contains(&30.0));
    }
}
