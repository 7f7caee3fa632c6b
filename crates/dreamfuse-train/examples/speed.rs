#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
use dreamfuse_train::{TrainConfig, Trainer};
use std::{ops::ControlFlow, path::Path, time::Instant};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config: TrainConfig = toml::from_str(&std::fs::read_to_string(std::env::args().nth(1).unwrap())?)?;
    let state = Path::new("checkpoints/prior.state");
    let mut trainer = Trainer::new(config)?;
    if state.exists() { trainer = trainer.resume_from(state)?; }
    println!("{} parameters, step {}", trainer.parameter_count(), trainer.step());
    let start = Instant::now(); let first = trainer.step();
    let mut mean = 0.65f32;
    trainer.run(1000000, |t, p| {
        mean += 0.02 * (p.loss - mean);
        if p.step % 20 == 0 { println!("{} {mean:.4} {:.2} {:.2} s/step", p.step, p.gradient_norm, start.elapsed().as_secs_f64() / (p.step - first) as f64); }
        if p.step % 100 == 0 { t.save(state).unwrap(); }
        if p.step % 500 == 0 { t.export(Path::new("checkpoints/export")).unwrap(); }
        ControlFlow::Continue(()) })?;
    Ok(())
}
