//! A prompt that the toybox may know.
#![no_main]

use dreamfuse_toybox::{Scene, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(sentence) = parse(text) {
        let again = parse(&sentence.to_string()).expect("it writes what it reads");
        assert_eq!(again, sentence);
        let _ = Scene::canonical(&sentence);
    }
});
