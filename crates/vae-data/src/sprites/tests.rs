//! Tests: the images are the same bytes on every machine, the splits are disjoint and uniform parts
//! of the grid, and factors describe the image.

use super::sprite::WIDTH;
use super::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::LazyLock;

/// Returns the first `n` images of a split that exists.
fn examples(split: Split, n: usize) -> Examples {
    super::examples(split, n, None).unwrap()
}

/// Returns the bytes of images.
fn bytes(examples: &Examples) -> &[u8] {
    let Values::Bytes(bytes) = &examples.values else { panic!("sprites are bytes") };
    bytes
}

/// All combinations of shape, scale and rotation, each with its values and its sprite.
static ALL: LazyLock<Vec<([usize; 3], Sprite)>> = LazyLock::new(|| {
    let values = |index| {
        let [shape, scale, turn, ..] = values(index * PLACES);
        [shape, scale, turn]
    };
    (0..SPRITES).map(values).zip(sprites()).collect()
});

/// Returns the sprite of a shape, scale and rotation.
fn sprite([shape, scale, turn]: [usize; 3]) -> &'static Sprite {
    &ALL[(shape * SIZES[1] + scale) * SIZES[2] + turn].1
}

/// Returns the image at a place in the grid.
fn image([shape, scale, turn, x, y]: [usize; FACTORS]) -> Vec<u8> {
    let mut image = vec![0; SIDE * SIDE];
    sprite([shape, scale, turn]).write(&mut image, x, y);
    image
}

/// Returns the row and column of each white pixel of an image or a sprite.
fn white(bytes: &[u8], width: usize) -> Vec<[usize; 2]> {
    let white = (0..bytes.len()).filter(|i| bytes[*i] == 255);
    white.map(|i| [i / width, i % width]).collect()
}

/// Returns the pixels of a sprite, turned clockwise by 90 degrees.
fn turned(sprite: &Sprite) -> Sprite {
    let mut bytes = [0; WIDTH * WIDTH];
    for (i, byte) in bytes.iter_mut().enumerate() {
        let (row, column) = (i / WIDTH, i % WIDTH);
        *byte = sprite.0[(WIDTH - 1 - column) * WIDTH + row];
    }
    Sprite(bytes)
}

