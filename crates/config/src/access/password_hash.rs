//! A hashed password as `mosquitto_passwd` writes it.

use std::fmt;
use std::num::NonZeroU32;

use base64ct::{Base64, Base64Unpadded, Encoding as _};

use crate::problem::access::HashProblem;

/// Bytes of what SHA-512 gives.
const SHA512_BYTES: usize = 64;
/// Iterations of PBKDF2 that are accepted: some ten seconds of work. More is a slip, and would occupy the broker for good.
const ITERATIONS_MAX: u32 = 10_000_000;
/// KiB of memory that one Argon2id hash may take.
const ARGON2_KIB_MAX: u32 = 1 << 20;
/// Passes of Argon2id over its memory.
const ARGON2_PASSES_MAX: u32 = 1_000;
/// Lanes of Argon2id.
const ARGON2_LANES_MAX: u32 = 64;
/// Bytes of a salt, and of what Argon2id gives.
const BYTES_MAX: usize = 1024;

/// What is known of a password. `Debug` shows its kind and cost only.
#[derive(Clone, Eq, PartialEq)]
pub enum PasswordHash {
    /// `$7$`: PBKDF2 with HMAC-SHA-512.
    Pbkdf2Sha512 {
        /// At least one.
        iterations: NonZeroU32,
        /// Not empty.
        salt: Box<[u8]>,
        /// What must come out.
        hash: Box<[u8]>,
    },
    /// `$6$`: SHA-512 of the password and the salt behind it, once.
    Sha512 {
        /// Not empty.
        salt: Box<[u8]>,
        /// What must come out.
        hash: Box<[u8]>,
    },
    /// `$argon2id$`: a PHC string.
    Argon2id(Argon2id),
}

/// The parameters of one Argon2id hash (RFC 9106, version 0x13).
#[derive(Clone, Eq, PartialEq)]
pub struct Argon2id {
    /// Memory, `m`: at least 8 for each lane.
    pub kibibytes: u32,
    /// Passes over the memory, `t`; at least one.
    pub passes: u32,
    /// Lanes, `p`; at least one.
    pub lanes: u32,
    /// At least 8 bytes.
    pub salt: Box<[u8]>,
    /// What must come out; at least 4 bytes.
    pub hash: Box<[u8]>,
}

impl PasswordHash {
    /// Parses what stands behind the user name. Empty fields between `$` do not count.
    pub(super) fn parse(text: &str) -> Result<Self, HashProblem> {
        let mut fields = text.split('$').filter(|field| !field.is_empty());
        match fields.next().ok_or(HashProblem::Incomplete)? {
            "7" => {
                let iterations = iterations(fields.next().ok_or(HashProblem::Incomplete)?)?;
                let (salt, hash) = salt_and_hash(fields)?;
                Ok(Self::Pbkdf2Sha512 { iterations, salt, hash })
            }
            "6" => {
                let (salt, hash) = salt_and_hash(fields)?;
                Ok(Self::Sha512 { salt, hash })
            }
            "argon2id" => argon2id(fields).map(Self::Argon2id),
            _ if text.contains('$') => Err(HashProblem::UnknownKind),
            _ => Err(HashProblem::NotHashed),
        }
    }

    /// The same kind of hash at the same cost, which no password has: to spend the time on it that one of them takes.
    #[must_use]
    pub fn decoy(&self) -> Self {
        let mut decoy = self.clone();
        match &mut decoy {
            Self::Pbkdf2Sha512 { salt, hash, .. } | Self::Sha512 { salt, hash } => {
                salt.fill(0);
                hash.fill(0);
            }
            Self::Argon2id(Argon2id { salt, hash, .. }) => {
                salt.fill(0);
                hash.fill(0);
            }
        }
        decoy
    }

