//! Tests: the images are the same bytes on every machine, all forms occur, and factors describe the
//! image.

use super::*;
use sha2::{Digest, Sha256};
use strokes::FORMS;

/// Returns the first `n` images of a split that exists.
fn examples(split: Split, n: usize) -> Examples {
    super::examples(split, n).unwrap()
}

/// Returns the images of `examples` as numbers, each with its factors.
fn images(examples: &Examples) -> Vec<(Vec<f32>, [f32; FACTORS])> {
    let Values::Bytes(bytes) = &examples.values else { panic!("digits are bytes") };
    let factors = &examples.factors.as_ref().unwrap().values;
    bytes
        .chunks_exact(SIDE * SIDE)
        .map(|image| image.iter().map(|&byte| f32::from(byte)).collect())
        .zip(factors.chunks_exact(FACTORS).map(|row| row.try_into().unwrap()))
        .collect()
}

/// Returns the index of a factor by the first word of its name.
fn factor(name: &str) -> usize {
    NAMES.iter().position(|full| full.split(' ').next() == Some(name)).unwrap()
}

/// Returns the mass of an image, its centre of mass (x, y), and its central second moments xy and
/// yy.
fn moments(image: &[f32]) -> (f32, [f32; 2], [f32; 2]) {
    let sum = |value: &dyn Fn(f32, f32) -> f32| -> f32 {
        let pixel = |(i, ink): (usize, &f32)| ink * value((i % SIDE) as f32, (i / SIDE) as f32);
        image.iter().enumerate().map(pixel).sum()
    };
    let mass = sum(&|_, _| 1.0);
    let (cx, cy) = (sum(&|x, _| x) / mass, sum(&|_, y| y) / mass);
    let xy = sum(&|x, y| (x - cx) * (y - cy)) / mass;
    let yy = sum(&|_, y| (y - cy) * (y - cy)) / mass;
    (mass, [cx, cy], [xy, yy])
}

fn correlation(pairs: &[(f32, f32)]) -> f32 {
    let n = pairs.len() as f32;
    let (a, b) = pairs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let sum = |f: &dyn Fn(f32, f32) -> f32| -> f32 { pairs.iter().map(|p| f(p.0, p.1)).sum() };
    sum(&|x, y| (x - a) * (y - b))
        / (sum(&|x, _| (x - a) * (x - a)) * sum(&|_, y| (y - b) * (y - b))).sqrt()
}

#[test]
fn the_images_are_the_same_bytes_on_every_machine() {
    for (split, expected) in [
        (Split::Train, "a068e029cf8d034a0ebdea3e6451235030ff65d49c1eeba6f36a77621c605a6a"),
        (Split::Test, "5f7433c68d69b10861fc6f7321c731818e44b20a90c7b550b130df30d0973292"),
    ] {
        let examples = examples(split, 2000);
        let mut hash = Sha256::new();
        let Values::Bytes(bytes) = &examples.values else { panic!("digits are bytes") };
        hash.update(bytes);
        for label in examples.labels.unwrap() {
            hash.update(label.to_le_bytes());
        }
        for value in examples.factors.unwrap().values {
            hash.update(value.to_le_bytes());
        }
        assert_eq!(hex::encode(hash.finalize()), expected, "{split:?}");
    }
}

#[test]
fn an_image_does_not_depend_on_how_many_are_made() {
    let mut many = examples(Split::Test, 300);
    many.truncate(7);
    assert_eq!(many, examples(Split::Test, 7));
}

#[test]
fn asking_for_more_than_there_are_gives_all_of_them() {
    assert_eq!(examples(Split::Test, TEST + 1).len(), TEST);
    assert!(examples(Split::Train, 0).is_empty());
    assert!(super::examples(Split::Validation, usize::MAX).is_err_and(|e| e.is_request()));
}

#[test]
fn training_and_test_images_differ() {
    let (train, test) = (examples(Split::Train, 500), examples(Split::Test, 500));
    let (Values::Bytes(train), Values::Bytes(test)) = (&train.values, &test.values) else {
        panic!("digits are bytes")
    };
    let all: std::collections::HashSet<_> =
        train.chunks(SIDE * SIDE).chain(test.chunks(SIDE * SIDE)).collect();
    assert_eq!(all.len(), 1000);
}