#[test]
fn the_images_are_the_same_bytes_on_every_machine() {
    for (split, expected) in [
        (Split::Train, "eb959aec21b667714bbac0d3dd2383dac2b26d0b6ddd986f2f6c66579c7efb51"),
        (Split::Test, "b804e782d9cd1ab63907cf4c725e8d642fbff0c34953b3da7f1a17564e59b676"),
    ] {
        let examples = examples(split, 2000);
        let mut hash = Sha256::new();
        hash.update(bytes(&examples));
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
fn smaller_images_are_means_of_blocks() {
    let drawn = examples(Split::Test, 50);
    for side in SIDES {
        let small = super::examples(Split::Test, 50, Some((side, side))).unwrap();
        assert_eq!(small.shape, Shape::Image { channels: 1, height: side, width: side });
        assert_eq!((&small.labels, &small.factors), (&drawn.labels, &drawn.factors));
        let block = SIDE / side;
        let images = bytes(&drawn).chunks(SIDE * SIDE).zip(bytes(&small).chunks(side * side));
        for (drawn, small) in images {
            let mut count = vec![0; side * side];
            for [row, column] in white(drawn, SIDE) {
                count[row / block * side + column / block] += 1;
            }
            let share = |n: &i32| f64::from(*n) / (block * block) as f64;
            let mean: Vec<u8> = count.iter().map(|n| (255.0 * share(n)).round() as u8).collect();
            assert_eq!(small, mean);
        }
    }
    for size in [(64, 32), (48, 48), (0, 0), (128, 128)] {
        assert!(super::examples(Split::Test, 1, Some(size)).is_err_and(|e| e.is_request()));
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
    let all = examples(Split::Test, TEST + 1);
    assert_eq!(all.len(), TEST);
    assert!(all.is_binary());
    assert!(examples(Split::Train, 0).is_empty());
    assert!(super::examples(Split::Validation, usize::MAX, None).is_err_and(|e| e.is_request()));
}

#[test]
fn no_place_in_the_grid_is_chosen_twice() {
    let chosen = [Split::Train, Split::Test].map(|split| cells(split, usize::MAX).unwrap());
    assert_eq!([chosen[0].len(), chosen[1].len()], [TRAIN, TEST]);
    let distinct: HashSet<usize> = chosen.concat().into_iter().collect();
    assert_eq!(distinct.len(), TRAIN + TEST);
    assert!(distinct.iter().all(|cell| *cell < GRID));
    assert_eq!(GRID, 737_280);
}

#[test]
fn every_value_of_a_factor_is_as_frequent_as_the_others() {
    for (split, n) in [(Split::Train, TRAIN), (Split::Test, TEST)] {
        let cells = cells(split, usize::MAX).unwrap();
        for (k, size) in SIZES.into_iter().enumerate() {
            let mut counts = vec![0; size];
            cells.iter().for_each(|cell| counts[values(*cell)[k]] += 1);
            // The standard deviation is that of drawing without replacement.
            let (n, share) = (n as f32, 1.0 / size as f32);
            let deviation = (n * share * (1.0 - share) * (1.0 - n / GRID as f32)).sqrt();
            for count in counts {
                assert!((count as f32 - n * share).abs() < 4.5 * deviation, "{k}: {count}");
            }
        }
    }
}

#[test]
fn a_factor_is_the_value_of_its_rank() {
    let examples = examples(Split::Test, 3000);
    let cells = cells(Split::Test, 3000).unwrap();
    let factors = examples.factors.unwrap();
    assert_eq!(factors.names, NAMES);
    for (k, size) in SIZES.into_iter().enumerate() {
        let column: Vec<f32> = factors.values.iter().skip(k).step_by(FACTORS).copied().collect();
        // Positive numbers have the order of their bits.
        let distinct: BTreeSet<u32> = column.iter().map(|value| value.to_bits()).collect();
        let ranks: BTreeMap<u32, usize> = distinct.into_iter().zip(0..).collect();
        assert_eq!(ranks.len(), size, "{}", NAMES[k]);
        for (value, cell) in column.iter().zip(&cells) {
            assert_eq!(ranks[&value.to_bits()], values(*cell)[k], "{}", NAMES[k]);
        }
        let most = column.iter().copied().fold(0.0, f32::max);
        assert_eq!(most, [2.0, 1.0, 351.0, 1.0, 1.0][k]);
    }
    for (label, row) in examples.labels.unwrap().iter().zip(factors.values.chunks(FACTORS)) {
        assert_eq!(*label as f32, row[0]);
    }
    assert_eq!(examples.classes, ["square", "ellipse", "heart"]);
}

#[test]
fn an_image_is_that_of_its_factors() {
    let examples = examples(Split::Train, 500);
    let cells = cells(Split::Train, 500).unwrap();
    for (found, cell) in bytes(&examples).chunks_exact(SIDE * SIDE).zip(cells) {
        assert_eq!(found, image(values(cell)), "{cell}");
    }
}

#[test]
fn the_area_grows_with_the_square_of_the_scale() {
    for ([shape, scale, turn], sprite) in ALL.iter() {
        let side = scale_of(*scale) * [361.0f32, 352.0, 366.0][*shape].sqrt();
        let found = white(&sprite.0, WIDTH).len() as f32;
        // An upright square has the widest error: its side is a whole number of pixels.
        let error = (found - side * side) / side;
        assert!(error.abs() < 1.0, "{shape} {scale} {turn}: {error} pixels per pixel of the side");
    }
    for shape in 0..CLASSES {
        let mean = |scale: usize| {
            let area = |turn: usize| white(&sprite([shape, scale, turn]).0, WIDTH).len() as f32;
            (0..SIZES[2]).map(area).sum::<f32>() / SIZES[2] as f32
        };
        for scale in 0..SIZES[1] {
            let ratio = mean(scale) / mean(SIZES[1] - 1);
            let expected = scale_of(scale) * scale_of(scale);
            assert!((ratio / expected - 1.0).abs() < 0.05, "{shape} {scale}: {ratio} {expected}");
        }
    }
}

#[test]
fn the_centre_of_mass_is_the_position() {
    for (k, (of, _)) in ALL.iter().enumerate() {
        // Other positions for each sprite, all of them over all sprites.
        let [x, y] = [k * 7 % SIZES[3], k * 11 / 3 % SIZES[4]];
        let white = white(&image([of[0], of[1], of[2], x, y]), SIDE);
        for (axis, position) in [(1, x), (0, y)] {
            let sum: f32 = white.iter().map(|pixel| pixel[axis] as f32 + 0.5).sum();
            let error = sum / white.len() as f32 - (16.5 + position as f32);
            assert!(error.abs() < 0.2, "{of:?} {x} {y}: {error}");
        }
    }
}

#[test]
fn one_step_of_a_position_moves_the_image_by_one_pixel() {
    let start = image([2, 3, 17, 10, 20]);
    let (right, below) = (image([2, 3, 17, 11, 20]), image([2, 3, 17, 10, 21]));
    assert_eq!(right[1..], start[..SIDE * SIDE - 1]);
    assert_eq!(below[SIDE..], start[..SIDE * (SIDE - 1)]);
}

#[test]
fn a_quarter_turn_turns_the_pixels_and_leaves_a_square_as_it_is() {
    for ([shape, scale, turn], before) in ALL.iter() {
        let after = sprite([*shape, *scale, (turn + QUARTER) % SIZES[2]]);
        assert!(turned(before) == *after, "{shape} {scale} {turn}");
        assert_eq!(before == after, *shape == 0, "{shape} {scale} {turn}");
    }
}

#[test]
fn the_tip_of_the_heart_turns_clockwise_from_below_to_the_left() {
    // The distances from the centre to the left, right, upper and lower end.
    let reach = |turn: usize| {
        let white = white(&sprite([2, 5, turn]).0, WIDTH);
        let ends = |axis: usize| {
            let places = || white.iter().map(|pixel| pixel[axis].abs_diff(WIDTH / 2));
            let ordered = || white.iter().zip(places()).map(move |(p, d)| (p[axis], d));
            [ordered().min().unwrap().1, ordered().max().unwrap().1]
        };
        [ends(1), ends(0)].concat()
    };
    let [left, right, top, bottom] = reach(0)[..] else { panic!("four ends") };
    assert!(bottom > top + 1 && left == right);
    assert_eq!(reach(QUARTER), [bottom, top, left, right]);
}

#[test]
fn images_are_equal_only_by_symmetry() {
    let mut first = BTreeMap::new();
    for ([shape, scale, turn], sprite) in ALL.iter() {
        // Without margins: no sprite is another one at another position.
        let white = white(&sprite.0, WIDTH);
        let [top, left] = [0, 1].map(|axis| white.iter().map(|pixel| pixel[axis]).min().unwrap());
        let white: Vec<_> = white.iter().map(|[row, column]| [row - top, column - left]).collect();
        let different = [*shape, *scale, turn % [QUARTER, 2 * QUARTER, 4 * QUARTER][*shape]];
        assert_eq!(*first.entry(white).or_insert(different), different);
    }
    assert_eq!(first.len() * PLACES, 430_080);
}

#[test]
fn no_shape_touches_the_border() {
    for ([shape, scale, turn], _) in ALL.iter() {
        for [x, y] in [[0, 0], [31, 31]] {
            let white = white(&image([*shape, *scale, *turn, x, y]), SIDE);
            let inside = |pixel: &[usize; 2]| pixel.iter().all(|k| (1..SIDE - 1).contains(k));
            assert!(white.iter().all(inside), "{shape} {scale} {turn} {x} {y}");
        }
    }
}
