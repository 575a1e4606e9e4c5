//! TLS, which is not built yet.

use super::matrix;
use super::row::{bad, not_yet, removed};

macro_rules! with_certificate {
    ($line:literal) => {
        concat!("listener 1\ncertfile /etc/a.crt\nkeyfile /etc/a.key\n", $line)
    };
}

matrix! {
    cafile:
        not_yet(with_certificate!("cafile /etc/ca.crt")),
        [
            bad("listener 1\ncafile", "`cafile` has no value"),
            bad("listener 1\ncafile /etc/ca.crt", "this listener has `cafile` but no certificate of its own"),
        ];

    capath: not_yet(with_certificate!("capath /etc/ca")), [bad("listener 1\ncapath", "`capath` has no value")];

    certfile:
        not_yet("listener 1\nkeyfile /etc/a.key\ncertfile /etc/a.crt"),
        [bad("listener 1\ncertfile /etc/a.crt", "this listener has only one of `certfile` and `keyfile`")];

    keyfile:
        not_yet("listener 1\ncertfile /etc/a.crt\nkeyfile /etc/a.key"),
        [bad("listener 1\nkeyfile /etc/a.key", "this listener has only one of `certfile` and `keyfile`")];

    crlfile: not_yet(with_certificate!("crlfile /etc/a.crl")), [bad("listener 1\ncrlfile", "`crlfile` has no value")];

    require_certificate:
        not_yet(with_certificate!("require_certificate true")),
        [bad("listener 1\nrequire_certificate yes", "`require_certificate` cannot be `yes`")];

    disable_client_cert_date_checks:
        not_yet(with_certificate!("disable_client_cert_date_checks true")),
        [bad("listener 1\ndisable_client_cert_date_checks 3", "`disable_client_cert_date_checks` cannot be `3`")];

    use_identity_as_username:
        not_yet(with_certificate!("use_identity_as_username true")),
        [bad("listener 1\nuse_identity_as_username cn", "`use_identity_as_username` cannot be `cn`")];

    use_subject_as_username:
        not_yet(with_certificate!("use_subject_as_username true")),
        [bad("listener 1\nuse_subject_as_username cn", "`use_subject_as_username` cannot be `cn`")];

    ciphers: not_yet(with_certificate!("ciphers DEFAULT")), [bad("listener 1\nciphers", "`ciphers` has no value")];

    ciphers_of_1_3 = "ciphers_tls1.3":
        not_yet(with_certificate!("ciphers_tls1.3 TLS_AES_128_GCM_SHA256")),
        [bad("listener 1\nciphers_tls1.3", "`ciphers_tls1.3` has no value")];

    tls_version:
        not_yet(with_certificate!("tls_version tlsv1.3")),
        [bad("listener 1\ntls_version tlsv1.1", "`tls_version` cannot be `tlsv1.1`; write `tlsv1.2` or `tlsv1.3`")];

    dhparamfile: removed("dhparamfile /etc/dh\nlistener PORT 127.0.0.1"), [];

    psk_hint: not_yet("listener 1\npsk_hint hint"), [bad("listener 1\npsk_hint", "`psk_hint` has no value")];

    tls_engine: not_yet("listener 1\ntls_engine pkcs11"), [bad("listener 1\ntls_engine", "`tls_engine` has no value")];

    tls_engine_kpass_sha1:
        not_yet("listener 1\ntls_engine_kpass_sha1 00"),
        [bad("listener 1\ntls_engine_kpass_sha1", "`tls_engine_kpass_sha1` has no value")];

    tls_keyform:
        not_yet("listener 1\ntls_keyform engine"),
        [bad("listener 1\ntls_keyform der", "`tls_keyform` cannot be `der`; write `pem` or `engine`")];
}
