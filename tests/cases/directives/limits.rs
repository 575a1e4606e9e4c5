//! What clients may ask of the broker, and how much of it.

use super::matrix;
use super::row::{bad, file, not_yet, seen, unseen};
use super::view;

/// A listener for everybody at loopback, and the lines of a row.
macro_rules! open {
    ($lines:literal) => {
        concat!("listener PORT 127.0.0.1\nallow_anonymous true\n", $lines)
    };
}

matrix! {
    max_inflight_messages:
        seen(
            view::receive_maximum,
            file(open!("max_inflight_messages 5"), "5"),
            file(open!("max_inflight_messages 7"), "7"),
        ),
        [
            bad("max_inflight_messages 65536", "`max_inflight_messages` cannot be 65536; write a number between 0 and 65535"),
            bad("max_inflight_messages many", "`max_inflight_messages` takes a number, not `many`"),
        ];

    max_inflight_bytes:
        seen(
            view::unacknowledged,
            file(open!("max_inflight_bytes 0"), "3 of 3"),
            file(open!("max_inflight_bytes 20"), "2 of 3"),
        ),
        [bad("max_inflight_bytes 1k", "`max_inflight_bytes` takes a number, not `1k`")];

    max_queued_messages:
        seen(
            view::queued,
            file(open!("max_queued_messages 4"), "0 of QoS 0, 4 of QoS 1"),
            file(open!("max_queued_messages 2"), "0 of QoS 0, 2 of QoS 1"),
        ),
        [bad("max_queued_messages none", "`max_queued_messages` takes a number, not `none`")];

    max_queued_bytes:
        seen(
            view::queued,
            file(open!("max_queued_bytes 0"), "0 of QoS 0, 5 of QoS 1"),
            file(open!("max_queued_bytes 20"), "0 of QoS 0, 2 of QoS 1"),
        ),
        [bad("max_queued_bytes 99999999999", "write a number between -2147483648 and 2147483647")];

    max_keepalive:
        seen(
            view::server_keep_alive,
            file(open!("max_keepalive 0"), "not told"),
            file(open!("max_keepalive 60"), "60"),
        ),
        [bad("max_keepalive 65536", "`max_keepalive` cannot be 65536; write a number between 0 and 65535")];

    max_packet_size:
        seen(
            view::maximum_packet_size,
            file(open!(""), "2000000"),
            file(open!("max_packet_size 1000"), "1000"),
        ),
        [bad("max_packet_size 19", "`max_packet_size` cannot be 19; write a number between 20 and 2147483647")];

    message_size_limit:
        seen(
            view::publishing_twenty_bytes,
            file(open!("message_size_limit 0"), "accepted"),
            file(open!("message_size_limit 19"), "refused with 0x83"),
        ),
        [bad("message_size_limit -1", "`message_size_limit` cannot be -1; write a number between 0 and 268435455")];

    outbox_bytes_max:
        seen(view::burst, file(open!(""), "all"), file(open!("outbox_bytes_max 1024"), "some")),
        [bad("outbox_bytes_max 1000", "`outbox_bytes_max` cannot be 1000; write a number between 1024 and 2147483647")];

    connect_timeout:
        seen(view::silence, file(open!(""), "open"), file(open!("connect_timeout 1"), "closed")),
        [bad("connect_timeout 0", "`connect_timeout` cannot be 0; write a number between 1 and 3600")];

    memory_limit:
        seen(
            view::room_for_clients,
            file(open!("memory_limit 0"), "accepted"),
            file(open!("memory_limit 1000000"), "refused with 0x97"),
        ),
        [bad("memory_limit -1", "`memory_limit` cannot be -1; write a number of at least 0")];

    persistent_client_expiration:
        seen(
            view::session_after_a_while,
            file(open!(""), "kept"),
            file(open!("persistent_client_expiration 1s"), "ended"),
        ),
        [bad("persistent_client_expiration 2 weeks", "write a number from 1 and its unit without a blank")];

    queue_qos0_messages:
        seen(
            view::queued,
            file(open!(""), "0 of QoS 0, 5 of QoS 1"),
            file(open!("queue_qos0_messages true"), "3 of QoS 0, 5 of QoS 1"),
        ),
        [bad("queue_qos0_messages all", "`queue_qos0_messages` cannot be `all`")];

    retain_available:
        seen(view::retain_available, file(open!(""), "not told"), file(open!("retain_available false"), "0")),
        [bad("retain_available off", "`retain_available` cannot be `off`; write `true` or `false`")];

    retain_expiry_interval:
        unseen(
            open!("retain_expiry_interval 1"),
            "the shortest interval is a minute, and what has expired is not delivered in any case; tests with virtual time see the search",
        ),
        [bad("retain_expiry_interval 0", "`retain_expiry_interval` cannot be 0")];

    upgrade_outgoing_qos:
        seen(view::qos_of_delivery, file(open!(""), "QoS 0"), file(open!("upgrade_outgoing_qos true"), "QoS 1")),
        [bad("upgrade_outgoing_qos 2", "`upgrade_outgoing_qos` cannot be `2`")];

    allow_duplicate_messages:
        seen(
            view::copies,
            file(open!(""), "3 copies"),
            file(open!("allow_duplicate_messages false"), "1 copies"),
        ),
        [bad("allow_duplicate_messages once", "`allow_duplicate_messages` cannot be `once`")];

    global_max_clients:
        seen(view::three_sessions, file(open!(""), "3 of 3"), file(open!("global_max_clients 2"), "2 of 3")),
        [bad("global_max_clients few", "`global_max_clients` takes a number, not `few`")];

    global_max_connections:
        seen(view::three_at_a_time, file(open!(""), "3 of 3"), file(open!("global_max_connections 2"), "2 of 3")),
        [bad("global_max_connections few", "`global_max_connections` takes a number, not `few`")];

    packet_buffer_size:
        not_yet("packet_buffer_size 1000"),
        [bad("packet_buffer_size 65536", "`packet_buffer_size` cannot be 65536")];
}
