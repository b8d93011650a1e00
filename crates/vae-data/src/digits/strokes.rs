//! The skeletons: how each digit is written, form by form, as the pen's path.
//!
//! Points are `[x, y]` in hundredths of the digit's height: y runs from 0 (top) to 100 (bottom), x
//! from about -35 (left) to 35. A stroke is a smooth curve through its points, in the order of
//! writing; a point given twice is a corner.

/// One way of writing one digit.
#[derive(Debug)]
pub struct Form {
    /// How often it is written, relative to the other forms of its digit.
    pub weight: u32,
    /// What the pen draws between touching the paper and leaving it, stroke by stroke.
    pub strokes: &'static [&'static [[i8; 2]]],
}

/// A form and its weight.
const fn form(weight: u32, strokes: &'static [&'static [[i8; 2]]]) -> Form {
    Form { weight, strokes }
}

/// The forms of each digit.
pub const FORMS: [&[Form]; 10] = [ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, NINE];

#[rustfmt::skip]
const ZERO: &[Form] = &[
    // Round and closed.
    form(4, &[&[
        [10, 0], [-20, 10], [-40, 50], [-28, 88], [-2, 100], [27, 86], [40, 48], [28, 10], [4, 1],
    ]]),
    // Narrow.
    form(3, &[&[
        [9, 0], [-12, 14], [-21, 50], [-18, 86], [-4, 100], [13, 86], [21, 50], [17, 12], [2, 1],
    ]]),
    // The end runs on, into the inside.
    form(2, &[&[
        [4, 4], [-20, 16], [-34, 52], [-24, 90], [0, 100], [25, 80], [33, 42], [22, 6], [2, 4],
        [-8, 16],
    ]]),
    // Open at the top: the end stops short of the start.
    form(1, &[&[
        [-3, 3], [-23, 20], [-34, 55], [-22, 92], [1, 100], [25, 82], [33, 44], [28, 12], [15, 0],
    ]]),
    // Begun with a short stroke at the upper right, closed under it.
    form(2, &[&[
        [27, 0], [4, 4], [-21, 24], [-32, 58], [-22, 93], [2, 98], [26, 74], [32, 38], [20, 12],
        [-1, 8],
    ]]),
];

#[rustfmt::skip]
const ONE: &[Form] = &[
    // A plain line.
    form(15, &[&[[0, 0], [0, 50], [0, 100]]]),
    // With a flag.
    form(3, &[&[[-11, 20], [-4, 10], [0, 0], [0, 0], [0, 50], [0, 100]]]),
    // With a flag and a base.
    form(2, &[
        &[[-15, 22], [-6, 12], [0, 0], [0, 0], [0, 50], [0, 98]],
        &[[-24, 99], [0, 99], [24, 98]],
    ]),
];

