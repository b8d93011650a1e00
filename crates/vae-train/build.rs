//! Embeds every file of `configs/`, so that `train NAME` works in any folder and a new preset needs
//! no Rust code.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let package = env::var("CARGO_MANIFEST_DIR")?;
    // In a package the presets lie beside this file. In the workspace that name is a symbolic link,
    // which some checkouts lack.
    let places = ["configs", "../../configs"].map(|place| Path::new(&package).join(place));
    let folder =
        places.iter().find(|place| place.is_dir()).ok_or("there is no folder of presets")?;
    let folder = folder.canonicalize()?;
    let out = env::var("OUT_DIR")?;
    for (folder, table) in [(folder.clone(), "presets.rs"), (folder.join("papers"), "papers.rs")] {
        fs::write(Path::new(&out).join(table), entries(&folder)?)?;
        println!("cargo::rerun-if-changed={}", folder.display());
    }
    Ok(())
}

/// Returns Rust code for the names and texts of the TOML files in a folder.
fn entries(folder: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml")
            && let Some(name) = path.file_stem().and_then(|s| s.to_str())
        {
            names.push(name.to_owned());
        }
    }
    names.sort();
    let entries: String = names
        .iter()
        .map(|name| {
            let path = folder.join(format!("{name}.toml"));
            format!("    ({name:?}, include_str!({:?})),\n", path.display().to_string())
        })
        .collect();
    Ok(format!("&[\n{entries}]\n"))
}
