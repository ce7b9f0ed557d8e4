//! A lock file that is read says the same when it is written, and then has one form.
#![no_main]

use ggen_marketplace::resolve::Lock;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(lock) = text.parse::<Lock>() else { return };
    let written = lock.to_text();
    let again: Lock = written.parse().unwrap();
    assert_eq!(again.to_text(), written);
    assert_eq!((again.packages(), again.wants(), again.overrides()), (lock.packages(), lock.wants(), lock.overrides()));
});