#[rustfmt::skip]
const TWO: &[Form] = &[
    // A corner at the lower left, a straight base.
    form(4, &[&[
        [-27, 20], [-12, 2], [13, 2], [25, 22], [12, 53], [-28, 97], [-28, 97], [0, 96], [33, 96],
    ]]),
    // A loop at the lower left.
    form(4, &[&[
        [-26, 20], [-10, 2], [14, 2], [24, 25], [10, 58], [-16, 93], [-32, 94], [-30, 78],
        [-12, 79], [8, 93], [36, 96],
    ]]),
    // A wavy base.
    form(3, &[&[
        [-24, 14], [-4, 0], [18, 8], [20, 34], [0, 68], [-27, 96], [-27, 96], [-10, 88], [10, 97],
        [36, 90],
    ]]),
    // Begun with a curl.
    form(2, &[&[
        [-14, 27], [-26, 24], [-22, 6], [5, 0], [24, 16], [16, 46], [-8, 76], [-30, 97], [-30, 97],
        [2, 95], [32, 97],
    ]]),
    // Nearly a Z.
    form(2, &[&[
        [-28, 8], [0, 2], [22, 5], [20, 22], [-5, 62], [-30, 96], [-30, 96], [0, 96], [32, 98],
    ]]),
    // Begun low at the left, nearly closing the head; a large loop.
    form(4, &[&[
        [-20, 42], [-30, 20], [-8, 0], [20, 8], [24, 40], [6, 72], [-20, 93], [-36, 88], [-28, 77],
        [-6, 84], [38, 99],
    ]]),
    // A small head on a wide base.
    form(2, &[&[
        [-28, 14], [-2, 0], [22, 12], [14, 42], [-10, 70], [-45, 96], [-45, 96], [0, 90], [56, 92],
    ]]),
    // A round head, a flat loop, and out to the lower right.
    form(3, &[&[
        [-20, 30], [-26, 14], [-6, 0], [16, 10], [16, 38], [0, 66], [-26, 88], [-38, 82],
        [-24, 74], [2, 82], [36, 100],
    ]]),
    // An upright stem on the right, a large loop to its left, and out to the right.
    form(4, &[&[
        [-18, 20], [-2, 0], [20, 10], [20, 50], [6, 88], [-16, 100], [-34, 87], [-22, 68], [8, 74],
        [40, 92],
    ]]),
    // The same, narrow, with a short head.
    form(2, &[&[
        [-10, 12], [2, 0], [13, 10], [12, 46], [2, 86], [-16, 98], [-26, 86], [-14, 72], [8, 77],
        [38, 80],
    ]]),
    // A short hook for a head, a corner at the foot.
    form(2, &[&[
        [-14, 12], [0, 0], [10, 10], [6, 40], [-6, 72], [-20, 98], [-20, 98], [6, 92], [34, 90],
    ]]),
    // A stem on the right, a large loop to its left, a foot to the lower right.
    form(3, &[&[
        [-26, 24], [-6, 0], [20, 12], [22, 50], [-2, 90], [-26, 96], [-30, 76], [-8, 65], [18, 80],
        [34, 100],
    ]]),
];

#[rustfmt::skip]
const THREE: &[Form] = &[
    // Two bowls with a corner between them.
    form(5, &[&[
        [-24, 12], [-4, 0], [20, 10], [17, 33], [-7, 46], [-7, 46], [20, 55], [27, 77], [5, 99],
        [-28, 92],
    ]]),
    // A flat top.
    form(2, &[&[
        [-24, 4], [2, 2], [25, 1], [25, 1], [10, 22], [-3, 40], [-3, 40], [20, 49], [27, 74],
        [6, 97], [-27, 93],
    ]]),
    // A small loop between the bowls.
    form(2, &[&[
        [-25, 10], [-2, 0], [20, 12], [12, 36], [-10, 48], [-12, 42], [10, 48], [26, 68], [14, 94],
        [-10, 100], [-30, 88],
    ]]),
    // The bowls run into each other.
    form(2, &[&[
        [-20, 6], [6, 0], [22, 14], [12, 36], [2, 46], [18, 56], [24, 76], [6, 97], [-26, 98],
    ]]),
    // A small upper bowl over a wide open one.
    form(2, &[&[
        [-16, 8], [2, 0], [18, 10], [12, 28], [-6, 38], [-6, 38], [18, 46], [30, 68], [16, 92],
        [-10, 100], [-32, 90],
    ]]),
    // Angular: a short upper bowl that runs back to a corner, the lower one narrow.
    form(3, &[&[
        [-22, 16], [-6, 3], [14, 2], [16, 18], [-10, 42], [-10, 42], [12, 46], [20, 66], [8, 88],
        [-16, 100],
    ]]),
    // The lower bowl curls up at its end.
    form(2, &[&[
        [-20, 14], [0, 0], [20, 12], [14, 36], [-5, 46], [-5, 46], [22, 56], [25, 82], [4, 100],
        [-20, 93], [-22, 77], [-8, 74],
    ]]),
];

