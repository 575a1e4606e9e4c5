//! Plugins, which are not built yet.

use super::matrix;
use super::row::{bad, in_refused_block, not_yet};

matrix! {
    plugin: not_yet("plugin /usr/lib/mosquitto_dynamic_security.so"), [bad("plugin", "`plugin` has no value")];

    global_plugin:
        not_yet("global_plugin /usr/lib/mosquitto_dynamic_security.so"),
        [bad("global_plugin", "`global_plugin` has no value")];

    plugin_load:
        not_yet("plugin_load rights /usr/lib/mosquitto_acl_file.so"),
        [bad("plugin_load rights", "`plugin_load` has no value")];

    plugin_use:
        not_yet("plugin_load rights /usr/lib/mosquitto_acl_file.so\nlistener 1\nplugin_use rights"),
        [bad("listener 1\nplugin_use rights", "no plugin named `rights` was loaded")];

    plugin_opt = "plugin_opt_*":
        in_refused_block("plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_acl_file /etc/acl", 1),
        [
            bad("plugin_opt_acl_file /etc/acl", "stands before any `plugin`"),
            bad("plugin /usr/lib/mosquitto_acl_file.so\nplugin_opt_ /etc/acl", "`plugin_opt_` names no option"),
        ];

    auth_plugin_deny_special_chars:
        in_refused_block("plugin /usr/lib/mosquitto_acl_file.so\nauth_plugin_deny_special_chars false", 1),
        [bad(
            "plugin /usr/lib/mosquitto_acl_file.so\nauth_plugin_deny_special_chars some",
            "`auth_plugin_deny_special_chars` cannot be `some`",
        )];

    enable_control_api:
        not_yet("enable_control_api true"),
        [bad("enable_control_api on", "`enable_control_api` cannot be `on`")];
}
