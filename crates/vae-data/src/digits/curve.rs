//! Converts the points of a stroke to a chain of short lines: smooth curves between corners.

use super::Point;

/// Largest distance between points of a chain along a chord, in heights of a digit: about a pixel.
const STEP: f32 = 0.06;

/// Returns the chain along a stroke. It passes through all points of the stroke. It is smooth
/// except at points that are given twice.
pub fn chain(stroke: &[Point]) -> Vec<Point> {
    let mut chain = Vec::with_capacity(4 * stroke.len());
    chain.extend(stroke.first());
    for run in stroke.chunk_by(|a, b| a != b) {
        smooth(run, &mut chain);
    }
    chain
}

fn difference(a: Point, b: Point) -> Point {
    [b[0] - a[0], b[1] - a[1]]
}

fn length(v: Point) -> f32 {
    (v[0] * v[0] + v[1] * v[1]).sqrt()
}

/// Adds the curve through `points`, without its first point: a centripetal Catmull-Rom spline
/// (Yuksel et al. 2011). Its parameter grows by the square root of each distance, which prevents
/// loops.
fn smooth(points: &[Point], chain: &mut Vec<Point>) {
    let chords: Vec<Point> = points.windows(2).map(|p| difference(p[0], p[1])).collect();
    let spans: Vec<f32> = chords.iter().map(|&chord| length(chord).sqrt()).collect();
    // The velocity at each point. At the ends the second derivative is 0.
    let inner = |i: usize| {
        let (a, b) = (spans[i - 1], spans[i]);
        [0, 1].map(|k| {
            chords[i - 1][k] / a + chords[i][k] / b - (chords[i - 1][k] + chords[i][k]) / (a + b)
        })
    };
    for i in 0..chords.len() {
        let (chord, span) = (chords[i], spans[i]);
        let start = (i > 0).then(|| inner(i));
        let end = (i + 1 < chords.len()).then(|| inner(i + 1));
        let free = |known: Option<Point>| {
            [0, 1].map(|k| {
                let mean = chord[k] / span;
                known.map_or(mean, |known| 1.5 * mean - 0.5 * known[k])
            })
        };
        let (start, end) = (start.unwrap_or_else(|| free(end)), end.unwrap_or_else(|| free(start)));
        let steps = (length(chord) * (1.0 / STEP)).ceil().max(1.0);
        for step in 1..=steps as usize {
            let t = step as f32 / steps;
            let s = 1.0 - t;
            // Hermite's cubic between points[i] and points[i + 1].
            chain.push([0, 1].map(|k| {
                points[i][k]
                    + chord[k] * (t * t * (3.0 - 2.0 * t))
                    + span * (start[k] * (t * s * s) - end[k] * (t * t * s))
            }));
        }
    }
}