    /// The kind and what it costs to try a password.
    pub(super) fn cost(&self) -> (u8, u32, u32, u32) {
        match self {
            Self::Pbkdf2Sha512 { iterations, .. } => (7, iterations.get(), 0, 0),
            Self::Sha512 { .. } => (6, 1, 0, 0),
            Self::Argon2id(Argon2id { kibibytes, passes, lanes, .. }) => (8, *kibibytes, *passes, *lanes),
        }
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pbkdf2Sha512 { iterations, .. } => write!(f, "Pbkdf2Sha512({iterations} iterations)"),
            Self::Sha512 { .. } => f.write_str("Sha512"),
            Self::Argon2id(argon2id) => fmt::Debug::fmt(argon2id, f),
        }
    }
}

impl fmt::Debug for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kibibytes, passes, lanes, .. } = self;
        write!(f, "Argon2id(m={kibibytes}, t={passes}, p={lanes})")
    }
}

/// The number a text begins with, as C's `atoi` reads it.
fn iterations(text: &str) -> Result<NonZeroU32, HashProblem> {
    let digits = text.trim_start_matches(super::is_space);
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let number = digits[..end].parse::<u32>().ok().filter(|number| *number <= ITERATIONS_MAX);
    number.and_then(NonZeroU32::new).ok_or(HashProblem::Iterations)
}

type SaltAndHash = (Box<[u8]>, Box<[u8]>);

fn salt_and_hash<'a>(mut fields: impl Iterator<Item = &'a str>) -> Result<SaltAndHash, HashProblem> {
    let salt = fields.next().ok_or(HashProblem::Incomplete)?;
    let hash = fields.next().ok_or(HashProblem::Incomplete)?;
    let salt = Base64::decode_vec(salt).map_err(|_| HashProblem::Salt)?;
    if salt.is_empty() || salt.len() > BYTES_MAX {
        return Err(HashProblem::Salt);
    }
    let hash = Base64::decode_vec(hash).map_err(|_| HashProblem::Hash)?;
    if hash.len() != SHA512_BYTES {
        return Err(HashProblem::Hash);
    }
    Ok((salt.into(), hash.into()))
}

