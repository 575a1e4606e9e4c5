//! Where the broker listens, and what holds for who comes in there.

use super::matrix;
use super::row::{bad, file, not_yet, seen, unseen};
use super::view;

macro_rules! open {
    ($lines:literal) => {
        concat!("listener PORT 127.0.0.1\nallow_anonymous true\n", $lines)
    };
}

matrix! {
    listener:
        seen(
            view::addresses,
            file("listener PORT 127.0.0.1", "127.0.0.1"),
            file("listener PORT 127.0.0.1\nlistener PORT ::1", "127.0.0.1 ::1"),
        ),
        [
            bad("listener", "`listener` has no value"),
            bad("listener 65536", "`listener` cannot be 65536"),
            bad("listener many", "`listener` takes a number, not `many`"),
            bad("listener 0 /run/broker.sock", "`listener 0` is not supported yet: it waits for Unix sockets"),
        ];

    port:
        seen(
            view::addresses,
            file("listener PORT 127.0.0.1", "127.0.0.1"),
            file("port PORT", "0.0.0.0 ::"),
        ),
        [bad("port 65536", "`port` cannot be 65536; write a number between 1 and 65535")];

    bind_address:
        seen(
            view::addresses,
            file("port PORT\nbind_address 127.0.0.1", "127.0.0.1"),
            file("port PORT\nbind_address ::1", "::1"),
        ),
        [bad("bind_address", "`bind_address` has no value")];

    bind_interface:
        seen(
            view::addresses,
            file("listener PORT", "0.0.0.0 ::"),
            file("listener PORT\nbind_interface lo", "127.0.0.1 ::1"),
        ),
        [bad("listener 1\nbind_interface", "`bind_interface` has no value")];

    socket_domain:
        seen(
            view::addresses,
            file("listener PORT\nsocket_domain ipv4", "0.0.0.0"),
            file("listener PORT\nsocket_domain ipv6", "::"),
        ),
        [bad("listener 1\nsocket_domain ip", "`socket_domain` cannot be `ip`; write `ipv4` or `ipv6`")];

    protocol:
        unseen(open!("protocol mqtt"), "MQTT is spoken with or without this line"),
        [
            bad("listener 1\nprotocol websockets", "it waits for listeners of that protocol"),
            bad("listener 1\nprotocol http", "`protocol` cannot be `http`; write `mqtt`, `websockets` or `http_api`"),
        ];

    mount_point:
        seen(
            view::lamp_from_elsewhere,
            file(open!("listener PORT ::1\nallow_anonymous true"), "lamp"),
            file("allow_anonymous true\nlistener PORT 127.0.0.1\nmount_point site/\nlistener PORT ::1", "site/lamp"),
        ),
        [
            bad("listener 1\nmount_point site/+/", "`mount_point` cannot be `site/+/`; write a topic without `+` and `#`"),
            bad("mount_point site/", "stands before any `listener`"),
        ];

    max_connections:
        seen(
            view::three_at_a_time,
            file(open!("max_connections -1"), "3 of 3"),
            file(open!("max_connections 2"), "2 of 3"),
        ),
        [bad("listener 1\nmax_connections few", "`max_connections` takes a number, not `few`")];

    max_qos:
        seen(view::maximum_qos, file(open!(""), "not told"), file(open!("max_qos 1"), "1")),
        [bad("listener 1\nmax_qos 3", "`max_qos` cannot be 3; write a number between 0 and 2")];

    max_topic_alias:
        seen(view::topic_alias_maximum, file(open!(""), "10"), file(open!("max_topic_alias 5"), "5")),
        [bad("listener 1\nmax_topic_alias 65536", "`max_topic_alias` cannot be 65536")];

    max_topic_alias_broker:
        seen(view::aliases, file(open!(""), "10 aliases"), file(open!("max_topic_alias_broker 3"), "3 aliases")),
        [bad("listener 1\nmax_topic_alias_broker 65536", "`max_topic_alias_broker` cannot be 65536")];

    accept_protocol_versions:
        seen(
            view::versions,
            file(open!(""), "accepted, accepted, accepted"),
            file(open!("accept_protocol_versions 4, 5"), "refused with 0x1, accepted, accepted"),
        ),
        [bad("listener 1\naccept_protocol_versions 6", "write some of `3`, `4` and `5`, separated by commas")];

    durability:
        unseen(open!("durability flush"), "only a loss of power, and the time of an acknowledgement, would show it"),
        [bad("listener 1\ndurability perhaps", "`durability` cannot be `perhaps`")];

    use_username_as_clientid:
        seen(
            view::two_of_alice,
            file(open!(""), "two clients"),
            file(open!("use_username_as_clientid true"), "one client"),
        ),
        [bad("listener 1\nuse_username_as_clientid yes", "`use_username_as_clientid` cannot be `yes`")];

    enable_proxy_protocol:
        not_yet("listener 1\nenable_proxy_protocol 2"),
        [bad("listener 1\nenable_proxy_protocol 3", "`enable_proxy_protocol` cannot be 3")];

    proxy_protocol_v2_require_tls:
        not_yet("listener 1\nproxy_protocol_v2_require_tls true"),
        [bad("listener 1\nproxy_protocol_v2_require_tls yes", "`proxy_protocol_v2_require_tls` cannot be `yes`")];

    http_dir: not_yet("listener 1\nhttp_dir /srv"), [bad("listener 1\nhttp_dir", "`http_dir` has no value")];

    websockets_origin:
        not_yet("listener 1\nwebsockets_origin example.org"),
        [bad("listener 1\nwebsockets_origin", "`websockets_origin` has no value")];
}