#[test]
fn every_class_is_as_frequent_as_the_others_and_the_order_is_random() {
    let count = |labels: &[u32]| {
        let mut counts = [0; 10];
        labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    };
    let labels = examples(Split::Test, TEST).labels.unwrap();
    assert_eq!(count(&labels), [TEST / 10; 10]);
    // In the first 1000 images: 100 per class, within four standard deviations of 9.5.
    assert!(count(&labels[..1000]).iter().all(|count| (62..=138).contains(count)));
    // One neighbour in ten has the same class.
    let same = labels.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!((880..=1120).contains(&same), "{same}");
}

#[test]
fn every_form_is_written_as_often_as_its_weight_says() {
    let mut counts = FORMS.map(|forms| vec![0; forms.len()]);
    for (_, factors) in images(&examples(Split::Test, TEST)) {
        counts[factors[0] as usize][factors[1] as usize] += 1;
    }
    for (digit, (forms, counts)) in FORMS.iter().zip(&counts).enumerate() {
        let total: u32 = forms.iter().map(|form| form.weight).sum();
        for (form, &count) in forms.iter().zip(counts) {
            let share = form.weight as f32 / total as f32;
            let (mean, deviation) = (1000.0 * share, (1000.0 * share * (1.0 - share)).sqrt());
            assert!((count as f32 - mean).abs() < 4.5 * deviation, "{digit}: {counts:?}");
        }
    }
}

#[test]
fn every_factor_fills_its_documented_range() {
    let all = images(&examples(Split::Test, TEST));
    for (name, low, high) in [
        ("class", 0.0, 9.0),
        ("form", 0.0, 11.0),
        ("slant", -25.0, 43.0),
        ("rotation", -15.0, 15.0),
        ("width", 0.7, 1.8),
        ("curvature", -0.12, 0.12),
        ("waist", -0.15, 0.2),
        ("taper", -0.5, 0.5),
        ("wobble", 0.01, 0.06),
        ("thickness", 1.3, 5.5),
        ("size", 18.0, 20.0),
        ("shift_x", -1.25, 1.25),
        ("shift_y", -1.25, 1.25),
    ] {
        let values = || all.iter().map(|(_, factors)| factors[factor(name)]);
        let (least, most) = (values().fold(f32::MAX, f32::min), values().fold(f32::MIN, f32::max));
        assert!(low <= least && most <= high, "{name}: {least} to {most}");
        // Bell-shaped factors are rarely near the ends of their range. Shifts are rarely corrected.
        let reach = if name.starts_with("shift") { 1.45 } else { 0.8 * (high - low) };
        assert!(most - least >= reach, "{name}: {least} to {most}");
    }
    let beyond = all.iter().filter(|(_, f)| f[11].abs().max(f[12].abs()) > 0.75).count();
    assert!(beyond < TEST / 500, "{beyond} images are off their place");
}

#[test]
fn shift_is_where_the_centre_of_mass_lies() {
    for (image, factors) in images(&examples(Split::Train, 2000)) {
        let (_, [x, y], _) = moments(&image);
        let (dx, dy) = (factors[factor("shift_x")], factors[factor("shift_y")]);
        assert!(
            (x - CENTRE - dx).abs() < 0.1 && (y - CENTRE - dy).abs() < 0.1,
            "{x} {y} {factors:?}"
        );
    }
}

#[test]
fn no_ink_is_cut_off_at_the_border() {
    for (image, factors) in images(&examples(Split::Train, 5000)) {
        let border = |&i: &usize| [i % SIDE, i / SIDE].iter().any(|&k| k == 0 || k == SIDE - 1);
        // The soft edge of a line may reach the last row or column, but not the line itself.
        assert!((0..SIDE * SIDE).filter(border).all(|i| image[i] <= 160.0), "{factors:?}");
    }
}

