#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(noctule_mosquitto_db::read_snapshot(data)));

#[cfg(not(fuzzing))]
fn main() {
    eprintln!("run this with cargo fuzz");
}
