//! Listeners, and who may come in there.

use super::Directive;
use super::Scope::{self, DefaultListener, InListener, InOwnListener, OpensListener};
use super::broker::{INT_MAX, at_least, number};
use crate::value::Repeat::{Add, Refuse, Replace};
use crate::value::Takes::{self, Flag, Path, ProtocolVersions, Text, TopicPrefix, Word};

const TLS: &str = "TLS listeners";
const PSK: &str = "TLS with pre-shared keys";
const PROXY: &str = "the PROXY protocol";
const ENGINES: &str = "OpenSSL engines";

const fn of(name: &'static str, scope: Scope, takes: Takes, default: &'static str) -> Directive {
    Directive::new(name, scope, takes, default).needs_restart()
}

pub(super) const DIRECTIVES: &[Directive] = &[
    of("listener", OpensListener, Takes::Listener, "")
        .help("Listen on a port, on all addresses or the one behind it; the lines below are for it")
        .only("a port between 1 and 65535", "Unix sockets"),
    of("port", DefaultListener, number(1, 65535), "1883")
        .help("The port of the default listener")
        .deprecated("write `listener` and the port"),
    of("bind_address", DefaultListener, Text(Refuse), "")
        .help("The address of the default listener")
        .deprecated("write `listener`, the port and the address"),
    of("bind_interface", Scope::Listener, Text(Refuse), "")
        .help("Listen on the addresses of this network device only"),
    of("socket_domain", Scope::Listener, Word(&["ipv4", "ipv6"]), "")
        .help("Listen on one kind of address only"),
    of("protocol", Scope::Listener, Word(&["mqtt", "websockets", "http_api"]), "mqtt")
        .help("What is spoken there")
        .only("`protocol mqtt`", "listeners of that protocol"),
    of("mount_point", InListener, TopicPrefix, "").help("In front of every topic of this listener's clients"),
    of("max_connections", Scope::Listener, at_least(-1, INT_MAX), "-1")
        .help("Connections at a time; 0 and below is any number"),
    of("max_qos", Scope::Listener, number(0, 2), "2")
        .help("Highest QoS that clients may publish with")
        .aliases(&["maximum_qos"]),
    of("max_topic_alias", InListener, number(0, 65535), "10").help("Topic aliases that a client may use"),
    of("max_topic_alias_broker", InListener, number(0, 65535), "10")
        .help("Topic aliases that the broker may use towards a client"),
    Directive::new("durability", Scope::Listener, Word(&["sync", "flush", "memory"]), "sync")
        .help("With `persistence true`, what acknowledgements to its clients wait for: the disk, the operating system, nothing"),
    Directive::new("accept_protocol_versions", InOwnListener, ProtocolVersions, "3, 4, 5")
        .help("Which of MQTT 3.1, 3.1.1 and 5.0 are accepted; they are 3, 4 and 5"),
    of("use_username_as_clientid", Scope::Listener, Flag, "false")
        .help("The user name is the client identifier too"),
    of("enable_proxy_protocol", InListener, number(1, 2), "")
        .help("Connections begin with a PROXY header of this version")
        .waits_for(PROXY),
    of("proxy_protocol_v2_require_tls", InListener, Flag, "false")
        .help("Refuse clients that reach the proxy without TLS")
        .waits_for(PROXY),
    of("http_dir", InListener, Path(Refuse), "")
        .help("The files that an HTTP listener serves")
        .waits_for("HTTP listeners"),
    of("websockets_origin", InListener, Text(Add), "")
        .help("Accept WebSocket clients of this origin; may be written several times")
        .waits_for("WebSocket listeners"),
    of("cafile", InListener, Path(Replace), "")
        .help("Authorities for client certificates")
        .reads_file_again()
        .waits_for(TLS),
    of("capath", Scope::Listener, Path(Replace), "")
        .help("The same as a directory")
        .reads_file_again()
        .waits_for(TLS),
    of("certfile", Scope::Listener, Path(Replace), "")
        .help("The certificate that clients are shown")
        .reads_file_again()
        .waits_for(TLS),
    of("keyfile", Scope::Listener, Path(Replace), "")
        .help("Its private key")
        .reads_file_again()
        .waits_for(TLS),
    of("crlfile", Scope::Listener, Path(Replace), "")
        .help("Revoked client certificates")
        .reads_file_again()
        .waits_for(TLS),
    Directive::new("require_certificate", Scope::Listener, Flag, "false")
        .help("Clients must show a certificate")
        .waits_for(TLS),
    of("disable_client_cert_date_checks", InListener, Flag, "false")
        .help("Accept client certificates that are out of date")
        .waits_for(TLS),
    Directive::new("use_identity_as_username", Scope::Listener, Flag, "false")
        .help("The certificate's common name, or the pre-shared key's identity, is the user name")
        .waits_for(TLS),
    Directive::new("use_subject_as_username", Scope::Listener, Flag, "false")
        .help("The certificate's whole subject is the user name")
        .waits_for(TLS),
    of("ciphers", Scope::Listener, Text(Replace), "")
        .help("Ciphers of TLS 1.2, as OpenSSL names them")
        .waits_for(TLS),
    of("ciphers_tls1.3", Scope::Listener, Text(Replace), "")
        .help("Ciphers of TLS 1.3, as OpenSSL names them")
        .waits_for(TLS),
    of("tls_version", InListener, Word(&["tlsv1.2", "tlsv1.3"]), "tlsv1.2")
        .help("Lowest version of TLS")
        .waits_for(TLS),
    of("dhparamfile", Scope::Global, Takes::Ignored, "")
        .help("Once parameters for Diffie-Hellman")
        .removed("OpenSSL chooses them itself"),
    of("psk_hint", Scope::Listener, Text(Refuse), "")
        .help("Use TLS with pre-shared keys; the hint is sent to clients")
        .waits_for(PSK),
    of("tls_engine", Scope::Listener, Text(Refuse), "")
        .help("The OpenSSL engine that holds the key")
        .waits_for(ENGINES),
    of("tls_engine_kpass_sha1", Scope::Listener, Text(Replace), "")
        .help("The hash of the engine key's password")
        .waits_for(ENGINES),
    of("tls_keyform", Scope::Listener, Word(&["pem", "engine"]), "pem")
        .help("Where `keyfile` is: a file, or a key of the engine")
        .waits_for(ENGINES),
];
