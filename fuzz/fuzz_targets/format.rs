//! Shards, pages, snapshots, change lists and the decompressor, on any bytes.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| ggen_marketplace::fuzz_format(data));
