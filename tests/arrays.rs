//! Codes and decoded data as arrays and tables, and inputs that are read a part at a time.

use std::path::Path;

use vae_tests::{Program, read_npy, run_python};

use crate::program;

/// A `.npy` file of f32 vectors.
fn write_npy(path: &Path, rows: usize, width: usize, values: &[f32]) {
    let text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.bytes());
    bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    std::fs::write(path, bytes).unwrap();
}

/// A table of 2,500 rows with identifiers and classes, and a small model of it in `runs/rows`.
fn model_of_a_table(program: &Program) {
    let mut table = "name,a,b,c,kind\n".to_owned();
    for i in 0..2_500u32 {
        let x = |j: u32| f64::from((i * 7 + j * 13) % 101) / 10.0;
        table += &format!("r\u{e9}{i},{},{},{},{}\n", x(1), x(2), x(3), ["x", "y"][i as usize % 2]);
    }
    std::fs::write(program.path("rows.csv"), table).unwrap();
    program.ok("train deep-mlp --backend flex --data rows.csv --set data.id_column=name \
         --set data.label_column=kind --set data.scale=standardize --set model.latent=2 \
         --set model.encoder.hidden=[16] --set model.likelihood.kind=gaussian \
         --set model.likelihood.output=identity --max-steps 20 --batch-size 50 -q --out runs/rows");
}

fn column(program: &Program, file: &str, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(program.path(file)).unwrap();
    let mut lines = text.lines();
    let at = lines.next().unwrap().split(',').position(|column| column == name);
    let at = at.unwrap_or_else(|| panic!("{file} has no column {name}"));
    lines.map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
}

#[test]
fn every_format_has_the_same_numbers() {
    let program = program();
    model_of_a_table(&program);
    let encode = "encode --backend flex --split all";
    let all = "--with log-var,labels --draws 3 --seed 5";
    assert_eq!(program.ok(&format!("{encode} --out z.npy --json")).json()["n"], 2_500);
    program.ok(&format!("{encode} {all} --out z.npz"));
    program.ok(&format!("{encode} {all} --out z.csv"));
    let (shape, means) = read_npy(&program.path("z.npy"));
    assert_eq!(shape, [2_500, 2]);
    let header = std::fs::read_to_string(program.path("z.csv")).unwrap();
    assert_eq!(
        header.lines().next().unwrap(),
        "name,z1,z2,log_var1,log_var2,draw1_z1,draw1_z2,draw2_z1,draw2_z2,draw3_z1,draw3_z2,label"
    );
    let first: Vec<f32> =
        column(&program, "z.csv", "z1").iter().map(|z| z.parse().unwrap()).collect();
    assert!(first.iter().zip(means.chunks(2)).all(|(z, row)| *z == row[0]));
    // A draw is near its mean, and another seed gives another one.
    program.ok(&format!("{encode} --draws 1 --seed 6 --out other.csv"));
    let draw = |file: &str| column(&program, file, "draw1_z1");
    assert_ne!(draw("z.csv")[0], draw("other.csv")[0]);

    // A row does not depend on the rows before it: draws included.
    program.ok(&format!("{encode} {all} --limit 1700 --out part.csv"));
    let lines = |file: &str| std::fs::read_to_string(program.path(file)).unwrap();
    assert!(lines("z.csv").starts_with(&lines("part.csv")));

    // Every file of codes decodes to the same data.
    for codes in ["z.npy", "z.npz", "z.csv"] {
        program.ok(&format!("decode {codes} --backend flex --out from-{codes}.npy"));
    }
    let decoded = read_npy(&program.path("from-z.npy.npy"));
    assert_eq!(decoded.0, [2_500, 3]);
    assert_eq!(read_npy(&program.path("from-z.npz.npy")), decoded);
    assert_eq!(read_npy(&program.path("from-z.csv.npy")), decoded);
    program.ok("decode z.npy --backend flex --out x.csv");
    program.ok("decode z.npy --backend flex --out x.npz");
    let a: Vec<f32> = column(&program, "x.csv", "a").iter().map(|x| x.parse().unwrap()).collect();
    assert!(a.iter().zip(decoded.1.chunks(3)).all(|(x, row)| *x == row[0]));

    if cfg!(feature = "parquet") {
        program.ok(&format!("{encode} {all} --out z.parquet"));
        program.ok("decode z.npy --backend flex --out x.parquet");
        program.ok("decode z.parquet --backend flex --out from-parquet.npy");
        assert_eq!(read_npy(&program.path("from-parquet.npy")), decoded);
    } else {
        program.fails(2, &format!("{encode} --out z.parquet"), &["--features parquet"]);
    }
    run_python("python/arrays_check.py", &[program.folder.path()]);
}

