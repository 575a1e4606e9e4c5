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

/// Lines that come near to those of an `acl_file`, a `password_file` or a `psk_file`.
fn access_lines() -> impl Strategy<Value = Vec<u8>> {
    let acl = "[ \t]{0,2}(user|topic|pattern|#|\u{feff}topic)[ \t]{0,2}(read|write|readwrite|deny|)[ ]{0,2}(a/#|#|[+]|%u/%c|a b|/|)\r?";
    let hash = "(6|7|5|argon2id|)\\$(101|0|v=19|)\\$(m=8,t=1,p=1|AAAA|AAAAAAAAAAA|)\\$[A-Za-z0-9+/]{0,90}(=|==|)(\\$ZG9udGNhcmU)?";
    let users = format!("[ ]?(a|b c|ä|)(:|)[ ]?(\\$|){hash}(:|)");
    let line = prop_oneof![
        acl.prop_map(String::into_bytes),
        prop::string::string_regex(&users).expect("a regular expression").prop_map(String::into_bytes),
        vec(any::<u8>(), 0..12)
    ];
    vec(line, 0..8).prop_map(|lines| lines.join(&b'\n'))
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
    fn any_access_files_never_panic(bytes in access_lines()) {
        fuzz_parse(&bytes);
    }

    #[test]
    fn rules_and_users_can_be_matched(bytes in access_lines()) {
        let main: &[u8] = b"listener 1\nacl_file access\nlistener 2\n";
        if let Ok(loaded) = parse(&[("m.conf".into(), main), ("access".into(), &bytes)], &CommandLine::default()) {
            let listeners = &loaded.config.listeners;
            let file = listeners[0].acl_file.as_ref().unwrap();
            prop_assert!(file.rules().iter().all(|rule| !rule.filter.is_empty() && !rule.filter.contains('\0')));
            prop_assert!(file.rules().len() <= bytes.split(|byte| *byte == b'\n').count());
            prop_assert_eq!(&listeners[0].acl_file, &listeners[1].acl_file);
        }
        let main: &[u8] = b"listener 1\npassword_file access\n";
        let loaded = parse(&[("m.conf".into(), main), ("access".into(), &bytes)], &CommandLine::default());
        prop_assert!(loaded.is_ok(), "no line among the users keeps the broker from starting");
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