#[rustfmt::skip]
const FOUR: &[Form] = &[
    // Open, two strokes.
    form(5, &[
        &[[-20, 2], [-26, 26], [-28, 52], [-28, 52], [0, 53], [30, 49]],
        &[[19, 0], [17, 50], [14, 100]],
    ]),
    // Open and round, the bar ends at the upright.
    form(4, &[
        &[[-20, 4], [-28, 30], [-20, 50], [0, 53], [18, 46]],
        &[[22, 2], [18, 50], [14, 100]],
    ]),
    // Closed.
    form(3, &[
        &[[10, 0], [-10, 30], [-30, 62], [-30, 62], [0, 62], [32, 60]],
        &[[11, 2], [12, 50], [10, 100]],
    ]),
    // One stroke, up to the right and down again.
    form(2, &[&[[-20, 10], [-28, 32], [-16, 50], [6, 40], [22, 0], [22, 0], [16, 50], [8, 100]]]),
    // A slanted arm, a long bar, a short upright.
    form(3, &[
        &[[-6, 0], [-18, 26], [-30, 54], [-30, 54], [0, 56], [34, 48]],
        &[[16, 22], [8, 60], [2, 100]],
    ]),
];

#[rustfmt::skip]
const FIVE: &[Form] = &[
    // Body and hat, two strokes.
    form(4, &[
        &[
            [-18, 2], [-20, 22], [-23, 43], [-23, 43], [3, 38], [24, 54], [22, 84], [0, 99],
            [-28, 94],
        ],
        &[[-18, 3], [6, 2], [30, 0]],
    ]),
    // One stroke, from the right.
    form(4, &[&[
        [32, 2], [6, 3], [-14, 4], [-14, 4], [-17, 22], [-22, 44], [-22, 44], [4, 40], [22, 56],
        [18, 86], [-6, 100], [-30, 92],
    ]]),
    // Nearly an S.
    form(3, &[&[
        [30, 0], [4, 3], [-18, 14], [-17, 34], [2, 48], [20, 66], [14, 91], [-8, 100], [-30, 93],
    ]]),
    // A small bowl and a long, slanted hat.
    form(2, &[
        &[
            [-10, 12], [-16, 30], [-20, 50], [-20, 50], [0, 46], [14, 60], [10, 86], [-10, 98],
            [-34, 90],
        ],
        &[[-10, 12], [12, 8], [40, 0]],
    ]),
    // A round bowl whose end curls up.
    form(3, &[&[
        [26, 3], [2, 2], [-18, 6], [-18, 6], [-22, 42], [-22, 42], [2, 36], [26, 56], [20, 90],
        [-6, 100], [-28, 88], [-24, 74],
    ]]),
    // Body and a hat that does not touch it.
    form(2, &[
        &[[-20, 8], [-22, 24], [-20, 42], [4, 42], [20, 60], [12, 88], [-6, 100], [-26, 96]],
        &[[-12, 2], [10, 2], [30, 2]],
    ]),
    // Narrow and steep, the hat rising.
    form(1, &[&[
        [24, 0], [6, 5], [-4, 10], [-4, 10], [-8, 26], [-12, 42], [-12, 42], [5, 48], [13, 68],
        [3, 92], [-18, 100],
    ]]),
];

#[rustfmt::skip]
const SIX: &[Form] = &[
    // A curved back and a closed bowl.
    form(4, &[&[
        [16, 0], [-8, 20], [-22, 52], [-22, 82], [-4, 99], [18, 90], [22, 68], [6, 55], [-12, 64],
        [-20, 78],
    ]]),
    // A straight back.
    form(3, &[&[
        [-2, 0], [-14, 30], [-22, 62], [-20, 88], [0, 100], [20, 86], [20, 64], [2, 56], [-20, 72],
    ]]),
    // The end curls into the bowl.
    form(2, &[&[
        [14, 0], [-10, 24], [-24, 60], [-18, 90], [4, 100], [24, 84], [20, 60], [0, 55], [-10, 70],
        [0, 82],
    ]]),
    // A hooked top over a large bowl.
    form(2, &[&[
        [20, 6], [6, 0], [-14, 18], [-26, 54], [-20, 86], [2, 100], [24, 84], [20, 56], [-2, 46],
        [-22, 62],
    ]]),
    // A small, flat bowl.
    form(2, &[&[
        [8, 0], [-10, 26], [-20, 60], [-18, 88], [2, 98], [24, 86], [28, 70], [10, 66], [-10, 80],
        [-16, 90],
    ]]),
    // A wide bowl that starts at the bottom and ends on it.
    form(3, &[&[
        [-10, 0], [-24, 32], [-28, 68], [-16, 95], [8, 97], [28, 80], [26, 56], [8, 52], [-8, 72],
        [-10, 95],
    ]]),
    // The bowl crosses the back.
    form(2, &[&[
        [4, 0], [-14, 26], [-24, 62], [-14, 94], [10, 96], [26, 74], [20, 50], [-4, 52], [-32, 74],
    ]]),
    // A low, wide bowl.
    form(2, &[&[
        [-6, 0], [-22, 40], [-30, 80], [-16, 98], [14, 97], [34, 82], [26, 66], [6, 70], [-10, 92],
    ]]),
    // A tall bowl, nearly as high as the back.
    form(2, &[&[
        [-18, 0], [-28, 40], [-26, 80], [-6, 100], [17, 92], [28, 66], [20, 40], [4, 42], [-6, 66],
        [-4, 96],
    ]]),
];

