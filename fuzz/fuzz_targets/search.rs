//! Search bundles that a key vouches for, whatever they are: opened and asked.
#![no_main]

use std::sync::Once;

static QUIET: Once = Once::new();

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // The search library panics over damaged files, which is caught, and is no finding; whatever gets past that still is.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    ggen_marketplace::fuzz_search(data);
});
