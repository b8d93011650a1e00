//! The outlines of the shapes.

/// Half the side of the square. At every scale the side is then near an odd number of pixels: the
/// side of an upright square around the centre of a pixel is odd.
const SQUARE: f32 = 9.5;

/// The semi-axes of the ellipse.
const ELLIPSE: [f32; 2] = [14.0, 8.0];

/// The length of the unit of the heart's equation.
const HEART: f32 = 10.0;
/// The centre of mass of the heart in this unit, computed on a grid with NumPy.
const HEART_CENTRE: f32 = 0.2935;

/// The outline of a shape. At scale 1 the areas are nearly equal: 361, 352 and 366 pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outline {
    /// 19 pixels wide, 27 from corner to corner.
    Square,
    /// 28 pixels wide, 16 high.
    Ellipse,
    /// 23 pixels wide and high, the tip below.
    Heart,
}

impl Outline {
    /// All outlines, in the order of the classes.
    pub const ALL: [Self; 3] = [Self::Square, Self::Ellipse, Self::Heart];

    /// Returns the name of the class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Square => "square",
            Self::Ellipse => "ellipse",
            Self::Heart => "heart",
        }
    }

    /// Returns whether the shape of scale 1, not rotated, contains a point. The point is in pixels
    /// right of and below the centre of mass.
    pub fn contains(self, [right, below]: [f32; 2]) -> bool {
        match self {
            Self::Square => right.abs().max(below.abs()) <= SQUARE,
            Self::Ellipse => {
                let (x, y) = (right / ELLIPSE[0], below / ELLIPSE[1]);
                x * x + y * y <= 1.0
            }
            Self::Heart => {
                // The inside of the sextic (x^2 + y^2 - 1)^3 = x^2 y^3, with y upwards.
                let (x, y) = (right / HEART, HEART_CENTRE - below / HEART);
                let ring = x * x + y * y - 1.0;
                ring * ring * ring <= x * x * y * y * y
            }
        }
    }
}
