//! Odd files of access control: what Debian's Mosquitto starts with, we start with, and what it refuses, we refuse in its
//! words, with the line and how to mend it behind them.

use std::os::unix::fs::PermissionsExt;

use e2e::clients::mosquitto_pub;
use e2e::{Broker, environment};

const CONFIG: &str = "listener PORT 127.0.0.1\nallow_anonymous true";

const ACL_FILES: [&[u8]; 42] = [
    b"",
    b"# c\n\n  \ntopic a\n",
    b"  topic read a\n",
    b"topic read a b c\n",
    b"topic\n",
    b"topic \n",
    b"topic read\n",
    b"topic read  a  \n",
    b"topic  read a\n",
    b"topic reed a\n",
    b"topic a b\n",
    b"topic a/#/b\n",
    b"topic a+\n",
    b"topic #a\n",
    b"user\n",
    b"user \n",
    b"user \t\n",
    b"user   a b  \n",
    b"pattern read x/y\n",
    b"pattern\n",
    b"pattern write %u%c\n",
    b"pattern deny a\n",
    b"foo bar\n",
    b"topic read a\r\nuser b\r\n",
    b"topic read a",
    b"topic read \xff\xfe\n",
    b"user \xff\n",
    b"\ttopic read a\n",
    b"topic\tread a\n",
    b"topic read\ta\n",
    b" # c\n",
    b"#topic\n",
    b"Topic read a\n",
    b"topic READ a\n",
    b"topic read a # c\n",
    b"topic write $SYS/#\n",
    b"\xef\xbb\xbftopic a\n",
    b"user #x\n",
    b"topic \x01\n",
    b"\r\n\r\n",
    b"topic read \t\n",
    b"user a\nuser b\ntopic deny #\n",
];

/// Standard error of a broker that does not start: the lines in Mosquitto's words, without time and directory.
fn complaints(program: &std::path::Path, config: &str, file: &[u8]) -> Option<Vec<String>> {
    let errors = Broker::attempt(program, &format!("{CONFIG}\n{config} DIR/odd"), &[("odd", file)]).err()?;
    let lines = errors.lines().filter_map(|line| line.split_once("Error").map(|(_, rest)| rest));
    Some(lines.map(|line| format!("Error{}", without_directory(line))).collect())
}

/// With only the name of a file between quotes.
fn without_directory(line: &str) -> String {
    line.split('"')
        .map(|part| {
            part.rsplit_once('/').filter(|_| part.starts_with("/tmp/")).map_or(part, |(_, name)| name)
        })
        .collect::<Vec<_>>()
        .join("\"")
}

#[test]
fn rights_are_refused_as_by_debians_broker() {
    let mut refused = 0;
    let directory = tempfile::tempdir().expect("the directory for temporary files can be written to");
    let mosquitto = directory.path().join("mosquitto");
    std::os::unix::fs::symlink(environment::broker(), &mosquitto).expect("a directory of ours");
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755))
        .expect("a directory of ours");
    for file in ACL_FILES {
        let theirs = complaints(&environment::debian_mosquitto(), "acl_file", file);
        let ours = complaints(&mosquitto, "acl_file", file);
        // A blank before a comment is printed by one of them only.
        let text =
            |complaints: Option<Vec<String>>| complaints.map(|lines| lines.join("\n").replace(":  #", ": #"));
        let (theirs, ours) = (text(theirs), text(ours));
        assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(file));
        refused += usize::from(ours.is_some());
    }
    assert_eq!(refused, 19);
}

/// A hash that can be used.
const HASH: &str = "$7$101$8Wu1I6r+xKFzCpcZ$m6RWM/tmgswChTnnnsm6m+3kJFmNIOUD+rMGO5y3VBINTrJDK3zqhNbLX12g1mvoNVRYGADp7eWp3siXkT/wVg==";

#[test]
fn no_odd_line_among_users_keeps_the_others_out() {
    for odd in [
        "",
        "nothing",
        "a:plain",
        "a:",
        ":b",
        "a:$6$AAAA$AAAA",
        "a:$5$x$y",
        "a:$7$0$AAAA$AAAA",
        "a:$7",
        "a:$$$$",
        "  # c:x",
        "good:plain\ngood:HASH",
        "good:HASH:rest",
        "a:$argon2id$v=19$m=1,t=1,p=1$AAAA$AAAA",
        "\u{feff}x:HASH",
    ] {
        let file = format!("{}\ngood : HASH\r\n", odd).replace("HASH", HASH);
        for program in [&environment::debian_mosquitto(), environment::broker()] {
            let broker = Broker::with_files(
                program,
                "listener PORT 127.0.0.1\npassword_file DIR/odd",
                &[("odd", &file)],
            );
            mosquitto_pub(broker.port(), "-t t -m x -u good -P geheim").run().succeeds();
            mosquitto_pub(broker.port(), "-t t -m x -u a -P plain").run().exits_with(5);
        }
    }
}

#[test]
fn links_are_refused_unless_the_environment_allows_them() {
    let broker = Broker::start("");
    let (passwords, link) = (broker.file("passwords"), broker.file("link"));
    broker.write("passwords", format!("good:{HASH}\n"));
    std::os::unix::fs::symlink(&passwords, &link).expect("a directory of ours");
    let config = broker.file("link.conf");
    broker.write("link.conf", format!("listener 1883 127.0.0.1\npassword_file {}\n", link.display()));
    let test = || e2e::broker::command(environment::broker()).arg("--test-config").arg("-c").arg(&config);
    test().run().exits_with(3).complains("is a symbolic link").complains("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS");
    test().env("MOSQUITTO_UNSAFE_ALLOW_SYMLINKS", "1").run().succeeds();
    broker.write("link.conf", "listener 1883 127.0.0.1\nacl_file /dev/null\n");
    test().run().exits_with(3).complains("`/dev/null` is not a file");
    broker.write("link.conf", "listener 1883 127.0.0.1\nacl_file /nowhere\npassword_file /nobody\n");
    test()
        .run()
        .exits_with(3)
        .complains("link.conf:2: cannot read `/nowhere`")
        .complains("link.conf:3: cannot read `/nobody`");
}
