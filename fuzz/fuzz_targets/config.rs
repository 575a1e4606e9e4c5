#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| noctule_config::fuzz_parse(data));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("run this with cargo fuzz");
}
