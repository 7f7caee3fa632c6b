use dreamfuse_train::{TrainConfig, Trainer};
use std::{ops::ControlFlow, time::Instant};
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config: TrainConfig = toml::from_str(&std::fs::read_to_string(std::env::args().nth(1).unwrap())?)?;
    let mut trainer = Trainer::new(config)?;
    println!("{} parameters", trainer.parameter_count());
    let mut last = Instant::now();
    trainer.run(30, |_, p| { println!("{p:?} {:?}", last.elapsed()); last = Instant::now(); ControlFlow::Continue(()) })?;
    Ok(())
}
