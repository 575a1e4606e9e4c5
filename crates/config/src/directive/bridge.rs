//! Bridges: connections to other brokers.

use super::Directive;
use super::Scope::{Bridge, OpensBridge};
use super::broker::{INT_MAX, at_least, number};
use crate::value::Outside::RaiseAndTell;
use crate::value::Repeat::{Refuse, Replace};
use crate::value::Takes::{
    self, BridgeAddresses, BridgeTopic, Flag, Name, Path, RestartTimeout, TcpKeepalive, Text, Word,
};

const fn of(name: &'static str, takes: Takes, default: &'static str) -> Directive {
    Directive::new(name, Bridge, takes, default).waits_for("bridges")
}

pub(super) const DIRECTIVES: &[Directive] = &[
    Directive::new("connection", OpensBridge, Name, "")
        .help("Connect to another broker under this name; the lines below are for it")
        .waits_for("bridges"),
    of("address", BridgeAddresses, "")
        .help("The other broker, `host[:port]`; further ones are for when it fails")
        .aliases(&["addresses"]),
    of("topic", BridgeTopic, "").help("What passes: pattern, direction, QoS, local prefix, remote prefix"),
    of("remote_clientid", Text(Refuse), "")
        .help("Client identifier there; the default is host name, dot, connection name")
        .aliases(&["clientid"]),
    of("local_clientid", Text(Refuse), "")
        .help("Client identifier here; the default is `local.` and the remote one"),
    of("remote_username", Text(Refuse), "").help("User name there").aliases(&["username"]),
    of("remote_password", Text(Refuse), "").help("Password there").aliases(&["password"]),
    of("local_username", Text(Refuse), "").help("User name here, for access control"),
    of("local_password", Text(Refuse), "").help("Password here"),
    of("cleansession", Flag, "false").help("Forget there what was not delivered when the connection ends"),
    of("local_cleansession", Flag, "false").help("Forget it here; the default is what `cleansession` says"),
    of("keepalive_interval", Takes::Number { min: 5, max: 65535, outside: RaiseAndTell }, "60")
        .help("Keep Alive in seconds"),
    of("notifications", Flag, "true").help("Publish whether the bridge is connected, here and there"),
    of("notifications_local_only", Flag, "false").help("Publish it here only"),
    of("notification_topic", Text(Refuse), "")
        .help("Where; the default is `$SYS/broker/connection/REMOTE_CLIENTID/state`"),
    of("start_type", Word(&["automatic", "lazy", "once"]), "automatic")
        .help("When to connect: always, when messages wait, or once"),
    of("idle_timeout", Takes::Number { min: 1, max: INT_MAX, outside: RaiseAndTell }, "60")
        .help("Seconds without messages after which a lazy bridge disconnects"),
    of("threshold", Takes::Number { min: 1, max: INT_MAX, outside: RaiseAndTell }, "10")
        .help("Messages that must wait before a lazy bridge connects"),
    of("restart_timeout", RestartTimeout, "5 30")
        .help("Seconds before the next attempt: always as many, or the first and the longest wait"),
    of("round_robin", Flag, "false")
        .help("Use the addresses in turn; if not, the first is used whenever possible"),
    of("try_private", Flag, "true").help("Tell the other broker that this is a bridge"),
    of("bridge_protocol_version", Word(&["mqttv31", "mqttv311", "mqttv50"]), "mqttv311")
        .help("The version of MQTT spoken"),
    of("bridge_attempt_unsubscribe", Flag, "true").help("Unsubscribe from topics that do not come in"),
    of("bridge_outgoing_retain", Flag, "true").help("Pass on whether messages are retained"),
    of("bridge_max_packet_size", at_least(0, INT_MAX), "0").help("Largest packet sent, in bytes; 0 is any"),
    of("bridge_max_topic_alias", number(0, 65535), "10").help("Topic aliases used"),
    of("bridge_receive_maximum", number(1, 65535), "")
        .help("Messages in flight from there; the default is `max_inflight_messages`"),
    of("bridge_session_expiry_interval", number(0, 0xffff_ffff), "0")
        .help("Seconds for which the other broker keeps the session"),
    of("bridge_bind_address", Text(Refuse), "").help("The local address to connect from"),
    of("bridge_tcp_keepalive", TcpKeepalive, "")
        .help("Idle seconds, seconds between probes, probes before the connection is given up"),
    of("bridge_tcp_user_timeout", number(0, INT_MAX), "")
        .help("Milliseconds for which sent bytes may stay without an answer"),
    of("bridge_reload_type", Word(&["lazy", "immediate"]), "lazy")
        .help("When a reload's changes apply: at the next connect, or at once"),
    of("bridge_cafile", Path(Refuse), "").help("Authorities for the other broker's certificate"),
    of("bridge_capath", Path(Refuse), "").help("The same as a directory"),
    of("bridge_certfile", Path(Refuse), "").help("The certificate to show"),
    of("bridge_keyfile", Path(Replace), "").help("Its private key"),
    of("bridge_tls_use_os_certs", Flag, "false").help("Trust the authorities that the system trusts"),
    of("bridge_insecure", Flag, "false").help("Do not check that the certificate is for that host"),
    of("bridge_alpn", Text(Refuse), "").help("The application protocol named in TLS"),
    of("bridge_ciphers", Text(Refuse), "").help("Ciphers of TLS 1.2, as OpenSSL names them"),
    of("bridge_ciphers_tls1.3", Text(Refuse), "").help("Ciphers of TLS 1.3, as OpenSSL names them"),
    of("bridge_tls_version", Word(&["tlsv1.2", "tlsv1.3"]), "tlsv1.2").help("Lowest version of TLS"),
    of("bridge_require_ocsp", Flag, "false")
        .help("The other broker must prove that its certificate is not revoked"),
    of("bridge_identity", Text(Refuse), "").help("Identity of a pre-shared key"),
    of("bridge_psk", Text(Refuse), "").help("The pre-shared key, in hexadecimal"),
];
