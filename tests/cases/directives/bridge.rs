//! Bridges, which are not built yet: `connection` is refused, and what stands in its block is read all the same.

use super::matrix;
use super::row::{bad, in_refused_block, not_yet};

macro_rules! bridge {
    ($line:literal) => {
        concat!("connection cloud\naddress localhost\ntopic #\n", $line)
    };
}

matrix! {
    connection:
        not_yet("connection cloud"),
        [
            bad("connection", "`connection` has no value"),
            bad("connection cloud", "`cloud`"),
        ];

    address: in_refused_block("connection cloud\ntopic #\naddress localhost:1884", 1), [bad("connection cloud\ntopic #\naddress localhost:99999", "99999")];

    topic: in_refused_block(bridge!("topic house/# both 1"), 1), [bad(bridge!("topic house/# sideways"), "sideways")];

    remote_clientid: in_refused_block(bridge!("remote_clientid something"), 1), [bad(bridge!("remote_clientid"), "`remote_clientid` has no value")];

    local_clientid: in_refused_block(bridge!("local_clientid something"), 1), [bad(bridge!("local_clientid"), "`local_clientid` has no value")];

    remote_username: in_refused_block(bridge!("remote_username something"), 1), [bad(bridge!("remote_username"), "`remote_username` has no value")];

    remote_password: in_refused_block(bridge!("remote_password something"), 1), [bad(bridge!("remote_password"), "`remote_password` has no value")];

    local_username: in_refused_block(bridge!("local_username something"), 1), [bad(bridge!("local_username"), "`local_username` has no value")];

    local_password: in_refused_block(bridge!("local_password something"), 1), [bad(bridge!("local_password"), "`local_password` has no value")];

    cleansession: in_refused_block(bridge!("cleansession true"), 1), [bad(bridge!("cleansession maybe"), "`cleansession` cannot be `maybe`")];

    local_cleansession: in_refused_block(bridge!("local_cleansession true"), 1), [bad(bridge!("local_cleansession maybe"), "`local_cleansession` cannot be `maybe`")];

    keepalive_interval: in_refused_block(bridge!("keepalive_interval 100"), 1), [bad(bridge!("keepalive_interval many"), "`keepalive_interval` takes a number, not `many`")];

    notifications: in_refused_block(bridge!("notifications false"), 1), [bad(bridge!("notifications maybe"), "`notifications` cannot be `maybe`")];

    notifications_local_only: in_refused_block(bridge!("notifications_local_only true"), 1), [bad(bridge!("notifications_local_only maybe"), "`notifications_local_only` cannot be `maybe`")];

    notification_topic: in_refused_block(bridge!("notification_topic bridge/state"), 1), [bad(bridge!("notification_topic"), "`notification_topic` has no value")];

    start_type: in_refused_block(bridge!("start_type lazy"), 1), [bad(bridge!("start_type other"), "`start_type` cannot be `other`")];

    idle_timeout: in_refused_block(bridge!("idle_timeout 100"), 1), [bad(bridge!("idle_timeout many"), "`idle_timeout` takes a number, not `many`")];

    threshold: in_refused_block(bridge!("threshold 100"), 1), [bad(bridge!("threshold many"), "`threshold` takes a number, not `many`")];

    restart_timeout: in_refused_block(bridge!("restart_timeout 5 30"), 1), [bad(bridge!("restart_timeout 60 10"), "restart_timeout")];

    round_robin: in_refused_block(bridge!("round_robin true"), 1), [bad(bridge!("round_robin maybe"), "`round_robin` cannot be `maybe`")];

    try_private: in_refused_block(bridge!("try_private false"), 1), [bad(bridge!("try_private maybe"), "`try_private` cannot be `maybe`")];

    bridge_protocol_version: in_refused_block(bridge!("bridge_protocol_version mqttv50"), 1), [bad(bridge!("bridge_protocol_version other"), "`bridge_protocol_version` cannot be `other`")];

    bridge_attempt_unsubscribe: in_refused_block(bridge!("bridge_attempt_unsubscribe false"), 1), [bad(bridge!("bridge_attempt_unsubscribe maybe"), "`bridge_attempt_unsubscribe` cannot be `maybe`")];

    bridge_outgoing_retain: in_refused_block(bridge!("bridge_outgoing_retain false"), 1), [bad(bridge!("bridge_outgoing_retain maybe"), "`bridge_outgoing_retain` cannot be `maybe`")];

    bridge_max_packet_size: in_refused_block(bridge!("bridge_max_packet_size 100"), 1), [bad(bridge!("bridge_max_packet_size many"), "`bridge_max_packet_size` takes a number, not `many`")];

    bridge_max_topic_alias: in_refused_block(bridge!("bridge_max_topic_alias 100"), 1), [bad(bridge!("bridge_max_topic_alias many"), "`bridge_max_topic_alias` takes a number, not `many`")];

    bridge_receive_maximum: in_refused_block(bridge!("bridge_receive_maximum 100"), 1), [bad(bridge!("bridge_receive_maximum many"), "`bridge_receive_maximum` takes a number, not `many`")];

    bridge_session_expiry_interval: in_refused_block(bridge!("bridge_session_expiry_interval 100"), 1), [bad(bridge!("bridge_session_expiry_interval many"), "`bridge_session_expiry_interval` takes a number, not `many`")];

    bridge_bind_address: in_refused_block(bridge!("bridge_bind_address 127.0.0.1"), 1), [bad(bridge!("bridge_bind_address"), "`bridge_bind_address` has no value")];

    bridge_tcp_keepalive: in_refused_block(bridge!("bridge_tcp_keepalive 60 5 3"), 1), [bad(bridge!("bridge_tcp_keepalive 60 5"), "bridge_tcp_keepalive")];

    bridge_tcp_user_timeout: in_refused_block(bridge!("bridge_tcp_user_timeout 100"), 1), [bad(bridge!("bridge_tcp_user_timeout many"), "`bridge_tcp_user_timeout` takes a number, not `many`")];

    bridge_reload_type: in_refused_block(bridge!("bridge_reload_type immediate"), 1), [bad(bridge!("bridge_reload_type other"), "`bridge_reload_type` cannot be `other`")];

    bridge_cafile: in_refused_block(bridge!("bridge_cafile /etc/bridge.pem"), 1), [bad(bridge!("bridge_cafile"), "`bridge_cafile` has no value")];

    bridge_capath: in_refused_block(bridge!("bridge_capath /etc/bridge.pem"), 1), [bad(bridge!("bridge_capath"), "`bridge_capath` has no value")];

    bridge_certfile: in_refused_block(bridge!("bridge_certfile /etc/bridge.pem"), 1), [bad(bridge!("bridge_certfile"), "`bridge_certfile` has no value")];

    bridge_keyfile: in_refused_block(bridge!("bridge_keyfile /etc/bridge.pem"), 1), [bad(bridge!("bridge_keyfile"), "`bridge_keyfile` has no value")];

    bridge_tls_use_os_certs: in_refused_block(bridge!("bridge_tls_use_os_certs true"), 1), [bad(bridge!("bridge_tls_use_os_certs maybe"), "`bridge_tls_use_os_certs` cannot be `maybe`")];

    bridge_insecure: in_refused_block(bridge!("bridge_insecure true"), 1), [bad(bridge!("bridge_insecure maybe"), "`bridge_insecure` cannot be `maybe`")];

    bridge_alpn: in_refused_block(bridge!("bridge_alpn something"), 1), [bad(bridge!("bridge_alpn"), "`bridge_alpn` has no value")];

    bridge_ciphers: in_refused_block(bridge!("bridge_ciphers something"), 1), [bad(bridge!("bridge_ciphers"), "`bridge_ciphers` has no value")];

    bridge_ciphers_tls1_3 = "bridge_ciphers_tls1.3": in_refused_block(bridge!("bridge_ciphers_tls1.3 something"), 1), [bad(bridge!("bridge_ciphers_tls1.3"), "`bridge_ciphers_tls1.3` has no value")];

    bridge_tls_version: in_refused_block(bridge!("bridge_tls_version tlsv1.3"), 1), [bad(bridge!("bridge_tls_version other"), "`bridge_tls_version` cannot be `other`")];

    bridge_require_ocsp: in_refused_block(bridge!("bridge_require_ocsp true"), 1), [bad(bridge!("bridge_require_ocsp maybe"), "`bridge_require_ocsp` cannot be `maybe`")];

    bridge_identity: in_refused_block(bridge!("bridge_identity something\nbridge_psk 00ff"), 1), [bad(bridge!("bridge_identity"), "`bridge_identity` has no value")];

    bridge_psk: in_refused_block(bridge!("bridge_psk 00ff\nbridge_identity gateway"), 1), [bad(bridge!("bridge_psk"), "`bridge_psk` has no value")];
}
