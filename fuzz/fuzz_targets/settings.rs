//! A file of settings.
#![no_main]

use dreamfuse_engine::RunConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let path = dreamfuse_fuzz::file("settings.toml", bytes);
    if let Ok(config) = RunConfig::load(&path)
        && config.check().is_ok()
    {
        let again = toml::from_str::<RunConfig>(&config.to_toml()).expect("what was written is read");
        // NaN is not equal to itself, and refused where it matters.
        assert_eq!(again.to_toml(), config.to_toml());
    }
});