#[test]
fn the_longer_side_of_the_ink_is_the_size() {
    let pairs: Vec<_> = images(&examples(Split::Train, 2000))
        .iter()
        .map(|(image, factors)| {
            let inked = |at: &dyn Fn(usize, usize) -> usize| {
                (0..SIDE).filter(|&i| (0..SIDE).any(|j| image[at(i, j)] >= 128.0)).count()
            };
            let side = inked(&|i, j| i * SIDE + j).max(inked(&|i, j| j * SIDE + i));
            (factors[factor("size")], side as f32)
        })
        .collect();
    let mean = pairs.iter().map(|(size, side)| side - size).sum::<f32>() / pairs.len() as f32;
    assert!(mean.abs() < 0.2, "{mean}");
    assert!(pairs.iter().all(|(size, side)| (size - side).abs() < 3.0));
    assert!(correlation(&pairs) > 0.6, "{}", correlation(&pairs));
}

#[test]
fn a_thicker_pen_leaves_more_ink() {
    let all = images(&examples(Split::Train, 5000));
    for class in 0..10 {
        let of_class = all.iter().filter(|(_, factors)| factors[0] == class as f32);
        let pairs: Vec<_> =
            of_class.map(|(image, f)| (f[factor("thickness")], moments(image).0)).collect();
        assert!(correlation(&pairs) > 0.7, "{class}: {}", correlation(&pairs));
    }
}

#[test]
fn a_plain_one_leans_by_its_slant_and_rotation() {
    let all = images(&examples(Split::Train, 5000));
    let errors: Vec<f32> = all
        .iter()
        .filter(|(_, factors)| factors[..2] == [1.0, 0.0])
        .map(|(image, f)| {
            let (_, _, [xy, yy]) = moments(image);
            let measured = libm::atanf(-xy / yy).to_degrees();
            (measured - f[factor("slant")] - f[factor("rotation")]).abs()
        })
        .collect();
    assert!(errors.len() > 200);
    let mean = errors.iter().sum::<f32>() / errors.len() as f32;
    assert!(mean < 3.0, "{mean} degrees");
}

#[test]
fn every_class_leans_with_its_slant() {
    let all = images(&examples(Split::Train, 5000));
    for class in 0..10 {
        let of_class = all.iter().filter(|(_, factors)| factors[0] == class as f32);
        let lean = |image| {
            let (_, _, [xy, yy]) = moments(image);
            -xy / yy
        };
        let pairs: Vec<_> = of_class.map(|(image, f)| (f[factor("slant")], lean(image))).collect();
        assert!(correlation(&pairs) > 0.6, "{class}: {}", correlation(&pairs));
    }
}

#[test]
fn a_curve_passes_through_its_points_and_turns_sharply_only_at_corners() {
    let stroke = [[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]];
    let chain = curve::chain(&stroke);
    for point in stroke {
        let near = |p: &Point| (p[0] - point[0]).abs().max((p[1] - point[1]).abs()) < 1e-5;
        assert!(chain.iter().any(near), "{point:?}");
    }
    // There is one sharp turn: the right angle at the corner.
    let steps: Vec<Point> =
        chain.windows(2).map(|p| [p[1][0] - p[0][0], p[1][1] - p[0][1]]).collect();
    let dot = |a: Point, b: Point| a[0] * b[0] + a[1] * b[1];
    let sharp = steps
        .windows(2)
        .filter(|s| dot(s[0], s[1]) < 0.8 * (dot(s[0], s[0]) * dot(s[1], s[1])).sqrt());
    assert_eq!(sharp.count(), 1);
}

#[test]
fn a_line_has_its_width_in_ink_and_a_black_surround() {
    for width in [1.5, 2.5, 4.0] {
        let line: Piece = [([-20.0, 0.3], 0.5 * width), ([20.0, 0.3], 0.5 * width)];
        let mut image = [0; SIDE * SIDE];
        Ink::draw(&[line], [CENTRE; 2]).write(&mut image);
        let column: f32 = (0..SIDE).map(|row| f32::from(image[row * SIDE + 10]) / 255.0).sum();
        assert!((column - width).abs() < 0.2, "{width}: {column}");
        assert_eq!((image[0], image[(SIDE - 1) * SIDE]), (0, 0));
    }
}
