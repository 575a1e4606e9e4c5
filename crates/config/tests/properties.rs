//! What holds for any file.

use std::path::PathBuf;

use noctule_config::directive::all;
use noctule_config::{CommandLine, Config, fuzz_parse, lexer, parse};
use proptest::collection::vec;
use proptest::prelude::*;

/// Lines that come near to settings: known names, odd separators, values of every type.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let names: Vec<&'static str> = all()
        .flat_map(|directive| std::iter::once(directive.name).chain(directive.aliases.iter().copied()))
        .chain(["plugin_opt_", "plugin_opt_x", "#", "", "\u{feff}listener"])
        .collect();
    let values = prop_oneof![
        "(true|false|0|1|-1|0x10|010|65536|99999999999999999999|1883 ::1|0 /run/s|5 30 60|3, 4|10 20 30)",
        "(stdout|none|file a|all|debug|ipv4|mqtt|14d|0s|\"a b/#\" both 1 a/ b/|\"\"|a:1 b:2 # c|x y)",
        "\\PC{0,12}",
    ];
    let line = (prop::sample::select(names), "[ \t]{0,2}", values, "(\n|\r\n|)")
        .prop_map(|(name, separator, value, end)| format!("{name} {separator}{value}{end}").into_bytes());
    vec(prop_oneof![8 => line, 1 => vec(any::<u8>(), 0..12)], 0..12).prop_map(|lines| lines.concat())
}

fn parsed(main: &[u8]) -> Result<Config, String> {
    parse(&[(PathBuf::from("m.conf"), main)], &CommandLine::default())
        .map(|loaded| loaded.config)
        .map_err(|diagnostics| diagnostics.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        fuzz_parse(&bytes);
    }

    #[test]
    fn any_settings_never_panic(bytes in lines()) {
        fuzz_parse(&bytes);
    }

    #[test]
    fn a_configuration_listens_somewhere(bytes in lines()) {
        if let Ok(config) = parsed(&bytes) {
            prop_assert!(!config.listeners.is_empty());
            prop_assert!(config.listeners.iter().all(|listener| listener.address.port != 0 && listener.max_qos <= 2));
            prop_assert!(config.limits.max_packet_size >= 20);
        }
    }

    #[test]
    fn line_ends_do_not_matter(bytes in lines()) {
        let text = String::from_utf8_lossy(&bytes).replace('\r', "");
        prop_assert_eq!(parsed(text.as_bytes()), parsed(text.replace('\n', "\r\n").as_bytes()));
    }

    #[test]
    fn comments_and_blank_lines_do_not_matter(bytes in lines(), at in any::<prop::sample::Index>()) {
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        let comment: &[u8] = b"# listener 1 \xff";
        lines.insert(at.index(lines.len() + 1), comment);
        lines.push(b"  ");
        let found: Vec<_> = lexer::lines(&bytes).map(|line| (line.name.to_vec(), line.rest.to_vec())).collect();
        let changed = lines.join(&b'\n');
        let commented: Vec<_> = lexer::lines(&changed).map(|line| (line.name.to_vec(), line.rest.to_vec())).collect();
        prop_assert_eq!(found, commented);
    }
}
