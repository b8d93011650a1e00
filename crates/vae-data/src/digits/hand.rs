//! The factors of variation of an image, and the strokes that result from them.

use super::Point;
use super::strokes::FORMS;
use crate::rng::Sequence;

/// Number of factors of an image.
pub const FACTORS: usize = 13;

/// The first of them are categories: class and form.
pub const CATEGORIES: usize = 2;

/// Names of the factors, in the order of `Hand::factors`.
pub const NAMES: [&str; FACTORS] = [
    "class",
    "form",
    "slant (degrees)",
    "rotation (degrees)",
    "width (relative)",
    "curvature (heights)",
    "waist (heights)",
    "taper (relative)",
    "wobble (heights)",
    "thickness (pixels)",
    "size (pixels)",
    "shift_x (pixels)",
    "shift_y (pixels)",
];

/// The factors of one image. The documentation of [`super`] describes them.
#[derive(Clone, Copy, Debug)]
pub struct Hand {
    /// The digit, 0 to 9.
    pub class: usize,
    /// The form of the digit, an index into `FORMS[class]`.
    pub form: usize,
    /// In degrees.
    pub slant: f32,
    /// In degrees.
    pub rotation: f32,
    /// Relative to the width of the form.
    pub width: f32,
    /// In heights of the digit.
    pub curvature: f32,
    /// In heights of the digit.
    pub waist: f32,
    /// Relative to the width in the middle.
    pub taper: f32,
    /// In heights of the digit.
    pub wobble: f32,
    /// In pixels.
    pub thickness: f32,
    /// In pixels.
    pub size: f32,
    /// In pixels.
    pub shift_x: f32,
    /// In pixels.
    pub shift_y: f32,
}

/// Weights of the previous error and of new noise in the error at the next point of the skeleton.
/// With KEPT^2 + RENEWED^2 = 1 the standard deviation stays the same.
const KEPT: f32 = 0.6;
const RENEWED: f32 = 0.8;

/// Returns a random number in [low, high) with a bell-shaped density: the mean of three uniform
/// numbers, with standard deviation (high - low) / 6.
fn bell(numbers: &mut Sequence, low: f32, high: f32) -> f32 {
    let sum = numbers.uniform() + numbers.uniform() + numbers.uniform();
    low + (high - low) * (sum * (1.0 / 3.0))
}

impl Hand {
    /// Draws the factors of an image of `class`.
    pub fn draw(class: usize, numbers: &mut Sequence) -> Self {
        let forms = FORMS[class];
        let mut left = numbers.below(forms.iter().map(|form| form.weight).sum());
        let mut form = 0;
        while left >= forms[form].weight {
            left -= forms[form].weight;
            form += 1;
        }
        // Thin lines are more frequent than thick lines.
        let pen = bell(numbers, 0.0, 1.0);
        Self {
            class,
            form,
            slant: bell(numbers, -25.0, 43.0),
            rotation: bell(numbers, -15.0, 15.0),
            width: bell(numbers, 0.7, 1.8),
            curvature: bell(numbers, -0.12, 0.12),
            waist: bell(numbers, -0.15, 0.2),
            taper: bell(numbers, -0.5, 0.5),
            wobble: numbers.range(0.01, 0.06),
            thickness: 1.3 + 4.2 * pen * pen,
            size: numbers.range(18.0, 20.0),
            shift_x: numbers.range(-0.75, 0.75),
            shift_y: numbers.range(-0.75, 0.75),
        }
    }

    /// Returns the factors, in the order of `NAMES`.
    pub fn factors(&self) -> [f32; FACTORS] {
        [
            self.class as f32,
            self.form as f32,
            self.slant,
            self.rotation,
            self.width,
            self.curvature,
            self.waist,
            self.taper,
            self.wobble,
            self.thickness,
            self.size,
            self.shift_x,
            self.shift_y,
        ]
    }

    /// Returns the deformed strokes of the form, relative to the centre of the digit. Corners are
    /// points that are given twice. The unit is the height of the undeformed digit.
    pub fn strokes(&self, numbers: &mut Sequence) -> Vec<Vec<Point>> {
        let radians = core::f32::consts::PI / 180.0;
        let lean = libm::tanf(self.slant * radians);
        let (sin, cos) = libm::sincosf(self.rotation * radians);
        let place = |[x, y]: Point| {
            let (v, bow) = (y - 0.5, 4.0 * y * (1.0 - y));
            let x = x * self.width * (1.0 + 2.0 * self.taper * v) + self.curvature * bow;
            let y = v + self.waist * bow;
            let x = x - lean * y;
            [cos * x - sin * y, sin * x + cos * y]
        };
        let mut stroke = |points: &[[i8; 2]]| {
            let mut error = [0, 1].map(|_| self.wobble * numbers.normal());
            let mut last = None;
            let mut placed = Vec::with_capacity(points.len());
            for point in points {
                // The two points of a corner have the same error.
                if last.replace(point) != Some(point) {
                    error = error.map(|e| KEPT * e + RENEWED * self.wobble * numbers.normal());
                }
                placed.push(place([0, 1].map(|k| f32::from(point[k]) * 0.01 + error[k])));
            }
            placed
        };
        FORMS[self.class][self.form].strokes.iter().map(|points| stroke(points)).collect()
    }
}