#[rustfmt::skip]
const SEVEN: &[Form] = &[
    // Bar and leg with a corner.
    form(5, &[&[[-28, 6], [0, 5], [27, 2], [27, 2], [12, 42], [-4, 100]]]),
    // With a stroke through the leg.
    form(3, &[
        &[[-28, 5], [0, 5], [27, 2], [27, 2], [10, 46], [-8, 100]],
        &[[-16, 50], [4, 49], [26, 47]],
    ]),
    // Begun with a short downstroke.
    form(2, &[&[[-27, 20], [-26, 4], [-26, 4], [0, 5], [26, 2], [26, 2], [18, 44], [10, 100]]]),
    // A wavy bar.
    form(3, &[&[[-28, 14], [-16, 3], [4, 8], [27, 2], [27, 2], [10, 36], [-8, 70], [-14, 100]]]),
    // Round at the shoulder.
    form(3, &[&[[-26, 10], [-6, 2], [16, 3], [22, 18], [14, 55], [6, 100]]]),
    // A long downstroke first, a round shoulder.
    form(3, &[&[[-24, 30], [-24, 12], [-8, 3], [16, 2], [22, 16], [14, 50], [6, 100]]]),
    // A long downstroke, a corner at the shoulder, the leg straight down.
    form(2, &[&[[-26, 34], [-24, 8], [-24, 8], [0, 3], [24, 6], [24, 6], [24, 50], [20, 100]]]),
    // A leg that bends forward, and a stroke through it.
    form(2, &[
        &[[-28, 10], [-6, 6], [24, 3], [24, 3], [2, 40], [-6, 70], [-4, 100]],
        &[[-22, 56], [0, 52], [22, 50]],
    ]),
    // A long arched bar, a short leg.
    form(1, &[&[[-38, 18], [-10, 2], [22, 3], [32, 18], [16, 56], [0, 90]]]),
];

