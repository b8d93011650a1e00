//! Wrong requests and broken files: exit code 2, a clear sentence, nothing lost, no panic.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::program;

/// Arguments that train on some data, which is expected to be refused.
fn train_on(data: &str) -> String {
    format!(
        "train mnist-mlp --backend flex --data {data} --max-steps 1 --batch-size 1 --out runs/refused"
    )
}

pub fn idx(magic: u32, dims: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_be_bytes().to_vec();
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(body);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const IMAGES: u32 = 0x803;
const LABELS: u32 = 0x801;

#[test]
fn malformed_idx_files_are_refused_by_name() {
    let program = program();
    let body = vec![7; 12 * 4];
    for (name, bytes, word) in [
        ("empty.idx", vec![], "empty.idx"),
        ("header.idx", idx(IMAGES, &[12, 2], &[]), "header.idx"),
        ("body.idx", idx(IMAGES, &[12, 2, 2], &body[..40]), "body.idx"),
        ("trailing.idx", idx(IMAGES, &[11, 2, 2], &body), "trailing.idx"),
        ("lying.idx", idx(IMAGES, &[u32::MAX, u32::MAX, u32::MAX], &body), "lying.idx"),
        ("huge.idx", idx(IMAGES, &[1 << 30, 28, 28], &body), "huge.idx"),
        ("none.idx", idx(IMAGES, &[0, 28, 28], &[]), "none.idx"),
        ("cut.gz", gzip(&idx(IMAGES, &[12, 2, 2], &body))[..30].to_vec(), "cut.gz"),
        ("bomb.gz", gzip(&idx(IMAGES, &[12, 2, 2], &vec![0; 50 << 20])), "bomb.gz"),
        ("noise.gz", b"\x1f\x8b not gzip at all".to_vec(), "noise.gz"),
    ] {
        std::fs::write(program.path(name), bytes).unwrap();
        program.fails(2, &train_on(name), &[word]);
    }
    assert!(!program.path("runs/refused").exists(), "a refused request leaves no run behind");
}

#[test]
fn images_and_labels_of_different_length_are_refused() {
    let program = program();
    std::fs::write(program.path("x.idx"), idx(IMAGES, &[12, 2, 2], &[7; 48])).unwrap();
    std::fs::write(program.path("y.idx"), idx(LABELS, &[11], &[1; 11])).unwrap();
    program.fails(2, &train_on("x.idx,y.idx"), &["12", "11", "y.idx"]);
    // And of the same length they train.
    std::fs::write(program.path("y.idx"), idx(LABELS, &[12], &[1; 12])).unwrap();
    program.ok(&train_on("x.idx,y.idx"));
}

#[test]
fn a_wrong_checksum_of_a_published_set_is_refused() {
    let program = program();
    let folder = program.path("sets/mnist");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["train-images-idx3", "t10k-images-idx3"] {
        let bytes = gzip(&idx(IMAGES, &[2, 28, 28], &[0; 2 * 784]));
        std::fs::write(folder.join(format!("{name}-ubyte.gz")), bytes).unwrap();
    }
    for name in ["train-labels-idx1", "t10k-labels-idx1"] {
        let bytes = gzip(&idx(LABELS, &[2], &[0; 2]));
        std::fs::write(folder.join(format!("{name}-ubyte.gz")), bytes).unwrap();
    }
    program.fails(2, &format!("{} --data-dir sets", train_on("mnist")), &["SHA-256"]);
}

#[test]
fn folders_that_hold_no_or_broken_pictures_are_refused() {
    let program = program();
    std::fs::create_dir(program.path("empty")).unwrap();
    program.fails(2, &train_on("empty"), &["empty"]);
    std::fs::create_dir(program.path("pictures")).unwrap();
    for i in 0..6 {
        let picture = image::GrayImage::from_pixel(8, 8, image::Luma([i * 20]));
        picture.save(program.path(&format!("pictures/{i}.png"))).unwrap();
    }
    program.ok(&format!("{} --epochs 1", train_on("pictures")));
    std::fs::write(program.path("pictures/broken.png"), b"\x89PNG\r\n\x1a\nno picture").unwrap();
    program.fails(2, "data show pictures", &["broken.png"]);
}

#[test]
fn data_that_is_not_there_is_refused_with_what_there_is() {
    let program = program();
    program.fails(2, &train_on("nowhere"), &["nowhere", "digits", "mnist"]);
    program.fails(2, &train_on("a.idx,b.idx"), &["a.idx"]);
    std::fs::write(program.path("text.npy"), "no array").unwrap();
    program.fails(2, &train_on("text.npy"), &["text.npy"]);
}

#[test]
fn malformed_tables_are_refused_with_line_and_column() {
    let program = program();
    let labelled = "--set data.label_column=species";
    for (text, settings, words) in [
        ("", "", &["t.csv", "empty"][..]),
        ("a,b\n", "", &["t.csv", "no row"]),
        ("a,b\n1,2\n3,\n", "", &["line 3", "column 2 (`b`)", "empty"]),
        ("a,b\n1,2\n3,four\n", "", &["line 3", "column 2 (`b`)", "`four`", "data.drop_columns"]),
        ("a,b\n1,2\n3,inf\n", "", &["line 3", "column 2 (`b`)", "finite"]),
        ("a,b\n1,2\n3\n", "", &["line 3", "1 columns", "2"]),
        ("a,a\n1,2\n", "", &["line 1", "columns 1 and 2", "`a`"]),
        ("a,b\n1,2\n3,4\n", labelled, &["`species`", "data.label_column", "a, b"]),
        ("a,b\n1,2\n3,4\n", "--set data.columns=[\"c\"]", &["`c`", "data.columns", "a, b"]),
        ("a,b\n1,2\n3,4\n", "--set data.size=[8,8]", &["t.csv", "data.size", "--data DIR"]),
    ] {
        std::fs::write(program.path("t.csv"), text).unwrap();
        program.fails(2, &format!("{} {settings}", train_on("t.csv")), words);
    }
    std::fs::write(program.path("t.csv"), b"a,b\n1,2\n3,\xff\n").unwrap();
    program.fails(2, &train_on("t.csv"), &["line 3", "column 2", "UTF-8"]);
    let digits = "train mnist-mlp --backend flex --data digits --set data.id_column=id";
    program.fails(2, digits, &["digits", "data.id_column", ".csv"]);
    assert!(!program.path("runs/refused").exists());
}

#[test]
fn configurations_are_refused_with_line_and_valid_names() {
    let program = program();
    for (text, words) in [
        ("[model]\nlatnet = 3\n", &["c.toml:2", "latnet", "latent"][..]),
        ("[model]\nlatent = \"three\"\n", &["c.toml:2", "latent"]),
        ("[model.prior]\nkind = \"vamp!\"\n", &["c.toml:2", "vamp!", "standard"]),
        ("[train]\nbatch_size = -1\n", &["c.toml:2", "batch_size"]),
        ("[model]\nlatent = 0\n", &["c.toml:2", "latent", "1 to"]),
        ("[model]\nlatent = 3\n[model\n", &["c.toml:3"]),
        ("[data]\npixels = \"gray\"\n", &["c.toml:2", "grey"]),
        ("[model.encoder]\nhidden = [400, 99999999999]\n", &["c.toml:2", "hidden"]),
    ] {
        std::fs::write(program.path("c.toml"), text).unwrap();
        program.fails(2, "train c.toml --backend flex --data digits", words);
    }
    program.fails(2, "train no-such-preset", &["no-such-preset", "mnist-mlp"]);
    program.fails(2, "train --set model.latent", &["KEY.PATH=VALUE"]);
    program.fails(2, "train --set train.ema_decay=1", &["train.ema_decay", "below 1"]);
    program.fails(2, "train --set model.latnet=3", &["--set model.latnet=3", "latent"]);
    program.fails(2, "train --epochs 0 --data digits", &["--epochs 0", "at least 1"]);
    program.fails(2, "train --epochs many", &["--epochs"]);
    program.fails(2, "train --backend cuda9", &["cuda9", "flex"]);
    assert!(!program.path("runs").exists());
}

#[test]
fn a_batch_larger_than_the_data_is_refused() {
    let program = program();
    let arguments = "train mnist-mlp --backend flex --data digits --limit 100 --batch-size 101";
    program.fails(2, arguments, &["101", "100", "--batch-size"]);
}

#[test]
fn models_and_requests_that_cannot_be_held_are_refused() {
    let program = program();
    let wide =
        "train mnist-mlp --backend flex --data digits --set model.encoder.hidden=[60000,60000]";
    program.fails(2, wide, &["weights", "hidden"]);
    let picture = image::GrayImage::new(5000, 4000);
    std::fs::create_dir(program.path("photos")).unwrap();
    for i in 0..2 {
        picture.save(program.path(&format!("photos/{i}.png"))).unwrap();
    }
    program.fails(2, &train_on("photos"), &["photos", "data.size"]);
    assert!(!program.path("runs").exists());
    program.small_run();
    program.fails(2, "sample --backend flex --n 10000000 --out x.npy", &["at most"]);
}

#[test]
fn numbers_at_the_edge_of_what_can_be_typed_do_not_wrap() {
    let program = program();
    let small = "train mnist-mlp --backend flex --data digits --batch-size 50 --epochs 1 -q";
    program.ok(&format!(
        "{small} --limit 300 --out runs/p --set data.validation=50 \
         --set train.patience=18446744073709551615"
    ));
    let evaluated = program.ok("evaluate --backend flex --limit 1152921504606846976 --json").json();
    assert_eq!(evaluated["images"], 10_000);
    program.fails(
        2,
        "interpolate --backend flex --from 4294967296 --to 4294967297",
        &["4294967296"],
    );
}

#[test]
fn likelihoods_and_data_that_do_not_go_together_are_refused() {
    let program = program();
    let vectors = "train mnist-mlp --backend flex --data curves";
    program.fails(2, vectors, &["bernoulli", "gaussian"]);
    program.fails(2, "train --data digits --set data.scale=minmax", &["data.pixels"]);
    program.fails(2, "train deep-mlp --set data.pixels=binary", &["data.scale"]);
    let sized = "train conv --backend flex --data digits --set data.size=[32,32]";
    program.fails(2, sized, &["data.size", "--data DIR"]);
    // A batch of one, as the last of an epoch or in validation, has nothing to compare.
    for (preset, sets) in [
        ("info-vae", "--limit 65 --batch-size 64"),
        ("factor-vae", "--limit 65 --batch-size 64"),
        ("beta-tcvae", "--limit 65 --batch-size 1"),
        ("wae-mmd", "--limit 65 --batch-size 32 --set data.validation=1"),
    ] {
        let arguments = format!("train {preset} --backend flex --data digits {sets}");
        program.fails(2, &arguments, &["at least 2", "would have 1"]);
    }
}

#[test]
fn without_any_run_the_command_to_type_is_printed() {
    let program = program();
    for command in ["curves", "report"] {
        program.fails(2, command, &["vae-cli train"]);
    }
    program.fails(2, "sample --run runs/nothing", &["runs/nothing"]);
    program.fails(2, "train --resume", &["vae-cli train"]);
}

#[test]
fn damaged_and_foreign_checkpoints_are_refused() {
    let program = program();
    program.small_run();
    let good = std::fs::read(program.path("runs/small/checkpoints/last.vae")).unwrap();
    let try_bytes = |bytes: &[u8], words: &[&str]| {
        std::fs::write(program.path("bad.vae"), bytes).unwrap();
        program.fails(2, "sample --backend flex --run bad.vae", &[&["bad.vae"], words].concat());
        program.fails(2, "info bad.vae", &["bad.vae"]);
    };
    try_bytes(&[], &["damaged"]);
    try_bytes(&good[..7], &["damaged"]);
    try_bytes(&good[..good.len() / 2], &["damaged"]);
    try_bytes(&good[..good.len() - 1], &["damaged"]);
    try_bytes(&[&good[..], b"more"].concat(), &["damaged"]);
    try_bytes(&[0xff; 64], &["damaged"]);
    // One bit, anywhere: in the length, in the header, in its texts, in the weights.
    let header = u64::from_le_bytes(good[..8].try_into().unwrap()) as usize;
    for at in
        [0, 3, 12, header / 3, header / 2, header, header + 100, good.len() / 2, good.len() - 1]
    {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        try_bytes(&flipped, &[]);
    }

    let mut file = vae_model::ModelFile::read(&program.path("runs/small/checkpoints/last.vae"));
    let file = file.as_mut().unwrap();
    let path = program.path("bad.vae");
    // Another architecture than its configuration says.
    let mut other = file.clone();
    let config = other.metadata["config"].replace("hidden = [400]", "hidden = [300]");
    other.metadata.insert("config".into(), config);
    other.write(&path).unwrap();
    program.fails(
        2,
        "sample --backend flex --run bad.vae",
        &["another architecture", "[784, 300]"],
    );
    // An input that would ask for more memory than there is.
    let mut huge = file.clone();
    huge.metadata.insert("input".into(), "[4294967295, 4294967295, 4294967295]".into());
    huge.write(&path).unwrap();
    program.fails(2, "sample --backend flex --run bad.vae", &["4294967295", "16777216"]);
    let mut wide = file.clone();
    wide.metadata.insert("input".into(), "[1, 4096, 4096]".into());
    wide.write(&path).unwrap();
    program.fails(2, "sample --backend flex --run bad.vae", &["another architecture"]);
    // Moments of another shape than their parameter, and one of two moments alone.
    let name = "optimizer.encoder.layers.0.bias.momentum.moment_1";
    let mut turned = file.clone();
    turned.tensors.get_mut(name).unwrap().shape = vec![20, 20];
    turned.write(&program.path("runs/small/checkpoints/last.vae")).unwrap();
    let resume = "train --resume --out runs/small --backend flex --epochs 2";
    program.fails(2, resume, &["damaged", "encoder.layers.0.bias"]);
    let mut some = file.clone();
    some.tensors.retain(|other, _| other != name);
    some.write(&program.path("runs/small/checkpoints/last.vae")).unwrap();
    program.fails(2, resume, &["damaged", "encoder.layers.0"]);
    // A place in the data that does not exist.
    let mut beyond = file.clone();
    let progress = beyond.metadata["progress"].replace("\"batch\":0", "\"batch\":99");
    assert_ne!(progress, beyond.metadata["progress"]);
    beyond.metadata.insert("progress".into(), progress);
    beyond.write(&program.path("runs/small/checkpoints/last.vae")).unwrap();
    program.fails(2, resume, &["damaged", "batch 99"]);
    // A newer format. The text is changed in place; the version is asked before the hash.
    let text = String::from_utf8_lossy(&good[8..8 + header]).into_owned();
    let at = 8 + text.find("\"version\":\"1\"").unwrap() + "\"version\":\"".len();
    let mut newer = good.clone();
    newer[at] = b'9';
    try_bytes(&newer, &["newer", "update"]);
    // A safetensors file of somebody else.
    try_bytes(b"\x02\0\0\0\0\0\0\0{}", &["not a model of this program"]);
}

#[test]
fn resuming_with_a_changed_configuration_is_refused() {
    let program = program();
    program.small_run();
    let resume = "train --resume --out runs/small --backend flex";
    for (flags, word) in [
        ("--set model.latent=7", "model.latent"),
        ("--seed 5", "train.seed"),
        ("--batch-size 25", "train.batch_size"),
        ("--limit 400", "data.limit"),
        ("--data curves", "data.source"),
        ("--set train.optimizer.learning_rate=0.1", "learning_rate"),
    ] {
        program.fails(2, &format!("{resume} {flags}"), &["cannot resume", word]);
    }
    program.fails(2, "train --out runs/small --data digits", &["--resume", "another --out"]);
    program.ok(&format!("{resume} --epochs 3 -q"));
    program.fails(2, &format!("{resume} --epochs 1"), &["may only grow"]);
    // What may change, may.
    program.ok(&format!("{resume} --epochs 4 --set train.log_every=1 -q"));
}

#[test]
fn results_are_refused_where_they_make_no_sense() {
    let program = program();
    program.small_run();
    program.fails(2, "sample --backend flex --out samples.jpg", &[".png", ".npy"]);
    program.fails(2, "sample --backend flex --n 0", &["--n"]);
    program.fails(2, "sample --backend flex --nearest --out x.npy", &["--nearest"]);
    program.fails(2, "sample --backend flex --checkpoint best", &["data.validation"]);
    program.fails(2, "interpolate --backend flex --from 0 --to 99999", &["99999"]);
    program.fails(2, "encode --backend flex --out codes.png", &[".npy"]);
    program.fails(2, "traverse --backend flex --from 99999", &["99999"]);
    program.fails(2, "traverse --backend flex --out t.csv", &[".png", ".gif", ".npy"]);
    program.fails(2, "manifold --backend flex --out m.csv", &[".png", ".npy"]);
    program.fails(2, "manifold --backend flex --limit 50 --label 3", &["--label", "no classes"]);
    program.fails(2, "latents --backend flex --out l.jpg", &[".png", ".svg", ".csv"]);
    program.fails(2, "latents --backend flex --method tsne --limit 20", &["--perplexity", "20"]);
    program.fails(2, "latents --backend flex --method tsne --perplexity 0.3", &["at least 1"]);
    program.fails(2, "curves --terms nonsense", &["nonsense", "loss"]);
    program.fails(2, "curves --out c.gif", &[".png", ".svg"]);
    program.fails(2, "curves runs", &["runs", "log"]);
    program.fails(2, "report --out r.txt", &["r.txt", ".html"]);
    program.fails(2, "report runs", &["runs", "log"]);
    program.fails(1, "report --backend flex --limit 9 --out missing/r.html", &["missing/r.html"]);
    program.fails(2, "sample --backend flex --temperature=-1", &["--temperature", "0 to 100"]);
    program.fails(2, "encode --backend flex --data curves", &["256", "28"]);
    program.fails(2, "reconstruct --backend flex --split validation", &["validation"]);
    program.ok("data show curves --n 3 --out rows.npy");
    program.fails(2, "decode rows.npy --backend flex", &["256", "20"]);
    program.fails(2, "decode nothing.npy --backend flex", &["nothing.npy"]);
    program.fails(2, "data fetch everything", &["everything", "mnist"]);
    program
        .ok("train mnist-mlp --backend flex --data digits --limit 128 --max-steps 1 --set model.latent=2 -q");
    program.fails(2, "manifold --backend flex --plane axes", &["--plane", "two dimensions"]);
}
