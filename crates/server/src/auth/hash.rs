//! Whether a password is the one that a hash is of.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use ctutils::CtEq as _;
use noctule_config::{Argon2id, PasswordHash};
use pbkdf2::pbkdf2_hmac_array;
use sha2::{Digest as _, Sha512};

/// Takes as long for a wrong password as for the right one.
pub(super) fn fits(known: &PasswordHash, password: &[u8]) -> Result<bool, Unable> {
    match known {
        PasswordHash::Pbkdf2Sha512 { iterations, salt, hash } => {
            let found = pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations.get());
            Ok(is_equal(&found, hash))
        }
        PasswordHash::Sha512 { salt, hash } => {
            let found = Sha512::new().chain_update(password).chain_update(salt).finalize();
            Ok(is_equal(&found, hash))
        }
        PasswordHash::Argon2id(argon2id) => fits_argon2id(argon2id, password),
    }
}

/// A hash could not be computed: there is no memory for it, or its parameters are impossible.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unable;

fn fits_argon2id(argon2id: &Argon2id, password: &[u8]) -> Result<bool, Unable> {
    let Argon2id { kibibytes, passes, lanes, salt, hash } = argon2id;
    let params = Params::new(*kibibytes, *passes, *lanes, Some(hash.len())).map_err(|_| Unable)?;
    // Much memory for a moment. That there is none must not end the broker.
    let mut memory = Vec::new();
    memory.try_reserve_exact(params.block_count()).map_err(|_| Unable)?;
    memory.resize(params.block_count(), Block::new());
    let mut found = vec![0; hash.len()];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, salt, &mut found, &mut memory)
        .map_err(|_| Unable)?;
    Ok(is_equal(&found, hash))
}

fn is_equal(found: &[u8], hash: &[u8]) -> bool {
    found.ct_eq(hash).to_bool()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use noctule_config::{CommandLine, parse};

    use super::*;

    /// What a password file with this hash knows of its user.
    fn known(hash: &str) -> PasswordHash {
        let sources: [(PathBuf, &[u8]); 2] = [
            ("m.conf".into(), b"listener 1883\npassword_file pw\n"),
            ("pw".into(), &format!("user:{hash}").into_bytes()),
        ];
        let loaded = parse(&sources, &CommandLine::default()).unwrap();
        assert_eq!(loaded.warnings, [], "{hash}");
        loaded.config.listeners[0].password_file.as_ref().unwrap().find("user").unwrap().clone()
    }

    // Each was written by a program of somebody else's.
    #[test]
    fn hashes_of_others() {
        for (hash, password) in HASHES {
            let known = known(hash);
            assert_eq!(fits(&known, password.as_bytes()), Ok(true), "{hash}");
            for wrong in ["", "x", &format!("{password} "), &password[1..]] {
                assert_eq!(fits(&known, wrong.as_bytes()), Ok(false), "{hash} {wrong:?}");
            }
            assert_eq!(fits(&known.decoy(), password.as_bytes()), Ok(false));
        }
    }

    /// By Debian's `mosquitto_passwd` 2.0.11 (also with `-H sha512`), and by the reference implementation of Argon2.
    const HASHES: [(&str, &str); 3] = [
        (
            "$7$101$8Wu1I6r+xKFzCpcZ$m6RWM/tmgswChTnnnsm6m+3kJFmNIOUD+rMGO5y3VBINTrJDK3zqhNbLX12g1mvoNVRYGADp7eWp3siXkT/wVg==",
            "geheim",
        ),
        (
            "$6$FZ7dwPawOFI3p03O$DyQ42zpdrchh6CSMwizBQ3XP2+9Ffk3YHsxV5gFH0WrYpzmIyzc2cOdYpYkiiFx5Oq0TrYe+OUMjkMLMqFgmYA==",
            "geheim",
        ),
        (
            "$argon2id$v=19$m=1024,t=1,p=2$c29tZSBzYWx0IG9mIDE2Yg$yoYJBiYr/n+sOJydNkXxiV/ZhTyHzwXRg4MBOrSybdQ",
            "geheim",
        ),
    ];
}