#[test]
fn codes_of_a_file_that_is_read_in_parts_are_those_of_the_whole() {
    let program = program();
    // Stochastic pixels and draws are random numbers of the example, wherever its part begins.
    program
        .ok("train gated --backend flex --data digits --limit 200 --max-steps 2 --batch-size 50 \
         -q --out runs/small");
    program.ok("data show digits --n 2100 --labels y.npy --out x.npy");
    let encode = "encode --backend flex --data x.npy --split all --draws 2";
    program.ok(&format!("{encode} --out all.npz"));
    program.ok(&format!("{encode} --limit 1001 --out some.npz"));
    // The split reads the file as a whole.
    program.ok("encode --backend flex --data x.npy --split all --out all.npy");
    program.ok("decode all.npy --backend flex --draw --out drawn.npy");
    let (shape, means) = read_npy(&program.path("all.npy"));
    assert_eq!(shape[0], 2_100);
    let width = shape[1] as usize;
    write_npy(&program.path("some.npy"), 1_001, width, &means[..1_001 * width]);
    program.ok("decode some.npy --backend flex --draw --out part.npy");
    let (part, all) = (read_npy(&program.path("part.npy")), read_npy(&program.path("drawn.npy")));
    assert_eq!(part.0, [1_001, 1, 28, 28]);
    let equal = part.1.iter().zip(&all.1).filter(|(a, b)| a == b).count();
    assert_eq!(equal, part.1.len());
}

#[test]
fn what_cannot_be_written_or_read_is_refused_and_leaves_no_file() {
    let program = program();
    program.small_run();
    let encode = "encode --backend flex --limit 20";
    program.fails(2, &format!("{encode} --draws 2 --out z.npy"), &["z.npy", "mean, draws", ".npz"]);
    program.fails(2, &format!("{encode} --out z.txt"), &["z.txt", ".npz", ".parquet"]);
    program.fails(2, &format!("{encode} --draws 0"), &["--draws"]);
    program.fails(2, &format!("{encode} --draws 9999999"), &["--draws 9999999", "at most 13421"]);
    program.fails(2, &format!("{encode} --with nonsense"), &["log-var"]);
    program.fails(1, &format!("{encode} --out nowhere/z.npz"), &["nowhere/z.npz"]);
    program.fails(1, &format!("{encode} --out nowhere/z.npy"), &["nowhere/z.npy"]);

    // NaN, with its row and column.
    let mut codes = vec![0.0f32; 1_500 * 20];
    codes[1_234 * 20 + 7] = f32::NAN;
    write_npy(&program.path("nan.npy"), 1_500, 20, &codes);
    let decode = "decode --backend flex --out x.npy";
    program.fails(2, &format!("{decode} nan.npy"), &["nan.npy", "example 1234, element 7", "NaN"]);
    std::fs::write(program.path("nan.csv"), {
        let names: Vec<String> = (1..=20).map(|i| format!("z{i}")).collect();
        format!("{}\n{}\n", names.join(","), ["nan"; 20].join(","))
    })
    .unwrap();
    program.fails(2, &format!("{decode} nan.csv"), &["nan.csv", "line 2, column 1", "finite"]);
    std::fs::write(program.path("other.csv"), "a,b\n1,2\n").unwrap();
    program.fails(2, &format!("{decode} other.csv"), &["other.csv", "`z1`", "20 numbers"]);
    program.fails(2, &format!("{decode} nan.npy --array mean"), &["nan.npy", ".npz"]);
    program.ok(&format!("{encode} --with labels --out z.npz"));
    program.fails(2, &format!("{decode} z.npz --array b"), &["z.npz", "`b`", "mean, labels"]);
    program.fails(2, &format!("{decode} z.npz --array labels"), &["z.npz", "<i8"]);
    std::fs::write(program.path("broken.npz"), "PK\u{3}\u{4} and nothing else").unwrap();
    program.fails(2, &format!("{decode} broken.npz"), &["broken.npz", ".npz archive"]);
    // Images have no table.
    program.fails(2, "decode z.npz --backend flex --out x.csv", &["x.csv", ".npz"]);

    // Data without labels, and models without variances.
    program.ok("data show digits --n 30 --out x28.npy");
    let unlabelled = "encode --backend flex --data x28.npy --split all --with labels --out l.npz";
    program.fails(2, unlabelled, &["no labels"]);
    program.ok("train autoencoder --backend flex --data digits --limit 200 --max-steps 2 -q \
         --out runs/ae");
    let point = "encode --backend flex --run runs/ae --limit 9 --with log-var --out l.npz";
    program.fails(2, point, &["log-var", "Gaussian"]);

    for entry in std::fs::read_dir(program.folder.path()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let known = ["nan.npy", "nan.csv", "other.csv", "z.npz", "broken.npz", "x28.npy", "runs"];
        assert!(known.contains(&name.as_str()), "{name} is left over");
    }
}
