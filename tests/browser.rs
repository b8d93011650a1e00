//! The report in a real browser: what a reader sees, and that it fits a phone.

use std::path::Path;
use std::process::Command;

use vae_tests::{Program, outcome, say};

use super::program;

/// Adds a script to a report that writes what the page has become into its title, and returns the title.
/// `None` where there is no browser, unless `VAE_REQUIRE_BROWSER` is set.
fn look(program: &Program, report: &str, width: u32) -> Option<Vec<u64>> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    let Some(browser) = found else {
        assert!(std::env::var_os("VAE_REQUIRE_BROWSER").is_none(), "there is no chromium");
        say("skipped: no chromium to open the report in");
        return None;
    };
    const PROBE: &str = "<script>window.addEventListener('load', () => { \
        const images = [...document.images]; \
        document.title = ['seen', \
            document.querySelectorAll('.uplot canvas').length, \
            images.filter((i) => i.naturalWidth > 0).length, \
            images.length, \
            document.documentElement.scrollWidth, \
            window.innerWidth, \
            performance.getEntriesByType('resource').filter((r) => !r.name.startsWith('data:')).length, \
        ].join(' '); });</script></body>";
    let html = std::fs::read_to_string(program.path(report)).unwrap();
    let page = program.path("probed.html");
    std::fs::write(&page, html.replace("</body>", PROBE)).unwrap();
    let mut command = Command::new(browser);
    program.isolate(&mut command);
    let profile = format!("--user-data-dir={}", program.path("profile").display());
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", &profile]);
    command.arg("--virtual-time-budget=5000").arg(format!("--window-size={width},800"));
    command.arg(url(&page));
    let page = outcome(command);
    let (_, after) = page.stdout.split_once("<title>seen ").unwrap_or_else(|| panic!("{page:?}"));
    let (seen, _) = after.split_once("</title>").unwrap();
    Some(seen.split(' ').map(|n| n.parse().unwrap()).collect())
}

fn url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn a_report_shows_its_curves_and_pictures_and_fits_a_phone() {
    let program = program();
    program.small_run();
    program.ok(
        "train conditional --backend flex --data digits --limit 500 --batch-size 50 --epochs 2 \
         --out runs/labels -q",
    );
    let found =
        program.ok("report runs/small runs/labels --backend flex --limit 100 --json").json();
    assert_eq!(found["runs"], serde_json::json!(["small", "labels"]));
    let html = std::fs::read_to_string(program.path("report.html")).unwrap();
    for words in ["neg_elbo", "active units", "latent = 20", "vae-cli train runs", "condition"] {
        assert!(html.contains(words), "{words}");
    }
    for width in [1400, 500] {
        let Some(seen) = look(&program, "report.html", width) else { return };
        let [canvases, loaded, images, page, window, resources] = seen[..] else {
            panic!("{seen:?}")
        };
        // Loss, reconstruction, kl and neg_elbo.
        assert_eq!(canvases, 4, "{seen:?}");
        // Samples, reconstructions, a traversal and a map, of two runs.
        assert_eq!((loaded, images), (8, 8), "{seen:?}");
        assert!(page <= window, "wider than the window: {seen:?}");
        assert_eq!(resources, 0, "asks another host: {seen:?}");
    }
}
