//! Points in two dimensions, coloured by class.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use crate::error::ViewError;
use crate::figure::{
    Figure, MARGIN, MEDIUM, ROW, SMALL, TITLE, below_title, drawing, text, tick, width_of,
};
use crate::theme::{COLORS, Theme};

/// A plot of points.
#[derive(Clone, Debug)]
pub struct Scatter {
    /// Above everything.
    pub title: String,
    /// What is on the horizontal axis.
    pub x_label: String,
    /// What is on the vertical axis.
    pub y_label: String,
    /// The points.
    pub points: Vec<[f32; 2]>,
    /// The class of each point, a position in `class_names`. `None`: all have the same colour.
    pub classes: Option<Vec<u32>>,
    /// The names of the classes, for the legend.
    pub class_names: Vec<String>,
    /// The colours.
    pub theme: Theme,
}

/// Width and height of the plot.
const SIDE: u32 = 720;
/// Entries of a column of the legend.
const ENTRIES: usize = (SIDE / ROW) as usize;
/// The part of the points in each direction that may lie outside.
const OUTLIERS: f64 = 0.001;

impl Scatter {
    /// Width of a column of the legend.
    fn column(&self) -> u32 {
        let longest = self.class_names.iter().map(|name| width_of(name, MEDIUM)).max();
        longest.map_or(0, |width| width + 44)
    }

    /// Width of the legend.
    fn legend(&self) -> u32 {
        match self.classes {
            Some(_) => self.column() * self.class_names.len().div_ceil(ENTRIES) as u32,
            None => 0,
        }
    }

    /// Returns the range of a coordinate.
    fn range(&self, axis: usize) -> std::ops::Range<f64> {
        let mut values: Vec<f64> = self.points.iter().map(|point| f64::from(point[axis])).collect();
        values.retain(|v| v.is_finite());
        values.sort_by(f64::total_cmp);
        let left_out = (values.len() as f64 * OUTLIERS) as usize;
        let ends = (values.get(left_out), values.get(values.len().wrapping_sub(1 + left_out)));
        match ends {
            (Some(low), Some(high)) if high > low => {
                let margin = 0.04 * (high - low);
                low - margin..high + margin
            }
            (Some(low), _) => low - 1.0..low + 1.0,
            _ => -1.0..1.0,
        }
    }
}

impl Figure for Scatter {
    fn size(&self) -> (u32, u32) {
        (SIDE + 2 * MARGIN + self.legend(), SIDE + TITLE + 2 * MARGIN)
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
        let (plot, legend) = below.split_horizontally(SIDE);
        let (x, y) = (self.range(0), self.range(1));
        let mut chart = ChartBuilder::on(&plot)
            .margin(4)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(x.clone(), y.clone())
            .map_err(drawing)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(theme.grid())
            .axis_style(theme.ink())
            .label_style(text(theme, SMALL, HPos::Left, VPos::Top))
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_label_formatter(&|v| tick(*v, x.end - x.start))
            .y_label_formatter(&|v| tick(*v, y.end - y.start))
            .draw()
            .map_err(drawing)?;
        // Point by point, not class by class: none hides all others.
        for (i, point) in self.points.iter().enumerate() {
            let at = (f64::from(point[0]), f64::from(point[1]));
            if !x.contains(&at.0) || !y.contains(&at.1) {
                continue;
            }
            let class = self
                .classes
                .as_ref()
                .and_then(|classes| classes.get(i))
                .map_or(0, |class| *class as usize);
            let color = theme.series(class).mix(0.65);
            match Shape::of(class) {
                Shape::Circle => chart.draw_series([Circle::new(at, 3, color.filled())]),
                Shape::Triangle => chart.draw_series([TriangleMarker::new(at, 5, color.filled())]),
                Shape::Cross => chart.draw_series([Cross::new(at, 3, color.stroke_width(2))]),
            }
            .map_err(drawing)?;
        }
        if self.classes.is_some() {
            for (class, name) in self.class_names.iter().enumerate() {
                let y = 16 + ((class % ENTRIES) as u32 * ROW) as i32;
                let x = (class / ENTRIES) as i32 * self.column() as i32;
                let (at, color) = ((x + 20, y), theme.series(class));
                match Shape::of(class) {
                    Shape::Circle => legend.draw(&Circle::new(at, 4, color.filled())),
                    Shape::Triangle => legend.draw(&TriangleMarker::new(at, 6, color.filled())),
                    Shape::Cross => legend.draw(&Cross::new(at, 4, color.stroke_width(2))),
                }
                .map_err(drawing)?;
                let style = text(theme, MEDIUM, HPos::Left, VPos::Center);
                legend.draw_text(name, &style, (x + 34, y)).map_err(drawing)?;
            }
        }
        Ok(())
    }
}

/// The shape of a point. Classes of the same colour have other shapes.
enum Shape {
    Circle,
    Triangle,
    Cross,
}

impl Shape {
    fn of(class: usize) -> Self {
        match class / COLORS % 3 {
            0 => Self::Circle,
            1 => Self::Triangle,
            _ => Self::Cross,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scatter(points: Vec<[f32; 2]>, classes: Option<Vec<u32>>) -> Scatter {
        Scatter {
            title: "t".to_owned(),
            x_label: "z1".to_owned(),
            y_label: "z2".to_owned(),
            points,
            classes,
            class_names: vec!["zero".to_owned(), "one".to_owned()],
            theme: Theme::Light,
        }
    }

    #[test]
    fn one_outlier_in_thousands_does_not_shrink_the_rest() {
        let mut points: Vec<[f32; 2]> = (0..5000).map(|i| [(i % 100) as f32, 0.0]).collect();
        points[17][0] = 1e6;
        points[18][0] = f32::NAN;
        let range = scatter(points, None).range(0);
        assert!(range.end < 110.0 && range.start > -10.0, "{range:?}");
    }

    #[test]
    fn a_legend_of_many_classes_has_columns() {
        let mut many = scatter(vec![[0.0, 0.0]], Some(vec![0]));
        let (width, height) = many.size();
        many.class_names = vec!["zero".to_owned(); 2 * ENTRIES];
        assert_eq!(many.size(), (width + many.column(), height));
    }

    #[test]
    fn each_class_is_drawn_in_its_colour() {
        let points = vec![[0.0, 0.0], [1.0, 1.0]];
        let folder = std::env::temp_dir().join(format!("vae-view-scatter-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let figure = scatter(points, Some(vec![0, 1]));
        let path = folder.join("scatter.svg");
        crate::write_figure(&figure, &path).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        for color in ["#0072B2", "#E69F00"] {
            assert!(svg.contains(color), "{color}");
        }
        assert!(svg.contains("zero") && svg.contains("one"));
        let error = crate::write_figure(&figure, &folder.join("scatter.jpg")).unwrap_err();
        assert!(error.to_string().ends_with("the name must end in .png or .svg"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
