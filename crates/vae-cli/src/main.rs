//! The binary.
#![allow(clippy::all, clippy::print_stdout, clippy::unwrap_used)]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
use vae_train::*;
struct P;
impl Observer for P { fn observe(&mut self, e: &Event<'_>) -> Result<(), String> {
    if let Event::Epoch { epoch, train, images_per_second, .. } = e { println!("{epoch} {train:?} {images_per_second:.0}"); }
    Ok(())
}}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let config = presets::resolve("mnist-mlp", &args[2..].iter().map(|a| Override::set(a).unwrap()).collect::<Vec<_>>()).unwrap();
    let o = vae_data::source::Options { data_dir: Some("../shared/data".into()), ..Default::default() };
    let data = data::load(&config, &o).unwrap();
    let backend = Backend::open(&args[1]).unwrap();
    let mut t = Trainer::new(config, data, &backend).unwrap();
    let mut p = P;
    t.train(None, vec![&mut p], &Default::default()).unwrap();
    let test = data::resolve(&vae_train::config::DataConfig{source:"mnist".into(),..Default::default()}, &o).unwrap().load(vae_data::Part::Test, &o).unwrap();
    let j = Judge { examples: test.into(), transform: vae_data::Transform::Pixels(Default::default()).into(), device: backend.device.clone(), seed: 0 };
    println!("{:?}", j.evaluate(&t.vae(), 0, &|_| {}));
}