#[rustfmt::skip]
const EIGHT: &[Form] = &[
    // One stroke from the upper right: an S, and back up.
    form(5, &[&[
        [20, 12], [2, 0], [-20, 12], [-12, 36], [12, 58], [20, 82], [0, 100], [-20, 84], [-10, 60],
        [12, 38], [21, 14],
    ]]),
    // Two rings, one on the other.
    form(2, &[
        &[[2, 0], [-18, 10], [-18, 34], [0, 46], [18, 34], [18, 10], [0, 0]],
        &[[0, 46], [-22, 60], [-22, 88], [0, 100], [22, 88], [22, 60], [2, 46]],
    ]),
    // The other way round, from the upper left.
    form(2, &[&[
        [-4, 2], [16, 6], [18, 26], [0, 46], [-18, 66], [-16, 92], [4, 100], [20, 84], [12, 60],
        [-12, 38], [-18, 14], [-2, 0],
    ]]),
    // The ends do not meet at the upper right.
    form(3, &[&[
        [16, 4], [-4, 2], [-19, 16], [-6, 38], [10, 60], [12, 86], [-4, 100], [-17, 86], [-6, 62],
        [14, 34], [30, 8],
    ]]),
    // A large upper loop over a small one.
    form(2, &[&[
        [26, 16], [6, 0], [-20, 10], [-16, 34], [6, 54], [13, 80], [-2, 99], [-16, 84], [-4, 60],
        [20, 40], [26, 14],
    ]]),
    // From the right, far out: an S under a flag.
    form(2, &[&[
        [34, 4], [8, 3], [-16, 14], [-8, 36], [10, 60], [10, 86], [-8, 99], [-20, 84], [-6, 60],
        [14, 40], [22, 16], [10, 3],
    ]]),
    // A small upper ring over a large one.
    form(1, &[&[
        [16, 7], [-2, 0], [-20, 14], [-10, 34], [14, 52], [25, 76], [2, 100], [-24, 82], [-12, 54],
        [10, 36], [18, 12],
    ]]),
    // From the upper left straight down across, and back around the top.
    form(3, &[&[
        [-18, 10], [-6, 36], [12, 60], [13, 90], [-6, 100], [-18, 86], [-4, 58], [18, 34],
        [22, 10], [6, 0], [-14, 6],
    ]]),
    // A long flag to the upper right, the upper loop left open.
    form(2, &[&[
        [8, 5], [-16, 10], [-18, 30], [6, 54], [14, 82], [-2, 100], [-17, 86], [-2, 60], [20, 30],
        [34, 0],
    ]]),
];

#[rustfmt::skip]
const NINE: &[Form] = &[
    // A closed ring and a straight tail.
    form(5, &[&[
        [18, 10], [0, 0], [-20, 16], [-17, 40], [2, 44], [18, 26], [20, 6], [20, 6], [17, 50],
        [12, 100],
    ]]),
    // A curved tail.
    form(3, &[&[
        [18, 12], [2, 0], [-20, 14], [-16, 40], [4, 44], [20, 26], [20, 14], [22, 50], [12, 90],
        [-8, 100], [-24, 90],
    ]]),
    // The ring is a loop of the one line: the tail leans back under it.
    form(4, &[&[
        [22, 3], [-4, 3], [-23, 24], [-12, 46], [10, 36], [23, 6], [16, 42], [6, 74], [0, 100],
    ]]),
    // Ring and upright, two strokes.
    form(2, &[
        &[[10, 2], [-12, 4], [-22, 24], [-8, 44], [12, 38], [20, 20], [10, 4]],
        &[[20, 4], [19, 50], [18, 100]],
    ]),
    // A large ring, a short tail.
    form(2, &[&[
        [20, 20], [6, 0], [-20, 10], [-24, 40], [-2, 54], [20, 34], [22, 14], [22, 14], [22, 60],
        [16, 100],
    ]]),
    // A wide, flat ring, the tail leaning back.
    form(3, &[&[
        [26, 6], [4, 0], [-20, 12], [-26, 34], [-10, 42], [12, 30], [28, 4], [28, 4], [14, 50],
        [2, 100],
    ]]),
    // Open at the top: the ring does not close.
    form(2, &[&[
        [6, 0], [-16, 10], [-24, 34], [-10, 48], [10, 40], [22, 10], [22, 10], [18, 50], [14, 100],
    ]]),
    // A large ring, low on a short line.
    form(2, &[&[
        [14, 10], [-4, 2], [-24, 20], [-24, 48], [-6, 60], [14, 48], [24, 16], [24, 16], [22, 56],
        [24, 100],
    ]]),
    // A ring left open, a tail that curls.
    form(2, &[&[
        [18, 6], [-2, 1], [-20, 16], [-14, 36], [6, 38], [20, 22], [23, 44], [20, 78], [6, 98],
        [-14, 97],
    ]]),
    // A small ring on a long line.
    form(1, &[&[
        [16, 10], [0, 0], [-17, 12], [-13, 34], [4, 36], [16, 14], [16, 14], [12, 50], [8, 100],
    ]]),
    // Nearly an S: the ring stays open to the right.
    form(2, &[&[[26, 2], [2, 2], [-18, 18], [-12, 38], [8, 38], [18, 24], [14, 56], [4, 100]]]),
];