/// `v=19`, the parameters, salt and hash.
fn argon2id<'a>(mut fields: impl Iterator<Item = &'a str>) -> Result<Argon2id, HashProblem> {
    let mut next = || fields.next().ok_or(HashProblem::Incomplete);
    if next()? != "v=19" {
        return Err(HashProblem::Parameters);
    }
    let (mut kibibytes, mut passes, mut lanes) = (0, 0, 0);
    for parameter in next()?.split(',') {
        let (name, number) = parameter.split_once('=').ok_or(HashProblem::Parameters)?;
        let number = number.parse::<u32>().map_err(|_| HashProblem::Parameters)?;
        match name {
            "m" => kibibytes = number,
            "t" => passes = number,
            "p" => lanes = number,
            _ => return Err(HashProblem::Parameters),
        }
    }
    if !(1..=ARGON2_LANES_MAX).contains(&lanes)
        || !(1..=ARGON2_PASSES_MAX).contains(&passes)
        || !(8 * lanes..=ARGON2_KIB_MAX).contains(&kibibytes)
    {
        return Err(HashProblem::Parameters);
    }
    // Padding is not of the PHC format, but some programs write it.
    let decode = |text: &str| Base64Unpadded::decode_vec(text.trim_end_matches('=')).ok();
    let salt =
        decode(next()?).filter(|salt| (8..=BYTES_MAX).contains(&salt.len())).ok_or(HashProblem::Salt)?;
    let hash =
        decode(next()?).filter(|hash| (4..=BYTES_MAX).contains(&hash.len())).ok_or(HashProblem::Hash)?;
    Ok(Argon2id { kibibytes, passes, lanes, salt: salt.into(), hash: hash.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "AAAAAAAAAAAAAAAA";

    fn hash(bytes: usize) -> String {
        Base64::encode_string(&vec![b'x'; bytes])
    }

    #[test]
    fn what_mosquitto_passwd_writes() {
        let full = hash(64);
        let Ok(PasswordHash::Pbkdf2Sha512 { iterations, salt, hash }) =
            PasswordHash::parse(&format!("$7$101${SALT}${full}"))
        else {
            panic!("a hash of 2.0")
        };
        assert_eq!((iterations.get(), &salt[..], &hash[..]), (101, &[0; 12][..], &[b'x'; 64][..]));
        let of_2_1 = format!("$7$1000${}${full}", self::hash(64));
        assert!(PasswordHash::parse(&of_2_1).is_ok());
        assert!(matches!(
            PasswordHash::parse(&format!("$6${SALT}${full}")),
            Ok(PasswordHash::Sha512 { salt, .. }) if salt.len() == 12
        ));
        let argon2id = "$argon2id$v=19$m=47104,t=1,p=1$c29tZXNhbHQ$ZG9udGNhcmU";
        let expected = Argon2id {
            kibibytes: 47104,
            passes: 1,
            lanes: 1,
            salt: (*b"somesalt").into(),
            hash: (*b"dontcare").into(),
        };
        assert_eq!(PasswordHash::parse(argon2id), Ok(PasswordHash::Argon2id(expected)));
    }

    // What Mosquitto 2.0.11 was seen to do with each of these.
    #[test]
    fn what_is_odd() {
        let full = hash(64);
        for (text, problem) in [
            (String::new(), HashProblem::Incomplete),
            ("$$$$".to_owned(), HashProblem::Incomplete),
            ("secret".to_owned(), HashProblem::NotHashed),
            ("$5$x$y".to_owned(), HashProblem::UnknownKind),
            ("$7".to_owned(), HashProblem::Incomplete),
            ("$7$101".to_owned(), HashProblem::Incomplete),
            (format!("$7$101${SALT}"), HashProblem::Incomplete),
            (format!("$7$0${SALT}${full}"), HashProblem::Iterations),
            (format!("$7$x${SALT}${full}"), HashProblem::Iterations),
            (format!("$7$-5${SALT}${full}"), HashProblem::Iterations),
            (format!("$7$4294967295${SALT}${full}"), HashProblem::Iterations),
            (format!("$7$101$!!!!${full}"), HashProblem::Salt),
            (format!("$7$101${SALT}$!!!"), HashProblem::Hash),
            (format!("$7$101${SALT}${}", hash(32)), HashProblem::Hash),
            ("$6$AAAA$AAAA".to_owned(), HashProblem::Hash),
            (format!("$6${}${full}", hash(2000)), HashProblem::Salt),
            ("$argon2id$v=19".to_owned(), HashProblem::Incomplete),
            ("$argon2id$v=1$m=8,t=1,p=1$c29tZXNhbHQ$ZG9udGNhcmU".to_owned(), HashProblem::Parameters),
            ("$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$ZG9u".to_owned(), HashProblem::Parameters),
            ("$argon2id$v=19$m=8,t=1,p=2$c29tZXNhbHQ$ZG9udGNhcmU".to_owned(), HashProblem::Parameters),
            ("$argon2id$v=19$m=8,t=1$c29tZXNhbHQ$ZG9udGNhcmU".to_owned(), HashProblem::Parameters),
            ("$argon2id$v=19$m=8,t=1,p=1,k=2$c29tZXNhbHQ$ZG9u".to_owned(), HashProblem::Parameters),
            ("$argon2id$v=19$m=8,t=1,p=1$c2E$ZG9udGNhcmU".to_owned(), HashProblem::Salt),
            ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$ZG".to_owned(), HashProblem::Hash),
        ] {
            assert_eq!(PasswordHash::parse(&text), Err(problem), "{text:?}");
        }
        for text in [
            format!("7$101${SALT}${full}"),
            format!("$7$101$${SALT}${full}"),
            format!("$7$101${SALT}${full}$foo"),
            format!("$7$ +101x${SALT}${full}"),
        ] {
            assert!(PasswordHash::parse(&text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let known = PasswordHash::parse(&format!("$7$101${SALT}${}", hash(64))).unwrap();
        assert_eq!(format!("{known:?}"), "Pbkdf2Sha512(101 iterations)");
    }

    #[test]
    fn a_decoy_costs_the_same() {
        let known = PasswordHash::parse(&format!("$7$101${SALT}${}", hash(64))).unwrap();
        assert_eq!(known.decoy().cost(), known.cost());
        assert_ne!(known.decoy(), known);
    }
}
