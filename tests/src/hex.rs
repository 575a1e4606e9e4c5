//! Bytes as people write them in a test: `"20 02 00 00"`.

/// The bytes of a hexadecimal text; blanks are only for the reader.
///
/// # Panics
/// If the text is not hexadecimal: a mistake in the test.
#[track_caller]
pub fn bytes(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| {
            let pair = std::str::from_utf8(pair).expect("hexadecimal digits are ASCII");
            assert!(pair.len() == 2, "an odd number of digits in {text:?}");
            u8::from_str_radix(pair, 16).unwrap_or_else(|_| panic!("{pair:?} is not hexadecimal"))
        })
        .collect()
}

/// The opposite of [`bytes`]: lower case, a blank between bytes.
pub fn text(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}
